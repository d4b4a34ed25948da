//! What `repair`, `undo` and `repair --purge` print, against their schemas; and the quarantine and journals that they leave.

use std::collections::BTreeSet;
use std::path::Path;

use registry_fixtures::TreeBuilder;
use registry_fixtures::http::Fault;
use registry_fixtures::registry::{Profile, Server, World};
use serde_json::Value;

use super::{Checked, read, trees};
use crate::repair::at_work::Lookalike;
use crate::support::{OLD, Ran, fsck, run};

/// Runs `repair` with a journal and a quarantine in a folder beside the tree.
fn repaired(tree: &TreeBuilder, folder: &Path, options: &[&str]) -> Ran {
    let mut command = fsck();
    command.arg("repair").arg(tree.root()).args(["--output", "json"]).args(options);
    run(command.arg("--journal").arg(folder.join("journal")).arg("--quarantine").arg(folder.join("aside")))
}

fn undone(folder: &Path) -> Value {
    run(fsck().args(["undo", "--output", "json"]).arg(folder.join("journal"))).json()
}

fn purged(folder: &Path, options: &[&str]) -> Value {
    let quarantine = folder.join("aside");
    run(fsck().args(["repair", "--output", "json", "--purge"]).arg(quarantine).args(options)).json()
}

/// The lines of a journal; one that is cut off is none.
fn lines(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("journal")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn cache_that_does_not_start() -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    tree.image("app", Some("v1"), "app");
    tree.break_scheduler_state("");
    tree
}

#[test]
fn repair_undo_and_purge_match_schemas() {
    let (mut reports, mut undos, mut purges) =
        (Checked::new("repair"), Checked::new("undo"), Checked::new("purge"));
    let (mut journals, mut marks) = (Checked::new("repair-journal"), Checked::new("quarantine"));
    let mut changes = BTreeSet::new();
    for (name, tree) in trees().into_iter().chain([("cache".to_owned(), cache_that_does_not_start())]) {
        for options in [&[][..], &["--content", "--strict"], &["--repository", "*a*"]] {
            let folder = tempfile::tempdir().unwrap();
            let dry = reports.valid(repaired(&tree, folder.path(), options).json());
            let made = repaired(&tree, folder.path(), &[options, &["--apply"]].concat());
            let made = reports.valid(made.json());
            assert_eq!(dry["summary"]["steps"], made["summary"]["steps"], "{name}");
            if made.get("journal").is_none() {
                assert_eq!(made["steps"], Value::Array(Vec::new()), "{name}");
                continue;
            }
            for line in lines(folder.path()) {
                let line = journals.valid(line);
                changes.extend(line["entry"]["change"].as_str().map(str::to_owned));
            }
            if made.get("quarantine").is_some() && folder.path().join("aside").exists() {
                marks.valid(read(&folder.path().join("aside/quarantine.json")));
                purges.valid(purged(folder.path(), &[]));
            }
            // Everything comes back; the next options meet the same tree.
            let undo = undos.valid(undone(folder.path()));
            assert_eq!(undo["exit_status"], 0, "{name}: {undo:#}");
        }
    }
    assert_eq!(
        changes.into_iter().collect::<Vec<_>>(),
        ["aside", "folder", "link", "move", "scheduler-state"]
    );
    let server = ["doubt", "is_read_only", "job", "pid", "program"];
    let alone = ["cause", "deleted_tags", "from", "new", "only", "servers", "unanswered"];
    let unmet: BTreeSet<String> = server.into_iter().chain(alone).map(str::to_owned).collect();
    assert_eq!(BTreeSet::from_iter(reports.unmet()), unmet);
    assert_eq!(undos.unmet(), [&server[..], &["servers", "why"]].concat());
    assert_eq!(purges.unmet(), [""; 0]);
    assert_eq!(marks.unmet(), [""; 0]);
    assert_eq!(journals.unmet(), ["lacked", "why"]);
}

