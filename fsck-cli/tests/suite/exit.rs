//! Every exit status of `scan`; the output is tested elsewhere.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use registry_fixtures::{Digest, TreeBuilder, trees};

use crate::support::{AuditReport as _, fsck, run, scan, scan_json, send_signal, set_length, wait_or_kill};

fn status(root: &Path, options: &[&str]) -> i32 {
    scan(root, options).status
}

fn sound_tree() -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    tree.multi_platform("app", Some("v1"), &["linux/amd64"]);
    tree.image("app", Some("v2"), "v2");
    tree
}

fn broken_tree() -> TreeBuilder {
    let mut tree = sound_tree();
    tree.break_tag_target("app", "v2");
    tree
}

/// Puts a symbolic link in the place of the shard folder of a blob, so that not even root can read it.
fn hide_shard(tree: &mut TreeBuilder, digest: &Digest) {
    let shard: PathBuf = tree.blob_folder(digest).parent().unwrap().into();
    tree.break_moved_behind_symlink(&shard);
}

#[test]
fn sound_tree_exits_0() {
    assert_eq!(status(sound_tree().root(), &["--content", "--strict"]), 0);
    assert_eq!(status(trees::unpack(trees::PRISTINE).path(), &[]), 0);
    assert_eq!(status(TreeBuilder::new().root(), &[]), 0);
}

#[test]
fn warnings_and_garbage_exit_0() {
    let mut tree = sound_tree();
    tree.blob(b"garbage");
    tree.break_stray_tag_name("app", ".hidden").age_all(Duration::from_secs(7200));
    let ran = scan_json(tree.root(), &[]);
    assert_eq!((ran.status, ran.audit_report().summary.warnings), (0, 1), "{}", ran.out);
    assert_eq!(status(tree.root(), &["--fail-on", "warning"]), 4);
    assert_eq!(status(sound_tree().root(), &["--fail-on", "warning"]), 0);
}

#[test]
fn errors_exit_4() {
    assert_eq!(status(broken_tree().root(), &[]), 4);
    assert_eq!(status(&trees::real_tree_with_lost_children(), &[]), 4);
}

#[test]
fn unread_path_without_damage_exits_8() {
    let mut tree = sound_tree();
    let config = tree.image("app", Some("v3"), "v3").config;
    hide_shard(&mut tree, &config);
    let ran = scan_json(tree.root(), &[]);
    let report = ran.audit_report();
    assert_eq!((ran.status, report.summary.broken_tags), (8, 0), "{}", ran.out);
    assert!(report.summary.errors > 0 && report.summary.unknown_tags > 0);
    assert_eq!(status(tree.root(), &["--fail-on", "warning"]), 8);
}

#[test]
fn symlink_or_fifo_as_link_exits_8() {
    for is_pipe in [false, true] {
        let mut tree = sound_tree();
        let link = tree.tag_link("app", "v2");
        if is_pipe {
            tree.break_fifo(&link);
        } else {
            tree.break_symlink(&link, Path::new("/etc/passwd"));
        }
        assert_eq!(status(tree.root(), &[]), 8, "pipe: {is_pipe}");
    }
}

#[test]
fn root_without_registry_exits_8() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(status(folder.path(), &[]), 8);
    assert_eq!(status(&folder.path().join("gone"), &[]), 8);
}

#[test]
fn damage_and_unread_path_exit_12() {
    let mut tree = broken_tree();
    let config = tree.image("app", Some("v3"), "v3").config;
    hide_shard(&mut tree, &config);
    assert_eq!(status(tree.root(), &[]), 12);
    assert_eq!(run(fsck().arg("scan").arg(broken_tree().root()).arg("/nonexistent")).status, 12);
}

#[test]
fn usage_errors_exit_16() {
    let root = sound_tree();
    let usage: &[&[&str]] = &[
        &["--frobnicate"],
        &["--repository", "["],
        &["--sparse", "{"],
        &["--require-platform", "linux"],
        &["--require-platform", "a/b/c/d"],
        &["--require-platform", ""],
        &["--min-age", "soon"],
        &["--min-age", "1mo"],
        &["--min-age=-1h"],
        &["--jobs", "0"],
        &["--jobs", "many"],
        &["--output", "xml"],
        &["--color", "red"],
        &["--role", "mirror"],
        &["--fail-on", "info"],
        &["--fail-on", "new"],
        &["--quiet", "--verbose"],
        &["--baseline", "/nonexistent"],
        &["--ignore", "/nonexistent"],
        &["--baseline", "/"],
        &["--ignore", "/"],
    ];
    for options in usage {
        let ran = scan(root.root(), options);
        assert_eq!((ran.status, &*ran.out), (16, ""), "{options:?}");
        assert!(!ran.err.is_empty(), "{options:?}");
    }
    assert_eq!(run(&mut fsck()).status, 16);
    assert_eq!(run(fsck().arg("scan")).status, 16);
    assert_eq!(run(fsck().arg("scna")).status, 16);
}

