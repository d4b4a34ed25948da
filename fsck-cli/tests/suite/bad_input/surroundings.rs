//! Failing surroundings: closed output streams, a full disk, few file descriptors, a tree that changes during the scan.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use registry_fixtures::{Digest, ImageSpec, TreeBuilder, layer_bytes, trees};

use super::app;
use crate::support::{AuditReport as _, fsck, run, scan_json, wait_or_kill};

/// A tree whose report is far larger than a pipe buffer.
fn tree_with_long_report() -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    let image = tree.image("app", Some("v"), "x");
    for number in 0..1500 {
        let tag = format!("t{number}");
        tree.tag("app", &tag, &image.digest).break_tag_link_empty("app", &tag);
    }
    tree
}

#[test]
fn closed_standard_output_is_no_error() {
    let tree = tree_with_long_report();
    for options in [&[][..], &["-v", "--color", "always"], &["--output", "json"]] {
        let mut command = fsck();
        command.arg("scan").args(options).arg(tree.root());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::with_capacity(16, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let status = wait_or_kill(&mut child, Duration::from_secs(60)).expect("it hangs");
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!((status.code(), &*stderr, line.is_empty()), (Some(4), "", false), "{options:?}");
    }
}

#[test]
fn closed_streams_do_not_panic() {
    let root = trees::real_tree_with_lost_children();
    for redirection in [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"] {
        let script = format!("exec \"$@\" {redirection}");
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_registry-fsck"), "scan"]).arg(&root);
        assert_eq!(run(&mut command).status, 4, "{redirection}");
    }
}

#[test]
fn full_disk_is_reported() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = fsck().arg("scan").arg(tree_with_long_report().root()).stdout(full).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("cannot write the report") && output.status.code().unwrap() & 8 == 8, "{stderr}");
}

#[test]
fn lack_of_file_descriptors_is_not_damage() {
    let (mut tree, _) = app();
    for number in 0..40 {
        tree.multi_platform(&format!("r{number}"), Some("v"), &["linux/amd64", "linux/arm64"]);
    }
    for limit in ["8", "12", "20", "40"] {
        let mut command = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_registry-fsck");
        command.args(["-c", "ulimit -n $0 && exec \"$@\"", limit, program, "scan", "--output", "json"]);
        let ran = run(command.arg(tree.root()));
        let report = ran.audit_report();
        assert_eq!(report.broken_tags, [], "{limit}: {}", ran.out);
        assert!(matches!(ran.status, 0 | 8), "{limit}: {}", ran.status);
        let all_seen = report.coverage.tags_checked == 42 && report.unread.is_empty();
        assert_eq!(ran.status == 0, all_seen, "{limit}: {}", ran.out);
    }
}

#[test]
fn concurrent_writes_are_not_damage() {
    let mut tree = TreeBuilder::new();
    let shared = tree.layer("app", &layer_bytes("shared", 5000));
    for number in 0..20 {
        tree.multi_platform("app", Some(&format!("keep{number}")), &["linux/amd64", "linux/arm64"]);
    }
    let stop = AtomicBool::new(false);
    let root = tree.root().to_path_buf();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut tree = TreeBuilder::in_folder(&root);
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                push_and_delete(&mut tree, number, &shared);
                number += 1;
            }
        });
        let _guard = StopOnDrop(&stop);
        for round in 0..50 {
            let ran = scan_json(&root, if round % 5 == 0 { &["--content"] } else { &[] });
            let report = ran.audit_report();
            let broken = report.broken_tags.iter().filter(|tag| tag.tag.starts_with("keep")).count();
            let unknown = report.unknown_tags.iter().filter(|tag| tag.tag.starts_with("keep")).count();
            assert_eq!((broken, unknown), (0, 0), "round {round}: {}", ran.out);
        }
    });
}

/// Ends the writing thread, also when the test fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Pushes an image under two tags, then deletes one of the tags and everything that only the image needs.
fn push_and_delete(tree: &mut TreeBuilder, number: u32, shared: &Digest) {
    let repository = if number.is_multiple_of(2) { "app" } else { "other" };
    let spec = ImageSpec { shared: vec![shared.clone()], ..ImageSpec::oci(&format!("churn{number}")) };
    let image = tree.image_with(repository, Some("moving"), &spec);
    tree.tag(repository, &format!("t{number}"), &image.digest);
    std::fs::remove_dir_all(tree.tag_folder(repository, &format!("t{number}"))).unwrap();
    tree.break_revision_link_missing(repository, &image.digest);
    for layer in &image.layers[..2] {
        tree.break_layer_link_missing(repository, layer).break_blob_missing(layer);
    }
    tree.break_blob_missing(&image.digest);
}
