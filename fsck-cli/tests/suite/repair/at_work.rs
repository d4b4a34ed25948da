//! Repair of a tree in use by a registry that writes, by one that only reads, or by a collector. Most of these processes are
//! shells with the command line of a registry.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use registry_fixtures::TreeBuilder;
use registry_fixtures::real::{RealServer, ServerOptions};
use registry_fixtures::registry::Profile;

use super::{TreeState, differences, repair, repairable_tree, tree_state, undo};
use crate::support::{fsck, run};

/// A process that looks like a registry. It ends when the value is dropped.
pub struct FakeRegistry(Child);

impl FakeRegistry {
    pub fn start(root: &Path, folder: &Path, subcommand: &str, storage_options: &str) -> Self {
        let config = folder.join("config.yml");
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem: {{rootdirectory: '{}'}}\n{storage_options}",
            root.display()
        );
        std::fs::write(&config, text).unwrap();
        // The shell prints a line when it runs, and ends when its standard input is closed.
        let mut shell = Command::new("sh");
        shell.arg0("registry").args(["-c", "echo; read end", subcommand]).arg(&config);
        let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        Self(child)
    }
}

impl Drop for FakeRegistry {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The number of paths that no longer exist.
fn count_removed(before: &TreeState, root: &Path) -> usize {
    let after = tree_state(root);
    before.keys().filter(|path| !after.contains_key(*path)).count()
}

#[test]
fn running_collector_forbids_every_change() {
    let (tree, folder) = (repairable_tree(), tempfile::tempdir().unwrap());
    let before = tree_state(tree.root());
    let journal = folder.path().join("journal");
    let collector = FakeRegistry::start(tree.root(), folder.path(), "garbage-collect", "");
    for options in [&["--apply"][..], &["--apply", "--online"]] {
        let ran = repair(tree.root(), &journal, options);
        assert_eq!((ran.status, &*ran.out), (8, ""), "{ran:?}");
        assert!(ran.err.contains("registry garbage-collect"), "{}", ran.err);
        assert!(ran.err.contains(&format!("process {}", collector.0.id())), "{}", ran.err);
        assert!(ran.err.contains("wait for its end"), "{}", ran.err);
    }
    assert!(!journal.exists());
    // A dry run is allowed. A repair of the v2 folder is refused as well.
    assert_eq!(repair(tree.root(), &journal, &[]).status, 4);
    assert_eq!(repair(&tree.root().join("docker/registry/v2"), &journal, &["--apply"]).status, 8);
    assert_eq!(differences(&before, &tree_state(tree.root())), [""; 0]);
    drop(collector);
    assert_eq!(repair(tree.root(), &journal, &["--apply"]).status, 5);
}

#[test]
fn writing_server_forbids_moves_and_allows_links() {
    let (tree, folder) = (repairable_tree(), tempfile::tempdir().unwrap());
    let before = tree_state(tree.root());
    let _server = FakeRegistry::start(tree.root(), folder.path(), "serve", "");
    let json = ["--apply", "--output", "json"];
    let ran = repair(tree.root(), &folder.path().join("first"), &json);
    let report = ran.json();
    assert_eq!(report["servers"][0]["program"], "registry serve", "{report:#}");
    assert_eq!(
        (&report["summary"]["done"], &report["summary"]["refused"]),
        (&2.into(), &2.into()),
        "{report:#}"
    );
    assert_eq!(count_removed(&before, tree.root()), 0);
    let again = repair(tree.root(), &folder.path().join("second"), &["--apply", "--online"]);
    assert!(again.out.contains(" done=2 "), "{}", again.out);
    assert!(count_removed(&before, tree.root()) > 0);
}

#[test]
fn writing_server_forbids_scheduler_state_reset() {
    let (mut tree, folder) = (TreeBuilder::new(), tempfile::tempdir().unwrap());
    tree.image("app", Some("v1"), "app");
    tree.break_scheduler_state("");
    let before = tree_state(tree.root());
    let server = FakeRegistry::start(tree.root(), folder.path(), "serve", "");
    let ran = repair(tree.root(), &folder.path().join("first"), &["--apply"]);
    assert_eq!(ran.status, 4, "{ran:?}");
    assert!(ran.out.contains("refused reset "), "{}", ran.out);
    assert_eq!(differences(&before, &tree_state(tree.root())), [""; 0]);
    drop(server);
    assert_eq!(repair(tree.root(), &folder.path().join("second"), &["--apply"]).status, 1);
    let _server = FakeRegistry::start(tree.root(), folder.path(), "serve", "");
    assert_eq!(undo(&folder.path().join("second")).status, 8);
    assert_eq!(std::fs::read(tree.root().join("scheduler-state.json")).unwrap(), b"{}");
}

#[test]
fn read_only_server_forbids_nothing() {
    let (tree, folder) = (repairable_tree(), tempfile::tempdir().unwrap());
    let read_only = "  maintenance: {readonly: {enabled: true}}\n";
    let _server = FakeRegistry::start(tree.root(), folder.path(), "serve", read_only);
    let ran = repair(tree.root(), &folder.path().join("journal"), &["--apply", "--output", "json"]);
    let report = ran.json();
    assert_eq!(report["servers"].as_array().unwrap().len(), 1, "{report:#}");
    assert_eq!(report["summary"]["done"], 4, "{report:#}");
}

#[test]
fn undo_is_refused_beside_collector_and_needs_online_beside_server() {
    let (tree, folder) = (repairable_tree(), tempfile::tempdir().unwrap());
    let before = tree_state(&tree.v2());
    let journal = folder.path().join("journal");
    assert_eq!(repair(tree.root(), &journal, &["--apply"]).status, 5);
    let repaired = tree_state(tree.root());
    let online = || run(fsck().arg("undo").arg(&journal).arg("--online"));

    let collector = FakeRegistry::start(tree.root(), folder.path(), "garbage-collect", "");
    for ran in [undo(&journal), online()] {
        assert_eq!((ran.status, &*ran.out), (8, ""), "{ran:?}");
        assert!(ran.err.contains("wait for its end"), "{}", ran.err);
    }
    drop(collector);
    let _server = FakeRegistry::start(tree.root(), folder.path(), "serve", "");
    let ran = undo(&journal);
    assert_eq!((ran.status, &*ran.out), (8, ""), "{ran:?}");
    assert!(ran.err.contains("stop it, or say --online"), "{}", ran.err);
    assert_eq!(differences(&repaired, &tree_state(tree.root())), [""; 0]);

    let ran = online();
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.out.contains("Restart the server"), "{}", ran.out);
    assert_eq!(differences(&before, &tree_state(&tree.v2())), [""; 0]);
}

