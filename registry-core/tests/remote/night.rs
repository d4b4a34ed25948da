//! Nightly runs after an undo, on a Forgejo in memory: a run that was undone does not change what later runs keep.

use std::collections::BTreeMap;
use std::io;

use jiff::Timestamp;
use proptest::prelude::*;
use registry_core::retention::{
    self as core, DeletionEntry, DeletionHistory, DeletionJournal, Policy, PushTimes, UndoneRow,
};
use registry_fixtures::forgejo::{Profile, Server, World};

use crate::laws::{Push, block_on, forgejo, push_all, pushes, reading_options, world};
use crate::verified::verified;

/// A journal in memory.
#[derive(Default)]
pub struct MemoryJournal(pub String);

impl DeletionJournal for MemoryJournal {
    fn write(&mut self, entry: &DeletionEntry) -> io::Result<()> {
        self.0 += &serde_json::to_string(entry)?;
        self.0.push('\n');
        Ok(())
    }
}

/// A nightly run: hours since the one before, pushes in between, and whether the run is undone.
#[derive(Debug, Clone)]
struct Night {
    hours: u8,
    pushes: Vec<Push>,
    is_undone: bool,
}

fn nights() -> impl Strategy<Value = Vec<Night>> {
    let night =
        (1..120_u8, prop::option::of(pushes()), any::<bool>()).prop_map(|(hours, pushes, is_undone)| Night {
            hours,
            pushes: pushes.unwrap_or_default(),
            is_undone,
        });
    prop::collection::vec(night, 1..3)
}

fn policy(keep: u32) -> Policy {
    let mut policy = Policy::keep_last(keep).expect("a policy");
    policy.undo_window = true;
    policy
}

fn clock(server: &Server) -> Timestamp {
    Timestamp::from_second(server.world().now).expect("a time")
}

/// Makes a nightly run; returns its journal.
async fn run(server: &Server, policy: &Policy, times: &PushTimes) -> DeletionHistory {
    let reader = forgejo(&server.url).await.expect("a server");
    let now = clock(server);
    let mut record =
        core::collect(&reader, reader.source(), &reading_options(), now).await.expect("a record");
    times.restore_push_times(&mut record);
    let undated = core::manifests_without_date(&record.source, record.packages(), policy, now);
    core::read_build_dates(&reader, &mut record, &undated, &reading_options()).await;
    let plan = core::plan(record.source.clone(), record.packages(), policy, now, "test");
    let mut lines = MemoryJournal::default();
    let applied =
        core::apply(&reader.into_write_access(), verified(&plan), &reading_options(), &mut lines, now).await;
    assert_eq!(applied.stopped, None, "{applied:?}");
    DeletionHistory::read(&lines.0).expect("a journal")
}

/// Undoes a run; returns the push times with those of the restored rows.
async fn undo(server: &Server, history: &DeletionHistory, times: &PushTimes) -> (PushTimes, Vec<UndoneRow>) {
    let reader = forgejo(&server.url).await.expect("a server");
    let source = reader.source();
    let undone = core::undo(&reader.into_write_access(), history).await;
    (times.with_undone_rows(source.owner.as_deref(), &undone, clock(server)), undone)
}

/// The tags that can be pulled, with their digests.
fn tags(server: &Server) -> BTreeMap<String, Option<String>> {
    let mut world: World = server.world().clone();
    let tags = world.tags_of("app");
    let whole: Vec<String> = tags.into_iter().filter(|tag| world.is_pullable("app", tag)).collect();
    let digest = |tag: &String| {
        let mut rows = world.versions.iter().filter(|row| row.name == *tag);
        rows.find_map(|row| row.digest().map(str::to_owned))
    };
    whole.iter().map(|tag| (tag.clone(), digest(tag))).collect()
}

/// Asserts after each night that a server with an undone run keeps every tag that a server without that run keeps.
async fn assert_same_tags_kept(
    profile: Profile,
    first: &[Push],
    keep: u32,
    nights: &[Night],
) -> Result<(), TestCaseError> {
    let start = world(profile, first);
    let (plain, undone) = (Server::start(start.clone()), Server::start(start));
    let policy = policy(keep);
    let mut times = PushTimes::default();
    let history = Box::pin(run(&undone, &policy, &times)).await;
    times = Box::pin(undo(&undone, &history, &times)).await.0;
    prop_assert_eq!(tags(&plain), tags(&undone), "after the undo");
    for (number, night) in nights.iter().enumerate() {
        for server in [&plain, &undone] {
            let mut world = server.world();
            world.now += i64::from(night.hours) * 3600;
            world.cleanup();
            push_all(&mut world, &night.pushes);
        }
        Box::pin(run(&plain, &policy, &PushTimes::default())).await;
        let history = Box::pin(run(&undone, &policy, &times)).await;
        if night.is_undone {
            times = Box::pin(undo(&undone, &history, &times)).await.0;
        }
        let (kept, found) = (tags(&plain), tags(&undone));
        let lost: Vec<_> = kept.iter().filter(|(tag, digest)| found.get(*tag) != Some(*digest)).collect();
        prop_assert!(lost.is_empty(), "night {number}: {lost:?} of {kept:?}, {found:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn law_8_over_http_runs_after_an_undo_keep_the_same_tags(
        first in pushes(), keep in 1..4_u32, is_v15 in any::<bool>(), nights in nights(),
    ) {
        block_on(assert_same_tags_kept(if is_v15 { Profile::V15 } else { Profile::V11 }, &first, keep, &nights))?;
    }
}
