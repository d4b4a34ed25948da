//! Pushes beside a run: of children, layers, tags and indexes.

use registry_core::retention::{RowOutcome, Stopped};

use super::{
    BOTH, DAY, INDEX, ask, default_policy, index_of, is_deletion_of, is_read_of, outcome, play, prune, push,
    whole_tags, world,
};

#[test]
fn race_1_children_of_a_push_in_progress_stay() {
    for profile in BOTH {
        let mut before = world(profile);
        let old = before.push_image("app", None, "old and dangling");
        before.age(2 * DAY);
        let young = before.push_image("app", None, "pushed a moment ago");
        let (server, plan, applied, _) = play(before, prune, |_, _| None);
        let goes = |digest: &str| outcome(&applied, digest) == Some(RowOutcome::Deleted);
        assert!(goes(&old) && !goes(&young), "{profile:?}: {plan:?}");
        let status = push(
            &mut server.world(),
            "PUT",
            "/v2/viktor/app/manifests/b5",
            INDEX,
            index_of(&young).as_bytes(),
        );
        assert_eq!(status, 201);
        assert_eq!(whole_tags(&server), ["b3", "b4", "b5", "t3", "t4"]);
        // The client saw the old child and did not push it again: the push fails and has to be repeated.
        let status =
            push(&mut server.world(), "PUT", "/v2/viktor/app/manifests/b6", INDEX, index_of(&old).as_bytes());
        assert_eq!(status, 404);
    }
}

#[test]
fn race_1_new_index_over_an_old_child_stops_its_package() {
    for profile in BOTH {
        let mut before = world(profile);
        let old = before.push_image("app", None, "old and dangling");
        before.age(2 * DAY);
        let mut is_done = false;
        let (server, _, applied, _) = play(before, prune, move |world, ask| {
            if ask.query.contains("q=app") && !std::mem::replace(&mut is_done, true) {
                world.push_index_of("app", &["b5"], std::slice::from_ref(&old));
            }
            None
        });
        assert_eq!(outcome(&applied, "b1"), Some(RowOutcome::Stopped));
        assert_eq!(outcome(&applied, "t1"), Some(RowOutcome::Deleted));
        assert_eq!(whole_tags(&server), ["b1", "b2", "b3", "b4", "b5", "t3", "t4"]);
    }
}

#[test]
fn race_2_push_that_skipped_a_deleted_layer_fails_and_can_be_repeated() {
    for profile in BOTH {
        let before = world(profile);
        let mut one = before.clone();
        // A push under another tag shares a layer with t1, which is deleted; the client first checks that the layer exists.
        let digest = one.push_image("tool", Some("t9"), "tool 1");
        let path = format!("/v2/viktor/tool/manifests/{digest}");
        let manifest = one.answer(&ask("GET", &path, "", &[])).body;
        let parsed: serde_json::Value = serde_json::from_slice(&manifest).expect("a manifest");
        let layer =
            format!("/v2/viktor/tool/blobs/{}", parsed["layers"][0]["digest"].as_str().expect("a layer"));
        let (server, _, applied, _) = play(before, default_policy, move |world, ask| {
            if is_deletion_of(ask, "t1") {
                assert_eq!(push(world, "HEAD", &layer, "", &[]), 200);
            }
            None
        });
        assert_eq!(outcome(&applied, "t1"), Some(RowOutcome::Deleted));
        let kind = "application/vnd.oci.image.manifest.v1+json";
        assert_eq!(push(&mut server.world(), "PUT", "/v2/viktor/tool/manifests/t9", kind, &manifest), 404);
        server.world().push_image("tool", Some("t9"), "tool 1");
        assert_eq!(whole_tags(&server), ["b3", "b4", "t3", "t4", "t9"]);
    }
}

#[test]
fn race_3_tag_pushed_again_before_its_second_read_is_spared() {
    for profile in BOTH {
        let mut is_done = false;
        let (server, _, applied, _) = play(world(profile), default_policy, move |world, ask| {
            if is_read_of(ask, "t1") && !std::mem::replace(&mut is_done, true) {
                world.push_image("tool", Some("t1"), "tool 1, built again");
            }
            None
        });
        assert_eq!(outcome(&applied, "t1"), Some(RowOutcome::Spared));
        assert_eq!(outcome(&applied, "t2"), Some(RowOutcome::Deleted));
        assert_eq!(applied.stopped, None);
        assert_eq!(whole_tags(&server), ["b3", "b4", "t1", "t3", "t4"]);
    }
}

#[test]
fn race_3_tag_pushed_again_between_lookup_and_deletion_stays() {
    for profile in BOTH {
        let (server, _, applied, _) = play(world(profile), default_policy, |world, ask| {
            if is_deletion_of(ask, "t1") {
                world.before_row_goes(|world| {
                    world.push_image("tool", Some("t1"), "tool 1, built again");
                });
            }
            None
        });
        // The server answers 204 for the row that it looked up.
        assert_eq!(outcome(&applied, "t1"), Some(RowOutcome::Deleted));
        assert_eq!(applied.stopped, None);
        assert_eq!(whole_tags(&server), ["b3", "b4", "t1", "t3", "t4"]);
    }
}

#[test]
fn race_4_index_created_since_the_plan_keeps_its_children() {
    for profile in BOTH {
        let mut is_done = false;
        let (server, _, applied, _) = play(world(profile), default_policy, move |world, ask| {
            if ask.query.contains("q=tool") && !std::mem::replace(&mut is_done, true) {
                let child = world.find_image("tool", "tool 1");
                world.push_index_of("tool", &["combined"], &[child]);
            }
            None
        });
        assert_eq!(
            (outcome(&applied, "t1"), outcome(&applied, "t2")),
            (Some(RowOutcome::Stopped), Some(RowOutcome::Stopped))
        );
        assert_eq!(whole_tags(&server), ["b3", "b4", "combined", "t1", "t2", "t3", "t4"]);
    }
}

#[test]
fn race_4_index_created_between_list_and_deletion_is_reported_as_broken() {
    for profile in BOTH {
        let mut is_done = false;
        let (server, _, applied, _) = play(world(profile), default_policy, move |world, ask| {
            if is_deletion_of(ask, "t1") && !std::mem::replace(&mut is_done, true) {
                let child = world.find_image("tool", "tool 1");
                world.push_index_of("tool", &["combined"], &[child]);
            }
            None
        });
        // A push between the last check and the deletion cannot be prevented, but it is reported.
        assert_eq!(outcome(&applied, "t1"), Some(RowOutcome::Deleted));
        let Some(Stopped::Worse(why)) = &applied.stopped else { panic!("{applied:?}") };
        let why = why.to_string();
        assert!(why.starts_with("tool:combined was pushed during this run and needs sha256:"), "{why}");
        assert!(!server.world().is_pullable("tool", "combined"));
    }
}

#[test]
fn race_5_another_tag_of_the_same_digest_stays() {
    for profile in BOTH {
        let mut is_done = false;
        let (server, _, applied, _) = play(world(profile), default_policy, move |world, ask| {
            if is_deletion_of(ask, "t1") && !std::mem::replace(&mut is_done, true) {
                world.push_image("tool", Some("stable"), "tool 1");
                world.push_index("app", &["stable"], &["amd64 1", "arm64 1"]);
            }
            None
        });
        assert_eq!(outcome(&applied, "t1"), Some(RowOutcome::Deleted));
        assert_eq!(whole_tags(&server), ["b3", "b4", "stable", "stable", "t3", "t4"]);
    }
}
