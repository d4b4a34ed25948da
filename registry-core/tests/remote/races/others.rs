//! Deletions by others beside a run: another run, the collector, an administrator; restarts, pages and seconds.

use registry_core::retention::{self as core, Policy, RowOutcome};
use registry_fixtures::forgejo::{Fault, Profile, Server, World};

use super::{BOTH, DAY, deletes, nothing, open, play, whole, world};
use crate::laws::NOW;

#[test]
fn race_6_a_run_beside_this_one_that_deletes_first_is_no_failure() {
    for profile in BOTH {
        for is_late in [false, true] {
            let (server, plan, applied, _) = play(world(profile), nothing, move |world, ask| {
                for tag in ["t1", "t2", "b1"].into_iter().filter(|tag| deletes(ask, tag)) {
                    let gone = move |world: &mut World| world.versions.retain(|row| row.name != tag);
                    if is_late { world.before_row_goes(gone) } else { gone(world) }
                }
                None
            });
            // A row that goes between the server's own look and its deletion is answered as deleted.
            let already_gone = if is_late { 0 } else { 3 };
            assert_eq!(applied.count(RowOutcome::AlreadyGone), already_gone);
            let deleted = applied.count(RowOutcome::Deleted) + already_gone;
            assert_eq!(deleted as u64, plan.summary.versions_deleted);
            assert_eq!(applied.stopped, None);
            assert_eq!(whole(&server), ["b3", "b4", "t3", "t4"]);
        }
    }
}

#[test]
fn race_7_the_collector_may_run_before_any_request() {
    for profile in BOTH {
        let requests = {
            let (server, ..) = play(world(profile), nothing, |_, _| None);
            server.log().len()
        };
        assert!(requests > 20, "{requests}");
        for k in 0..requests {
            let mut number = 0;
            let (server, plan, applied, _) = play(world(profile), nothing, move |world, _| {
                if number == k {
                    // A token of yesterday is not taken any more.
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
            assert_eq!(whole(&server), ["b3", "b4", "t3", "t4"], "{k}");
        }
    }
}

#[test]
fn race_7_a_restart_loses_requests_and_collects() {
    for profile in BOTH {
        for k in [0, 3, 9, 15, 20] {
            let mut number = 0;
            let (server, plan, applied, _) = play(world(profile), nothing, move |world, _| {
                number += 1;
                if number == k + 3 {
                    world.now += 25 * 3600;
                    world.cleanup();
                }
                // What was under way is lost, done or not; then nobody listens.
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
            assert_eq!(whole(&server), ["b3", "b4", "t3", "t4"], "{k}");
        }
    }
}

#[test]
fn race_8_a_deletion_between_pages_hides_a_row_and_is_noticed() {
    for profile in BOTH {
        let mut before = World::example(profile, NOW - DAY);
        for tag in 0..70 {
            before.push_image("app", Some(&format!("t{tag:02}")), "one build");
        }
        let server = Server::start(before);
        let mut is_done = false;
        server.set_hook(move |world, ask, _| {
            if ask.query.contains("page=2") && !std::mem::replace(&mut is_done, true) {
                // One of the first page, so that all that follows moves up.
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
fn race_9_pushes_of_one_second_are_ranked_by_number_in_both_releases() {
    for profile in BOTH {
        let mut before = World::example(profile, NOW - DAY);
        for tag in ["d", "a", "c", "b"] {
            before.push_image("tool", Some(tag), tag);
        }
        before.now = NOW;
        let (server, ..) = play(before, nothing, |_, _| None);
        assert_eq!(whole(&server), ["b", "c"]);
    }
}

#[test]
fn race_10_a_collection_without_grace_takes_an_undo_window_and_nothing_kept() {
    for profile in BOTH {
        let window = |policy: &mut Policy| policy.undo_window = true;
        let (server, plan, applied, journal) = play(world(profile), window, |_, _| None);
        assert_eq!(applied.count(RowOutcome::Deleted) as u64, plan.summary.versions_deleted);
        {
            // The button of an administrator takes what is younger than a day, too.
            let mut world = server.world();
            world.age(25 * 3600);
            world.cleanup();
        }
        assert_eq!(whole(&server), ["b3", "b4", "t3", "t4"]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let told = core::DeletionHistory { entries: journal.0, is_torn: false };
        let undone = runtime.block_on(async { core::undo(&open(&server).await.arm(), &told).await });
        assert!(!undone.is_empty());
        for row in &undone {
            assert!(
                matches!(&row.state, core::RowUndoState::Lost(why) if why.contains("BLOB_UNKNOWN")),
                "{row:?}"
            );
        }
        assert_eq!(whole(&server), ["b3", "b4", "t3", "t4"]);
    }
}
