//! The reports of `repair`, `undo` and `repair --purge`, and the quarantines and journals that they leave, match their schemas.

use std::collections::BTreeSet;
use std::path::Path;

use registry_fixtures::http::Fault;
use registry_fixtures::registry::{Profile, Server, World};
use registry_fixtures::{Image, TreeBuilder};
use serde_json::Value;

use super::{SchemaCheck, all_trees, read_json};
use crate::repair::at_work::FakeRegistry;
use crate::support::{OLD, ProgramOutput, damaged_tree, fsck, run};

/// Runs `repair` with a journal and a quarantine in a folder beside the tree.
fn repair(tree: &TreeBuilder, folder: &Path, options: &[&str]) -> ProgramOutput {
    let mut command = fsck();
    command.arg("repair").arg(tree.root()).args(["--output", "json"]).args(options);
    run(command.arg("--journal").arg(folder.join("journal")).arg("--quarantine").arg(folder.join("aside")))
}

fn undo(folder: &Path) -> Value {
    run(fsck().args(["undo", "--output", "json"]).arg(folder.join("journal"))).json()
}

fn purge(folder: &Path, options: &[&str]) -> Value {
    let quarantine = folder.join("aside");
    run(fsck().args(["repair", "--output", "json", "--purge"]).arg(quarantine).args(options)).json()
}

fn read_journal(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("journal")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A pull-through cache that does not start, because its scheduler state is empty.
fn cache_that_does_not_start() -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    tree.image("app", Some("v1"), "app");
    tree.break_scheduler_state("");
    tree
}

#[test]
fn repair_undo_and_purge_match_schemas() {
    let (mut reports, mut undos, mut purges) =
        (SchemaCheck::new("repair"), SchemaCheck::new("undo"), SchemaCheck::new("purge"));
    let (mut journals, mut markers) = (SchemaCheck::new("repair-journal"), SchemaCheck::new("quarantine"));
    let mut changes = BTreeSet::new();
    for (name, tree) in all_trees().into_iter().chain([("cache".to_owned(), cache_that_does_not_start())]) {
        for options in [&[][..], &["--content", "--strict"], &["--repository", "*a*"]] {
            let folder = tempfile::tempdir().unwrap();
            let planned = reports.check(repair(&tree, folder.path(), options).json());
            let applied = repair(&tree, folder.path(), &[options, &["--apply"]].concat());
            let applied = reports.check(applied.json());
            assert_eq!(planned["summary"]["steps"], applied["summary"]["steps"], "{name}");
            if applied.get("journal").is_none() {
                assert_eq!(applied["steps"], Value::Array(Vec::new()), "{name}");
                continue;
            }
            for line in read_journal(folder.path()) {
                let line = journals.check(line);
                changes.extend(line["entry"]["change"].as_str().map(str::to_owned));
            }
            if applied.get("quarantine").is_some() && folder.path().join("aside").exists() {
                markers.check(read_json(&folder.path().join("aside/quarantine.json")));
                purges.check(purge(folder.path(), &[]));
            }
            // The undo restores the tree for the next options.
            let undo = undos.check(undo(folder.path()));
            assert_eq!(undo["exit_status"], 0, "{name}: {undo:#}");
        }
    }
    assert_eq!(
        changes.into_iter().collect::<Vec<_>>(),
        ["aside", "folder", "link", "move", "scheduler-state"]
    );
    let server_fields = ["doubt", "is_read_only", "job", "pid", "program"];
    let other_fields = ["cause", "deleted_tags", "from", "new", "only", "servers", "unanswered"];
    let unseen: BTreeSet<String> = server_fields.into_iter().chain(other_fields).map(str::to_owned).collect();
    assert_eq!(BTreeSet::from_iter(reports.unseen_fields()), unseen);
    assert_eq!(undos.unseen_fields(), [&server_fields[..], &["servers", "why"]].concat());
    assert_eq!(purges.unseen_fields(), [""; 0]);
    assert_eq!(markers.unseen_fields(), [""; 0]);
    assert_eq!(journals.unseen_fields(), ["lacked", "why"]);
}

