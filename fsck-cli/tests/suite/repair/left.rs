//! What a repair leaves and reports: findings that options leave out, strays that no journal can name, moves that are refused.

use crate::support::{OLD, mask_snapshots};

use super::at_work::FakeRegistry;
use super::{repair, repairable_tree};

/// The output of a repair without its steps.
fn without_steps(stdout: &str) -> String {
    let is_step =
        |line: &str| ["would ", "done ", "refused ", "    "].iter().any(|word| line.starts_with(word));
    stdout.lines().filter(|line| !is_step(line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn filtered_findings_are_reported_as_left_out() {
    let tree = repairable_tree();
    let _masked = mask_snapshots(tree.root());
    let folder = tempfile::tempdir().unwrap();
    let ran = repair(tree.root(), &folder.path().join("journal"), &["--repository", "team/*"]);
    insta::assert_snapshot!(without_steps(&ran.out), @"
    stays blob-size-mismatch web:1: layer sha256:7aaa6cae350b is damaged: 0 bytes instead of 100, and they hash wrong; left out by --repository
    nothing was changed: --apply does it
    registry-fsck repair: steps=2 left=1 errors_before=3 broken_tags_before=2 unread=0 exit_status=4 seconds=…
    ");
    let ran = repair(tree.root(), &folder.path().join("journal"), &["--only", "upload-stale"]);
    insta::assert_snapshot!(without_steps(&ran.out), @"
    what could be mended is left out by --only or --repository
    stays child-link-missing team/app:v1: linux/arm64 has lost its revision link; its bytes are here; left out by --only
    stays child-link-missing team/app:v1: linux/amd64 has lost its revision link; its bytes are here; left out by --only
    stays blob-size-mismatch web:1: layer sha256:7aaa6cae350b is damaged: 0 bytes instead of 100, and they hash wrong; left out by --only
    registry-fsck repair: steps=0 left=3 errors_before=3 broken_tags_before=2 unread=0 exit_status=4 seconds=…
    ");
}

#[test]
fn unmatched_repository_glob_exits_20() {
    let tree = repairable_tree();
    let _masked = mask_snapshots(tree.root());
    let folder = tempfile::tempdir().unwrap();
    for options in [&["--repository", "nosuch"][..], &["--repository", "nosuch", "--apply"]] {
        let ran = repair(tree.root(), &folder.path().join("journal"), options);
        assert_eq!(ran.status, 20, "{ran:?}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(ran.err, @"ERROR ROOT: no repository matches --repository");
        }
    }
    assert!(!folder.path().join("journal").exists());
}

#[test]
fn remaining_strays_are_reported_with_path_and_reason() {
    let mut tree = repairable_tree();
    std::fs::write(tree.repositories().join("team/stray.txt"), "").unwrap();
    tree.break_stray_tag_name("web", "a\tb");
    tree.age_all(OLD);
    let _masked = mask_snapshots(tree.root());
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let strays = |options: &[&str]| {
        let ran = repair(tree.root(), &journal, options);
        let lines: Vec<_> = ran.out.lines().filter(|line| line.starts_with("stays path-")).collect();
        lines.join("\n")
    };
    insta::assert_snapshot!(strays(&[]), @r"stays path-unexpected repositories/web/_manifests/tags/a\tb: no legal tag name, although the server lists it as a tag; its name has control characters, a backslash, or is no UTF-8, so no journal can tell it: move it by hand");
    insta::assert_snapshot!(strays(&["--only", "child-link-missing"]), @r"
    stays path-unexpected repositories/team/stray.txt: a file among repositories; left out by --only
    stays path-unexpected repositories/web/_manifests/tags/a\tb: no legal tag name, although the server lists it as a tag; left out by --only
    ");
    let report = repair(tree.root(), &journal, &["--output", "json"]).json();
    let left = report["left"].as_array().unwrap();
    let stray = left.iter().find(|left| left["code"] == "path-unexpected").unwrap();
    insta::assert_snapshot!(stray["why"].as_str().unwrap(), @"its name has control characters, a backslash, or is no UTF-8, so no journal can tell it: move it by hand");
}

#[test]
fn repair_without_moves_names_no_quarantine_and_no_undo() {
    let tree = repairable_tree();
    let _masked = mask_snapshots(tree.root());
    let folder = tempfile::tempdir().unwrap();
    let _server = FakeRegistry::start(tree.root(), folder.path(), "serve", "");
    let journal = folder.path().join("journal");
    let options = ["--apply", "--only", "blob-size-mismatch", "--only", "layer-link-unreferenced"];
    let ran = repair(tree.root(), &journal, &options);
    let lines: Vec<_> = ran.out.lines().skip(1).filter(|line| !line.contains("process")).collect();
    insta::assert_snapshot!(without_steps(&lines.join("\n")), @"
    stays child-link-missing team/app:v1: linux/arm64 has lost its revision link; its bytes are here; left out by --only
    stays child-link-missing team/app:v1: linux/amd64 has lost its revision link; its bytes are here; left out by --only
    stays blob-missing web:1: layer sha256:7aaa6cae350b is gone: its layer link is here, its bytes are not
    registry-fsck repair: steps=2 done=0 there=0 spared=0 refused=2 failed=0 left=3 errors_before=3 broken_tags_before=2 errors_after=3 broken_tags_after=2 unread=0 exit_status=4 seconds=…
    ");
    let ran =
        repair(tree.root(), &folder.path().join("second"), &[&options[..], &["--output", "json"]].concat());
    assert_eq!(ran.json().get("quarantine"), None);
    assert!(!tree.root().join(".registry-fsck").exists());
}
