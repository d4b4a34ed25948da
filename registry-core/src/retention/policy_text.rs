//! A policy as a plan tells it: what was asked for, without what is as usual. Two plans with the same text were made under
//! the same rules; nothing is decided from it.

use serde::{Deserialize, Serialize};

use super::policy::{Pattern, Policy, RankBy, Rule, Unneeded};

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
    pub untagged: Option<Unneeded>,
    /// What becomes of signatures whose subject is gone, when they are not left.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub orphan_signatures: Option<Unneeded>,
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
    /// True: the order of pushes counts, also where it is the reverse of that of builds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub accept_push_order: Option<bool>,
    /// True: what goes is kept by digest for a day.
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
    /// What a policy says.
    pub fn from_policy(policy: &Policy) -> Self {
        let usual = Policy::default();
        let texts = |patterns: &[Pattern]| patterns.iter().map(|one| one.as_str().to_owned()).collect();
        let rule = |rule: &Rule| RuleText {
            package: rule.package.as_str().to_owned(),
            tags: rule.tags.as_str().to_owned(),
            group_by: rule.group_by.as_ref().map(|by| by.as_str().to_owned()),
            keep_last: rule.keep_last,
            keep_within_seconds: rule.keep_within,
            keep_cache: rule.keep_cache,
        };
        let changed = |is: bool, was: bool| Some(is).filter(|is| *is != was);
        Self {
            keep_last: policy.keep_last,
            keep_tags: texts(&policy.keep_tags),
            keep_cache: changed(policy.keep_cache, usual.keep_cache),
            keep_within_seconds: policy.keep_within,
            rank_by: Some(policy.rank_by).filter(|by| *by != usual.rank_by),
            rules: policy.rules.iter().map(rule).collect(),
            packages: texts(&policy.packages),
            in_use: Some(&policy.in_use).filter(|in_use| !in_use.is_empty()).map(super::InUse::summary),
            untagged: Some(policy.untagged).filter(|fate| *fate != usual.untagged),
            orphan_signatures: Some(policy.orphan_signatures).filter(|fate| *fate != usual.orphan_signatures),
            grace_seconds: Some(policy.grace).filter(|grace| *grace != usual.grace),
            max_delete: policy.max_delete,
            max_delete_percent: policy.max_delete_percent,
            allow_empty: changed(policy.allow_empty, usual.allow_empty),
            assume_lost: policy.assume_lost.iter().cloned().collect(),
            hold_seconds: Some(policy.hold).filter(|hold| *hold != usual.hold),
            accept_push_order: changed(policy.accept_push_order, usual.accept_push_order),
            undo_window: changed(policy.undo_window, usual.undo_window),
        }
    }
}
