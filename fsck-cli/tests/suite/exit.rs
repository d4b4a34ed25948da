//! Every exit status, and nothing else about the output.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use registry_fixtures::{Digest, TreeBuilder, trees};

use crate::support::{fsck, ran, run, wait};

fn status(root: &Path, options: &[&str]) -> i32 {
    ran(root, options).status
}

fn sound() -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    tree.multi_platform("app", Some("v1"), &["linux/amd64"]);
    tree.image("app", Some("v2"), "v2");
    tree
}

fn broken() -> TreeBuilder {
    let mut tree = sound();
    tree.break_tag_target("app", "v2");
    tree
}

/// The shard of a blob becomes a symbolic link: nobody can read it, root included.
fn hide_shard(tree: &mut TreeBuilder, digest: &Digest) {
    let shard: PathBuf = tree.blob_folder(digest).parent().unwrap().into();
    tree.break_moved_behind_symlink(&shard);
}

#[test]
fn sound_tree_exits_0() {
    assert_eq!(status(sound().root(), &["--content", "--strict"]), 0);
    assert_eq!(status(trees::unpack(trees::PRISTINE).path(), &[]), 0);
    assert_eq!(status(TreeBuilder::new().root(), &[]), 0);
}

#[test]
fn warnings_and_garbage_exit_0() {
    let mut tree = sound();
    tree.blob(b"garbage");
    tree.break_stray_tag_name("app", ".hidden").age_all(Duration::from_secs(7200));
    let done = ran(tree.root(), &["--output", "json"]);
    assert_eq!((done.status, done.typed().summary.warnings), (0, 1), "{}", done.stdout);
    assert_eq!(status(tree.root(), &["--fail-on", "warning"]), 4);
    assert_eq!(status(sound().root(), &["--fail-on", "warning"]), 0);
}

#[test]
fn errors_exit_4() {
    assert_eq!(status(broken().root(), &[]), 4);
    assert_eq!(status(&trees::carried(), &[]), 4);
}

#[test]
fn unread_path_without_damage_exits_8() {
    let mut tree = sound();
    let config = tree.image("app", Some("v3"), "v3").config;
    hide_shard(&mut tree, &config);
    let done = ran(tree.root(), &["--output", "json"]);
    let report = done.typed();
    assert_eq!((done.status, report.summary.broken_tags), (8, 0), "{}", done.stdout);
    assert!(report.summary.errors > 0 && report.summary.unknown_tags > 0);
    assert_eq!(status(tree.root(), &["--fail-on", "warning"]), 8);
}

#[test]
fn symlink_or_fifo_as_link_exits_8() {
    for is_pipe in [false, true] {
        let mut tree = sound();
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
    let mut tree = broken();
    let config = tree.image("app", Some("v3"), "v3").config;
    hide_shard(&mut tree, &config);
    assert_eq!(status(tree.root(), &[]), 12);
    assert_eq!(run(fsck().arg("scan").arg(broken().root()).arg("/nonexistent")).status, 12);
}

#[test]
fn usage_errors_exit_16() {
    let root = sound();
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
        let done = ran(root.root(), options);
        assert_eq!((done.status, &*done.stdout), (16, ""), "{options:?}");
        assert!(!done.stderr.is_empty(), "{options:?}");
    }
    assert_eq!(run(&mut fsck()).status, 16);
    assert_eq!(run(fsck().arg("scan")).status, 16);
    assert_eq!(run(fsck().arg("scna")).status, 16);
}

#[test]
fn help_and_version_exit_0() {
    for arguments in [&["--help"][..], &["--version"], &["scan", "--help"], &["help", "scan"]] {
        let done = run(fsck().args(arguments));
        assert_eq!((done.status, &*done.stderr), (0, ""), "{arguments:?}");
    }
}

#[test]
fn fail_on_new_counts_only_new_errors() {
    let tree = broken();
    let baseline = tree.root().join("baseline.json");
    std::fs::write(&baseline, ran(tree.root(), &["--output", "json"]).stdout).unwrap();
    let options = ["--fail-on", "new", "--baseline", baseline.to_str().unwrap()];
    assert_eq!(status(tree.root(), &options), 0);
    let mut tree = tree;
    tree.break_tag_link_empty("app", "v1");
    assert_eq!(status(tree.root(), &options), 4);
    // A new warning is no new error.
    let mut tree = broken();
    std::fs::write(&baseline, ran(tree.root(), &["--output", "json"]).stdout).unwrap();
    tree.break_stray_data();
    assert_eq!(status(tree.root(), &options), 0);
}

#[test]
fn new_unread_path_exits_8_with_fail_on_new() {
    let mut tree = broken();
    let baseline = tree.root().join("baseline.json");
    std::fs::write(&baseline, ran(tree.root(), &["--output", "json"]).stdout).unwrap();
    tree.break_symlink(&tree.tag_link("app", "v1"), Path::new("x"));
    assert_eq!(status(tree.root(), &["--fail-on", "new", "--baseline", baseline.to_str().unwrap()]), 8);
}

#[test]
fn ignored_errors_exit_0_until_entry_expires() {
    let tree = broken();
    let ignore = tree.root().join("ignore.toml");
    let entry =
        "[[ignore]]\ncode = 'tag-target-missing'\nrepository = 'a*'\nreason = 'r'\nexpires = 2999-01-01\n";
    std::fs::write(&ignore, entry).unwrap();
    assert_eq!(status(tree.root(), &["--ignore", ignore.to_str().unwrap()]), 0);
    std::fs::write(&ignore, entry.replace("2999", "1999")).unwrap();
    assert_eq!(status(tree.root(), &["--ignore", ignore.to_str().unwrap()]), 4);
}

/// A scan that hashes a sparse file of 1 TB: it would take an hour.
fn endless(tree: &mut TreeBuilder) -> Command {
    let layer = tree.layer("app", b"huge");
    std::fs::File::options()
        .write(true)
        .open(tree.blob_path(&layer))
        .unwrap()
        .set_len(1_000_000_000_000)
        .unwrap();
    let mut command = fsck();
    command.args(["scan", "--content"]).arg(tree.root());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Waits until a process handles a signal and is at work.
fn until_it_handles(child: &Child, signal: u32) {
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
        let mut tree = sound();
        let mut child = endless(&mut tree).spawn().unwrap();
        until_it_handles(&child, number);
        let sent = Instant::now();
        assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
        let status = wait(&mut child, Duration::from_secs(30)).expect("it does not end");
        assert!(sent.elapsed() < Duration::from_secs(5), "{:?}", sent.elapsed());
        assert_eq!(status.code(), Some(130), "{name}");
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.stdout.is_empty() && stderr.contains("interrupted while"), "{stderr}");
        assert!(stderr.contains("hashing content") && stderr.contains("nothing was changed"), "{stderr}");
    }
}
