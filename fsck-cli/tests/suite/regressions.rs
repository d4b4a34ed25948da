//! A test for each bug that was found after its code was written, named after it.

use registry_fixtures::TreeBuilder;

use crate::support::{fsck, report, scan};

fn tree() -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    tree.image("team/app", Some("v1"), "one");
    tree.image("web", Some("v1"), "two");
    tree
}

fn status(output: &std::process::Output) -> i32 {
    output.status.code().unwrap()
}

#[test]
fn follow_symlinks_took_every_tree_for_a_loop() {
    let tree = tree();
    assert_eq!(status(&scan(tree.root(), &["--follow-symlinks"])), 0);
}

#[test]
fn blobs_moved_by_a_symlink_are_followed_when_asked() {
    let mut tree = tree();
    let blobs = tree.blobs();
    tree.break_moved_behind_symlink(&blobs);
    assert_eq!(status(&scan(tree.root(), &["--follow-symlinks"])), 0);
    assert_eq!(status(&scan(tree.root(), &[])), 8);
}

#[test]
fn one_of_several_registries_was_passed_over_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        let mut tree = TreeBuilder::in_folder(&folder.path().join(name));
        tree.image("web", Some("v1"), name);
    }
    let (inside, moved) = (folder.path().join("b/docker"), folder.path().join("b/moved"));
    std::fs::rename(&inside, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &inside).unwrap();
    let report = report(folder.path(), &[]);
    assert_eq!(report["exit_status"], 8);
    assert_eq!(report["sources"].as_array().unwrap().len(), 1);
    assert_eq!(report["unread"].as_array().unwrap().len(), 1);
}

#[test]
fn a_baseline_called_resolved_what_was_not_looked_for() {
    let mut tree = tree();
    let image = tree.image("team/app", Some("v2"), "three");
    tree.break_blob_flipped(&image.layers[0]);
    let earlier = tempfile::NamedTempFile::new().unwrap();
    let output = scan(tree.root(), &["--content", "--output", "json"]);
    std::fs::write(earlier.path(), &output.stdout).unwrap();
    let baseline = ["--baseline", earlier.path().to_str().unwrap()];
    assert_eq!(report(tree.root(), &baseline)["summary"]["resolved"], 0);
    let elsewhere = [&baseline[..], &["--content", "--repository", "web"]].concat();
    assert_eq!(report(tree.root(), &elsewhere)["summary"]["resolved"], 0);
}

#[test]
fn a_platform_asked_for_later_was_called_known() {
    let tree = tree();
    let earlier = tempfile::NamedTempFile::new().unwrap();
    let output = scan(tree.root(), &["--require-platform", "linux/s390x", "--output", "json"]);
    std::fs::write(earlier.path(), &output.stdout).unwrap();
    let options = ["--baseline", earlier.path().to_str().unwrap(), "--fail-on", "new", "--require-platform"];
    assert_eq!(status(&scan(tree.root(), &[&options[..], &["linux/s390x"]].concat())), 0);
    assert_eq!(status(&scan(tree.root(), &[&options[..], &["linux/ppc64le"]].concat())), 4);
}

#[test]
fn a_file_that_could_not_be_written_hid_the_errors_and_the_other_file() {
    let mut tree = tree();
    tree.break_tag_link_missing("web", "v1");
    let metrics = tempfile::NamedTempFile::new().unwrap();
    let garbage = tree.root().join("nowhere/garbage");
    let options =
        ["--list-garbage", garbage.to_str().unwrap(), "--metrics-file", metrics.path().to_str().unwrap()];
    let output = scan(tree.root(), &options);
    assert_eq!(status(&output), 12);
    assert!(String::from_utf8_lossy(&output.stdout).contains("exit_status=12"));
    assert!(
        std::fs::read_to_string(metrics.path()).unwrap().contains("registry_manifest_integrity_failures")
    );
}

#[test]
fn metrics_were_renamed_over_what_is_no_file() {
    let tree = tree();
    let pipe = tree.root().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_eq!(status(&scan(tree.root(), &["--metrics-file", pipe.to_str().unwrap()])), 8);
    assert!(!std::fs::metadata(&pipe).unwrap().is_file());
}

#[test]
fn a_repository_glob_that_matches_nothing_passed() {
    assert_eq!(status(&scan(tree().root(), &["--repository", "taem/*"])), 16);
}

#[test]
fn a_reader_of_standard_error_that_went_away_kept_an_interrupted_scan_alive() {
    let mut tree = tree();
    let image = tree.image("big", Some("v1"), "big");
    let data = tree.blob_path(&image.layers[0]);
    std::fs::File::options().write(true).open(data).unwrap().set_len(64 << 30).unwrap();
    let mut command = fsck();
    command.args(["scan", "--content", "--progress", "never"]).arg(tree.root());
    let mut process =
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(process.stderr.take());
    std::thread::sleep(std::time::Duration::from_millis(700));
    let id = process.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let ended = loop {
        match process.try_wait().unwrap() {
            Some(ended) => break Some(ended),
            None if std::time::Instant::now() > deadline => break None,
            None => std::thread::sleep(std::time::Duration::from_millis(50)),
        }
    };
    let _ = process.kill();
    assert_eq!(ended.and_then(|ended| ended.code()), Some(130));
}
