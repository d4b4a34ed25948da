//! Ranking: in each rule the whole images that stand for themselves, newest first, and how many of them stay.

use std::cmp::Reverse;
use std::collections::HashMap;

use jiff::Timestamp;
use semver::Version;

use super::images::{Class, Image, ImageId, Images};
use super::package::Package;
use super::policy::{Pattern, Policy, RankBy, Rule, is_young};

/// What images are ranked by; only keys of one kind are ever compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// When a tag was pushed, and the row's number.
    Pushed(Timestamp, Option<u64>),
    /// The version that a tag spells.
    Version(Version),
    /// When the image was built.
    Built(Timestamp),
}

/// What one rule decided.
#[derive(Debug)]
pub(super) struct Ranking {
    /// The rule's own `keep_last`.
    pub(super) keep: u32,
    /// How the rule is called in reasons; empty for the only one.
    pub(super) name: String,
    /// Images with their keys, best first.
    pub(super) order: Vec<(ImageId, Key)>,
    places: HashMap<ImageId, usize>,
    pub(super) keep_within: Option<u64>,
}

impl Ranking {
    /// The place of an image, from 1.
    pub(super) fn place(&self, image: ImageId) -> Option<usize> {
        self.places.get(&image).copied()
    }

    /// Whether so many images stay by rank that `key` is below all of them.
    pub(super) fn lets_go_below(&self, key: &Key) -> bool {
        let keep = self.keep as usize;
        self.order.len() >= keep && self.order.iter().take(keep).all(|(_, kept)| key < kept)
    }
}

/// The rules that hold for one package.
#[derive(Debug)]
pub(super) struct Rules<'p> {
    policy: &'p Policy,
    /// Rules whose package pattern matches, with their tag patterns; `None` matches every tag.
    tags: Vec<Option<&'p Pattern>>,
    pub(super) rankings: Vec<Ranking>,
}

impl<'p> Rules<'p> {
    /// Ranks the images of a package.
    pub(super) fn new(package: &Package, images: &Images, policy: &'p Policy) -> Self {
        let mut rules = Self { policy, tags: Vec::new(), rankings: Vec::new() };
        let ranking = |keep, name, keep_within| Ranking {
            keep,
            name,
            order: Vec::new(),
            places: HashMap::new(),
            keep_within,
        };
        if policy.rules.is_empty() {
            rules.tags.push(None);
            rules.rankings.push(ranking(policy.keep_last, String::new(), None));
        }
        for (number, rule) in policy.rules.iter().enumerate().filter(|(_, rule)| of_package(rule, package)) {
            let name = format!(" of rule {} ({})", number + 1, rule.tags.as_str());
            rules.tags.push(Some(&rule.tags));
            rules.rankings.push(ranking(rule.keep_last, name, rule.keep_within));
        }
        for (id, image) in images.all.iter().enumerate() {
            if image.class != Class::Plain || image.is_unranked || !rules.can_rank(package, image) {
                continue;
            }
            for rule in 0..rules.rankings.len() {
                if let Some(key) = rules.key(package, image, rule) {
                    rules.rankings[rule].order.push((id, key));
                }
            }
        }
        for ranking in &mut rules.rankings {
            ranking.order.sort_by_cached_key(|(id, key)| {
                (Reverse(key.clone()), package.digest(images.all[*id].manifest))
            });
            ranking.places = ranking.order.iter().zip(1..).map(|((id, _), place)| (*id, place)).collect();
        }
        rules
    }

    /// The rule of a tag.
    pub(super) fn of_tag(&self, tag: &str) -> Option<usize> {
        self.tags.iter().position(|pattern| pattern.is_none_or(|pattern| pattern.is_match(tag)))
    }

    /// Whether every tag that would rank an image can: one that is no version keeps it out of every ranking.
    fn can_rank(&self, package: &Package, image: &Image) -> bool {
        let mut tags = image.ranking().map(|row| &package.rows[row].version);
        self.policy.rank_by != RankBy::Semver || tags.all(|tag| version(tag).is_some())
    }

    /// What a row of an image is ranked by; `None` when it cannot be.
    pub(super) fn key_of(&self, package: &Package, image: &Image, row: usize) -> Option<Key> {
        let row = &package.rows[row];
        match self.policy.rank_by {
            RankBy::Pushed => row.created_at.map(|at| Key::Pushed(at, row.id)),
            RankBy::Semver => version(&row.version).map(Key::Version),
            RankBy::Created => {
                let built = package.info(image.manifest)?.built_at?;
                Some(Key::Built(built)).filter(|_| built.as_second() >= YEAR_1981)
            }
        }
    }

