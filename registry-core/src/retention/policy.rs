//! The policy: which images the operator wants to keep, as numbers, patterns, rules and guards. It knows no package.

use std::collections::BTreeSet;

use globset::GlobMatcher;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::group_by::{GroupBy, TagGroup};
use super::in_use::ImagesInUse;
use super::letter_case::LetterCase;
use super::package::{Package, Row};
use super::reason::Reason;

/// What ranks images against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RankBy {
    /// When they were pushed, according to the server.
    #[default]
    Pushed,
    /// The version that their tags spell.
    Semver,
    /// When their config says that they were built.
    Created,
}

/// What becomes of manifests and signatures that nothing needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum UnneededAction {
    /// They are reported and stay.
    #[default]
    Leave,
    /// They go, after the grace.
    Prune,
}

/// A glob: its text as it was written, and its compiled form.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    matcher: GlobMatcher,
}

impl Pattern {
    /// Compiles a pattern. `*` matches `/` too.
    ///
    /// # Errors
    /// When the text is no glob.
    pub fn new(text: &str, case: LetterCase) -> Result<Self, globset::Error> {
        let fold = case == LetterCase::Ignored;
        let glob = globset::GlobBuilder::new(text).literal_separator(false).case_insensitive(fold).build()?;
        Ok(Self { text: text.to_owned(), matcher: glob.compile_matcher() })
    }

    /// Whether a tag or a package name matches.
    pub fn is_match(&self, text: &str) -> bool {
        self.matcher.is_match(text)
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Whether a package name matches one of these patterns; every name does when there are none.
pub(super) fn matches_any(patterns: &[Pattern], name: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.is_match(name))
}

/// How many images of which tags stay. A tag belongs to the first rule that matches its package and the tag itself; a rule
/// with `group_by` matches only tags that have a group.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Which packages.
    pub package: Pattern,
    /// Which tags.
    pub tags: Pattern,
    /// Groups of tags; images are ranked within each group. A tag without a group does not belong to the rule.
    pub group_by: Option<GroupBy>,
    /// How many images of each group stay by rank.
    pub keep_last: u32,
    /// Images that were pushed within this many seconds stay too.
    pub keep_within: Option<u64>,
    /// Whether build caches always stay; the policy's own setting when absent.
    pub keep_cache: Option<bool>,
}

impl Rule {
    /// The group of a tag in this rule, if the tag matches. The inner `None` stands for a rule without groups. The package is
    /// not looked at.
    fn matching_group(&self, tag: &str) -> Option<Option<TagGroup>> {
        if !self.tags.is_match(tag) {
            return None;
        }
        match &self.group_by {
            Some(by) => by.group(tag).map(Some),
            None => Some(None),
        }
    }

    /// Whether this rule matches a tag of a package; an earlier rule may match it too.
    pub fn is_match(&self, package: &str, tag: &str) -> bool {
        self.package.is_match(package) && self.matching_group(tag).is_some()
    }
}

/// Which images the operator wants to keep.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How many images stay by rank where there are no rules; at least 1.
    pub keep_last: u32,
    /// Tags that always stay, with their images.
    pub keep_tags: Vec<Pattern>,
    /// Whether build caches always stay.
    pub keep_cache: bool,
    /// Images that were pushed within this many seconds stay.
    pub keep_within: Option<u64>,
    /// What ranks images.
    pub rank_by: RankBy,
    /// Rules. When there are none, `keep_last` holds for all tags.
    pub rules: Vec<Rule>,
    /// Only packages that match one of these patterns are looked at; all are when there are none.
    pub packages: Vec<Pattern>,
    /// Images that run somewhere.
    pub in_use: ImagesInUse,
    /// What becomes of manifests that no tag reaches.
    pub untagged: UnneededAction,
    /// What becomes of signatures whose subject is gone.
    pub orphan_signatures: UnneededAction,
    /// Untagged manifests and orphaned signatures younger than this many seconds stay.
    pub grace: u64,
    /// Most images that a run may delete.
    pub max_delete: Option<u64>,
    /// Most images of a package that may go, in percent.
    pub max_delete_percent: Option<u8>,
    /// Whether a package may lose its last image.
    pub allow_empty: bool,
    /// Tags, as `package:tag`, whose manifest is known to be lost.
    pub assume_lost: BTreeSet<String>,
    /// How many seconds a row that an undo put back stays.
    pub hold: u64,
    /// Whether the order of pushes counts even where it is the reverse of the order of builds.
    pub accept_push_order: bool,
    /// Whether deleted images are kept by digest for a day, so that they can be put back.
    pub undo_window: bool,
}