#[test]
fn collector_of_moved_v2_is_found() {
    let (tree, folder) = (repairable_tree(), tempfile::tempdir().unwrap());
    // The v2 folder is moved, and the collector reaches it through a symbolic link.
    let v2 = folder.path().join("storage");
    std::fs::rename(tree.v2(), &v2).unwrap();
    std::os::unix::fs::symlink(&v2, tree.v2()).unwrap();
    let _collector = FakeRegistry::start(tree.root(), folder.path(), "garbage-collect", "");
    let ran = repair(&v2, &folder.path().join("journal"), &["--apply"]);
    assert_eq!((ran.status, &*ran.out), (8, ""), "{ran:?}");
    assert!(ran.err.contains("wait for its end"), "{}", ran.err);
}

#[test]
#[ignore = "needs the real docker-registry 2.8.2"]
fn real_server_forbids_moves_and_allows_links() {
    let server = RealServer::start(Profile::V2_8, ServerOptions::default());
    let (tree, folder) = (repairable_tree(), tempfile::tempdir().unwrap());
    server.serve(tree.root());
    let before = tree_state(&server.root());
    let ran = repair(&server.root(), &folder.path().join("first"), &["--apply"]);
    assert!(ran.out.contains("docker-registry serve"), "{}", ran.out);
    assert!(ran.out.contains(" done=2 ") && ran.out.contains(" refused=2 "), "{}", ran.out);
    assert_eq!(count_removed(&before, &server.root()), 0);
    let online = repair(&server.root(), &folder.path().join("second"), &["--apply", "--online"]);
    assert!(online.out.contains(" done=2 "), "{}", online.out);
    assert!(count_removed(&before, &server.root()) > 0);
}
