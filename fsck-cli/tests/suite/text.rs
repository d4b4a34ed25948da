//! The text report.

use registry_fixtures::{Digest, ImageSpec, TreeBuilder, layer_bytes, trees};

use crate::support::{OLD, damaged_tree, fsck, mask_snapshots, run, scan, scan_json};

/// 500 tags of 500 images that share one layer, whose bytes are missing.
fn tree_with_shared_damage() -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    let base = tree.layer("big", &layer_bytes("base", 1000));
    for number in 0..500 {
        let spec =
            ImageSpec { shared: vec![base.clone()], layers: 1, ..ImageSpec::oci(&format!("big{number}")) };
        tree.image_with("big", Some(&format!("v{number:03}")), &spec);
    }
    tree.break_blob_missing(&base).age_all(OLD);
    tree
}

#[test]
fn scan_prints_report_of_carried_tree() {
    let root = trees::real_tree_with_lost_children();
    let _masked = mask_snapshots(&root);
    insta::assert_snapshot!(scan(&root, &[]).out, @"
    Run no garbage collector before the missing links are mended: it deletes the bytes they lead to.
    main:x cannot be pulled:
      linux/amd64 has lost its revision link; its bytes are here, repairable [child-link-missing]
      linux/arm64 has lost its revision link; its bytes are here, repairable [child-link-missing]
    garbage: none
    looked at ROOT (primary): 3 repositories, 3 tags, 3 manifests of which 1 index, 8 layer links, 7 blobs (1.58 KiB), 0 uploads
    `registry-fsck repair ROOT` says how it would mend what is repairable here, and does it with --apply.
    Never run garbage-collect --delete-untagged of registry 2.x on ROOT: it deletes the children of every tagged index.
    registry-fsck scan: broken_tags=1 unknown_tags=0 errors=2 warnings=0 infos=0 repairable=2 tags=3 unread=0 exit_status=4 seconds=…
    ");
}

#[test]
fn scan_prints_report_of_pristine_tree() {
    let root = trees::unpack(trees::PRISTINE);
    let _masked = mask_snapshots(root.path());
    insta::assert_snapshot!(scan(root.path(), &["--content", "--strict"]).out, @"
    warning referrer-untagged: art/subject: referrer of sha256:bab250d4f5fd that no tag and no index names: every untagged collection deletes it
    info layer-link-unreferenced: half/pushed: 1 layer link that no manifest needs
    info manifest-untagged: app/single: 2 manifests that no tag reaches: only an untagged collection frees them
    info blob-unreferenced: blobs: 1 blob that no manifest references, 111 bytes: a plain collection frees it
    garbage: 111 B in 1 blob that a plain collection frees; 1.27 KiB more in 6 blobs under 2 untagged manifests that only an untagged one frees
    leftovers: 1 layer link that nothing needs, 0 stale uploads (0 B)
    looked at ROOT (primary): 15 repositories, 17 tags, 32 manifests of which 8 indexes, 49 layer links, 78 blobs (18.99 KiB), 1 upload
    Never run garbage-collect --delete-untagged of registry 2.x on ROOT: it deletes the children of every tagged index.
    registry-fsck scan: broken_tags=0 unknown_tags=0 errors=0 warnings=1 infos=3 repairable=0 tags=17 unread=0 exit_status=0 seconds=…
    ");
}

#[test]
fn scan_prints_report_of_pull_through_cache() {
    let root = trees::unpack(trees::PULL_THROUGH);
    let _masked = mask_snapshots(root.path());
    insta::assert_snapshot!(scan(root.path(), &[]).out, @"
    warning gc-hazard: repositories: a pull-through cache with 2 repositories without _layers: a 2.x collector deletes what they hold, a 3.x one aborts
    garbage: none
    looked at ROOT (cache): 3 repositories, 3 tags, 4 manifests of which 2 indexes, 2 layer links, 6 blobs (2.67 KiB), 0 uploads
    Never run garbage-collect --delete-untagged of registry 2.x on ROOT: it deletes the children of every tagged index.
    registry-fsck scan: broken_tags=0 unknown_tags=0 errors=0 warnings=1 infos=0 repairable=0 tags=3 unread=0 exit_status=0 seconds=…
    ");
}

#[test]
fn scan_prints_report_of_many_damages() {
    let tree = damaged_tree();
    let _masked = mask_snapshots(tree.root());
    insta::assert_snapshot!(scan(tree.root(), &[]).out, @r#"
    Run no garbage collector before the missing links are mended: it deletes the bytes they lead to.
    legacy:1 cannot be pulled: the repository has no _layers folder, so no config and no layer is served; a 2.x collector takes every blob of this repository, a 3.x one aborts, repairable [layers-folder-missing]
    team/app (2 tags: stable, v1) cannot be pulled: linux/arm64 has lost its revision link; its bytes are here, repairable [child-link-missing]
    team/app:v2 cannot be pulled:
      layer sha256:58095ed7b11b has no layer link here; its bytes are here, repairable [layer-link-missing]
      config sha256:9b48691575b5 is gone: its layer link is here, its bytes are not [blob-missing]
    team/app:v4 cannot be pulled: its link is empty (0 bytes); its history has one entry that resolves, sha256:84c5219d558e…, repairable [tag-link-invalid]
    team/app:v5 cannot be pulled: its manifest is gone: neither a revision link nor its bytes are here [tag-target-missing]
    team/app:v6 cannot be pulled: a file stands in the place of its folder [tag-link-invalid]
    team/app:v7 cannot be pulled: its manifest has lost its revision link; its bytes are here, repairable [tag-target-unlinked]
    web:1 cannot be pulled:
      config sha256:9f3c8674ba0d is damaged: 0 bytes instead of 261, and they hash wrong [blob-size-mismatch]
        repair moves the wrong bytes aside; then push the image again
      layer sha256:beb8118001fb is damaged: 50 bytes instead of 101, and they hash wrong [blob-size-mismatch]
        repair moves the wrong bytes aside; then push the image again
    web:2 cannot be pulled:
      /layers/1/digest in manifest sha256:07d988b11cef: "no digest" is no digest: not of the form <algorithm>:<hex> [descriptor-invalid]
      /layers/0/size in manifest sha256:07d988b11cef says 101 bytes; sha256:28224ecb1660 has 100 and they are right [descriptor-size-mismatch]
    web:3 cannot be pulled: its manifest has bytes that do not hash to its digest [manifest-digest-mismatch]
        repair moves the wrong bytes aside; then push the image again
    web:4 cannot be pulled: its manifest is unreadable: not JSON: line 1, column 2 [manifest-unreadable]
        repair moves the wrong bytes aside; then push the image again
    sound:moved could not be judged: the tag's link could not be read
    error path-unread: sound: not read: a symbolic link (not followed)
        repositories/sound/_manifests/tags/moved/current/link
    warning path-unexpected: repositories/Upper: a registry refuses this repository name; its collector aborts on it
    warning path-unexpected: sound: no legal tag name, although the server lists it as a tag
        repositories/sound/_manifests/tags/.hidden
    info tag-history-dangling: team/app: 1 entry of tag histories that no longer resolve
    info upload-stale: sound: 1 upload older than 168 h, 12 bytes
    info blob-unreferenced: blobs: 1 blob that no manifest references, 17 bytes: a plain collection frees it
    garbage: 17 B in 1 blob that a plain collection frees; 0 B more in 0 blobs under 0 untagged manifests that only an untagged one frees
    leftovers: 0 layer links that nothing needs, 1 stale upload (12 B)
    looked at ROOT (primary, not read completely): 4 repositories, 15 tags, 14 manifests of which 1 index, 39 layer links, 59 blobs (14.23 KiB), 1 upload
    `registry-fsck repair ROOT` says how it would mend what is repairable here, and does it with --apply.
    Never run garbage-collect --delete-untagged of registry 2.x on ROOT: it deletes the children of every tagged index.
    registry-fsck scan: broken_tags=12 unknown_tags=1 errors=15 warnings=2 infos=3 repairable=5 tags=15 unread=1 exit_status=12 seconds=…
    "#);
}

#[test]
fn scan_prints_report_of_empty_registry() {
    let tree = TreeBuilder::new();
    let _masked = mask_snapshots(tree.root());
    insta::assert_snapshot!(scan(tree.root(), &[]).out, @"
    garbage: none
    looked at ROOT (primary): 0 repositories, 0 tags, 0 manifests of which 0 indexes, 0 layer links, 0 blobs (0 B), 0 uploads
    registry-fsck scan: broken_tags=0 unknown_tags=0 errors=0 warnings=0 infos=0 repairable=0 tags=0 unread=0 exit_status=0 seconds=…
    ");
}

#[test]
fn damage_shared_by_500_tags_is_one_line() {
    let tree = tree_with_shared_damage();
    let _masked = mask_snapshots(tree.root());
    let report = scan(tree.root(), &[]).out;
    insta::assert_snapshot!(report, @"
    big (500 tags: v000, v001, v002 and 497 more) cannot be pulled: layer sha256:941523caacab is gone: its layer link is here, its bytes are not [blob-missing]
    garbage: none
    looked at ROOT (primary): 1 repository, 500 tags, 500 manifests of which 0 indexes, 1001 layer links, 1500 blobs (448.62 KiB), 0 uploads
    registry-fsck scan: broken_tags=500 unknown_tags=0 errors=1 warnings=0 infos=0 repairable=0 tags=500 unread=0 exit_status=4 seconds=…
    ");
    assert!(report.len() < 2000, "{} bytes", report.len());
}

#[test]
fn verbose_report_names_every_tag() {
    let tree = tree_with_shared_damage();
    let report = scan(tree.root(), &["-v"]).out;
    for number in 0..500 {
        assert_eq!(report.matches(&format!("v{number:03}")).count(), 1, "v{number:03}");
    }
    assert_eq!(report.matches("[blob-missing]").count(), 1, "{report}");
}

#[test]
fn warnings_are_shortened_without_v() {
    let mut tree = TreeBuilder::new();
    tree.image("a", Some("v1"), "x");
    for number in 0..25 {
        tree.break_stray_tag_name("a", &format!("-stray{number:02}"));
    }
    tree.age_all(OLD);
    let lines = |options: &[&str]| scan(tree.root(), options).out.matches("stray").count();
    assert_eq!((lines(&[]), lines(&["-v"])), (10, 25));
    assert!(scan(tree.root(), &[]).out.contains("15 more (-v shows them)"));
}

#[test]
fn overlapping_groups_of_tags_have_a_line_each() {
    let mut tree = TreeBuilder::new();
    let (ab, bc) = (tree.layer("o", b"shared by a and b"), tree.layer("o", b"shared by b and c"));
    let mut push = |tag: &str, shared: &[&Digest]| {
        let shared = shared.iter().map(|layer| (*layer).clone()).collect();
        tree.image_with("o", Some(tag), &ImageSpec { shared, ..ImageSpec::oci(tag) })
    };
    let a = push("a", &[&ab]);
    push("b", &[&ab, &bc]);
    push("c", &[&bc]);
    tree.break_blob_missing(&ab).break_layer_link_missing("o", &bc).break_blob_truncated(&a.layers[0]);
    tree.age_all(OLD);
    let _masked = mask_snapshots(tree.root());
    insta::assert_snapshot!(scan(tree.root(), &[]).out, @"
    Run no garbage collector before the missing links are mended: it deletes the bytes they lead to.
    o:a cannot be pulled: layer sha256:3563bcccdbc8 is damaged: 50 bytes instead of 100, and they hash wrong [blob-size-mismatch]
        repair moves the wrong bytes aside; then push the image again
    o (2 tags: a, b) cannot be pulled: layer sha256:45a463fe2208 is gone: its layer link is here, its bytes are not [blob-missing]
    o (2 tags: b, c) cannot be pulled: layer sha256:9c3edfe27aa0 has no layer link here; its bytes are here, repairable [layer-link-missing]
    garbage: none
    looked at ROOT (primary): 1 repository, 3 tags, 3 manifests of which 0 indexes, 10 layer links, 13 blobs (3.83 KiB), 0 uploads
    `registry-fsck repair ROOT` says how it would mend what is repairable here, and does it with --apply.
    registry-fsck scan: broken_tags=3 unknown_tags=0 errors=3 warnings=0 infos=0 repairable=1 tags=3 unread=0 exit_status=4 seconds=…
    ");
}

#[test]
fn quiet_prints_one_line() {
    let tree = damaged_tree();
    let _masked = mask_snapshots(tree.root());
    insta::assert_snapshot!(scan(tree.root(), &["--quiet"]).out, @"registry-fsck scan: broken_tags=12 unknown_tags=1 errors=15 warnings=2 infos=3 repairable=5 tags=15 unread=1 exit_status=12 seconds=…");
}

#[test]
fn registries_below_one_folder_share_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let mut one = TreeBuilder::in_folder(&folder.path().join("one"));
    one.image("app", Some("v1"), "x");
    let mut two = TreeBuilder::in_folder(&folder.path().join("deep/er/two"));
    let image = two.image("app", Some("v1"), "y");
    two.break_blob_missing(&image.layers[0]);
    two.break_stray_data();
    std::fs::create_dir(folder.path().join("backup")).unwrap();
    one.age_all(OLD);
    two.age_all(OLD);
    let _masked = mask_snapshots(folder.path());
    insta::assert_snapshot!(scan(folder.path(), &[]).out, @"
    ROOT/deep/er/two: app:v1 cannot be pulled: layer sha256:21fae2eff4fa is gone: its layer link is here, its bytes are not [blob-missing]
    warning path-unexpected: ROOT/deep/er/two: blobs/data: a file among digest algorithms; a collector aborts on a data file there
    garbage: none
    looked at ROOT/deep/er/two (primary): 1 repository, 1 tag, 1 manifest of which 0 indexes, 3 layer links, 3 blobs (914 B), 0 uploads
    looked at ROOT/one (primary): 1 repository, 1 tag, 1 manifest of which 0 indexes, 3 layer links, 4 blobs (1014 B), 0 uploads
    registry-fsck scan: broken_tags=1 unknown_tags=0 errors=1 warnings=1 infos=0 repairable=0 tags=2 unread=0 exit_status=4 seconds=…
    ");
}

#[test]
fn colour_is_used_only_on_request() {
    let tree = damaged_tree();
    let plain = scan(tree.root(), &[]).out;
    let always = scan(tree.root(), &["--color", "always"]).out;
    assert!(!plain.contains('\u{1b}') && always.contains("\u{1b}[1m\u{1b}[31m"), "{always}");
    let without_time = |report: &str| report.rsplit_once(" seconds=").unwrap().0.to_owned();
    assert_eq!(without_time(&scan(tree.root(), &["--color", "never"]).out), without_time(&plain));
    let mut stripped = String::new();
    let mut rest = &*always;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        stripped.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    stripped.push_str(rest);
    assert_eq!(without_time(&stripped), without_time(&plain));
}

#[test]
fn color_option_overrides_environment() {
    let root = trees::real_tree_with_lost_children();
    let is_coloured = |name: &str, color: &str| {
        let mut command = fsck();
        command.env(name, "1").args(["scan", "--color", color]).arg(&root);
        run(&mut command).out.contains('\u{1b}')
    };
    assert!(is_coloured("NO_COLOR", "always") && !is_coloured("CLICOLOR_FORCE", "never"));
    assert!(!is_coloured("NO_COLOR", "auto") && is_coloured("CLICOLOR_FORCE", "auto"));
}

#[test]
fn json_is_never_coloured() {
    let report = scan_json(&trees::real_tree_with_lost_children(), &["--color", "always"]);
    assert!(!report.out.contains('\u{1b}') && report.json()["exit_status"] == 4);
}

#[test]
fn only_results_go_to_standard_output() {
    let ran = scan(&trees::real_tree_with_lost_children(), &[]);
    assert_eq!(ran.err, "");
    let ran =
        scan(&trees::real_tree_with_lost_children(), &["--progress", "always", "--repository", "nothing*"]);
    assert!(!ran.out.contains("files") && ran.err.contains("matches --repository"), "{ran:?}");
}

#[test]
fn json_log_has_one_object_per_line() {
    let ran =
        scan(&trees::real_tree_with_lost_children(), &["--log-format", "json", "--repository", "nothing*"]);
    let line: serde_json::Value = serde_json::from_str(ran.err.trim()).unwrap();
    assert_eq!(line["level"], "ERROR");
}
