//! Deletions by others beside a run: another run, the collector, an administrator; restarts, pages and seconds.

use registry_core::retention::{self as core, Policy, RowOutcome};
use registry_fixtures::forgejo::{Fault, Profile, Server, World};

use super::{BOTH, DAY, default_policy, is_deletion_of, open, play, whole_tags, world};
use crate::laws::NOW;

#[test]
fn race_6_row_deleted_first_by_another_run_is_no_failure() {
    for profile in BOTH {
        for is_late in [false, true] {
            let (server, plan, applied, _) = play(world(profile), default_policy, move |world, ask| {
                for tag in ["t1", "t2", "b1"].into_iter().filter(|tag| is_deletion_of(ask, tag)) {
                    let gone = move |world: &mut World| world.versions.retain(|row| row.name != tag);
                    if is_late { world.before_row_goes(gone) } else { gone(world) }
                }
                None
            });
            // The server answers as deleted a row that vanishes between its own lookup and the deletion.
            let already_gone = if is_late { 0 } else { 3 };
            assert_eq!(applied.count(RowOutcome::AlreadyGone), already_gone);
            let deleted = applied.count(RowOutcome::Deleted) + already_gone;
            assert_eq!(deleted as u64, plan.summary.versions_deleted);
            assert_eq!(applied.stopped, None);
            assert_eq!(whole_tags(&server), ["b3", "b4", "t3", "t4"]);
        }
    }
}

#[test]
fn race_7_collector_before_any_request_breaks_nothing_kept() {
    for profile in BOTH {
        let requests = {
            let (server, ..) = play(world(profile), default_policy, |_, _| None);
            server.log().len()
        };
        assert!(requests > 20, "{requests}");
        for k in 0..requests {
            let mut number = 0;
            let (server, plan, applied, _) = play(world(profile), default_policy, move |world, _| {
                if number == k {
                    // A token of the day before is no longer accepted.
                    world.now += 25 * 3600;
                    world.cleanup();
                }
                number += 1;
                None
            });
            assert_eq!(applied.stopped, None, "{k}");
            assert_eq!(
                applied.count(RowOutcome::Deleted) as u64,
                plan.summary.versions_deleted,
                "{k}: {applied:?}"
            );
            assert_eq!(whole_tags(&server), ["b3", "b4", "t3", "t4"], "{k}");
        }
    }
}

#[test]
fn race_7_restart_that_loses_requests_and_collects_breaks_nothing_kept() {
    for profile in BOTH {
        for k in [0, 3, 9, 15, 20] {
            let mut number = 0;
            let (server, plan, applied, _) = play(world(profile), default_policy, move |world, _| {
                number += 1;
                if number == k + 3 {
                    world.now += 25 * 3600;
                    world.cleanup();
                }
                // The answer to the current request is lost, then the connection is refused.
                match number {
                    one if one == k + 1 => Some(Fault::Lost),
                    one if one == k + 2 => Some(Fault::Refused),
                    _ => None,
                }
            });
            assert_eq!(applied.stopped, None, "{k}");
            assert_eq!(
                applied.count(RowOutcome::Deleted) as u64,
                plan.summary.versions_deleted,
                "{k}: {applied:?}"
            );
            assert_eq!(whole_tags(&server), ["b3", "b4", "t3", "t4"], "{k}");
        }
    }
}

#[test]
fn race_8_deletion_between_pages_is_noticed() {
    for profile in BOTH {
        let mut before = World::example(profile, NOW - DAY);
        for tag in 0..70 {
            before.push_image("app", Some(&format!("t{tag:02}")), "one build");
        }
        let server = Server::start(before);
        let mut is_done = false;
        server.set_hook(move |world, ask, _| {
            if ask.query.contains("page=2") && !std::mem::replace(&mut is_done, true) {
                // Delete a row of the first page, so that all rows after it move up.
                let first = if world.profile == Profile::V15 { "t69" } else { "t00" };
                world.versions.retain(|row| row.name != first);
            }
            None
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let rows =
            runtime.block_on(async { core::Reader::rows(&open(&server).await, None).await }).expect("rows");
        assert_eq!(rows.rows.len(), 69);
    }
}

#[test]
fn race_9_pushes_of_one_second_are_ranked_by_id_in_both_releases() {
    for profile in BOTH {
        let mut before = World::example(profile, NOW - DAY);
        for tag in ["d", "a", "c", "b"] {
            before.push_image("tool", Some(tag), tag);
        }
        before.now = NOW;
        let (server, ..) = play(before, default_policy, |_, _| None);
        assert_eq!(whole_tags(&server), ["b", "c"]);
    }
}

#[test]
fn race_10_collection_without_grace_empties_the_undo_window_and_keeps_the_rest() {
    for profile in BOTH {
        let window = |policy: &mut Policy| policy.undo_window = true;
        let (server, plan, applied, journal) = play(world(profile), window, |_, _| None);
        assert_eq!(applied.count(RowOutcome::Deleted) as u64, plan.summary.versions_deleted);
        {
            // The cleanup button of an administrator also deletes rows younger than a day.
            let mut world = server.world();
            world.age(25 * 3600);
            world.cleanup();
        }
        assert_eq!(whole_tags(&server), ["b3", "b4", "t3", "t4"]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let history = core::DeletionHistory { entries: journal.0, is_torn: false };
        let undone =
            runtime.block_on(async { core::undo(&open(&server).await.into_write_access(), &history).await });
        assert!(!undone.is_empty());
        for row in &undone {
            assert!(
                matches!(&row.state, core::RowUndoState::Lost(why) if why.contains("BLOB_UNKNOWN")),
                "{row:?}"
            );
        }
        assert_eq!(whole_tags(&server), ["b3", "b4", "t3", "t4"]);
    }
}
