//! Which tags are asked for in this run, and by when all of them will have been. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::state::ProbeState;
use crate::text::NaturalOrder;

/// How much is asked for.
#[derive(Debug, Clone, Default)]
pub struct Choosing {
    /// The newest so many tags of each repository, in every run.
    pub newest: Option<usize>,
    /// So many percent of all other tags, those first that were not asked for longest; all without `newest`.
    pub sample: Option<f64>,
}

/// A tag of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTag {
    /// Its name.
    pub tag: String,
    /// When it was pushed, where the source tells.
    pub pushed_at: Option<Timestamp>,
}

/// What is asked for in this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Repository and tag, the most urgent first.
    pub tags: Vec<(String, String)>,
    /// Tags that no run asks for, by what was chosen.
    pub never: u64,
    /// Tags of which only a part is asked for in each run.
    rotating: u64,
    /// How many of them in this run.
    share: u64,
}

/// Chooses the tags of this run.
pub fn choose(lists: &BTreeMap<String, Vec<ListedTag>>, state: &ProbeState, how: &Choosing) -> Choice {
    let mut first = Vec::new();
    let mut rest = Vec::new();
    for (repository, tags) in lists {
        let mut order: Vec<&ListedTag> = tags.iter().collect();
        order
            .sort_by_cached_key(|tag| (Reverse(tag.pushed_at), Reverse(NaturalOrder::position_of(&tag.tag))));
        let newest = how.newest.unwrap_or(0).min(order.len());
        let (new, old) = order.split_at(newest);
        first.extend(new.iter().map(|tag| (repository, &tag.tag)));
        rest.extend(old.iter().map(|tag| (repository, &tag.tag)));
    }
    // A tag that was asked for in vain goes to the end as one that was judged: else one that never fits into what a run
    // may spend would be asked for in every run, and nothing else.
    let last = |(repository, tag): &(&String, &String)| {
        let known = state.repositories.get(*repository)?;
        let (judged, tried) = (known.tags.get(*tag).copied(), known.tried.get(*tag).copied());
        Some((judged.max(tried)?, judged >= tried))
    };
    for tags in [&mut first, &mut rest] {
        tags.sort_by_cached_key(|tag| (last(tag), tag.0.clone(), tag.1.clone()));
    }
    let total = rest.len() as u64;
    let share = match (how.sample, how.newest) {
        (Some(percent), _) => ((total as f64 * percent.clamp(0.0, 100.0) / 100.0).ceil() as u64).min(total),
        (None, Some(_)) => 0,
        (None, None) => total,
    };
    let never = if share == 0 { total } else { 0 };
    rest.truncate(usize::try_from(share).unwrap_or(usize::MAX));
    first.append(&mut rest);
    let tags = first.into_iter().map(|(repository, tag)| (repository.clone(), tag.clone())).collect();
    Choice { tags, never, rotating: total, share }
}

impl Choice {
    /// By when every tag that is ever asked for will have been, at the pace of the last runs: `None` while that cannot
    /// be told. `judged` holds the tags of this run that were judged.
    pub fn complete_by(
        &self,
        judged: &HashSet<(String, String)>,
        state: &ProbeState,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if self.never > 0 {
            return None;
        }
        // What a budget cut off waits for later runs too.
        let cut = self.tags.iter().filter(|tag| !judged.contains(*tag)).count() as u64;
        let left = self.rotating.saturating_sub(self.share) + cut;
        if left == 0 {
            return Some(now);
        }
        let always = self.tags.len().saturating_sub(usize::try_from(self.share).unwrap_or(usize::MAX));
        let rotated = if self.share == 0 { &self.tags[..] } else { &self.tags[always..] };
        let each = rotated.iter().filter(|tag| judged.contains(*tag)).count() as u64;
        if each == 0 {
            return None;
        }
        let runs = i64::try_from(left.div_ceil(each)).ok()?;
        now.checked_add(SignedDuration::from_secs(state.pace()?.checked_mul(runs)?)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{ListedRepositories, ProbeRun, RememberedRepository};

    fn lists(tags: &[&str]) -> BTreeMap<String, Vec<ListedTag>> {
        let listed = |tag: &&str| ListedTag { tag: (*tag).to_owned(), pushed_at: None };
        BTreeMap::from([("app".to_owned(), tags.iter().map(listed).collect())])
    }

    fn names(choice: &Choice) -> Vec<&str> {
        choice.tags.iter().map(|(_, tag)| tag.as_str()).collect()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn newest_is_by_number_where_no_time_is_told() {
        let how = Choosing { newest: Some(2), sample: None };
        let choice = choose(&lists(&["v2", "v10", "v9", "v1"]), &ProbeState::new("x"), &how);
        assert_eq!(names(&choice), ["v10", "v9"]);
        assert_eq!(choice.never, 2);
        assert_eq!(choice.complete_by(&HashSet::new(), &ProbeState::new("x"), at(0)), None);
    }

    #[test]
    fn a_sample_goes_through_everything_over_runs() {
        let lists = lists(&["a", "b", "c", "d", "e"]);
        let (mut state, how) = (ProbeState::new("x"), Choosing { newest: None, sample: Some(40.0) });
        let mut met = HashSet::new();
        for run in 0..3 {
            let now = at(900 * run);
            let choice = choose(&lists, &state, &how);
            assert_eq!(choice.tags.len(), 2);
            let judged: HashSet<_> = choice.tags.iter().cloned().collect();
            met.extend(judged.clone());
            let repository =
                state.repositories.entry("app".into()).or_insert_with(RememberedRepository::default);
            repository.tags.extend(judged.iter().map(|(_, tag)| (tag.clone(), now)));
            let run = ProbeRun { at: now, tags_checked: 2 };
            state.end(run, &BTreeMap::new(), ListedRepositories::Some);
            if state.runs.len() == 2 {
                assert_eq!(choice.complete_by(&judged, &state, now), Some(at(900 + 2 * 900)));
            }
        }
        assert_eq!(met.len(), 5);
    }

    #[test]
    fn bug_what_the_newest_take_of_a_budget_is_no_progress_of_the_others() {
        let how = Choosing { newest: Some(1), sample: Some(50.0) };
        let mut state = ProbeState::new("x");
        for second in [0, 900] {
            state.end(
                ProbeRun { at: at(second), tags_checked: 1 },
                &BTreeMap::new(),
                ListedRepositories::Some,
            );
        }
        let choice = choose(&lists(&["v1", "v2", "v3", "v4", "v5"]), &state, &how);
        assert_eq!(names(&choice), ["v5", "v1", "v2"]);
        let judged = |count: usize| choice.tags.iter().take(count).cloned().collect();
        assert_eq!(choice.complete_by(&judged(1), &state, at(900)), None);
        // Three are left, one in a run.
        assert_eq!(choice.complete_by(&judged(2), &state, at(900)), Some(at(900 + 3 * 900)));
        // Two are left, and come in the next run.
        assert_eq!(choice.complete_by(&judged(3), &state, at(900)), Some(at(900 + 900)));
    }

    #[test]
    fn the_newest_come_first_and_the_rest_rotates() {
        let how = Choosing { newest: Some(1), sample: Some(50.0) };
        let mut state = ProbeState::new("x");
        let tags = [("v1".to_owned(), at(500)), ("v3".to_owned(), at(100))].into();
        state.repositories.insert("app".into(), RememberedRepository { tags, ..Default::default() });
        let choice = choose(&lists(&["v1", "v2", "v3", "v4"]), &state, &how);
        assert_eq!(names(&choice), ["v4", "v2", "v3"]);
        assert_eq!(choice.never, 0);
    }
}
