//! Selects the tags that a run asks for, and estimates when all tags will have been asked for. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::state::ProbeState;
use crate::text::NaturalOrder;

/// How many tags a run asks for.
#[derive(Debug, Clone, Default)]
pub struct TagSelectionOptions {
    /// Number of the newest tags of each repository that every run asks for.
    pub newest: Option<usize>,
    /// Percent of all other tags that a run asks for, those first that were not asked for longest. `None` means none of them
    /// with `newest`, and all without it.
    pub sample: Option<f64>,
}

/// A tag as a repository lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTag {
    /// Its name.
    pub tag: String,
    /// When it was pushed, if the source tells.
    pub pushed_at: Option<Timestamp>,
}

/// The tags that a run asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagSelection {
    /// Repository and tag, the most urgent first.
    pub tags: Vec<(String, String)>,
    /// Number of tags that no run asks for with these options.
    pub never: u64,
    /// Number of tags of which each run asks for a part only.
    rotating: u64,
    /// How many of these this run asks for.
    share: u64,
}

/// Chooses the tags of this run.
pub fn select_tags(
    lists: &BTreeMap<String, Vec<ListedTag>>,
    state: &ProbeState,
    how: &TagSelectionOptions,
) -> TagSelection {
    let (mut newest, mut others) = (Vec::new(), Vec::new());
    for (repository, tags) in lists {
        let mut order: Vec<&ListedTag> = tags.iter().collect();
        order.sort_by_cached_key(|tag| (Reverse(tag.pushed_at), Reverse(NaturalOrder::new(&tag.tag))));
        let (new, old) = order.split_at(how.newest.unwrap_or(0).min(order.len()));
        newest.extend(new.iter().map(|tag| (repository, &tag.tag)));
        others.extend(old.iter().map(|tag| (repository, &tag.tag)));
    }
    // A tag that was asked for in vain goes to the end, like one that was judged. Otherwise a tag that needs more than a run
    // may spend would be the first of every run, and nothing else would be asked for.
    let last_asked = |(repository, tag): &(&String, &String)| {
        let known = state.repositories.get(*repository)?;
        let (judged, tried) = (known.tags.get(*tag).copied(), known.tried.get(*tag).copied());
        Some((judged.max(tried)?, judged >= tried))
    };
    for tags in [&mut newest, &mut others] {
        tags.sort_by_cached_key(|tag| (last_asked(tag), tag.0.clone(), tag.1.clone()));
    }
    let total = others.len() as u64;
    let share = match (how.sample, how.newest) {
        (Some(percent), _) => ((total as f64 * percent.clamp(0.0, 100.0) / 100.0).ceil() as u64).min(total),
        (None, Some(_)) => 0,
        (None, None) => total,
    };
    let never = if share == 0 { total } else { 0 };
    others.truncate(usize::try_from(share).unwrap_or(usize::MAX));
    newest.append(&mut others);
    let tags = newest.into_iter().map(|(repository, tag)| (repository.clone(), tag.clone())).collect();
    TagSelection { tags, never, rotating: total, share }
}

impl TagSelection {
    /// When every tag will have been judged, at the pace of the last runs; `None` while that is not known, or when some tags
    /// are never asked for. `judged` holds the tags that this run judged.
    pub fn complete_by(
        &self,
        judged: &HashSet<(String, String)>,
        state: &ProbeState,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if self.never > 0 {
            return None;
        }
        // Tags that the budget did not suffice for are left for later runs.
        let cut_off = self.tags.iter().filter(|tag| !judged.contains(*tag)).count() as u64;
        let left = self.rotating.saturating_sub(self.share) + cut_off;
        if left == 0 {
            return Some(now);
        }
        let newest = self.tags.len().saturating_sub(usize::try_from(self.share).unwrap_or(usize::MAX));
        let rotating = if self.share == 0 { &self.tags[..] } else { &self.tags[newest..] };
        let judged_per_run = rotating.iter().filter(|tag| judged.contains(*tag)).count() as u64;
        if judged_per_run == 0 {
            return None;
        }
        let runs = i64::try_from(left.div_ceil(judged_per_run)).ok()?;
        now.checked_add(SignedDuration::from_secs(state.seconds_between_runs()?.checked_mul(runs)?)).ok()
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

    fn names(choice: &TagSelection) -> Vec<&str> {
        choice.tags.iter().map(|(_, tag)| tag.as_str()).collect()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn newest_tags_without_push_times_go_by_number() {
        let how = TagSelectionOptions { newest: Some(2), sample: None };
        let choice = select_tags(&lists(&["v2", "v10", "v9", "v1"]), &ProbeState::new("x"), &how);
        assert_eq!(names(&choice), ["v10", "v9"]);
        assert_eq!(choice.never, 2);
        assert_eq!(choice.complete_by(&HashSet::new(), &ProbeState::new("x"), at(0)), None);
    }

    #[test]
    fn sample_covers_all_tags_over_several_runs() {
        let lists = lists(&["a", "b", "c", "d", "e"]);
        let (mut state, how) =
            (ProbeState::new("x"), TagSelectionOptions { newest: None, sample: Some(40.0) });
        let mut covered = HashSet::new();
        for run in 0..3 {
            let now = at(900 * run);
            let choice = select_tags(&lists, &state, &how);
            assert_eq!(choice.tags.len(), 2);
            let judged: HashSet<_> = choice.tags.iter().cloned().collect();
            covered.extend(judged.clone());
            let repository = state.repositories.entry("app".into()).or_default();
            repository.tags.extend(judged.iter().map(|(_, tag)| (tag.clone(), now)));
            let run = ProbeRun { at: now, tags_checked: 2 };
            state.finish_run(run, &BTreeMap::new(), ListedRepositories::Some);
            if state.runs.len() == 2 {
                assert_eq!(choice.complete_by(&judged, &state, now), Some(at(900 + 2 * 900)));
            }
        }
        assert_eq!(covered.len(), 5);
    }

    #[test]
    fn bug_newest_tags_do_not_count_as_progress_of_the_others() {
        let how = TagSelectionOptions { newest: Some(1), sample: Some(50.0) };
        let mut state = ProbeState::new("x");
        for second in [0, 900] {
            state.finish_run(
                ProbeRun { at: at(second), tags_checked: 1 },
                &BTreeMap::new(),
                ListedRepositories::Some,
            );
        }
        let choice = select_tags(&lists(&["v1", "v2", "v3", "v4", "v5"]), &state, &how);
        assert_eq!(names(&choice), ["v5", "v1", "v2"]);
        let judged = |count: usize| choice.tags.iter().take(count).cloned().collect();
        assert_eq!(choice.complete_by(&judged(1), &state, at(900)), None);
        // Three tags are left, one for each run.
        assert_eq!(choice.complete_by(&judged(2), &state, at(900)), Some(at(900 + 3 * 900)));
        // Two tags are left, which the next run judges.
        assert_eq!(choice.complete_by(&judged(3), &state, at(900)), Some(at(900 + 900)));
    }

    #[test]
    fn newest_tags_come_first_and_the_others_rotate() {
        let how = TagSelectionOptions { newest: Some(1), sample: Some(50.0) };
        let mut state = ProbeState::new("x");
        let tags = [("v1".to_owned(), at(500)), ("v3".to_owned(), at(100))].into();
        state.repositories.insert("app".into(), RememberedRepository { tags, ..Default::default() });
        let choice = select_tags(&lists(&["v1", "v2", "v3", "v4"]), &state, &how);
        assert_eq!(names(&choice), ["v4", "v2", "v3"]);
        assert_eq!(choice.never, 0);
    }
}