impl Default for Policy {
    /// Keeps 10 images of each package, and every build cache. It protects no tag; [`Policy::keep_last`] protects `latest`.
    fn default() -> Self {
        Self {
            keep_last: 10,
            keep_tags: Vec::new(),
            keep_cache: true,
            keep_within: None,
            rank_by: RankBy::Pushed,
            rules: Vec::new(),
            packages: Vec::new(),
            in_use: ImagesInUse::default(),
            untagged: UnneededAction::Leave,
            orphan_signatures: UnneededAction::Leave,
            grace: 24 * 3600,
            max_delete: None,
            max_delete_percent: None,
            allow_empty: false,
            assume_lost: BTreeSet::new(),
            hold: 7 * 24 * 3600,
            accept_push_order: false,
            undo_window: false,
        }
    }
}

impl Policy {
    /// Keeps `keep_last` images of each package and the tag `latest`.
    ///
    /// # Errors
    /// Never in practice: the pattern `latest` is a glob.
    pub fn keep_last(keep_last: u32) -> Result<Self, globset::Error> {
        Ok(Self {
            keep_last,
            keep_tags: vec![Pattern::new("latest", LetterCase::Ignored)?],
            ..Self::default()
        })
    }

    /// Whether a package is looked at.
    pub fn covers_package(&self, package: &str) -> bool {
        matches_any(&self.packages, package)
    }

    /// The rule that a tag belongs to, as an index into `rules`, and the tag's group in it.
    pub(super) fn rule_of(&self, package: &str, tag: &str) -> Option<(usize, Option<TagGroup>)> {
        let rules = self.rules.iter().enumerate().filter(|(_, rule)| rule.package.is_match(package));
        rules.filter_map(|(index, rule)| Some((index, rule.matching_group(tag)?))).next()
    }

    /// Whether a build cache with this tag always stays.
    pub(super) fn keeps_cache(&self, package: &str, tag: &str) -> bool {
        let of_rule = |(index, _): (usize, _)| self.rules[index].keep_cache;
        self.rule_of(package, tag).and_then(of_rule).unwrap_or(self.keep_cache)
    }

    /// Why a tag of a package always stays, if it does.
    pub(crate) fn protection_of_tag(&self, package: &str, tag: &str) -> Option<Reason> {
        if let Some(pattern) = self.keep_tags.iter().find(|pattern| pattern.is_match(tag)) {
            return Some(Reason::KeepPattern { tag: tag.to_owned(), pattern: pattern.as_str().to_owned() });
        }
        (tag.to_ascii_lowercase().contains("cache") && self.keeps_cache(package, tag))
            .then(|| Reason::BuildCacheTag { tag: tag.to_owned() })
    }
}

/// Whether an undo put a row back less than `hold` seconds ago.
pub(super) fn is_restored(package: &Package, row: &Row, now: Timestamp, hold: u64) -> bool {
    package.restored(row).is_some_and(|restored| is_young(Some(restored.at), now, hold))
}

/// Whether something is younger than `seconds`. It is when its age is unknown.
pub(super) fn is_young(at: Option<Timestamp>, now: Timestamp, seconds: u64) -> bool {
    at.is_none_or(|at| {
        now.as_second().saturating_sub(at.as_second()) < i64::try_from(seconds).unwrap_or(i64::MAX)
    })
}
