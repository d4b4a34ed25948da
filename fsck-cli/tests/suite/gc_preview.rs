//! `gc-preview`: its text, JSON and exit statuses.

use std::path::Path;

use registry_fixtures::TreeBuilder;

use crate::support::{OLD, ProgramOutput, fsck, mask_snapshots, run};

fn preview(root: &Path, options: &[&str]) -> ProgramOutput {
    run(fsck().arg("gc-preview").arg(root).args(options))
}

/// An index with a child that has lost its link, a whole index, and an unreferenced blob.
fn tree_with_lost_child() -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    let index = tree.multi_platform("team/app", Some("v1"), &["linux/amd64", "linux/arm64"]);
    tree.multi_platform("whole", Some("1"), &["linux/s390x"]);
    tree.blob(b"nobody needs this");
    tree.break_revision_link_missing("team/app", &index.images[0].digest);
    tree.age_all(OLD);
    tree
}

#[test]
fn losses_are_printed_first() {
    let tree = tree_with_lost_child();
    let _masked = mask_snapshots(tree.root());
    let ran = preview(tree.root(), &[]);
    assert_eq!((ran.status, &*ran.err), (4, ""));
    insta::assert_snapshot!(ran.out, @"
    loses team/app:v1: child-link-missing can be mended now, and needs 3 blobs (481 B) that would be gone
    `registry-fsck repair` mends what would be lost, or says what is for you to decide: run it before the collector
    garbage-collect of registry 2.8 deletes 0 manifests, 4 blobs (498 B), 0 entries of tag histories
    registry-fsck gc-preview: breaks=0 loses=1 aborts=0 manifests=0 blobs=4 bytes=498 layer_links=0 unread=0 exit_status=4 seconds=…
    ");
    let untagged = preview(tree.root(), &["--delete-untagged"]);
    assert_eq!(untagged.status, 4);
    insta::assert_snapshot!(untagged.out, @"
    breaks whole:1, which is whole now
    loses team/app:v1: child-link-missing can be mended now, and needs 3 blobs (481 B) that would be gone
    `registry-fsck repair` mends what would be lost, or says what is for you to decide: run it before the collector
    garbage-collect --delete-untagged of registry 2.8 deletes 5 manifests, 16 blobs (2.30 KiB), 0 entries of tag histories
    registry-fsck gc-preview: breaks=1 loses=1 aborts=0 manifests=5 blobs=16 bytes=2359 layer_links=0 unread=0 exit_status=4 seconds=…
    ");
    let quiet = preview(tree.root(), &["--quiet", "--engine", "3"]);
    insta::assert_snapshot!(quiet.out, @"registry-fsck gc-preview: breaks=0 loses=1 aborts=0 manifests=0 blobs=4 bytes=498 layer_links=3 unread=0 exit_status=4 seconds=…");
}

#[test]
fn collection_without_losses_exits_0() {
    let mut tree = TreeBuilder::new();
    tree.multi_platform("app", Some("v1"), &["linux/amd64"]);
    tree.blob(b"nobody needs this");
    tree.age_all(OLD);
    let ran = preview(tree.root(), &["-v"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.out.contains("deletes 0 manifests, 1 blob (17 B)"), "{}", ran.out);
    assert_eq!(preview(tree.root(), &["--engine", "3", "--delete-untagged"]).status, 0);
    // This option makes 2.8 delete the children of every index.
    assert_eq!(preview(tree.root(), &["--delete-untagged"]).status, 4);
}

#[test]
fn collector_that_aborts_exits_4() {
    let mut tree = TreeBuilder::new();
    tree.image("app", Some("v1"), "v1");
    tree.break_stray_data();
    let _masked = mask_snapshots(tree.root());
    let ran = preview(tree.root(), &[]);
    assert_eq!(ran.status, 4);
    insta::assert_snapshot!(ran.out, @"
    The collector stops in the middle of deleting: a data file whose path names no digest (blobs/data)
    garbage-collect of registry 2.8 deletes 0 manifests, 0 blobs (0 B), 0 entries of tag histories
    registry-fsck gc-preview: breaks=0 loses=0 aborts=1 manifests=0 blobs=0 bytes=0 layer_links=0 unread=0 exit_status=4 seconds=…
    ");
}

#[test]
fn unread_path_exits_8() {
    let mut tree = TreeBuilder::new();
    let image = tree.image("app", Some("v1"), "v1");
    let link = tree.revision_link("app", &image.digest);
    tree.break_moved_behind_symlink(&link);
    let ran = preview(tree.root(), &[]);
    assert_eq!(ran.status & 8, 8, "{ran:?}");
    assert!(ran.out.contains("cannot be relied on"), "{}", ran.out);
}

#[test]
fn gc_preview_prints_json_report() {
    let tree = tree_with_lost_child();
    let _masked = mask_snapshots(tree.root());
    let ran = preview(tree.root(), &["--output", "json"]);
    insta::assert_snapshot!(ran.out, @r#"
    {
      "schema": "registry-fsck/gc-preview/1",
      "command": "gc-preview",
      "version": "0.1.0",
      "started_at": …,
      "duration_seconds": …,
      "exit_status": 4,
      "engine": "2.8",
      "delete_untagged": false,
      "manifests": [],
      "blobs": [
        {
          "source": "ROOT",
          "digest": "sha256:52c04b39d6f9…",
          "bytes": 17
        },
        {
          "source": "ROOT",
          "digest": "sha256:9ab986d7b3af…",
          "bytes": 280
        },
        {
          "source": "ROOT",
          "digest": "sha256:c574576a532a…",
          "bytes": 100
        },
        {
          "source": "ROOT",
          "digest": "sha256:cb99b1bf2cd2…",
          "bytes": 101
        }
      ],
      "layer_links": [],
      "breaks": [],
      "loses": [
        {
          "source": "ROOT",
          "repository": "team/app",
          "tags": [
            "v1"
          ],
          "digest": "sha256:c4d865ab6ef5…",
          "code": "child-link-missing",
          "needs": [
            "sha256:9ab986d7b3af…",
            "sha256:c574576a532a…",
            "sha256:cb99b1bf2cd2…"
          ],
          "bytes": 481
        }
      ],
      "unread": [],
      "summary": {
        "manifests": 0,
        "blobs": 4,
        "bytes": 498,
        "layer_links": 0,
        "history_entries": 0,
        "breaks": 0,
        "loses": 1
      }
    }
    "#);
    let report: registry_core::collector::ForecastReport = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(serde_json::to_value(&report).unwrap(), ran.json());
    let completed = preview(tree.root(), &["--output", "json", "--engine", "3"]);
    assert!(completed.json().get("would_abort").is_none());
}

#[test]
fn inapplicable_options_are_refused() {
    let tree = tree_with_lost_child();
    let refusal = |options: &[&str]| {
        let ran = preview(tree.root(), options);
        format!("{} {}", ran.status, ran.err.trim())
    };
    insta::assert_snapshot!(refusal(&["--repository", "a"]), @"16 ERROR --repository cannot go with gc-preview: a collector goes through all repositories, and what one needs keeps another's blobs");
    insta::assert_snapshot!(refusal(&["--metrics-file", "/tmp/x"]), @"16 ERROR gc-preview writes no metrics: those of scan tell of the same registry");
}