#[test]
fn undo_after_changes_and_purge_match_schemas() {
    let (mut undos, mut purges) = (Checked::new("undo"), Checked::new("purge"));
    for (name, tree) in trees().into_iter().filter(|(name, _)| name == "ruin" || name == "carried") {
        let folder = tempfile::tempdir().unwrap();
        repaired(&tree, folder.path(), &["--apply"]);
        // Somebody else writes to a link that was made.
        let link = lines(folder.path()).into_iter().find(|line| line["entry"]["change"] == "link").unwrap();
        let path = tree.root().join("docker/registry/v2").join(link["entry"]["path"].as_str().unwrap());
        std::fs::write(path, "changed").unwrap();
        if folder.path().join("aside").exists() {
            assert_eq!(purges.valid(purged(folder.path(), &["--apply"]))["deleted"], true, "{name}");
        }
        // The writer of the last line was stopped in the middle of it.
        let journal = folder.path().join("journal");
        let text = std::fs::read_to_string(&journal).unwrap();
        std::fs::write(&journal, &text[..text.len() - 5]).unwrap();
        let undo = undos.valid(undone(folder.path()));
        assert_eq!(undo["is_torn"], true);
        assert_ne!(undo["exit_status"], 0);
    }
    assert!(undos.met.contains("why") && undos.met.contains("state"));
    assert!(purges.met.contains("content"));
}

#[test]
fn repair_beside_server_matches_schema() {
    let mut reports = Checked::new("repair");
    let (tree, folder) = (crate::support::ruin(), tempfile::tempdir().unwrap());
    let _server = Lookalike::start(tree.root(), folder.path(), "serve", "");
    let report = repaired(
        &tree,
        folder.path(),
        &["--apply", "--only", "child-link-missing", "--only", "blob-size-mismatch"],
    );
    let report = reports.valid(report.json());
    let outcomes: Vec<_> = report["steps"].as_array().unwrap().iter().map(|step| &step["outcome"]).collect();
    assert!(outcomes.contains(&&"refused".into()) && outcomes.contains(&&"done".into()), "{report:#}");
    for field in ["servers", "pid", "program", "why", "only"] {
        assert!(reports.met.contains(field), "the report has no {field}");
    }
    let mut undos = Checked::new("undo");
    let online =
        run(fsck().args(["undo", "--online", "--output", "json"]).arg(folder.path().join("journal")));
    assert_eq!(undos.valid(online.json())["servers"][0]["job"], "server");
}

/// An image of the fixtures, as a registry serves it.
fn served(tree: &TreeBuilder, image: &registry_fixtures::Image) -> World {
    let mut world = World::new(Profile::V2_8);
    for blob in image.layers.iter().chain([&image.config]) {
        world.push_blob("web", &tree.bytes(blob));
    }
    world.push_manifest("web", Some("1"), &tree.bytes(&image.digest));
    world
}

#[test]
fn repair_from_registry_matches_schema() {
    let (mut reports, mut journals) = (Checked::new("repair"), Checked::new("repair-journal"));
    let mut tree = TreeBuilder::new();
    let image = tree.image("web", Some("1"), "web");
    let server = Server::start(served(&tree, &image));
    tree.break_blob_missing(&image.config).break_blob_missing(&image.layers[0]).age_all(OLD);
    let folder = tempfile::tempdir().unwrap();
    server.spoil("HEAD", &format!("/v2/web/blobs/{}", image.config), 99, Fault::Status(500));
    let options = ["--from", &server.url, "--retries", "0", "--apply"];
    let report = reports.valid(repaired(&tree, folder.path(), &options).json());
    assert_eq!(report["unanswered"].as_array().unwrap().len(), 1, "{report:#}");
    assert_eq!(report["steps"][0]["action"], "fetch", "{report:#}");
    let lines = lines(folder.path());
    assert!(lines.iter().any(|line| line["entry"]["change"] == "data"), "{lines:#?}");
    lines.into_iter().for_each(|line| drop(journals.valid(line)));
}