#[test]
fn undo_after_changes_and_purge_match_schemas() {
    let (mut undos, mut purges) = (SchemaCheck::new("undo"), SchemaCheck::new("purge"));
    for (name, tree) in all_trees().into_iter().filter(|(name, _)| name == "damaged" || name == "carried") {
        let folder = tempfile::tempdir().unwrap();
        repair(&tree, folder.path(), &["--apply"]);
        // Somebody else overwrites a link that the repair wrote.
        let link =
            read_journal(folder.path()).into_iter().find(|line| line["entry"]["change"] == "link").unwrap();
        let path = tree.root().join("docker/registry/v2").join(link["entry"]["path"].as_str().unwrap());
        std::fs::write(path, "changed").unwrap();
        if folder.path().join("aside").exists() {
            assert_eq!(purges.check(purge(folder.path(), &["--apply"]))["deleted"], true, "{name}");
        }
        // The last line is cut off, as when its writer was stopped.
        let journal = folder.path().join("journal");
        let text = std::fs::read_to_string(&journal).unwrap();
        std::fs::write(&journal, &text[..text.len() - 5]).unwrap();
        let undo = undos.check(undo(folder.path()));
        assert_eq!(undo["is_torn"], true);
        assert_ne!(undo["exit_status"], 0);
    }
    undos.assert_seen(&["why", "state"]);
    purges.assert_seen(&["content"]);
}

#[test]
fn repair_beside_server_matches_schema() {
    let mut reports = SchemaCheck::new("repair");
    let (tree, folder) = (damaged_tree(), tempfile::tempdir().unwrap());
    let _server = FakeRegistry::start(tree.root(), folder.path(), "serve", "");
    let report = repair(
        &tree,
        folder.path(),
        &["--apply", "--only", "child-link-missing", "--only", "blob-size-mismatch"],
    );
    let report = reports.check(report.json());
    let outcomes: Vec<_> = report["steps"].as_array().unwrap().iter().map(|step| &step["outcome"]).collect();
    assert!(outcomes.contains(&&"refused".into()) && outcomes.contains(&&"done".into()), "{report:#}");
    reports.assert_seen(&["servers", "pid", "program", "why", "only"]);
    let mut undos = SchemaCheck::new("undo");
    let online =
        run(fsck().args(["undo", "--online", "--output", "json"]).arg(folder.path().join("journal")));
    assert_eq!(undos.check(online.json())["servers"][0]["job"], "server");
}

/// A registry with an image of a tree.
fn registry_with(tree: &TreeBuilder, image: &Image) -> World {
    let mut world = World::new(Profile::V2_8);
    for blob in image.layers.iter().chain([&image.config]) {
        world.push_blob("web", &tree.bytes(blob));
    }
    world.push_manifest("web", Some("1"), &tree.bytes(&image.digest));
    world
}

#[test]
fn repair_from_registry_matches_schema() {
    let (mut reports, mut journals) = (SchemaCheck::new("repair"), SchemaCheck::new("repair-journal"));
    let mut tree = TreeBuilder::new();
    let image = tree.image("web", Some("1"), "web");
    let server = Server::start(registry_with(&tree, &image));
    tree.break_blob_missing(&image.config).break_blob_missing(&image.layers[0]).age_all(OLD);
    let folder = tempfile::tempdir().unwrap();
    server.fail_requests("HEAD", &format!("/v2/web/blobs/{}", image.config), 99, Fault::Status(500));
    let options = ["--from", &server.url, "--retries", "0", "--apply"];
    let report = reports.check(repair(&tree, folder.path(), &options).json());
    assert_eq!(report["unanswered"].as_array().unwrap().len(), 1, "{report:#}");
    assert_eq!(report["steps"][0]["action"], "fetch", "{report:#}");
    let lines = read_journal(folder.path());
    assert!(lines.iter().any(|line| line["entry"]["change"] == "data"), "{lines:#?}");
    lines.into_iter().for_each(|line| drop(journals.check(line)));
}