    /// The best key of an image among its unprotected tags in a rule. `None` when it has none there, or one that cannot
    /// be ranked: then it stays and is not counted.
    pub(super) fn key(&self, package: &Package, image: &Image, rule: usize) -> Option<Key> {
        let mut best = None;
        for row in image.ranking() {
            if self.of_tag(&package.rows[row].version) != Some(rule) {
                continue;
            }
            let key = self.key_of(package, image, row)?;
            best = best.max(Some(key));
        }
        best
    }

    /// Why the rules keep a whole image, or why all of them let it go.
    pub(super) fn verdict(
        &self,
        package: &Package,
        id: ImageId,
        image: &Image,
        now: Timestamp,
    ) -> Result<Vec<String>, Vec<String>> {
        let (mut keeps, mut goes, mut seen) = (Vec::new(), Vec::new(), Vec::new());
        for row in image.ranking().map(|row| &package.rows[row]) {
            let Some(rule) = self.of_tag(&row.version) else {
                keeps.push(format!("no rule matches tag {}", row.version));
                continue;
            };
            let ranking = &self.rankings[rule];
            if ranking.keep_within.is_some_and(|seconds| is_young(row.created_at, now, seconds)) {
                keeps.push(format!("tag {} is younger than keep-within{}", row.version, ranking.name));
            }
            if seen.contains(&rule) {
                continue;
            }
            seen.push(rule);
            let (keep, name) = (ranking.keep, &ranking.name);
            match ranking.place(id) {
                None => keeps.push(match self.policy.rank_by {
                    RankBy::Pushed => format!("when tag {} was pushed is not known", row.version),
                    RankBy::Semver => "it has a tag that is no version".to_owned(),
                    RankBy::Created => "when it was built is not known".to_owned(),
                }),
                Some(place) if place <= keep as usize => {
                    keeps.push(format!("newest {place} of {keep}{name}"));
                }
                Some(place) => goes.push(format!("rank {place}, beyond newest {keep}{name}")),
            }
        }
        keeps.dedup();
        if keeps.is_empty() && !goes.is_empty() { Err(goes) } else { Ok(keeps) }
    }

    /// Whether an image that is not ranked lies below everything that the rules of `as_tagged` keep by rank, in which
    /// case they would let it go. The rules are those of its own tags, or of the tag given.
    pub(super) fn lies_below(
        &self,
        package: &Package,
        image: &Image,
        in_rule: Option<usize>,
        now: Timestamp,
    ) -> bool {
        let mut any = false;
        for at in image.ranking() {
            let row = &package.rows[at];
            let Some(rule) = in_rule.or_else(|| self.of_tag(&row.version)) else { return false };
            let ranking = &self.rankings[rule];
            if ranking.keep_within.is_some_and(|seconds| is_young(row.created_at, now, seconds)) {
                return false;
            }
            let key = self.key_of(package, image, at);
            if !key.is_some_and(|key| ranking.lets_go_below(&key)) {
                return false;
            }
            any = true;
        }
        any
    }
}

/// Reproducible builds write dates before this instead of one (1981-01-01, seconds since 1970).
const YEAR_1981: i64 = 347_155_200;

fn of_package(rule: &Rule, package: &Package) -> bool {
    rule.package.is_match(&package.name)
}

/// A tag as a version: with or without `v`, and with parts left out.
fn version(tag: &str) -> Option<Version> {
    let text = tag.strip_prefix(['v', 'V']).unwrap_or(tag);
    let (core, rest) = text.split_at(text.find(['-', '+']).unwrap_or(text.len()));
    let parts = core.split('.').count();
    if !core.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
        || parts > 3
    {
        return None;
    }
    let missing = ".0".repeat(3 - parts);
    Version::parse(&format!("{core}{missing}{rest}")).ok()
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn tags_that_spell_a_version() {
        let text = |tag| version(tag).map(|version| version.to_string());
        assert_eq!(text("v1.2").as_deref(), Some("1.2.0"));
        assert_eq!(text("1.2.3-rc.1").as_deref(), Some("1.2.3-rc.1"));
        assert_eq!(text("3-alpine").as_deref(), Some("3.0.0-alpine"));
        for tag in ["latest", "1.2.3.4", "v", "1..2", "01.2.3", "2024-01-01x.y!"] {
            assert_eq!(text(tag), None, "{tag}");
        }
    }
}
