//! Deletions: by tag or by digest, and what stops them.

use std::time::Duration;

use registry_core::registry::{Client, Credentials, Http, Settings};
use registry_core::retention::{RankBy, RegistrySource, RowOutcome, Stopped};
use registry_fixtures::registry::{Account, Auth, Fault, Grant, Profile, Server, World};

use super::{
    BOTH, MemoryJournal, applied, assert_whole, block_on, builds, credentials, deletions, outcomes,
    planned_by, source, source_as,
};

#[test]
fn tags_are_deleted_by_name_on_3_and_by_digest_on_2_8() {
    for profile in BOTH {
        let server = Server::start(builds(profile));
        let plan = block_on(planned_by(&source(&server), 1, RankBy::Semver)).expect("a plan");
        server.clear_log();
        let done = block_on(applied(source(&server), &plan, &mut MemoryJournal::default()));
        assert_eq!(done.stopped, None);
        assert_eq!(done.count(RowOutcome::Deleted), plan.summary.versions_deleted as usize, "{done:?}");
        assert_eq!(server.world().tags_of("app"), ["1.4.0", "1.4.0-amd64"], "{profile:?}");
        assert_whole(&server);
        let asked = deletions(&server);
        let by_digest = asked.iter().filter(|line| line.contains("sha256:")).count();
        match profile {
            Profile::V3 => assert_eq!((by_digest, asked.len()), (0, 7), "{asked:?}"),
            // One attempt by name, then one deletion for each manifest: two tags share one.
            Profile::V2_8 => assert_eq!((by_digest, asked.len()), (6, 7), "{asked:?}"),
        }
    }
}

#[test]
fn tag_pushed_before_a_deletion_by_digest_stops_it() {
    for profile in BOTH {
        let server = Server::start(builds(profile));
        let plan = block_on(planned_by(&source(&server), 1, RankBy::Semver)).expect("a plan");
        let old = server.world().digest_of_tag("app", "1.2.0").expect("a digest").to_owned();
        let pushed = old.clone();
        let mut is_done = false;
        server.set_hook(move |world, ask, _| {
            // After everything was listed and read again: another tag on the same image.
            if ask.method == "DELETE" && !std::mem::replace(&mut is_done, true) {
                let bytes = world.bytes_of(&pushed).to_vec();
                world.push_manifest("app", Some("stable"), &bytes);
            }
            None
        });
        let done = block_on(applied(source(&server), &plan, &mut MemoryJournal::default()));
        assert_eq!(server.world().digest_of_tag("app", "stable"), Some(&*old), "{profile:?} {done:?}");
        assert_whole(&server);
        let failed: Vec<_> = done.rows.iter().filter(|row| row.outcome == RowOutcome::Failed).collect();
        match profile {
            // A deletion by name deletes only that tag.
            Profile::V3 => assert!(failed.is_empty(), "{failed:?}"),
            Profile::V2_8 => {
                let why = failed[0].reason.as_ref().map(ToString::to_string).unwrap_or_default();
                assert_eq!(why, "tag stable names it too, and the registry deletes by digest only");
            }
        }
    }
}

#[test]
fn index_pushed_before_a_deletion_by_digest_keeps_its_child() {
    for profile in BOTH {
        let mut world = World::new(profile);
        let child = world.push_image("app", Some("1.0.0"), "child");
        for build in 1..=3 {
            world.push_image("app", Some(&format!("2.{build}.0")), &format!("build {build}"));
        }
        let server = Server::start(world);
        let plan = block_on(planned_by(&source(&server), 1, RankBy::Semver)).expect("a plan");
        let mut is_done = false;
        server.set_hook(move |world, ask, _| {
            if ask.method == "DELETE" && !std::mem::replace(&mut is_done, true) {
                let inner = world.push_index_of("app", &[], std::slice::from_ref(&child));
                world.push_index_of("app", &["combined"], &[inner]);
            }
            None
        });
        let done = block_on(applied(source(&server), &plan, &mut MemoryJournal::default()));
        assert_whole(&server);
        assert!(server.world().tags_of("app").contains(&"combined".to_owned()));
        if profile == Profile::V2_8 {
            let failed = done.rows.iter().find(|row| row.version == "1.0.0").expect("a row");
            let why = failed.reason.as_ref().map(ToString::to_string).unwrap_or_default();
            assert_eq!(why, "the index of tag combined names it, and the registry deletes by digest only");
            assert_eq!(server.world().tags_of("app"), ["1.0.0", "2.3.0", "combined"]);
        }
    }
}

