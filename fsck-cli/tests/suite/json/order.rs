//! The order and the numbers of JSON reports; that they are the same in every run, and after being read back.

use registry_core::audit::{BrokenTag, Finding, Report, UnknownTag};

use crate::support::{AuditReport as _, damaged_tree, fsck, run, scan_json};

#[test]
fn runs_differ_only_in_times() {
    let tree = damaged_tree();
    let timeless = || {
        let mut report = scan_json(tree.root(), &["--content", "--strict"]).json();
        report["started_at"].take();
        report["duration_seconds"].take();
        report
    };
    let first = timeless();
    for _ in 0..5 {
        assert_eq!(first, timeless());
    }
    let text = |jobs: &str| {
        let report = scan_json(tree.root(), &["--content", "--strict", "--jobs", jobs]).out;
        let lines = report.lines().filter(|line| !line.contains("_at\"") && !line.contains("_seconds\""));
        lines.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(text("1"), text("64"));
}

/// Source, repository, tag, digest, code.
fn sort_key(finding: &Finding) -> impl Ord + '_ {
    let digest = finding.digest.map(|digest| digest.to_string());
    (&*finding.source, finding.repository.as_deref(), finding.tags.first(), digest, finding.code)
}

#[test]
fn findings_sources_and_tags_are_sorted() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b", "a", "c"] {
        let root = folder.path().join(name);
        std::fs::create_dir(&root).unwrap();
        std::fs::rename(damaged_tree().root().join("docker"), root.join("docker")).unwrap();
    }
    let roots = ["b", "c", "a"].map(|name| folder.path().join(name));
    let report = run(fsck().args(["scan", "--output", "json"]).args(roots)).audit_report();
    assert!(report.findings.is_sorted_by(|a, b| sort_key(a) <= sort_key(b)));
    assert!(report.sources.is_sorted_by(|a, b| a.name < b.name) && report.sources.len() == 3);
    let name = |tag: &BrokenTag| (tag.source.clone(), tag.repository.clone(), tag.tag.clone());
    let names: Vec<_> = report.broken_tags.iter().map(name).collect();
    assert!(names.is_sorted() && names.len() == 36, "{names:?}");
    check_tags(&report);
}

#[test]
fn broken_tags_refer_to_their_own_findings() {
    let report = scan_json(damaged_tree().root(), &[]).audit_report();
    check_tags(&report);
    for trial in 0..25 {
        let (tree, _) = registry_fixtures::random::random_tree(trial);
        check_tags(&scan_json(tree.root(), &[]).audit_report());
    }
}

/// Each broken tag refers to findings that name it, no tag is both broken and unknown, and the counts are right.
fn check_tags(report: &Report) {
    for broken in &report.broken_tags {
        assert!(!broken.findings.is_empty() && broken.findings.is_sorted());
        for number in &broken.findings {
            let finding = &report.findings[*number];
            assert_eq!(
                (&finding.source, finding.repository.as_ref()),
                (&broken.source, Some(&broken.repository))
            );
            assert!(finding.tags.contains(&broken.tag), "{broken:?} and {finding:?}");
        }
        let is_same = |tag: &UnknownTag| {
            (&tag.source, &tag.repository, &tag.tag) == (&broken.source, &broken.repository, &broken.tag)
        };
        assert!(!report.unknown_tags.iter().any(is_same));
    }
    assert_eq!(report.summary.broken_tags, report.broken_tags.len() as u64);
    assert_eq!(report.summary.unknown_tags, report.unknown_tags.len() as u64);
    assert_eq!(report.coverage.tags_total, report.coverage.tags_checked + report.summary.unknown_tags);
    let mut counted = report.clone();
    counted.update_summary();
    assert_eq!(counted.summary, report.summary);
}

#[test]
fn report_has_exit_status_of_process() {
    for trial in 0..15 {
        let (mut tree, _) = registry_fixtures::random::random_tree(trial);
        if trial % 3 == 0 {
            tree.break_symlink(&tree.repositories().join("link"), std::path::Path::new("/nowhere"));
        }
        for options in [&[][..], &["--fail-on", "warning"], &["--content", "--strict"]] {
            let ran = scan_json(tree.root(), options);
            assert_eq!(ran.json()["exit_status"], ran.status, "seed {trial} {options:?}");
        }
    }
}

#[test]
fn report_round_trips_through_library() {
    let tree = damaged_tree();
    let baseline = tree.root().join("baseline.json");
    std::fs::write(&baseline, scan_json(tree.root(), &[]).out).unwrap();
    let ignore = tree.root().join("ignore.toml");
    let entry =
        "[[ignore]]\ncode = 'blob-missing'\nrepository = '*'\nreason = 'known'\nexpires = '2999-12-31'\n";
    std::fs::write(&ignore, entry).unwrap();
    let (baseline, ignore) = (baseline.to_str().unwrap(), ignore.to_str().unwrap());
    for options in [&[][..], &["--baseline", baseline], &["--ignore", ignore], &["--repository", "web"]] {
        let ran = scan_json(tree.root(), options);
        assert_eq!(serde_json::to_value(ran.audit_report()).unwrap(), ran.json(), "{options:?}");
    }
}
