//! Guards: reasons to refuse a decision as a whole, because it looks like a mistake. A guard never changes a part of a decision.

use std::collections::BTreeMap;

use super::deciding::Deciding;
use super::images::{Class, TaggedImage};
use super::rank::{RankKey, Ranking};
use super::refusal::Refusal;
use super::reversal;

/// The fewest ranked images for which it is suspicious that more than half have the same second.
const SAME_SECOND_FROM: usize = 5;

/// Why a guard refuses the decision on a package; `None` when nothing goes.
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
    let mut images = deciding.images.all.iter().zip(&deciding.gone);
    let has_survivor = images.any(|(image, gone)| !*gone && is_survivor(image));
    // A package that holds only signatures of images in other packages has no image that it could lose.
    let has_images = pruned > 0 || deciding.images.all.iter().any(|image| !image.is_follower());
    if !has_survivor && has_images && !policy.allow_empty {
        return Some(Refusal::NoneStays);
    }
    same_second_refusal(deciding)
        .or_else(|| copied_times_refusal(deciding))
        .or_else(|| reversal::wholesale_reversal(deciding).map(Refusal::ReversedPushes))
}

/// Refuses a cut among images of one second: an import, an upgrade or a build that sets all times at once does not tell which
/// image is newer.
fn same_second_refusal(deciding: &Deciding<'_>) -> Option<Refusal> {
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
        let same = before.and_then(|second| seconds.get(&second)).copied().unwrap_or(0);
        if deletes_by_rank(deciding, ranking) && same * 2 > ranking.order.len() {
            return Some(Refusal::SameSecond {
                images: same as u64,
                ranked: ranking.order.len() as u64,
                rule: ranking.rule.clone(),
                rank_by: deciding.policy.rank_by,
            });
        }
    }
    None
}

/// Refuses a cut among images whose push times come from a copy of the tree: these do not tell which image is newer. An image that
/// is younger than the copy was pushed after it; where all images that stay by rank are, those that go are older than they are.
fn copied_times_refusal(deciding: &Deciding<'_>) -> Option<Refusal> {
    let signs = deciding.package.copied.as_ref()?;
    for (number, ranking) in deciding.rules.rankings.iter().enumerate() {
        // The oldest image that stays by rank.
        let last = ranking.order.get((ranking.keep as usize).wrapping_sub(1));
        let Some((_, RankKey::Pushed(at, _))) = last else { continue };
        let is_deleted_broken = |(image, gone): (&TaggedImage, &bool)| {
            *gone
                && matches!(image.class, Class::Broken(_))
                && image.ranking_rows().any(|row| deciding.rules.ranking_of_row(row) == Some(number))
        };
        let deletes = || {
            deletes_by_rank(deciding, ranking)
                || deciding.images.all.iter().zip(&deciding.gone).any(is_deleted_broken)
        };
        if *at <= signs.until && deletes() {
            return Some(Refusal::CopiedTimes { rule: ranking.rule.clone(), signs: signs.clone() });
        }
    }
    None
}

/// Whether some image goes because of its place in a ranking.
fn deletes_by_rank(deciding: &Deciding<'_>, ranking: &Ranking) -> bool {
    ranking.order.iter().skip(ranking.stay).any(|(id, _)| deciding.gone[*id])
}

/// Whether a package with this image left counts as not empty: the image is whole, and ranked by itself or protected.
fn is_survivor(image: &TaggedImage) -> bool {
    match image.class {
        Class::Plain => true,
        Class::Child => image.protection().is_some(),
        Class::Follower(_) | Class::Broken(_) => false,
    }
}
