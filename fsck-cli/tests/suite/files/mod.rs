//! Files that a scan reads or writes beside the tree.

mod baseline;
mod garbage;
mod ignore;
mod metrics;

use std::path::Path;

use registry_fixtures::{Digest, TreeBuilder};

use crate::support::{AuditReport as _, OLD, damaged_tree, fsck, run, scan_json};

/// Two damaged tags in `team/app`, one in `web`, some garbage.
fn broken_tree() -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    tree.image("team/app", Some("v1"), "v1");
    let two = tree.image("team/app", Some("v2"), "v2");
    tree.image("web", Some("v1"), "web");
    tree.image("web", None, "untagged");
    tree.blob(b"garbage");
    tree.break_tag_target("team/app", "v1");
    tree.break_blob_missing(&two.config);
    tree.break_revision_link_missing("web", &Digest::from_text(read_link(&tree.tag_link("web", "v1"))));
    tree.age_all(OLD);
    tree
}

fn read_link(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Writes a file into the root of a tree; returns its path.
fn write_file(tree: &TreeBuilder, name: &str, text: &str) -> String {
    let path = tree.root().join(name);
    std::fs::write(&path, text).unwrap();
    path.into_os_string().into_string().unwrap()
}

/// Writes the report of a scan as a baseline; returns its path.
fn write_baseline(tree: &TreeBuilder) -> String {
    write_file(tree, "baseline.json", &scan_json(tree.root(), &[]).out)
}

#[test]
fn registry_named_twice_is_audited_once() {
    let tree = broken_tree();
    let metrics = tree.root().join("m.prom");
    let mut command = fsck();
    command.args(["scan", "--output", "json", "--metrics-file"]).arg(&metrics);
    let report =
        run(command.args([tree.root(), tree.root(), &tree.root().join("docker/registry/v2")])).audit_report();
    assert_eq!((report.sources.len(), report.broken_tags.len()), (1, 3));
    let metrics = std::fs::read_to_string(metrics).unwrap();
    assert_eq!(metrics.matches("registry_unknown_tags{").count(), 1, "{metrics}");
}

#[test]
fn ignored_findings_are_not_resolved() {
    let tree = broken_tree();
    let baseline = write_baseline(&tree);
    let entry = "[[ignore]]\ncode = 'blob-missing'\nrepository = '*'\nreason = 'r'\nexpires = 2999-01-01\n";
    let ignore = write_file(&tree, "ignore.toml", entry);
    let ran = scan_json(tree.root(), &["--baseline", &baseline, "--ignore", &ignore]);
    assert_eq!(ran.json()["resolved"], serde_json::json!([]));
}

#[test]
fn several_roots_make_one_report() {
    let (one, two) = (broken_tree(), damaged_tree());
    let ran = run(fsck().args(["scan", "--output", "json"]).arg(one.root()).arg(two.root()));
    let report = ran.audit_report();
    assert_eq!(report.sources.len(), 2);
    let broken =
        |root: &Path| report.broken_tags.iter().filter(|tag| *tag.source == *root.to_str().unwrap()).count();
    assert_eq!((broken(one.root()), broken(two.root())), (3, 12));
    assert_eq!(report.coverage.tags_total, report.sources.iter().map(|source| source.tags).sum::<u64>());
    for tag in &report.broken_tags {
        assert!(tag.findings.iter().all(|number| report.findings[*number].source == tag.source));
    }
    let alone = scan_json(one.root(), &[]).audit_report().garbage.unwrap();
    let other = scan_json(two.root(), &[]).audit_report().garbage.unwrap();
    let both = report.garbage.unwrap();
    assert_eq!(both.unreferenced.bytes, alone.unreferenced.bytes + other.unreferenced.bytes);
}
