//! docs/runbooks/orphaned-children.md, command by command, as somebody would type it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use registry_fixtures::TreeBuilder;
use registry_fixtures::manuals::{shell_blocks, text};
use registry_fixtures::real::RealServer;
use registry_fixtures::registry::Profile;
use registry_fixtures::trees::carried;

use crate::real_server::{Client, failing, start};
use crate::support::OLD;

use super::{differences, picture};

/// The address that the runbook gives the registry.
const SERVER: &str = "http://127.0.0.1:5000";

/// The commands of the runbook with the exit status that each is said to have.
fn commands() -> Vec<(String, i32)> {
    let blocks = shell_blocks(&text("docs/runbooks/orphaned-children.md"));
    // The line for cron is not to be typed.
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

/// Runs a command of the runbook; its exit status and what it printed.
fn type_in(command: &str, root: &Path, folder: &Path, server: &str) -> (i32, String) {
    let program = Path::new(env!("CARGO_BIN_EXE_registry-fsck")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let command = command.replace("/var/lib/registry", &root.to_string_lossy()).replace(SERVER, server);
    let done =
        Command::new("sh").arg("-c").arg(&command).current_dir(folder).env("PATH", path).output().unwrap();
    let out = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    (done.status.code().unwrap(), out)
}

/// What the runbook is about, in a folder of its own: an index whose two children have lost their links, all bytes there.
fn accident(root: &Path) {
    let mut tree = TreeBuilder::in_folder(root);
    let index = tree.multi_platform("main", Some("x"), &["linux/amd64", "linux/arm64"]);
    tree.image("other", Some("1"), "whole");
    for child in &index.images[..2] {
        tree.break_revision_link_missing("main", &child.digest);
    }
    tree.age_all(OLD);
}

/// The real tree of such an accident, in which the children are tagged elsewhere too: there no collector takes their bytes.
fn incident(root: &Path) {
    let copied = Command::new("cp").arg("-a").arg(carried().join(".")).arg(root).status();
    assert!(copied.unwrap().success());
}

#[test]
fn offline_runbook_commands_exit_as_documented() {
    let (root, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    accident(root.path());
    let before = picture(root.path());
    let (online, offline): (Vec<_>, Vec<_>) =
        commands().into_iter().partition(|(command, _)| command.contains(SERVER));
    assert_eq!((online.len(), offline.len()), (1, 8));
    let mut printed = BTreeMap::new();
    for (number, (command, status)) in offline.iter().enumerate() {
        let (done, out) = type_in(command, root.path(), folder.path(), SERVER);
        assert_eq!(done, *status, "{command}:\n{out}");
        printed.insert(number, out);
    }
    assert!(printed[&0].contains("broken_tags=1"), "{}", printed[&0]);
    assert!(printed[&1].contains("breaks=0 loses=2"), "{}", printed[&1]);
    assert_eq!(differences(&before, &picture(root.path())), [""; 0]);
}

#[test]
#[ignore = "needs the real docker-registry 2.8.2"]
fn runbook_repairs_and_undoes_incident_on_real_server() {
    let server = start(Profile::V2_8);
    there_and_back(&server, accident, false);
    // Where the children are tagged elsewhere a collection costs nothing.
    there_and_back(&server, incident, true);
}

fn there_and_back(server: &RealServer, make: fn(&Path), is_free: bool) {
    let (template, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make(template.path());
    server.serve(template.path());
    let root = server.root();
    let before = picture(&root);
    let client = Client::new(server, true);
    assert_eq!(failing(&client).len(), 1);
    let url = format!("http://{}", server.address);
    for (command, status) in commands() {
        let (done, out) = type_in(&command, &root, folder.path(), &url);
        let status = if is_free && command.contains("gc-preview") { 0 } else { status };
        assert_eq!(done, status, "{command}:\n{out}");
        if command.contains("--apply") {
            assert!(failing(&client).is_empty(), "the server does not serve what was repaired: {out}");
        }
    }
    assert_eq!(failing(&client).len(), 1);
    // A real server keeps a folder without bytes of the upload with which `probe` finds out what it is.
    let mut differences = differences(&before, &picture(&root));
    differences.retain(|path| !path.contains("/_uploads") || path.ends_with("/data"));
    assert_eq!(differences, [""; 0]);
}
