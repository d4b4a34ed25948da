//! The fields of the JSON report, which scripts rely on.

mod order;

use std::collections::BTreeSet;

use registry_fixtures::{TreeBuilder, trees};
use serde_json::{Value, json};

use crate::support::{damaged_tree, fsck, mask_snapshots, run, scan_json};

/// An object has all `required` keys, and no others than these and the `optional` ones.
fn assert_keys(value: &Value, required: &str, optional: &str) {
    let required: BTreeSet<_> = required.split_whitespace().collect();
    let optional: BTreeSet<_> = optional.split_whitespace().collect();
    let known = &required | &optional;
    let found: BTreeSet<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert!(required.is_subset(&found), "{:?} is missing in {value}", required.difference(&found));
    assert!(found.is_subset(&known), "{:?} is not documented: {value}", found.difference(&known));
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(map) => map.values().any(has_null),
        _ => false,
    }
}

#[test]
fn report_has_documented_fields() {
    let tree = damaged_tree();
    let report = scan_json(tree.root(), &[]).json();
    let top = "schema command version started_at duration_seconds exit_status options sources findings broken_tags \
               unknown_tags unread coverage summary";
    assert_keys(&report, top, "garbage");
    assert_keys(&report["options"], "content strict min_age_seconds", "");
    for source in report["sources"].as_array().unwrap() {
        let fields = "kind name role complete repositories tags manifests indexes layer_links blobs blob_bytes uploads";
        assert_keys(source, fields, "");
    }
    for finding in report["findings"].as_array().unwrap() {
        let optional = "repository tags digest parent platform path repair";
        assert_keys(finding, "code severity source message", optional);
        assert!(finding.get("tags").is_none_or(|tags| tags != &json!([])), "{finding}");
    }
    for tag in report["broken_tags"].as_array().unwrap() {
        assert_keys(tag, "source repository tag findings", "");
    }
    for tag in report["unknown_tags"].as_array().unwrap() {
        assert_keys(tag, "source repository tag reason", "");
    }
    for unread in report["unread"].as_array().unwrap() {
        assert_keys(unread, "source path error", "");
    }
    assert_keys(&report["coverage"], "tags_total tags_checked", "");
    assert_keys(&report["summary"], "errors warnings infos broken_tags unknown_tags resolved", "");
    assert!(!has_null(&report));
    assert_eq!(report["schema"], "registry-fsck/report/1");
    assert_eq!(report["command"], "scan");
}

#[test]
fn garbage_has_documented_fields_and_is_absent_when_unknown() {
    let tree = TreeBuilder::new();
    let report = scan_json(tree.root(), &[]).json();
    let garbage = &report["garbage"];
    assert_keys(garbage, "unreferenced untagged layer_links stale_uploads stale_upload_bytes", "");
    assert_keys(&garbage["unreferenced"], "blobs bytes", "");
    assert_keys(&garbage["untagged"], "manifests blobs bytes", "");
    let filtered = scan_json(tree.root(), &["--repository", "*"]).json();
    assert!(filtered.get("garbage").is_none());
    assert_eq!(filtered["options"]["repositories"], json!(["*"]));
}

#[test]
fn baseline_fields_are_absent_without_baseline() {
    let tree = damaged_tree();
    let first = scan_json(tree.root(), &[]);
    let file = tree.root().join("baseline.json");
    std::fs::write(&file, &first.out).unwrap();
    let report = scan_json(tree.root(), &["--baseline", file.to_str().unwrap()]).json();
    assert_eq!(report["resolved"], json!([]));
    for finding in report["findings"].as_array().unwrap() {
        assert_eq!(finding["new"], false, "{finding}");
    }
    assert!(report.get("ignored").is_none() && first.json().get("resolved").is_none());
}

