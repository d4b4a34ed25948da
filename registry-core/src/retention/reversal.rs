//! Pushes in the reverse order of builds. An undo, a restore or a copy pushes old images again, and a ranking by push time
//! then lets go what was built last. Cached rebuilds, promotions and back-ports do the same to single images every day, so
//! only a wholesale reversal is refused.

use jiff::Timestamp;

use super::built::is_date;
use super::deciding::Deciding;
use super::package::ManifestId;
use super::policy::RankBy;
use super::rank::Ranking;
use super::refusal::Reversal;

/// The images of a ranking that stay by rank, and those that go.
fn sides<'d>(
    deciding: &'d Deciding<'_>,
    ranking: &'d Ranking,
) -> (impl Iterator<Item = ManifestId> + 'd, impl Iterator<Item = ManifestId> + 'd) {
    let keep = ranking.keep as usize;
    let manifest = |id: &usize| deciding.images.all[*id].manifest;
    let order = || ranking.order.iter().map(|(id, _)| id);
    let staying = order().take(keep).filter(|id| !deciding.gone[**id]).map(manifest);
    (staying, order().skip(keep).filter(|id| deciding.gone[**id]).map(manifest))
}

/// The middle of some times, of an even number between the two in the middle.
fn median(mut times: Vec<Timestamp>) -> Option<Timestamp> {
    times.sort_unstable();
    let (low, high) = (times.get(times.len().checked_sub(1)? / 2)?, times.get(times.len() / 2)?);
    let middle = low.as_second() + (high.as_second() - low.as_second()) / 2;
    Timestamp::from_second(middle).ok()
}

/// The rankings by push time in which something goes that was built after the median of what stays. Images whose date is
/// not known do not count as built later.
fn reversals<'d>(deciding: &'d Deciding<'_>) -> impl Iterator<Item = Reversal> + 'd {
    let is_by_push = deciding.policy.rank_by == RankBy::Pushed;
    deciding.rules.rankings.iter().filter(move |_| is_by_push).filter_map(|ranking| {
        let (staying, going) = sides(deciding, ranking);
        let built = |manifest| deciding.package.built_at(manifest).filter(|at| is_date(*at));
        let median = median(staying.filter_map(built).collect())?;
        let going: Vec<_> = going.map(built).collect();
        let later = going.iter().flatten().filter(|at| **at > median).count();
        let (later, going) = (later as u64, going.len() as u64);
        let reversal = Reversal { later, going, median, rule: ranking.rule.clone() };
        (later > 0).then_some(reversal)
    })
}

/// A wholesale reversal, which is refused.
pub(super) fn wholesale(deciding: &Deciding<'_>) -> Option<Reversal> {
    let is_accepted = deciding.policy.accept_push_order;
    reversals(deciding).find(|one| one.is_wholesale() && !is_accepted)
}

/// Reversals that are not refused.
pub(super) fn notes(deciding: &Deciding<'_>) -> Vec<Reversal> {
    let accepted = |one: &Reversal| deciding.policy.accept_push_order || !one.is_wholesale();
    reversals(deciding).filter(accepted).collect()
}

/// Of each image on which a reversal depends and of which no date is known, the first manifest that has a config and
/// whose config was not read.
pub(super) fn undated(deciding: &Deciding<'_>) -> Vec<ManifestId> {
    let policy = deciding.policy;
    if policy.rank_by != RankBy::Pushed {
        return Vec::new();
    }
    let mut undated = Vec::new();
    for ranking in &deciding.rules.rankings {
        let (staying, mut going) = sides(deciding, ranking);
        let Some(first) = going.next() else { continue };
        undated.extend(staying.chain([first]).chain(going));
    }
    undated.sort_unstable();
    undated.dedup();
    undated.retain(|manifest| deciding.package.built_at(*manifest).is_none());
    undated.iter().filter_map(|manifest| first_leaf(deciding, *manifest)).collect()
}

/// The first manifest without children that another reaches.
fn first_leaf(deciding: &Deciding<'_>, manifest: ManifestId) -> Option<ManifestId> {
    let mut one = manifest;
    // As deep as there are manifests at most: nothing holds itself.
    for _ in 0..=deciding.package.len() {
        let info = deciding.package.info(one)?;
        match info.children.first() {
            Some(child) => one = *child,
            None => return Some(one),
        }
    }
    None
}
