//! The output of dry runs, repairs, undos and purges, as text and JSON.

use std::path::Path;

use registry_fixtures::TreeBuilder;

use crate::support::{fsck, mask_snapshots, run};

use super::{differences, repair, repairable_tree, tree_state, undo};

/// Output with names in the place of the journal, and of the quarantine, which is named after the time.
fn mask_names(stdout: &str, journal: &Path) -> String {
    let text = stdout.replace(&*journal.to_string_lossy(), "JOURNAL");
    let mut out = String::new();
    for part in text.split_inclusive(".registry-fsck/") {
        let is_stamp =
            |text: &str| text.len() >= 16 && text.as_bytes()[8] == b'T' && text.as_bytes()[15] == b'Z';
        if is_stamp(part) {
            out.push_str("TIME");
            out.push_str(&part[16..]);
        } else {
            out.push_str(part);
        }
    }
    out
}

#[test]
fn dry_run_prints_steps_and_changes_nothing() {
    let tree = repairable_tree();
    let _masked = mask_snapshots(tree.root());
    let before = tree_state(tree.root());
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let ran = repair(tree.root(), &journal, &[]);
    assert_eq!((ran.status, &*ran.err), (4, ""));
    insta::assert_snapshot!(ran.out, @"
    would quarantine web:1: layer sha256:7aaa6cae350b is damaged: 0 bytes instead of 100, and they hash wrong
        blobs/sha256/7a/7aaa6cae350b…
    would relink team/app:v1: linux/arm64 has lost its revision link; its bytes are here
        repositories/team/app/_manifests/revisions/sha256/6e03a9d40794…/link
    would relink team/app:v1: linux/amd64 has lost its revision link; its bytes are here
        repositories/team/app/_manifests/revisions/sha256/c4d865ab6ef5…/link
    would unlink web: no manifest here needs this layer link
        repositories/web/_layers/sha256/39e532f70558…
    stays blob-missing web:1: layer sha256:7aaa6cae350b is gone: its layer link is here, its bytes are not
    nothing was changed: --apply does it
    registry-fsck repair: steps=4 left=1 errors_before=3 broken_tags_before=2 unread=0 exit_status=4 seconds=…
    ");
    assert_eq!(differences(&before, &tree_state(tree.root())), [""; 0]);
    assert!(!journal.exists());
}

#[test]
fn repair_is_undone_and_its_quarantine_purged() {
    let tree = repairable_tree();
    let _masked = mask_snapshots(tree.root());
    let before = tree_state(tree.root());
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let ran = repair(tree.root(), &journal, &["--apply"]);
    assert_eq!((ran.status, &*ran.err), (5, ""));
    insta::assert_snapshot!(mask_names(&ran.out, &journal), @"
    done quarantine web:1: layer sha256:7aaa6cae350b is damaged: 0 bytes instead of 100, and they hash wrong
        blobs/sha256/7a/7aaa6cae350b…
    done relink team/app:v1: linux/arm64 has lost its revision link; its bytes are here
        repositories/team/app/_manifests/revisions/sha256/6e03a9d40794…/link
    done relink team/app:v1: linux/amd64 has lost its revision link; its bytes are here
        repositories/team/app/_manifests/revisions/sha256/c4d865ab6ef5…/link
    done unlink web: no manifest here needs this layer link
        repositories/web/_layers/sha256/39e532f70558…
    stays blob-missing web:1: layer sha256:7aaa6cae350b is gone: its layer link is here, its bytes are not
    moved aside to ROOT/.registry-fsck/TIME
    `registry-fsck undo JOURNAL` takes it back
    registry-fsck repair: steps=4 done=4 there=0 spared=0 refused=0 failed=0 left=1 errors_before=3 broken_tags_before=2 errors_after=1 broken_tags_after=1 unread=0 exit_status=5 seconds=…
    ");
    let again = repair(tree.root(), &journal, &["--apply"]);
    assert_eq!(again.status, 4, "nothing is left to do: {}", again.out);

    let undone = undo(&journal);
    assert_eq!(undone.status, 0);
    insta::assert_snapshot!(undone.out, @"registry-fsck undo: changes=5 restored=5 there=0 left=0 not_undone=0 exit_status=0");
    assert_eq!(differences(&before, &tree_state(tree.root())), [""; 0]);
    let twice = undo(&journal);
    assert_eq!(twice.status, 0);
    insta::assert_snapshot!(twice.out, @"registry-fsck undo: changes=5 restored=0 there=5 left=0 not_undone=0 exit_status=0");
    // A repair never overwrites a journal, and without a journal it changes nothing.
    let refused = repair(tree.root(), &journal, &["--apply"]);
    assert_eq!(refused.status, 8);
    insta::assert_snapshot!(mask_names(&refused.err, &journal), @"ERROR cannot write the journal JOURNAL, so nothing is changed: File exists (os error 17)");
    assert_eq!(differences(&before, &tree_state(tree.root())), [""; 0]);

    let second = folder.path().join("second");
    let quarantine = folder.path().join("aside");
    let options = ["--apply", "--quarantine", quarantine.to_str().unwrap(), "--quiet"];
    assert_eq!(repair(tree.root(), &second, &options).status, 5);
    let purge = |options: &[&str]| {
        let ran = run(fsck().args(["repair", "--purge"]).arg(&quarantine).args(options));
        (ran.status, ran.out.replace(&*quarantine.to_string_lossy(), "QUARANTINE"))
    };
    let planned = purge(&[]);
    insta::assert_debug_snapshot!(planned, @r#"
    (
        0,
        "QUARANTINE holds 2 files, 71 B; --apply deletes it for good\n",
    )
    "#);
    let purged = purge(&["--apply"]);
    insta::assert_debug_snapshot!(purged, @r#"
    (
        0,
        "deleted QUARANTINE for good: 2 files, 71 B\n",
    )
    "#);
    assert!(!quarantine.exists());
    let undone = undo(&second);
    assert_eq!(undone.status, 8);
    insta::assert_snapshot!(undone.out, @"
    not undone repositories/web/_layers/sha256/39e532f70558…: it is neither here nor in the quarantine: it was purged, or this is another tree
    not undone blobs/sha256/7a/7aaa6cae350b…: it is neither here nor in the quarantine: it was purged, or this is another tree
    registry-fsck undo: changes=5 restored=2 there=1 left=0 not_undone=2 exit_status=8
    ");
}

#[test]
fn repair_prints_json_report() {
    let tree = repairable_tree();
    let _masked = mask_snapshots(tree.root());
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let ran = repair(tree.root(), &journal, &["--apply", "--output", "json", "--only", "child-link-missing"]);
    assert_eq!(ran.status, 5);
    insta::assert_snapshot!(mask_names(&ran.out, &journal), @r#"
    {
      "schema": "registry-fsck/repair/1",
      "command": "repair",
      "version": "0.1.0",
      "started_at": …,
      "duration_seconds": …,
      "exit_status": 5,
      "options": {
        "apply": true,
        "content": false,
        "strict": false,
        "min_age_seconds": 3600,
        "online": false,
        "only": [
          "child-link-missing"
        ]
      },
      "source": "ROOT",
      "steps": [
        {
          "action": "relink",
          "path": "repositories/team/app/_manifests/revisions/sha256/6e03a9d40794…/link",
          "repository": "team/app",
          "digest": "sha256:6e03a9d40794…",
          "bytes": 0,
          "code": "child-link-missing",
          "tags": [
            "v1"
          ],
          "message": "linux/arm64 has lost its revision link; its bytes are here",
          "outcome": "done"
        },
        {
          "action": "relink",
          "path": "repositories/team/app/_manifests/revisions/sha256/c4d865ab6ef5…/link",
          "repository": "team/app",
          "digest": "sha256:c4d865ab6ef5…",
          "bytes": 0,
          "code": "child-link-missing",
          "tags": [
            "v1"
          ],
          "message": "linux/amd64 has lost its revision link; its bytes are here",
          "outcome": "done"
        }
      ],
      "left": [
        {
          "code": "blob-size-mismatch",
          "severity": "error",
          "source": "ROOT",
          "repository": "web",
          "tags": [
            "1"
          ],
          "digest": "sha256:7aaa6cae350b…",
          "parent": "sha256:fab89dfc1071…",
          "path": "blobs/sha256/7a/7aaa6cae350b…/data",
          "message": "layer sha256:7aaa6cae350b is damaged: 0 bytes instead of 100, and they hash wrong",
          "repair": "quarantine",
          "why": "left out by --only"
        }
      ],
      "unread": [],
      "journal": "JOURNAL",
      "after": {
        "errors": 1,
        "broken_tags": 1,
        "unknown_tags": 0
      },
      "summary": {
        "steps": 2,
        "done": 2,
        "there": 0,
        "spared": 0,
        "refused": 0,
        "failed": 0,
        "links": 2,
        "bytes_aside": 0,
        "bytes_fetched": 0,
        "before": {
          "errors": 3,
          "broken_tags": 2,
          "unknown_tags": 0
        }
      }
    }
    "#);
    let report: registry_core::repair::RepairReport = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(serde_json::to_value(&report).unwrap(), ran.json());
}

#[test]
fn only_and_repository_options_limit_repair() {
    let tree = repairable_tree();
    let steps = |options: &[&str]| {
        let ran = run(fsck().args(["repair", "--output", "json"]).arg(tree.root()).args(options));
        let steps = ran.json()["steps"].as_array().unwrap().clone();
        steps.iter().map(|step| format!("{} {}", step["action"], step["code"])).collect::<Vec<_>>()
    };
    assert_eq!(steps(&["--only", "blob-size-mismatch"]), [r#""quarantine" "blob-size-mismatch""#]);
    assert_eq!(steps(&["--repository", "team/*"]), [r#""relink" "child-link-missing""#; 2]);
    assert_eq!(steps(&["--repository", "none"]), [""; 0]);
}

#[test]
fn metrics_count_failures_after_repair() {
    let tree = repairable_tree();
    let folder = tempfile::tempdir().unwrap();
    let metrics = folder.path().join("metrics");
    let options = ["--apply", "--metrics-file", metrics.to_str().unwrap()];
    assert_eq!(repair(tree.root(), &folder.path().join("journal"), &options).status, 5);
    let text = std::fs::read_to_string(&metrics).unwrap();
    assert!(
        text.contains("registry_manifest_integrity_failures{instance=") && text.contains("} 1\n"),
        "{text}"
    );
}

// https://github.com/distribution/distribution/issues/2374
#[test]
fn empty_scheduler_state_is_reset() {
    let mut tree = TreeBuilder::new();
    let image = tree.image("app", Some("v1"), "app");
    // A missing layer is no damage while the tree is known as a cache.
    tree.break_blob_missing(&image.layers[0]).break_scheduler_state("");
    let _masked = mask_snapshots(tree.root());
    let before = tree_state(tree.root());
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let filtered = repair(tree.root(), &journal, &["--apply", "--repository", "app"]);
    assert_eq!(
        (filtered.status, filtered.out.contains("left out by --repository")),
        (4, true),
        "{filtered:?}"
    );
    // The v2 folder names the same registry.
    let ran = repair(&tree.v2(), &journal, &["--apply"]);
    assert_eq!((ran.status, &*ran.err), (1, ""));
    insta::assert_snapshot!(mask_names(&ran.out, &journal), @"
    done reset scheduler-state.json is empty (0 bytes): a registry that is a pull-through cache does not start; move it away and write {} in its place
        ../../../scheduler-state.json
    moved aside to ROOT/.registry-fsck/TIME
    `registry-fsck undo JOURNAL` takes it back
    registry-fsck repair: steps=1 done=1 there=0 spared=0 refused=0 failed=0 left=0 errors_before=1 broken_tags_before=0 errors_after=0 broken_tags_after=0 unread=0 exit_status=1 seconds=…
    ");
    assert_eq!(std::fs::read(tree.root().join("scheduler-state.json")).unwrap(), b"{}");
    let undone = undo(&journal);
    assert_eq!((undone.status, &*undone.err), (0, ""));
    assert_eq!(differences(&before, &tree_state(tree.root())), [""; 0]);
}
