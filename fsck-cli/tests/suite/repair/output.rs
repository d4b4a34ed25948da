//! What is printed: the dry run, the repair, the JSON, the undo, the purge.

use crate::support::{fsck, masked, run};

use super::{damaged, differences, picture, repair, undo};

fn text(stdout: &str, journal: &std::path::Path) -> String {
    let text = stdout.replace(&*journal.to_string_lossy(), "JOURNAL");
    // The quarantine is named by the time.
    let mut out = String::new();
    for part in text.split_inclusive(".registry-fsck/") {
        let is_stamp =
            |text: &str| text.len() >= 16 && text.as_bytes()[8] == b'T' && text.as_bytes()[15] == b'Z';
        if is_stamp(part) {
            out.push_str("TIME");
            out.push_str(&part[16..]);
        } else {
            out.push_str(part);
        }
    }
    out
}

#[test]
fn a_dry_run_changes_nothing_and_says_what_it_would_do() {
    let tree = damaged();
    let _masked = masked(tree.root());
    let before = picture(tree.root());
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let ran = repair(tree.root(), &journal, &[]);
    assert_eq!((ran.status, &*ran.stderr), (4, ""));
    insta::assert_snapshot!(ran.stdout, @"");
    assert_eq!(differences(&before, &picture(tree.root())), [""; 0]);
    assert!(!journal.exists());
}

#[test]
fn applied_then_undone_then_purged() {
    let tree = damaged();
    let _masked = masked(tree.root());
    let before = picture(tree.root());
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let ran = repair(tree.root(), &journal, &["--apply"]);
    assert_eq!((ran.status, &*ran.stderr), (5, ""));
    insta::assert_snapshot!(text(&ran.stdout, &journal), @"");
    // A journal is never written over; then nothing is changed.
    let again = repair(tree.root(), &journal, &["--apply"]);
    assert_eq!(again.status, 4, "nothing is left to do: {}", again.stdout);

    let undone = undo(&journal);
    assert_eq!(undone.status, 0);
    insta::assert_snapshot!(undone.stdout, @"");
    assert_eq!(differences(&before, &picture(tree.root())), [""; 0]);
    let twice = undo(&journal);
    assert_eq!(twice.status, 0);
    insta::assert_snapshot!(twice.stdout, @"");
    let refused = repair(tree.root(), &journal, &["--apply"]);
    assert_eq!(refused.status, 8);
    insta::assert_snapshot!(text(&refused.stderr, &journal), @"");
    assert_eq!(differences(&before, &picture(tree.root())), [""; 0]);

    let second = folder.path().join("second");
    let quarantine = folder.path().join("aside");
    let options = ["--apply", "--quarantine", quarantine.to_str().unwrap(), "--quiet"];
    assert_eq!(repair(tree.root(), &second, &options).status, 5);
    let purge = |options: &[&str]| {
        let ran = run(fsck().args(["repair", "--purge"]).arg(&quarantine).args(options));
        (ran.status, ran.stdout.replace(&*quarantine.to_string_lossy(), "QUARANTINE"))
    };
    let told = purge(&[]);
    insta::assert_debug_snapshot!(told, @"");
    let purged = purge(&["--apply"]);
    insta::assert_debug_snapshot!(purged, @"");
    assert!(!quarantine.exists());
    let late = undo(&second);
    assert_eq!(late.status, 8);
    insta::assert_snapshot!(late.stdout, @"");
}

#[test]
fn the_json_report() {
    let tree = damaged();
    let _masked = masked(tree.root());
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let ran = repair(tree.root(), &journal, &["--apply", "--output", "json", "--only", "child-link-missing"]);
    assert_eq!(ran.status, 5);
    insta::assert_snapshot!(text(&ran.stdout, &journal), @"");
    let read: registry_core::repair::Report = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), ran.json());
}

#[test]
fn only_some_codes_and_repositories() {
    let tree = damaged();
    let steps = |options: &[&str]| {
        let ran = run(fsck().args(["repair", "--output", "json"]).arg(tree.root()).args(options));
        let steps = ran.json()["steps"].as_array().unwrap().clone();
        steps.iter().map(|step| format!("{} {}", step["action"], step["code"])).collect::<Vec<_>>()
    };
    assert_eq!(steps(&["--only", "blob-size-mismatch"]), [r#""quarantine" "blob-size-mismatch""#]);
    assert_eq!(steps(&["--repository", "team/*"]), [r#""relink" "child-link-missing""#; 2]);
    assert_eq!(steps(&["--repository", "none"]), [""; 0]);
}

#[test]
fn the_last_of_the_metrics_is_what_is_left() {
    let tree = damaged();
    let folder = tempfile::tempdir().unwrap();
    let metrics = folder.path().join("metrics");
    let options = ["--apply", "--metrics-file", metrics.to_str().unwrap()];
    assert_eq!(repair(tree.root(), &folder.path().join("journal"), &options).status, 5);
    let text = std::fs::read_to_string(&metrics).unwrap();
    assert!(
        text.contains("registry_manifest_integrity_failures{instance=") && text.contains("} 1\n"),
        "{text}"
    );
}
