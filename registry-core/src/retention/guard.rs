//! Guards: what was decided and is refused all the same, because it looks like a mistake. They never make it smaller.

use std::collections::BTreeMap;

use super::deciding::Deciding;
use super::images::Class;
use super::rank::{RankKey, Ranking};
use super::refusal::Refusal;
use super::reversal;

/// Fewest ranked images of which one second may hold more than half before that is odd.
const SAME_SECOND_FROM: usize = 5;

/// Why a guard refuses the decision on a package; judged only where something goes.
pub(super) fn refusal(deciding: &Deciding<'_>) -> Option<Refusal> {
    let gone = deciding.gone.iter().filter(|gone| **gone).count();
    let pruned = deciding.pruned.iter().filter(|gone| **gone).count();
    if gone + pruned == 0 {
        return None;
    }
    let policy = deciding.policy;
    if let Some(percent) = policy.max_delete_percent
        && gone * 100 > deciding.gone.len() * usize::from(percent)
    {
        let (going, images) = (gone as u64, deciding.gone.len() as u64);
        return Some(Refusal::TooManyOfPackage { going, images, percent });
    }
    let survivors = deciding
        .images
        .all
        .iter()
        .zip(&deciding.gone)
        .filter(|(image, gone)| !**gone && is_survivor(&image.class, image.protection().is_some()));
    // Where nothing but signatures of what other packages have was kept, there was no image to be left without.
    let has_images = pruned > 0 || deciding.images.all.iter().any(|image| !image.is_follower());
    if survivors.count() == 0 && has_images && !policy.allow_empty {
        return Some(Refusal::NoneStays);
    }
    let odd = same_second(deciding).or_else(|| copied(deciding));
    odd.or_else(|| reversal::wholesale(deciding).map(Refusal::ReversedPushes))
}

/// Times that an import, an upgrade or a build set all at once say nothing about what is newer.
fn same_second(deciding: &Deciding<'_>) -> Option<Refusal> {
    for ranking in &deciding.rules.rankings {
        let keep = ranking.keep as usize;
        let second = |key: &RankKey| match key {
            RankKey::Pushed(at, _) | RankKey::Built(at) => Some(at.as_second()),
            RankKey::Number(_) | RankKey::Version(_) => None,
        };
        let cut = ranking.order.get(keep.wrapping_sub(1)).zip(ranking.order.get(keep));
        let Some((before, after)) = cut.map(|((_, a), (_, b))| (second(a), second(b))) else { continue };
        if before.is_none() || before != after || ranking.order.len() < SAME_SECOND_FROM {
            continue;
        }
        let mut seconds: BTreeMap<i64, usize> = BTreeMap::new();
        for (_, key) in &ranking.order {
            *seconds.entry(second(key).unwrap_or_default()).or_default() += 1;
        }
        let there = before.and_then(|second| seconds.get(&second)).copied().unwrap_or(0);
        if takes_by_rank(deciding, ranking) && there * 2 > ranking.order.len() {
            return Some(Refusal::SameSecond {
                images: there as u64,
                ranked: ranking.order.len() as u64,
                rule: ranking.rule.clone(),
                rank_by: deciding.policy.rank_by,
            });
        }
    }
    None
}

/// Push times that a copy of a tree made say nothing about what is newer. What is younger than the copy was pushed since:
/// where that is all that stays by rank, what goes is older whatever its own time.
fn copied(deciding: &Deciding<'_>) -> Option<Refusal> {
    let signs = deciding.package.copied.as_ref()?;
    for (number, ranking) in deciding.rules.rankings.iter().enumerate() {
        // The last that stays by rank; the others are younger.
        let last = ranking.order.get((ranking.keep as usize).wrapping_sub(1));
        let Some((_, RankKey::Pushed(at, _))) = last else { continue };
        let is_broken_of_it = |(image, gone): (&super::images::TaggedImage, &bool)| {
            *gone
                && matches!(image.class, Class::Broken(_))
                && image.ranking().any(|row| deciding.rules.of_row(row) == Some(number))
        };
        let takes = || {
            takes_by_rank(deciding, ranking)
                || deciding.images.all.iter().zip(&deciding.gone).any(is_broken_of_it)
        };
        if *at <= signs.until && takes() {
            return Some(Refusal::CopiedTimes { rule: ranking.rule.clone(), signs: signs.clone() });
        }
    }
    None
}

/// Whether an image goes because of its place in a ranking.
fn takes_by_rank(deciding: &Deciding<'_>, ranking: &Ranking) -> bool {
    ranking.order.iter().skip(ranking.stay).any(|(id, _)| deciding.gone[*id])
}

/// Whether an image counts as one that a package may live on: whole, and standing for itself or held.
fn is_survivor(class: &Class, is_held: bool) -> bool {
    match class {
        Class::Plain => true,
        Class::Child => is_held,
        Class::Follower(_) | Class::Broken(_) => false,
    }
}
