//! What `scan` and `gc-preview` print about trees, against its schemas.

use std::collections::BTreeSet;

use registry_fixtures::TreeBuilder;
use serde_json::Value;

use super::{Checked, trees};
use crate::support::{OLD, Ran, fsck, run};

/// Ways to ask a scan.
const SCANS: [&[&str]; 5] = [
    &[],
    &["--content", "--strict"],
    &["--repository", "*a*", "--sparse", "team/*", "--sparse", "m*"],
    &["--require-platform", "linux/riscv64", "--min-age", "0s"],
    &["--role", "cache", "--follow-symlinks"],
];

fn printed(command: &str, tree: &TreeBuilder, options: &[&str]) -> Ran {
    run(fsck().arg(command).arg(tree.root()).args(["--output", "json"]).args(options))
}

/// The codes of findings, by the name of the list that holds them.
fn codes(document: &Value, list: &str, into: &mut BTreeSet<String>) {
    let findings = document[list].as_array().into_iter().flatten();
    into.extend(findings.map(|finding| finding["code"].as_str().unwrap().to_owned()));
}

#[test]
fn scan_reports_match_schema() {
    let (mut reports, mut found) = (Checked::new("report"), BTreeSet::new());
    for (name, tree) in trees() {
        for options in SCANS {
            let report = reports.valid(printed("scan", &tree, options).json());
            assert_eq!(report["command"], "scan", "{name}");
            codes(&report, "findings", &mut found);
        }
    }
    assert!(found.len() >= 24, "too few codes to tell: {found:#?}");
    // What only a comparison, an ignore file and a server add.
    assert_eq!(
        reports.unmet(),
        [
            "budget_requests",
            "budget_seconds",
            "cause",
            "complete_by",
            "depth",
            "expires",
            "ignored",
            "matched",
            "never_checked",
            "new",
            "newest",
            "not_asked",
            "not_chosen",
            "oldest_check",
            "online",
            "recheck_after_seconds",
            "requests",
            "sample_percent",
            "warning",
        ]
    );
}

#[test]
fn scan_reports_with_baseline_match_schema() {
    let mut reports = Checked::new("report");
    let ignore = "[[ignore]]\ncode = 'child-link-missing'\nrepository = '*'\nreason = 'known'\nexpires = '2999-12-31'\n\
                  [[ignore]]\ncode = 'blob-missing'\nrepository = '*'\nreason = 'old'\nexpires = '2001-01-01'\n";
    let folder = tempfile::tempdir().unwrap();
    let (baseline, entries) = (folder.path().join("baseline.json"), folder.path().join("ignore.toml"));
    std::fs::write(&entries, ignore).unwrap();
    for (name, tree) in trees() {
        std::fs::write(&baseline, printed("scan", &tree, &["--content"]).stdout).unwrap();
        // What is mended is resolved, what is known stays known, and what is broken now is new.
        run(fsck().arg("repair").arg(tree.root()).args(["--apply", "--quiet"]).current_dir(folder.path()));
        let mut damaged = TreeBuilder::in_folder(tree.root());
        damaged.image("late", Some("1"), &name);
        damaged.break_tag_link_missing("late", "1").age_all(OLD);
        for fail_on in ["error", "new"] {
            let mut command = fsck();
            command.arg("scan").arg(tree.root()).args([
                "--content",
                "--output",
                "json",
                "--fail-on",
                fail_on,
            ]);
            command.arg("--baseline").arg(&baseline).arg("--ignore").arg(&entries);
            let report = reports.valid(run(&mut command).json());
            let new = |finding: &&Value| finding["new"] == true;
            assert!(report["findings"].as_array().unwrap().iter().any(|finding| new(&finding)), "{name}");
        }
        // Their names are those of the time, to the second.
        for entry in std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
            if entry.path().extension().is_some_and(|extension| extension == "journal") {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
    }
    for field in ["new", "resolved", "ignored", "expires", "matched", "reason", "warning"] {
        assert!(reports.met.contains(field), "no report has {field}");
    }
}

#[test]
fn scan_report_of_several_roots_matches_schema() {
    let mut reports = Checked::new("report");
    let (one, two) = (TreeBuilder::new(), TreeBuilder::new());
    let mut command = fsck();
    command.args(["scan", "--output", "json", "/no/such/registry"]).arg(one.root()).arg(two.root());
    let report = reports.valid(run(&mut command).json());
    assert_eq!((report["sources"].as_array().unwrap().len(), &report["exit_status"]), (2, &8.into()));
    assert_eq!(report["unread"][0]["path"], ".");
}

#[test]
fn gc_previews_match_schema() {
    let (mut reports, mut lost) = (Checked::new("gc-preview"), BTreeSet::new());
    let mut stray = TreeBuilder::new();
    stray.image("app", Some("v1"), "v1");
    stray.break_stray_data();
    let more = [("stray".to_owned(), stray)];
    for (name, tree) in trees().into_iter().chain(more) {
        for engine in ["2.8", "3"] {
            for options in [&[][..], &["--delete-untagged"], &["--delete-untagged", "--strict"]] {
                let ran = printed("gc-preview", &tree, &[&["--engine", engine], options].concat());
                let report = reports.valid(ran.json());
                assert_eq!(report["engine"], engine, "{name}");
                assert_eq!(report["delete_untagged"], !options.is_empty(), "{name}");
                codes(&report, "loses", &mut lost);
            }
        }
    }
    assert!(!lost.is_empty());
    assert_eq!(reports.unmet(), ["would_abort_too"]);
    // Two registries that stop a collector, which has a field for the second.
    let (one, two) = (TreeBuilder::new(), TreeBuilder::new());
    for mut tree in [TreeBuilder::in_folder(one.root()), TreeBuilder::in_folder(two.root())] {
        tree.break_stray_data();
    }
    let mut command = fsck();
    command.args(["gc-preview", "--output", "json"]).arg(one.root()).arg(two.root());
    reports.valid(run(&mut command).json());
    assert_eq!(reports.unmet(), [""; 0]);
}
