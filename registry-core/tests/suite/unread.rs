//! Law L2 for reading: what could not be read is neither broken nor garbage, nor is anything that it might reference. Tested for
//! the paths of random trees and every request that a scan makes for them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use registry_core::audit::{Audit, Code, Severity};
use registry_fixtures::TreeBuilder;
use registry_fixtures::random::{SplitMix64, random_tree, sound_tree};

use crate::planned::{Failing, Looks, Plan, Request, below, look_through_plan};
use crate::support::{Names, View, text};

/// The garbage that an audit lists.
fn garbage(audit: &Audit) -> BTreeSet<String> {
    audit.pieces.iter().map(|piece| format!("{} {}", piece.code, piece.path)).collect()
}

fn broken(audit: &Audit) -> BTreeSet<String> {
    audit.broken_tags.iter().map(|tag| format!("{}:{}", tag.repository, tag.tag)).collect()
}

/// The errors but for unread paths, as code, path and digest.
fn errors(audit: &Audit) -> BTreeSet<String> {
    let errors = audit.findings.iter().filter(|finding| finding.severity == Severity::Error);
    let place = |path: &Option<String>| path.clone().unwrap_or_default();
    errors
        .filter(|finding| finding.code != Code::PathUnread)
        .map(|finding| format!("{} {} {:?}", finding.code, place(&finding.path), finding.digest))
        .collect()
}

fn report_text(audit: &Audit) -> String {
    text(audit, &Names::default())
}

/// Whether the scan learns the same in another way: the number of entries of a tag's history, which a listing gives too.
fn is_redundant((path, request): &(PathBuf, Request)) -> bool {
    *request == Request::Stat && path.ends_with("index/sha256")
}

/// One tree, and what is report of it when everything can be read.
struct Readable<'a> {
    tree: &'a TreeBuilder,
    view: View<'a>,
    looks: Looks,
    report: String,
}

impl<'a> Readable<'a> {
    /// The number decides with which options the tree is scanned.
    fn new(tree: &'a TreeBuilder, number: u64) -> Self {
        let (content, strict) = (number % 2 == 1, number.is_multiple_of(3));
        let view = View { jobs: 1, content, strict, ..View::default() };
        let looks = look_through_plan(tree, Plan::default(), &view);
        let report = report_text(&looks.last);
        Self { tree, view, looks, report }
    }

    /// Every path, failing with all that lies below it, and every request that was made, failing alone. A request that
    /// was not made cannot fail.
    fn faults(&self) -> Vec<(PathBuf, Option<Request>)> {
        let walk = walkdir::WalkDir::new(self.tree.v2()).min_depth(1).sort_by_file_name().into_iter();
        let whole = walk.map(|entry| (below(self.tree, entry.unwrap().path()), None));
        let asked = self.looks.asked.iter().map(|(path, request)| (path.clone(), Some(*request)));
        whole.chain(asked).collect()
    }

    /// Random sets of faults.
    fn some_faults(&self, seed: u64, sets: usize, sizes: std::ops::Range<usize>) -> Vec<Failing> {
        let (faults, mut chance) = (self.faults(), SplitMix64::new(seed));
        let mut some = |size| (0..size).map(|_| faults[chance.below(faults.len())].clone()).collect();
        (0..sets).map(|number| some(sizes.start + number % sizes.len())).collect()
    }

    /// Audits with faults, and checks that no more is claimed than without them and that the gap is reported.
    fn check(&self, failing: &Failing) -> Result<(), String> {
        let Looks { last, failed, .. } = look_through_plan(self.tree, Plan::failing(failing), &self.view);
        let without = &self.looks.last;
        let mut wrong = Vec::new();
        for (what, claims) in
            [("garbage", garbage as fn(&Audit) -> _), ("broken", broken), ("errors", errors)]
        {
            let more: Vec<_> = claims(&last).difference(&claims(without)).cloned().collect();
            if !more.is_empty() {
                wrong.push(format!("more {what}: {more:#?}"));
            }
        }
        let is_complete = failed.iter().all(is_redundant);
        if last.source.complete != is_complete || last.unread.is_empty() != is_complete {
            wrong.push(format!("complete is {} and should be {is_complete}", last.source.complete));
        }
        if is_complete && report_text(&last) != self.report {
            wrong.push("nothing failed, but the report differs".to_owned());
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(format!("{}\nwhen {failing:#?} fails:\n{}", wrong.join("\n"), report_text(&last)))
    }

    /// Checks many sets of faults, and panics with the first that goes wrong.
    fn check_all(&self, seed: u64, story: &[String], sets: &[Failing]) {
        let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let work = || {
            while let Some(failing) = sets.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = self.check(failing) {
                    wrong.lock().unwrap().push(error);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(work);
            }
        });
        let wrong = wrong.into_inner().unwrap();
        let Some(first) = wrong.first() else { return };
        panic!("seed {seed}, {} of {} sets of faults: {first}\n{story:#?}", wrong.len(), sets.len());
    }
}

#[test]
fn one_failing_request_adds_no_claim() {
    for seed in [0, 1, 6] {
        let (tree, story) = sound_tree(seed);
        let readable = Readable::new(&tree, seed);
        let sets: Vec<Failing> = readable.faults().into_iter().map(|fault| Failing::from([fault])).collect();
        readable.check_all(seed, &story, &sets);
    }
}

#[test]
fn several_failing_requests_add_no_claim() {
    for seed in 0..20 {
        let (tree, story) = sound_tree(seed);
        let readable = Readable::new(&tree, seed + 1);
        let sound = &readable.looks.last;
        assert!(broken(sound).is_empty() && errors(sound).is_empty() && sound.source.complete, "{story:#?}");
        readable.check_all(seed, &story, &readable.some_faults(seed, 20, 1..6));
    }
}

#[test]
fn failing_requests_in_damaged_trees_add_no_claim() {
    for seed in 0..20 {
        let (tree, story) = random_tree(seed);
        let readable = Readable::new(&tree, seed);
        readable.check_all(seed, &story, &readable.some_faults(seed, 20, 1..6));
    }
}