#[test]
fn report_contains_options() {
    let tree = TreeBuilder::new();
    let options =
        ["--content", "--strict", "--min-age", "1h 30m", "--repository", "team/*", "--repository", "a?"];
    let more =
        ["--sparse", "*-sparse", "--require-platform", "linux/arm64", "--require-platform", "linux/arm/v7"];
    let report = scan_json(tree.root(), &[&options[..], &more[..]].concat()).json();
    insta::assert_json_snapshot!(report["options"], @r#"
    {
      "content": true,
      "min_age_seconds": 5400,
      "repositories": [
        "team/*",
        "a?"
      ],
      "require_platforms": [
        "linux/arm64",
        "linux/arm/v7"
      ],
      "sparse": [
        "*-sparse"
      ],
      "strict": true
    }
    "#);
    let seconds = |text: &str| {
        scan_json(tree.root(), &["--min-age", text]).json()["options"]["min_age_seconds"].clone()
    };
    assert_eq!(["0s", "2d", "1h"].map(seconds), [0, 172_800, 3600]);
}

#[test]
fn scan_prints_json_report() {
    let root = trees::real_tree_with_lost_children();
    let _masked = mask_snapshots(&root);
    let report = scan_json(&root, &[]);
    insta::assert_snapshot!(report.out, @r#"
    {
      "schema": "registry-fsck/report/1",
      "command": "scan",
      "version": "0.1.0",
      "started_at": …,
      "duration_seconds": …,
      "exit_status": 4,
      "options": {
        "content": false,
        "strict": false,
        "min_age_seconds": 3600
      },
      "sources": [
        {
          "kind": "tree",
          "name": "ROOT",
          "role": "primary",
          "complete": true,
          "repositories": 3,
          "tags": 3,
          "manifests": 3,
          "indexes": 1,
          "layer_links": 8,
          "blobs": 7,
          "blob_bytes": 1619,
          "uploads": 0
        }
      ],
      "findings": [
        {
          "code": "child-link-missing",
          "severity": "error",
          "source": "ROOT",
          "repository": "main",
          "tags": [
            "x"
          ],
          "digest": "sha256:67362463ba94…",
          "parent": "sha256:6ce99f75e712…",
          "platform": "linux/amd64",
          "path": "repositories/main/_manifests/revisions/sha256/67362463ba94…/link",
          "message": "linux/amd64 has lost its revision link; its bytes are here",
          "repair": "relink"
        },
        {
          "code": "child-link-missing",
          "severity": "error",
          "source": "ROOT",
          "repository": "main",
          "tags": [
            "x"
          ],
          "digest": "sha256:f33fa92d19aa…",
          "parent": "sha256:6ce99f75e712…",
          "platform": "linux/arm64",
          "path": "repositories/main/_manifests/revisions/sha256/f33fa92d19aa…/link",
          "message": "linux/arm64 has lost its revision link; its bytes are here",
          "repair": "relink"
        }
      ],
      "broken_tags": [
        {
          "source": "ROOT",
          "repository": "main",
          "tag": "x",
          "findings": [
            0,
            1
          ]
        }
      ],
      "unknown_tags": [],
      "unread": [],
      "garbage": {
        "unreferenced": {
          "blobs": 0,
          "bytes": 0
        },
        "untagged": {
          "manifests": 0,
          "blobs": 0,
          "bytes": 0
        },
        "layer_links": 0,
        "stale_uploads": 0,
        "stale_upload_bytes": 0
      },
      "coverage": {
        "tags_total": 3,
        "tags_checked": 3
      },
      "summary": {
        "errors": 2,
        "warnings": 0,
        "infos": 0,
        "broken_tags": 1,
        "unknown_tags": 0,
        "resolved": 0
      }
    }
    "#);
}

#[test]
fn unopenable_root_is_in_report() {
    let ran = run(fsck().args(["scan", "--output", "json", "/nonexistent/registry"]));
    let report = ran.json();
    assert_eq!((ran.status, &report["exit_status"]), (8, &json!(8)));
    assert_eq!(report["unread"][0]["source"], "/nonexistent/registry");
    assert!(report.get("garbage").is_none() && report["sources"] == json!([]));
}
