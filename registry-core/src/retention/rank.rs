//! Rankings: for each rule, its whole images that stand for themselves, newest first, and how many of them stay. A rule with
//! `group-by` has a ranking for each group.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use semver::Version;

use super::built::is_date;
use super::images::{Class, ImageId, Images, TaggedImage};
use super::package::Package;
use super::policy::{Policy, RankBy, is_young};
use super::reason::{Reason, RuleName};
use super::undecided::Undecided;

/// The key by which an image is ranked. One ranking compares only keys of one kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RankKey {
    /// When a tag was pushed, and the row's number.
    Pushed(Timestamp, Option<u64>),
    /// A tag that is one number, perhaps with a suffix: a build, a date, or a revision whose digits happen to be decimal. Nothing
    /// says how it compares with a version.
    Number(Version),
    /// A tag that is a version with at least one dot.
    Version(Version),
    /// When the image was built.
    Built(Timestamp),
}

impl RankKey {
    /// Whether this is known to be lower than another. Build metadata does not count (semver 2.0.0, 10).
    fn is_below(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) | (Self::Version(a), Self::Version(b)) => {
                a.cmp_precedence(b) == Ordering::Less
            }
            (Self::Number(_) | Self::Version(_), _) | (_, Self::Number(_) | Self::Version(_)) => false,
            (a, b) => a < b,
        }
    }

    /// Whether two versions differ in build metadata at most.
    fn is_same_version(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) | (Self::Version(a), Self::Version(b)) => {
                a.cmp_precedence(b) == Ordering::Equal
            }
            _ => false,
        }
    }
}

/// The ranking of one rule, or of one group of it.
#[derive(Debug)]
pub(super) struct Ranking {
    /// The rule's `keep_last`.
    pub(super) keep: u32,
    /// How many images of `order` stay: `keep`, and those with the same version as the last of these.
    pub(super) stay: usize,
    /// The rule, with the group; `None` when the policy has no rules.
    pub(super) rule: Option<RuleName>,
    /// Images with their keys, newest first.
    pub(super) order: Vec<(ImageId, RankKey)>,
    places: HashMap<ImageId, usize>,
    pub(super) keep_within: Option<u64>,
    /// Whether some of its tags are numbers alone and others versions with dots; then numbers take no place.
    is_mixed: bool,
}

impl Ranking {
    /// The place of an image, from 1.
    pub(super) fn place(&self, image: ImageId) -> Option<usize> {
        self.places.get(&image).copied()
    }

    /// The reason of an image that stays at this place.
    fn newest_reason(&self, place: usize) -> Reason {
        Reason::Newest { rank: place as u64, keep_last: self.keep, rule: self.rule.clone() }
    }

    /// The reason of an image that goes at this place.
    fn beyond_newest_reason(&self, place: usize) -> Reason {
        Reason::BeyondNewest { rank: place as u64, keep_last: self.keep, rule: self.rule.clone() }
    }

    /// Whether as many images as the rule asks for stay by rank, and `key` is below all of them.
    pub(super) fn lets_go_below(&self, key: &RankKey) -> bool {
        let keep = self.keep as usize;
        self.order.len() >= keep && self.order.iter().take(keep).all(|(_, kept)| key.is_below(kept))
    }

    /// Sorts the images, and finds out how many of them stay.
    fn seal(&mut self, digest: impl Fn(ImageId) -> crate::oci::Digest) {
        let dotted = self.order.iter().filter(|(_, key)| matches!(key, RankKey::Version(_))).count();
        self.is_mixed |= dotted > 0 && dotted < self.order.len();
        if self.is_mixed {
            self.order.retain(|(_, key)| !matches!(key, RankKey::Number(_)));
        }
        self.order.sort_by_cached_key(|(id, key)| (Reverse(key.clone()), digest(*id)));
        self.places = self.order.iter().zip(1..).map(|((id, _), place)| (*id, place)).collect();
        let keep = (self.keep as usize).min(self.order.len());
        let (kept, rest) = self.order.split_at(keep);
        let same = |last: &RankKey| rest.iter().take_while(|(_, key)| key.is_same_version(last)).count();
        self.stay = keep + kept.last().map_or(0, |(_, last)| same(last));
    }
}

