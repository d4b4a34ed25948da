//! Pushes in the reverse order of builds. An undo, a restore or a copy pushes old images again, and a ranking by push time
//! then lets the images go that were built last. Cached rebuilds, promotions and back-ports do this to single images every day,
//! so only a wholesale reversal is refused.

use jiff::Timestamp;

use super::built::is_date;
use super::deciding::Deciding;
use super::package::ManifestId;
use super::policy::RankBy;
use super::rank::Ranking;
use super::refusal::Reversal;

/// The images of a ranking that stay by rank, and those that go.
fn staying_and_going<'d>(
    deciding: &'d Deciding<'_>,
    ranking: &'d Ranking,
) -> (impl Iterator<Item = ManifestId> + 'd, impl Iterator<Item = ManifestId> + 'd) {
    let keep = ranking.keep as usize;
    let manifest = |id: &usize| deciding.images.all[*id].manifest;
    let order = || ranking.order.iter().map(|(id, _)| id);
    let staying = order().take(keep).filter(|id| !deciding.gone[**id]).map(manifest);
    (staying, order().skip(keep).filter(|id| deciding.gone[**id]).map(manifest))
}

/// The median of some times; for an even number of them, the middle between the two in the middle.
fn median(mut times: Vec<Timestamp>) -> Option<Timestamp> {
    times.sort_unstable();
    let (low, high) = (times.get(times.len().checked_sub(1)? / 2)?, times.get(times.len() / 2)?);
    let middle = low.as_second() + (high.as_second() - low.as_second()) / 2;
    Timestamp::from_second(middle).ok()
}

/// The reversals in rankings by push time: some image goes that was built after the median of those that stay. An image without a
/// date does not count as built later.
fn reversals<'d>(deciding: &'d Deciding<'_>) -> impl Iterator<Item = Reversal> + 'd {
    let is_by_push = deciding.policy.rank_by == RankBy::Pushed;
    deciding.rules.rankings.iter().filter(move |_| is_by_push).filter_map(|ranking| {
        let (staying, going) = staying_and_going(deciding, ranking);
        let built = |manifest| deciding.package.built_at(manifest).filter(|at| is_date(*at));
        let median = median(staying.filter_map(built).collect())?;
        let going: Vec<_> = going.map(built).collect();
        let later = going.iter().flatten().filter(|at| **at > median).count();
        let (later, going) = (later as u64, going.len() as u64);
        let reversal = Reversal { later, going, median, rule: ranking.rule.clone() };
        (later > 0).then_some(reversal)
    })
}

/// A wholesale reversal that the policy does not accept.
pub(super) fn wholesale_reversal(deciding: &Deciding<'_>) -> Option<Reversal> {
    let is_accepted = deciding.policy.accept_push_order;
    reversals(deciding).find(|reversal| reversal.is_wholesale() && !is_accepted)
}

/// Reversals that are not refused.
pub(super) fn accepted_reversals(deciding: &Deciding<'_>) -> Vec<Reversal> {
    let is_accepted = |reversal: &Reversal| deciding.policy.accept_push_order || !reversal.is_wholesale();
    reversals(deciding).filter(is_accepted).collect()
}

/// The manifests whose configs are to be read to find reversals: for each image that matters and has no date, the first manifest
/// without children.
pub(super) fn undated(deciding: &Deciding<'_>) -> Vec<ManifestId> {
    let policy = deciding.policy;
    if policy.rank_by != RankBy::Pushed {
        return Vec::new();
    }
    let mut undated = Vec::new();
    for ranking in &deciding.rules.rankings {
        let (staying, mut going) = staying_and_going(deciding, ranking);
        let Some(first) = going.next() else { continue };
        undated.extend(staying.chain([first]).chain(going));
    }
    undated.sort_unstable();
    undated.dedup();
    undated.retain(|manifest| deciding.package.built_at(*manifest).is_none());
    undated.iter().filter_map(|manifest| first_leaf(deciding, *manifest)).collect()
}

/// The first manifest without children at or below a manifest; `None` when one on the way was not read.
fn first_leaf(deciding: &Deciding<'_>, mut manifest: ManifestId) -> Option<ManifestId> {
    // Hashes allow no circle, so the depth is at most the number of manifests.
    for _ in 0..=deciding.package.len() {
        match deciding.package.info(manifest)?.children.first() {
            Some(child) => manifest = *child,
            None => return Some(manifest),
        }
    }
    None
}
