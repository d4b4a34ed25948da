//! The reports of `scan` and `gc-preview` on trees match their schemas.

use std::collections::BTreeSet;

use registry_fixtures::TreeBuilder;
use serde_json::Value;

use super::{SchemaCheck, all_trees};
use crate::support::{OLD, ProgramOutput, fsck, run};

/// Options of the scans.
const SCAN_OPTIONS: [&[&str]; 5] = [
    &[],
    &["--content", "--strict"],
    &["--repository", "*a*", "--sparse", "team/*", "--sparse", "m*"],
    &["--require-platform", "linux/riscv64", "--min-age", "0s"],
    &["--role", "cache", "--follow-symlinks"],
];

fn run_json(command: &str, tree: &TreeBuilder, options: &[&str]) -> ProgramOutput {
    run(fsck().arg(command).arg(tree.root()).args(["--output", "json"]).args(options))
}

/// Collects the codes of the findings in a list of a document.
fn collect_codes(document: &Value, list: &str, into: &mut BTreeSet<String>) {
    let findings = document[list].as_array().into_iter().flatten();
    into.extend(findings.map(|finding| finding["code"].as_str().unwrap().to_owned()));
}

#[test]
fn scan_reports_match_schema() {
    let (mut reports, mut codes) = (SchemaCheck::new("report"), BTreeSet::new());
    for (name, tree) in all_trees() {
        for options in SCAN_OPTIONS {
            let report = reports.check(run_json("scan", &tree, options).json());
            assert_eq!(report["command"], "scan", "{name}");
            collect_codes(&report, "findings", &mut codes);
        }
    }
    assert!(codes.len() >= 24, "too few codes: {codes:#?}");
    // Only a baseline, an ignore file or a server adds these fields.
    assert_eq!(
        reports.unseen_fields(),
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
    let mut reports = SchemaCheck::new("report");
    let ignore = "[[ignore]]\ncode = 'child-link-missing'\nrepository = '*'\nreason = 'known'\nexpires = '2999-12-31'\n\
                  [[ignore]]\ncode = 'blob-missing'\nrepository = '*'\nreason = 'old'\nexpires = '2001-01-01'\n";
    let folder = tempfile::tempdir().unwrap();
    let (baseline, entries) = (folder.path().join("baseline.json"), folder.path().join("ignore.toml"));
    std::fs::write(&entries, ignore).unwrap();
    for (name, tree) in all_trees() {
        std::fs::write(&baseline, run_json("scan", &tree, &["--content"]).out).unwrap();
        // Repaired findings are resolved, some remain, and new damage is added.
        run(fsck().arg("repair").arg(tree.root()).args(["--apply", "--quiet"]).current_dir(folder.path()));
        let mut damaged = TreeBuilder::in_folder(tree.root());
        damaged.image("late", Some("1"), &name);
        damaged.break_tag_link_missing("late", "1").age_all(OLD);
        for fail_on in ["error", "new"] {
            let mut command = fsck();
            command.arg("scan").arg(tree.root()).args(["--content", "--output", "json"]);
            command
                .args(["--fail-on", fail_on])
                .arg("--baseline")
                .arg(&baseline)
                .arg("--ignore")
                .arg(&entries);
            let report = reports.check(run(&mut command).json());
            let mut findings = report["findings"].as_array().unwrap().iter();
            assert!(findings.any(|finding| finding["new"] == true), "{name}");
        }
        // Journals are named after the second, and the next repair may be in the same.
        for entry in std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
            if entry.path().extension().is_some_and(|extension| extension == "journal") {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
    }
    reports.assert_seen(&["new", "resolved", "ignored", "expires", "matched", "reason", "warning"]);
}

#[test]
fn scan_report_of_several_roots_matches_schema() {
    let mut reports = SchemaCheck::new("report");
    let (one, two) = (TreeBuilder::new(), TreeBuilder::new());
    let mut command = fsck();
    command.args(["scan", "--output", "json", "/no/such/registry"]).arg(one.root()).arg(two.root());
    let report = reports.check(run(&mut command).json());
    assert_eq!((report["sources"].as_array().unwrap().len(), &report["exit_status"]), (2, &8.into()));
    assert_eq!(report["unread"][0]["path"], ".");
}

#[test]
fn gc_previews_match_schema() {
    let (mut reports, mut lost) = (SchemaCheck::new("gc-preview"), BTreeSet::new());
    let mut stray = TreeBuilder::new();
    stray.image("app", Some("v1"), "v1");
    stray.break_stray_data();
    for (name, tree) in all_trees().into_iter().chain([("stray".to_owned(), stray)]) {
        for engine in ["2.8", "3"] {
            for options in [&[][..], &["--delete-untagged"], &["--delete-untagged", "--strict"]] {
                let ran = run_json("gc-preview", &tree, &[&["--engine", engine], options].concat());
                let report = reports.check(ran.json());
                assert_eq!(report["engine"], engine, "{name}");
                assert_eq!(report["delete_untagged"], !options.is_empty(), "{name}");
                collect_codes(&report, "loses", &mut lost);
            }
        }
    }
    assert!(!lost.is_empty());
    assert_eq!(reports.unseen_fields(), ["would_abort_too"]);
    // When two registries abort a collector, the second has a field of its own.
    let (one, two) = (TreeBuilder::new(), TreeBuilder::new());
    for mut tree in [TreeBuilder::in_folder(one.root()), TreeBuilder::in_folder(two.root())] {
        tree.break_stray_data();
    }
    let mut command = fsck();
    command.args(["gc-preview", "--output", "json"]).arg(one.root()).arg(two.root());
    reports.check(run(&mut command).json());
    assert_eq!(reports.unseen_fields(), [""; 0]);
}
