//! A policy as text in a plan, without most settings that have their default. Two plans with the same text were made under the
//! same rules. Nothing is decided from it.

use serde::{Deserialize, Serialize};

use super::policy::{Pattern, Policy, RankBy, Rule, UnneededAction};

/// The policy of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PolicyText {
    /// Images that stay by rank.
    pub keep_last: u32,
    /// Patterns of tags that always stay.
    pub keep_tags: Vec<String>,
    /// False: build caches are images like others.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub keep_cache: Option<bool>,
    /// Images pushed within so many seconds stay.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub keep_within_seconds: Option<u64>,
    /// What ranks images, when not the time of the push.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rank_by: Option<RankBy>,
    /// Rules by package and tag, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub rules: Vec<RuleText>,
    /// Patterns of packages; others were not looked at.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub packages: Vec<String>,
    /// How many images were said to be in use, and a hash of all of them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub in_use: Option<String>,
    /// What becomes of manifests that no tag reaches, when they are not left.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub untagged: Option<UnneededAction>,
    /// What becomes of signatures whose subject is gone, when they are not left.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub orphan_signatures: Option<UnneededAction>,
    /// Younger than so many seconds nothing untagged goes, when not 24 hours.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub grace_seconds: Option<u64>,
    /// Most images that the run may delete.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_delete: Option<u64>,
    /// Most images of a package that may go, in percent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_delete_percent: Option<u8>,
    /// True: a package may lose its last image.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub allow_empty: Option<bool>,
    /// Tags, as `package:tag`, whose manifest was said to be lost.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub assume_lost: Vec<String>,
    /// What an undo put back stays for so many seconds, when not 7 days.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hold_seconds: Option<u64>,
    /// True: the order of pushes counts even where it is the reverse of the order of builds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub accept_push_order: Option<bool>,
    /// True: deleted images are kept by digest for a day.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub undo_window: Option<bool>,
}

/// A rule of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RuleText {
    /// Pattern of packages.
    pub package: String,
    /// Pattern of tags.
    pub tags: String,
    /// Regular expression of which the captures are the groups that images are ranked in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub group_by: Option<String>,
    /// Images that stay by rank, of each group.
    pub keep_last: u32,
    /// Images pushed within so many seconds stay.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub keep_within_seconds: Option<u64>,
    /// Whether build caches always stay, where the rule says so itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub keep_cache: Option<bool>,
}

impl PolicyText {
    /// The text of a policy.
    pub fn from_policy(policy: &Policy) -> Self {
        let default = Policy::default();
        let texts =
            |patterns: &[Pattern]| patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect();
        let rule = |rule: &Rule| RuleText {
            package: rule.package.as_str().to_owned(),
            tags: rule.tags.as_str().to_owned(),
            group_by: rule.group_by.as_ref().map(|by| by.as_str().to_owned()),
            keep_last: rule.keep_last,
            keep_within_seconds: rule.keep_within,
            keep_cache: rule.keep_cache,
        };
        Self {
            keep_last: policy.keep_last,
            keep_tags: texts(&policy.keep_tags),
            keep_cache: unless_default(policy.keep_cache, default.keep_cache),
            keep_within_seconds: policy.keep_within,
            rank_by: unless_default(policy.rank_by, default.rank_by),
            rules: policy.rules.iter().map(rule).collect(),
            packages: texts(&policy.packages),
            in_use: Some(&policy.in_use).filter(|in_use| !in_use.is_empty()).map(super::ImagesInUse::summary),
            untagged: unless_default(policy.untagged, default.untagged),
            orphan_signatures: unless_default(policy.orphan_signatures, default.orphan_signatures),
            grace_seconds: unless_default(policy.grace, default.grace),
            max_delete: policy.max_delete,
            max_delete_percent: policy.max_delete_percent,
            allow_empty: unless_default(policy.allow_empty, default.allow_empty),
            assume_lost: policy.assume_lost.iter().cloned().collect(),
            hold_seconds: unless_default(policy.hold, default.hold),
            accept_push_order: unless_default(policy.accept_push_order, default.accept_push_order),
            undo_window: unless_default(policy.undo_window, default.undo_window),
        }
    }
}

fn unless_default<T: PartialEq>(value: T, default: T) -> Option<T> {
    (value != default).then_some(value)
}