/// The rankings of one package.
#[derive(Debug)]
pub(super) struct Rules<'p> {
    policy: &'p Policy,
    pub(super) rankings: Vec<Ranking>,
    /// By row, the ranking that its tag belongs to.
    ranking_of_row: Vec<Option<usize>>,
    /// By row, its key; `None` when it cannot be ranked.
    keys: Vec<Option<RankKey>>,
    /// By row, whether its tag is the first number of a version that is another tag of its image in the same ranking.
    aliases: Vec<bool>,
}

impl<'p> Rules<'p> {
    /// Ranks the images of a package.
    pub(super) fn new(package: &Package, images: &Images, policy: &'p Policy) -> Self {
        let count = package.rows.len();
        let (ranking_of_row, keys, aliases) = (vec![None; count], vec![None; count], vec![false; count]);
        let mut rules = Self { policy, rankings: Vec::new(), ranking_of_row, keys, aliases };
        rules.assign_rankings(package);
        for image in &images.all {
            for row in &image.rows {
                rules.keys[*row] = rank_key(package, image, *row, policy.rank_by);
            }
            rules.find_aliases(image);
        }
        for (id, image) in images.all.iter().enumerate() {
            if image.class == Class::Plain && !image.is_unranked && rules.can_rank(image) {
                rules.add_to_rankings(id, image);
            }
        }
        for ranking in &mut rules.rankings {
            ranking.seal(|id| package.digest(images.all[id].manifest));
        }
        rules
    }

    /// Finds the ranking of every tag. Rankings are in the order of the rules, and those of one rule in the order of its groups.
    fn assign_rankings(&mut self, package: &Package) {
        let policy = self.policy;
        let tags = package.rows.iter().enumerate().filter(|(_, row)| row.is_tag());
        if policy.rules.is_empty() {
            self.rankings.push(ranking(policy.keep_last, None, None));
            tags.for_each(|(at, _)| self.ranking_of_row[at] = Some(0));
            return;
        }
        let mut rows_of_group: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (at, row) in tags {
            if let Some(rule_and_group) = policy.rule_of(&package.name, &row.version) {
                rows_of_group.entry(rule_and_group).or_default().push(at);
            }
        }
        for ((index, group), rows) in rows_of_group {
            let rule = &policy.rules[index];
            let group = rule.group_by.as_ref().zip(group.as_ref()).map(|(by, group)| by.group_text(group));
            let tags = rule.tags.as_str().to_owned();
            let name = RuleName { number: index as u64 + 1, tags, group };
            rows.iter().for_each(|at| self.ranking_of_row[*at] = Some(self.rankings.len()));
            self.rankings.push(ranking(rule.keep_last, Some(name), rule.keep_within));
        }
    }

    /// Marks tags such as `1` beside `1.2.0` on one image: such a tag names the newest 1.x, and tells nothing more.
    fn find_aliases(&mut self, image: &TaggedImage) {
        let dotted: HashSet<(usize, u64)> = image
            .ranking_rows()
            .filter_map(|row| match (self.ranking_of_row[row], &self.keys[row]) {
                (Some(ranking), Some(RankKey::Version(version))) => Some((ranking, version.major)),
                _ => None,
            })
            .collect();
        for row in image.ranking_rows() {
            if let (Some(ranking), Some(RankKey::Number(number))) =
                (self.ranking_of_row[row], &self.keys[row])
            {
                self.aliases[row] = dotted.contains(&(ranking, number.major));
            }
        }
    }

    /// Adds an image to the ranking of each of its unprotected tags, with the best of its keys there. If one of these tags has no
    /// key, the image takes no place in that ranking: it stays and is not counted.
    fn add_to_rankings(&mut self, id: ImageId, image: &TaggedImage) {
        let mut best: BTreeMap<usize, Option<RankKey>> = BTreeMap::new();
        for row in image.ranking_rows().filter(|row| !self.aliases[*row]) {
            let (Some(ranking), key) = (self.ranking_of_row[row], &self.keys[row]) else { continue };
            let Some(known) = best.get_mut(&ranking) else {
                best.insert(ranking, key.clone());
                continue;
            };
            match (&known, key) {
                (Some(RankKey::Version(_)), Some(RankKey::Number(_)))
                | (Some(RankKey::Number(_)), Some(RankKey::Version(_))) => {
                    self.rankings[ranking].is_mixed = true;
                    *known = known.take().min(key.clone());
                }
                (Some(_), Some(_)) => *known = known.take().max(key.clone()),
                (None, _) | (_, None) => *known = None,
            }
        }
        for (ranking, key) in best {
            self.rankings[ranking].order.extend(key.map(|key| (id, key)));
        }
    }

