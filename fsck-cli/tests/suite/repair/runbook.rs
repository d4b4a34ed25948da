//! Runs docs/runbooks/orphaned-children.md command by command.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use registry_fixtures::TreeBuilder;
use registry_fixtures::manuals::{shell_blocks, text};
use registry_fixtures::real::RealServer;
use registry_fixtures::registry::Profile;
use registry_fixtures::trees::real_tree_with_lost_children;

use crate::real_server::{Client, start, unpullable_tags};
use crate::support::{OLD, copy_content};

use super::{differences, tree_state};

/// The address of the registry in the runbook.
const SERVER: &str = "http://127.0.0.1:5000";

/// The commands of the runbook and their documented exit statuses.
fn commands() -> Vec<(String, i32)> {
    let blocks = shell_blocks(&text("docs/runbooks/orphaned-children.md"));
    // The line for cron is not to be run.
    let typed = blocks.iter().filter(|block| !block.contains("garbage-collect "));
    let lines = typed.flat_map(|block| block.lines()).filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let (command, status) =
                line.split_once("# exits ").unwrap_or_else(|| panic!("{line}: no exit status"));
            let status: String = status.chars().take_while(char::is_ascii_digit).collect();
            (command.trim().to_owned(), status.parse().unwrap())
        })
        .collect()
}

/// Runs a command of the runbook; returns its exit status and its output.
fn run_command(command: &str, root: &Path, folder: &Path, server: &str) -> (i32, String) {
    let program = Path::new(env!("CARGO_BIN_EXE_registry-fsck")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let command = command.replace("/var/lib/registry", &root.to_string_lossy()).replace(SERVER, server);
    let output =
        Command::new("sh").arg("-c").arg(&command).current_dir(folder).env("PATH", path).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
}

/// A tree with the damage that the runbook repairs: an index whose two children have lost their links but not their bytes.
fn make_damaged_tree(root: &Path) {
    let mut tree = TreeBuilder::in_folder(root);
    let index = tree.multi_platform("main", Some("x"), &["linux/amd64", "linux/arm64"]);
    tree.image("other", Some("1"), "whole");
    for child in &index.images[..2] {
        tree.break_revision_link_missing("main", &child.digest);
    }
    tree.age_all(OLD);
}

/// The real tree of such an incident. Its children are also tagged elsewhere, so no collector deletes their bytes.
fn copy_real_tree(root: &Path) {
    copy_content(&real_tree_with_lost_children(), root);
}

#[test]
fn offline_runbook_commands_exit_as_documented() {
    let (root, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make_damaged_tree(root.path());
    let before = tree_state(root.path());
    let (online, offline): (Vec<_>, Vec<_>) =
        commands().into_iter().partition(|(command, _)| command.contains(SERVER));
    assert_eq!((online.len(), offline.len()), (1, 8));
    let mut printed = BTreeMap::new();
    for (number, (command, status)) in offline.iter().enumerate() {
        let (exit, out) = run_command(command, root.path(), folder.path(), SERVER);
        assert_eq!(exit, *status, "{command}:\n{out}");
        printed.insert(number, out);
    }
    assert!(printed[&0].contains("broken_tags=1"), "{}", printed[&0]);
    assert!(printed[&1].contains("breaks=0 loses=2"), "{}", printed[&1]);
    assert_eq!(differences(&before, &tree_state(root.path())), [""; 0]);
}

#[test]
#[ignore = "needs the real docker-registry 2.8.2"]
fn runbook_repairs_and_undoes_incident_on_real_server() {
    let server = start(Profile::V2_8);
    check_runbook(&server, make_damaged_tree, false);
    check_runbook(&server, copy_real_tree, true);
}

fn check_runbook(server: &RealServer, make_tree: fn(&Path), is_collection_harmless: bool) {
    let (template, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make_tree(template.path());
    server.serve(template.path());
    let root = server.root();
    let before = tree_state(&root);
    let client = Client::new(server, true);
    assert_eq!(unpullable_tags(&client).len(), 1);
    let url = format!("http://{}", server.address);
    for (command, status) in commands() {
        let (exit, out) = run_command(&command, &root, folder.path(), &url);
        let status = if is_collection_harmless && command.contains("gc-preview") { 0 } else { status };
        assert_eq!(exit, status, "{command}:\n{out}");
        if command.contains("--apply") {
            assert!(
                unpullable_tags(&client).is_empty(),
                "the server does not serve what was repaired: {out}"
            );
        }
    }
    assert_eq!(unpullable_tags(&client).len(), 1);
    // `probe` begins an upload to find out whether a server is a cache; a real server keeps the folder of the upload.
    let mut differences = differences(&before, &tree_state(&root));
    differences.retain(|path| !path.contains("/_uploads") || path.ends_with("/data"));
    assert_eq!(differences, [""; 0]);
}