#[test]
fn tag_pushed_again_after_its_digest_was_deleted_stays() {
    for profile in BOTH {
        let mut world = World::new(profile);
        for tag in ["1.0.0", "v1.0.0", "2.0.0"] {
            world.push_image("app", Some(tag), tag.trim_start_matches('v'));
        }
        let server = Server::start(world);
        let plan = block_on(planned_by(&source(&server), 1, RankBy::Semver)).expect("a plan");
        let mut deleted = 0;
        server.set_hook(move |world, ask, _| {
            // After the first deletion the second tag is pushed again: to another image on 3, to the same on 2.8.
            if deleted == 1 && matches!(ask.method.as_str(), "HEAD" | "DELETE") {
                deleted = 2;
                let seed = if world.profile == Profile::V3 { "other" } else { "1.0.0" };
                world.push_image("app", Some("v1.0.0"), seed);
            }
            let is_right =
                ask.method == "DELETE" && (world.profile == Profile::V3 || ask.path.contains("sha256:"));
            deleted += u32::from(is_right && deleted == 0);
            None
        });
        let done = block_on(applied(source(&server), &plan, &mut MemoryJournal::default()));
        assert_eq!(server.world().tags_of("app"), ["2.0.0", "v1.0.0"], "{profile:?} {done:?}");
        // On 3 the tag moved. On 2.8 it names the same digest, and only the source's memory of its deletion tells of the push.
        let second = if profile == Profile::V3 { RowOutcome::Spared } else { RowOutcome::Failed };
        assert_eq!(outcomes(&done), [("1.0.0", RowOutcome::Deleted), ("v1.0.0", second)], "{done:?}");
        let server_whole = server.world().is_pullable("app", "v1.0.0");
        assert!(server_whole, "{profile:?}");
    }
}

#[test]
fn credentials_without_delete_permission_end_the_run_at_the_first_deletion() {
    for profile in BOTH {
        let grants = vec![Grant::new("repository:*", &["pull"]), Grant::new("registry:catalog", &["*"])];
        let auth = Auth::Token(vec![Account::of("me", "secret", grants)]);
        let server = Server::start(builds(profile).requiring(auth));
        let source = || source_as(&server, credentials(), 0);
        let plan = block_on(planned_by(&source(), 1, RankBy::Semver)).expect("a plan");
        let before = server.world().tags_of("app");
        let done = block_on(applied(source(), &plan, &mut MemoryJournal::default()));
        assert!(matches!(done.stopped, Some(Stopped::Forbidden(_))), "{done:?}");
        assert_eq!((server.world().tags_of("app"), done.count(RowOutcome::Deleted)), (before, 0));
        assert_eq!(done.count(RowOutcome::Failed), 1, "{done:?}");
    }
}

#[test]
fn deletion_with_a_lost_answer_is_checked_before_it_is_repeated() {
    for profile in BOTH {
        for fault in [Fault::Lost, Fault::Reset, Fault::Refused, Fault::Status(500), Fault::Wait(0)] {
            let server = Server::start(builds(profile));
            let plan = block_on(planned_by(&source(&server), 1, RankBy::Semver)).expect("a plan");
            let mut spoilt = std::collections::BTreeSet::new();
            let shown = format!("{profile:?} {fault:?}");
            server.set_hook(move |_, ask, _| {
                let is_first = ask.method == "DELETE" && spoilt.insert(ask.path.clone());
                is_first.then(|| fault.clone())
            });
            let source = source_as(&server, Credentials::Anonymous, 3);
            let done = block_on(applied(source, &plan, &mut MemoryJournal::default()));
            assert_eq!(
                done.count(RowOutcome::Deleted),
                plan.summary.versions_deleted as usize,
                "{shown}: {done:?}"
            );
            assert_eq!(server.world().tags_of("app"), ["1.4.0", "1.4.0-amd64"], "{shown}");
            assert_whole(&server);
        }
    }
}

#[test]
fn server_that_dies_during_deletions_ends_the_run() {
    for profile in BOTH {
        let server = Server::start(builds(profile));
        let plan = block_on(planned_by(&source(&server), 1, RankBy::Semver)).expect("a plan");
        let mut deleted = 0;
        server.set_hook(move |_, ask, _| {
            let is_dead = deleted >= 3;
            deleted += usize::from(ask.method == "DELETE");
            is_dead.then_some(Fault::Status(502))
        });
        // A retry comes at least half a millisecond later.
        let give_up_after = Some(Duration::from_micros(500));
        let backoff = Duration::from_millis(1);
        let settings = Settings { retries: 4, backoff, give_up_after, proxies: false, ..Settings::default() };
        let http = Http::new(settings).expect("a transport");
        let client = Client::new(&http, &server.url, Credentials::Anonymous).expect("a client");
        let done = block_on(applied(RegistrySource::new(client), &plan, &mut MemoryJournal::default()));
        assert!(matches!(done.stopped, Some(Stopped::GaveUp(_))), "{profile:?}: {done:?}");
        assert!(done.count(RowOutcome::Stopped) > 0 && done.count(RowOutcome::Failed) <= 1, "{done:?}");
        assert_whole(&server);
        let left = server.world().tags_of("app").len();
        assert!(left > 2, "{profile:?}: {left} tags are left");
    }
}