    /// The rankings in which an image is among the newest, as reasons.
    pub(super) fn newest_reasons(&self, image: ImageId) -> impl Iterator<Item = Reason> + '_ {
        self.rankings.iter().filter_map(move |ranking| {
            let place = ranking.place(image)?;
            (place <= ranking.keep as usize).then(|| ranking.newest_reason(place))
        })
    }

    /// The ranking that a row's tag belongs to.
    pub(super) fn ranking_of_row(&self, row: usize) -> Option<usize> {
        self.ranking_of_row.get(row).copied().flatten()
    }

    /// The key of a row; `None` when it cannot be ranked.
    pub(super) fn key_of(&self, row: usize) -> Option<&RankKey> {
        self.keys.get(row)?.as_ref()
    }

    /// Whether an image can be ranked. With ranking by version, one tag that is no version keeps it out of every ranking.
    fn can_rank(&self, image: &TaggedImage) -> bool {
        self.policy.rank_by != RankBy::Semver || image.ranking_rows().all(|row| self.keys[row].is_some())
    }

    /// Why the ranking of a row does not decide about the row's image; `None` when it decides.
    fn undecided_in_ranking(&self, id: ImageId, image: &TaggedImage, row: usize) -> Option<Undecided> {
        let ranking = &self.rankings[self.ranking_of_row(row)?];
        let Some(place) = ranking.place(id) else {
            return Some(match self.policy.rank_by {
                RankBy::Pushed => Undecided::NoPushTime,
                RankBy::Semver if self.can_rank(image) => Undecided::NumberAmongVersions,
                RankBy::Semver => Undecided::NoVersion,
                RankBy::Created => Undecided::NoDate,
            });
        };
        (place > ranking.keep as usize && place <= ranking.stay).then_some(Undecided::EqualVersion)
    }

    /// Why one of the rankings of an image does not decide about it; `None` when all decide.
    pub(super) fn undecided_cause(&self, id: ImageId, image: &TaggedImage) -> Option<Undecided> {
        image.ranking_rows().find_map(|row| self.undecided_in_ranking(id, image, row))
    }

    /// The row of the tag because of which an image takes no place in a ranking.
    fn tag_without_place(&self, image: &TaggedImage, ranking: usize, why: Undecided) -> Option<usize> {
        image.ranking_rows().filter(|row| self.ranking_of_row(*row) == Some(ranking)).find(|row| match why {
            Undecided::NumberAmongVersions => {
                matches!(self.keys[*row], Some(RankKey::Number(_))) && !self.aliases[*row]
            }
            _ => self.keys[*row].is_none(),
        })
    }

    /// Why the rules keep a whole image (`Ok`), or why all of them let it go (`Err`).
    pub(super) fn verdict(
        &self,
        package: &Package,
        id: ImageId,
        image: &TaggedImage,
        now: Timestamp,
    ) -> Result<Vec<Reason>, Vec<Reason>> {
        let (mut keeps, mut goes, mut seen) = (Vec::new(), Vec::new(), Vec::new());
        for at in image.ranking_rows() {
            let row = &package.rows[at];
            let Some(index) = self.ranking_of_row(at) else {
                keeps.push(Reason::NoRule { tag: row.version.to_string() });
                continue;
            };
            let ranking = &self.rankings[index];
            if ranking.keep_within.is_some_and(|seconds| is_young(row.created_at, now, seconds)) {
                let (tag, rule) = (Some(row.version.to_string()), ranking.rule.clone());
                keeps.push(Reason::YoungerThanKeepWithin { tag, rule });
            }
            if seen.contains(&index) {
                continue;
            }
            seen.push(index);
            match (self.undecided_in_ranking(id, image, at), ranking.place(id)) {
                (Some(why), _) => {
                    let tag = self.tag_without_place(image, index, why).unwrap_or(at);
                    keeps.push(why.reason(&package.rows[tag].version));
                }
                (None, Some(place)) if place <= ranking.stay => keeps.push(ranking.newest_reason(place)),
                (None, Some(place)) => goes.push(ranking.beyond_newest_reason(place)),
                (None, None) => {}
            }
        }
        keeps.dedup();
        if keeps.is_empty() && !goes.is_empty() { Err(goes) } else { Ok(keeps) }
    }

    /// Whether an image that takes no place lies below all images that stay by rank, so that the rules would let it go. The
    /// rankings are those of its own tags, or only the given one.
    pub(super) fn is_below_kept(
        &self,
        package: &Package,
        image: &TaggedImage,
        in_ranking: Option<usize>,
        now: Timestamp,
    ) -> bool {
        let mut is_below = false;
        for at in image.ranking_rows() {
            let row = &package.rows[at];
            let Some(index) = in_ranking.or_else(|| self.ranking_of_row(at)) else { return false };
            let ranking = &self.rankings[index];
            if ranking.keep_within.is_some_and(|seconds| is_young(row.created_at, now, seconds)) {
                return false;
            }
            if self.aliases[at] {
                continue;
            }
            if !self.key_of(at).is_some_and(|key| ranking.lets_go_below(key)) {
                return false;
            }
            is_below = true;
        }
        is_below
    }
}

