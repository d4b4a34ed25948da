//! Repair of a tree on which something is at work: a registry that writes, one that only reads, a collector. Most of them are
//! shells that look like one to whoever reads their command line.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use registry_fixtures::TreeBuilder;
use registry_fixtures::real::{Configured, RealServer};
use registry_fixtures::registry::Profile;

use super::{damaged, differences, picture, repair, undo};
use crate::support::{fsck, run};

/// A process that looks like a registry; it ends when this is dropped.
pub struct Lookalike(Child);

impl Lookalike {
    pub fn start(root: &Path, folder: &Path, verb: &str, more: &str) -> Self {
        let config = folder.join("config.yml");
        let storage =
            format!("version: 0.1\nstorage:\n  filesystem: {{rootdirectory: '{}'}}\n{more}", root.display());
        std::fs::write(&config, storage).unwrap();
        // It has begun when it has said so, and reads until its standard input is closed.
        let mut shell = Command::new("sh");
        shell.arg0("registry").args(["-c", "echo; read end", verb]).arg(&config);
        let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut began = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut began).unwrap();
        Self(child)
    }
}

impl Drop for Lookalike {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Paths that were there before and are not any more.
fn taken(before: &std::collections::BTreeMap<PathBuf, (u32, Option<Vec<u8>>)>, root: &Path) -> usize {
    let after = picture(root);
    before.keys().filter(|path| !after.contains_key(*path)).count()
}

#[test]
fn running_collector_forbids_every_change() {
    let (tree, folder) = (damaged(), tempfile::tempdir().unwrap());
    let before = picture(tree.root());
    let journal = folder.path().join("journal");
    let collector = Lookalike::start(tree.root(), folder.path(), "garbage-collect", "");
    for options in [&["--apply"][..], &["--apply", "--online"]] {
        let ran = repair(tree.root(), &journal, options);
        assert_eq!((ran.status, &*ran.stdout), (8, ""), "{ran:?}");
        assert!(ran.stderr.contains("registry garbage-collect"), "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("process {}", collector.0.id())), "{}", ran.stderr);
        assert!(ran.stderr.contains("wait for its end"), "{}", ran.stderr);
    }
    assert!(!journal.exists());
    // A dry run may look, also at the tree as its v2 names it.
    assert_eq!(repair(tree.root(), &journal, &[]).status, 4);
    assert_eq!(repair(&tree.root().join("docker/registry/v2"), &journal, &["--apply"]).status, 8);
    assert_eq!(differences(&before, &picture(tree.root())), [""; 0]);
    drop(collector);
    assert_eq!(repair(tree.root(), &journal, &["--apply"]).status, 5);
}

#[test]
fn writing_server_forbids_moves_and_allows_links() {
    let (tree, folder) = (damaged(), tempfile::tempdir().unwrap());
    let before = picture(tree.root());
    let _server = Lookalike::start(tree.root(), folder.path(), "serve", "");
    let json = ["--apply", "--output", "json"];
    let ran = repair(tree.root(), &folder.path().join("first"), &json);
    let told = ran.json();
    assert_eq!(told["servers"][0]["program"], "registry serve", "{told:#}");
    assert_eq!((&told["summary"]["done"], &told["summary"]["refused"]), (&2.into(), &2.into()), "{told:#}");
    assert_eq!(taken(&before, tree.root()), 0);
    let again = repair(tree.root(), &folder.path().join("second"), &["--apply", "--online"]);
    assert!(again.stdout.contains(" done=2 "), "{}", again.stdout);
    assert!(taken(&before, tree.root()) > 0);
}

#[test]
fn writing_server_forbids_scheduler_state_reset() {
    let (mut tree, folder) = (TreeBuilder::new(), tempfile::tempdir().unwrap());
    tree.image("app", Some("v1"), "app");
    tree.break_scheduler_state("");
    let before = picture(tree.root());
    let server = Lookalike::start(tree.root(), folder.path(), "serve", "");
    let ran = repair(tree.root(), &folder.path().join("first"), &["--apply"]);
    assert_eq!(ran.status, 4, "{ran:?}");
    assert!(ran.stdout.contains("refused reset "), "{}", ran.stdout);
    assert_eq!(differences(&before, &picture(tree.root())), [""; 0]);
    drop(server);
    assert_eq!(repair(tree.root(), &folder.path().join("second"), &["--apply"]).status, 1);
    let _server = Lookalike::start(tree.root(), folder.path(), "serve", "");
    assert_eq!(undo(&folder.path().join("second")).status, 8);
    assert_eq!(std::fs::read(tree.root().join("scheduler-state.json")).unwrap(), b"{}");
}

#[test]
fn read_only_server_forbids_nothing() {
    let (tree, folder) = (damaged(), tempfile::tempdir().unwrap());
    let read_only = "  maintenance: {readonly: {enabled: true}}\n";
    let _server = Lookalike::start(tree.root(), folder.path(), "serve", read_only);
    let ran = repair(tree.root(), &folder.path().join("journal"), &["--apply", "--output", "json"]);
    let told = ran.json();
    assert_eq!(told["servers"].as_array().unwrap().len(), 1, "{told:#}");
    assert_eq!(told["summary"]["done"], 4, "{told:#}");
}

#[test]
fn undo_is_refused_beside_collector_and_needs_online_beside_server() {
    let (tree, folder) = (damaged(), tempfile::tempdir().unwrap());
    let before = picture(&tree.v2());
    let journal = folder.path().join("journal");
    assert_eq!(repair(tree.root(), &journal, &["--apply"]).status, 5);
    let repaired = picture(tree.root());
    let online = || run(fsck().arg("undo").arg(&journal).arg("--online"));

    let collector = Lookalike::start(tree.root(), folder.path(), "garbage-collect", "");
    for ran in [undo(&journal), online()] {
        assert_eq!((ran.status, &*ran.stdout), (8, ""), "{ran:?}");
        assert!(ran.stderr.contains("wait for its end"), "{}", ran.stderr);
    }
    drop(collector);
    let _server = Lookalike::start(tree.root(), folder.path(), "serve", "");
    let ran = undo(&journal);
    assert_eq!((ran.status, &*ran.stdout), (8, ""), "{ran:?}");
    assert!(ran.stderr.contains("stop it, or say --online"), "{}", ran.stderr);
    assert_eq!(differences(&repaired, &picture(tree.root())), [""; 0]);

    let ran = online();
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stdout.contains("Restart the server"), "{}", ran.stdout);
    assert_eq!(differences(&before, &picture(&tree.v2())), [""; 0]);
}

#[test]
fn collector_of_moved_v2_is_found() {
    let (tree, folder) = (damaged(), tempfile::tempdir().unwrap());
    // Moved elsewhere, with a link in its place: the server follows it.
    let v2 = folder.path().join("storage");
    std::fs::rename(tree.v2(), &v2).unwrap();
    std::os::unix::fs::symlink(&v2, tree.v2()).unwrap();
    let _collector = Lookalike::start(tree.root(), folder.path(), "garbage-collect", "");
    let ran = repair(&v2, &folder.path().join("journal"), &["--apply"]);
    assert_eq!((ran.status, &*ran.stdout), (8, ""), "{ran:?}");
    assert!(ran.stderr.contains("wait for its end"), "{}", ran.stderr);
}

#[test]
#[ignore = "needs the real docker-registry 2.8.2"]
fn real_server_forbids_moves_and_allows_links() {
    let server = RealServer::start(Profile::V2_8, Configured::default());
    let (tree, folder) = (damaged(), tempfile::tempdir().unwrap());
    server.serve(tree.root());
    let before = picture(&server.root());
    let ran = repair(&server.root(), &folder.path().join("first"), &["--apply"]);
    assert!(ran.stdout.contains("docker-registry serve"), "{}", ran.stdout);
    assert!(ran.stdout.contains(" done=2 ") && ran.stdout.contains(" refused=2 "), "{}", ran.stdout);
    assert_eq!(taken(&before, &server.root()), 0);
    let online = repair(&server.root(), &folder.path().join("second"), &["--apply", "--online"]);
    assert!(online.stdout.contains(" done=2 "), "{}", online.stdout);
    assert!(taken(&before, &server.root()) > 0);
}