#[test]
fn help_and_version_exit_0() {
    for arguments in [&["--help"][..], &["--version"], &["scan", "--help"], &["help", "scan"]] {
        let ran = run(fsck().args(arguments));
        assert_eq!((ran.status, &*ran.err), (0, ""), "{arguments:?}");
    }
}

#[test]
fn fail_on_new_counts_only_new_errors() {
    let mut tree = broken_tree();
    let baseline = tree.root().join("baseline.json");
    std::fs::write(&baseline, scan_json(tree.root(), &[]).out).unwrap();
    let options = ["--fail-on", "new", "--baseline", baseline.to_str().unwrap()];
    assert_eq!(status(tree.root(), &options), 0);
    tree.break_tag_link_empty("app", "v1");
    assert_eq!(status(tree.root(), &options), 4);
    // A new warning is not a new error.
    let mut tree = broken_tree();
    std::fs::write(&baseline, scan_json(tree.root(), &[]).out).unwrap();
    tree.break_stray_data();
    assert_eq!(status(tree.root(), &options), 0);
}

#[test]
fn new_unread_path_exits_8_with_fail_on_new() {
    let mut tree = broken_tree();
    let baseline = tree.root().join("baseline.json");
    std::fs::write(&baseline, scan_json(tree.root(), &[]).out).unwrap();
    tree.break_symlink(&tree.tag_link("app", "v1"), Path::new("x"));
    assert_eq!(status(tree.root(), &["--fail-on", "new", "--baseline", baseline.to_str().unwrap()]), 8);
}

#[test]
fn ignored_errors_exit_0_until_entry_expires() {
    let tree = broken_tree();
    let ignore = tree.root().join("ignore.toml");
    let entry =
        "[[ignore]]\ncode = 'tag-target-missing'\nrepository = 'a*'\nreason = 'r'\nexpires = 2999-01-01\n";
    std::fs::write(&ignore, entry).unwrap();
    assert_eq!(status(tree.root(), &["--ignore", ignore.to_str().unwrap()]), 0);
    std::fs::write(&ignore, entry.replace("2999", "1999")).unwrap();
    assert_eq!(status(tree.root(), &["--ignore", ignore.to_str().unwrap()]), 4);
}

/// A scan that hashes a sparse file of 1 TB, which would take an hour.
fn scan_of_huge_layer(tree: &mut TreeBuilder) -> Command {
    let layer = tree.layer("app", b"huge");
    set_length(&tree.blob_path(&layer), 1_000_000_000_000);
    let mut command = fsck();
    command.args(["scan", "--content"]).arg(tree.root());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Waits until a process handles a signal and has had time to begin its scan.
fn wait_for_handler(child: &Child, signal: u32) {
    let started = Instant::now();
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t")).unwrap();
        if u64::from_str_radix(mask.trim(), 16).unwrap() >> (signal - 1) & 1 == 1 {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "it never handles signal {signal}");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(300));
}

#[test]
#[cfg(target_os = "linux")]
fn interrupted_scan_exits_130() {
    for (name, number) in [("-INT", 2), ("-TERM", 15)] {
        let mut tree = sound_tree();
        let mut child = scan_of_huge_layer(&mut tree).spawn().unwrap();
        wait_for_handler(&child, number);
        let sent = Instant::now();
        send_signal(&child, name);
        let status = wait_or_kill(&mut child, Duration::from_secs(30)).expect("it does not end");
        assert!(sent.elapsed() < Duration::from_secs(5), "{:?}", sent.elapsed());
        assert_eq!(status.code(), Some(130), "{name}");
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.stdout.is_empty() && stderr.contains("interrupted while"), "{stderr}");
        assert!(stderr.contains("hashing content") && stderr.contains("nothing was changed"), "{stderr}");
    }
}