fn ranking(keep: u32, rule: Option<RuleName>, keep_within: Option<u64>) -> Ranking {
    let (order, places) = (Vec::new(), HashMap::new());
    Ranking { keep, stay: 0, rule, order, places, keep_within, is_mixed: false }
}

/// The key of a row; `None` when it cannot be ranked.
fn rank_key(package: &Package, image: &TaggedImage, row: usize, by: RankBy) -> Option<RankKey> {
    let row = &package.rows[row];
    match by {
        RankBy::Pushed => row.created_at.map(|at| RankKey::Pushed(at, package.first_id(row))),
        RankBy::Semver => {
            let is_chart = package.info(image.manifest).is_some_and(|info| info.is_chart);
            version_key(&row.version, is_chart)
        }
        RankBy::Created => package.built_at(image.manifest).filter(|at| is_date(*at)).map(RankKey::Built),
    }
}

/// The version that a tag spells, with or without `v`, perhaps with parts left out. The tag of a chart has `_` where its version
/// has `+`, which a tag cannot contain (`pkg/registry/util.go @ helm v3.15.0`).
fn version_key(tag: &str, is_chart: bool) -> Option<RankKey> {
    let text = tag.strip_prefix(['v', 'V']).unwrap_or(tag);
    let text = if is_chart { text.replace('_', "+") } else { text.to_owned() };
    let (core, rest) = text.split_at(text.find(['-', '+']).unwrap_or(text.len()));
    let parts = core.split('.').count();
    if !core.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
        || parts > 3
    {
        return None;
    }
    let missing = ".0".repeat(3 - parts);
    let version = Version::parse(&format!("{core}{missing}{rest}")).ok()?;
    Some(if parts == 1 { RankKey::Number(version) } else { RankKey::Version(version) })
}

#[cfg(test)]
mod tests {
    use super::{RankKey, version_key};

    #[test]
    fn version_is_read_from_tags_that_spell_one_and_from_no_others() {
        let text = |tag, is_chart| match version_key(tag, is_chart)? {
            RankKey::Version(version) => Some(version.to_string()),
            RankKey::Number(version) => Some(format!("number {version}")),
            RankKey::Pushed(..) | RankKey::Built(_) => None,
        };
        assert_eq!(text("v1.2", false).as_deref(), Some("1.2.0"));
        assert_eq!(text("1.2.3-rc.1", false).as_deref(), Some("1.2.3-rc.1"));
        assert_eq!(text("3-alpine", false).as_deref(), Some("number 3.0.0-alpine"));
        assert_eq!(text("4839201", false).as_deref(), Some("number 4839201.0.0"));
        assert_eq!(text("2024-01-15", false).as_deref(), Some("number 2024.0.0-01-15"));
        assert_eq!(text("0.3.0_build.5", true).as_deref(), Some("0.3.0+build.5"));
        assert_eq!(text("0.3.0-rc.1_build.5", true).as_deref(), Some("0.3.0-rc.1+build.5"));
        for tag in ["latest", "1.2.3.4", "v", "1..2", "01.2.3", "2024-01-01x.y!", "0.3.0_build.5", "1.2_3_4"]
        {
            assert_eq!(text(tag, false), None, "{tag}");
        }
        assert_eq!(text("1.2.3_4_5", true), None);
    }
}
