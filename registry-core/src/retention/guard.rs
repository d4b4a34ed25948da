//! Guards: what was decided and is refused all the same, because it looks like a mistake. They never make it smaller.

use std::collections::BTreeMap;

use super::decide::Deciding;
use super::images::Class;
use super::rank::Key;

/// Fewest ranked images of which one second may hold more than half before that is odd.
const SAME_SECOND_FROM: usize = 5;

/// Why a guard refuses the decision on a package; judged only where something goes.
pub(super) fn refusal(deciding: &Deciding<'_>) -> Option<String> {
    let gone = deciding.gone.iter().filter(|gone| **gone).count();
    let pruned = deciding.pruned.iter().filter(|gone| **gone).count();
    if gone + pruned == 0 {
        return None;
    }
    let policy = deciding.policy;
    if let Some(percent) = policy.max_delete_percent
        && gone * 100 > deciding.gone.len() * usize::from(percent)
    {
        return Some(format!(
            "{gone} of {} images would go, more than --max-delete-percent {percent}",
            deciding.gone.len()
        ));
    }
    let survivors = deciding
        .images
        .all
        .iter()
        .zip(&deciding.gone)
        .filter(|(image, gone)| !**gone && is_survivor(&image.class, image.protection().is_some()));
    if survivors.count() == 0 && !policy.allow_empty {
        return Some("no image would stay; --allow-empty says that this is meant".into());
    }
    same_second(deciding)
}

/// Push times that an import or an upgrade set all at once say nothing about what is newer.
fn same_second(deciding: &Deciding<'_>) -> Option<String> {
    for ranking in &deciding.rules.rankings {
        let keep = ranking.keep as usize;
        let second = |key: &Key| match key {
            Key::Pushed(at, _) | Key::Built(at) => Some(at.as_second()),
            Key::Version(_) => None,
        };
        let cut = ranking.order.get(keep.wrapping_sub(1)).zip(ranking.order.get(keep));
        let Some((before, after)) = cut.map(|((_, a), (_, b))| (second(a), second(b))) else { continue };
        if before.is_none() || before != after || ranking.order.len() < SAME_SECOND_FROM {
            continue;
        }
        let goes = ranking.order.iter().skip(keep).any(|(id, _)| deciding.gone[*id]);
        let mut seconds: BTreeMap<i64, usize> = BTreeMap::new();
        for (_, key) in &ranking.order {
            *seconds.entry(second(key).unwrap_or_default()).or_default() += 1;
        }
        let there = before.and_then(|second| seconds.get(&second)).copied().unwrap_or(0);
        if goes && there * 2 > ranking.order.len() {
            return Some(format!(
                "{there} of {} ranked images{} have the same second as push time, and the cut falls inside it: an \
                 import or a restore, of which the times say nothing",
                ranking.order.len(),
                ranking.name
            ));
        }
    }
    None
}

/// Whether an image counts as one that a package may live on: whole, and standing for itself or held.
fn is_survivor(class: &Class, is_held: bool) -> bool {
    match class {
        Class::Plain => true,
        Class::Child => is_held,
        Class::Follower(_) | Class::Broken(_) => false,
    }
}
