//! What holds of every JSON report: its order, its numbers, and that it is the same twice and read back.

use registry_core::audit::{Finding, Report};

use super::json;
use crate::support::{fsck, ruin, run};

#[test]
fn runs_differ_only_in_times() {
    let tree = ruin();
    let timeless = || {
        let mut report = json(&tree, &["--content", "--strict"]).json();
        report["started_at"].take();
        report["duration_seconds"].take();
        report
    };
    let first = timeless();
    for _ in 0..5 {
        assert_eq!(first, timeless());
    }
    let text = |jobs: &str| {
        let report = json(&tree, &["--content", "--strict", "--jobs", jobs]);
        let lines: Vec<_> = report.stdout.lines().map(str::to_owned).collect();
        lines
            .into_iter()
            .filter(|line| !line.contains("_at\"") && !line.contains("_seconds\""))
            .collect::<Vec<_>>()
    };
    assert_eq!(text("1"), text("64"));
}

/// Source, repository, tag, digest, code.
fn order(finding: &Finding) -> impl Ord + '_ {
    let digest = finding.digest.map(|digest| digest.to_string());
    (&*finding.source, finding.repository.as_deref(), finding.tags.first(), digest, finding.code)
}

#[test]
fn findings_sources_and_tags_are_sorted() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b", "a", "c"] {
        std::fs::rename(ruin().root().join("docker"), {
            let at = folder.path().join(name);
            std::fs::create_dir(&at).unwrap();
            at.join("docker")
        })
        .unwrap();
    }
    let roots = ["b", "c", "a"].map(|name| folder.path().join(name));
    let report = run(fsck().args(["scan", "--output", "json"]).args(roots)).typed();
    assert!(report.findings.is_sorted_by(|a, b| order(a) <= order(b)));
    assert!(report.sources.is_sorted_by(|a, b| a.name < b.name) && report.sources.len() == 3);
    let name =
        |tag: &registry_core::audit::BrokenTag| (tag.source.clone(), tag.repository.clone(), tag.tag.clone());
    let names: Vec<_> = report.broken_tags.iter().map(name).collect();
    assert!(names.is_sorted() && names.len() == 36, "{names:?}");
    check_tags(&report);
}

#[test]
fn broken_tags_refer_to_their_own_findings() {
    let report = json(&ruin(), &[]).typed();
    check_tags(&report);
    for trial in 0..25 {
        let (tree, _) = registry_fixtures::random::random_tree(trial);
        check_tags(&json(&tree, &[]).typed());
    }
}

/// Every number of a broken tag is a finding that names this tag; a tag is broken or unknown, not both.
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
        let unknown = |tag: &&registry_core::audit::UnknownTag| {
            (&tag.source, &tag.repository, &tag.tag) == (&broken.source, &broken.repository, &broken.tag)
        };
        assert!(!report.unknown_tags.iter().any(|tag| unknown(&tag)));
    }
    assert_eq!(report.summary.broken_tags, report.broken_tags.len() as u64);
    assert_eq!(report.summary.unknown_tags, report.unknown_tags.len() as u64);
    assert_eq!(report.coverage.tags_total, report.coverage.tags_checked + report.summary.unknown_tags);
    let mut counted = report.clone();
    counted.count();
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
            let done = json(&tree, options);
            assert_eq!(done.json()["exit_status"], done.status, "seed {trial} {options:?}");
        }
    }
}

#[test]
fn report_round_trips_through_library() {
    let tree = ruin();
    let baseline = tree.root().join("baseline.json");
    std::fs::write(&baseline, json(&tree, &[]).stdout).unwrap();
    let ignore = tree.root().join("ignore.toml");
    let entry =
        "[[ignore]]\ncode = 'blob-missing'\nrepository = '*'\nreason = 'known'\nexpires = '2999-12-31'\n";
    std::fs::write(&ignore, entry).unwrap();
    let (baseline, ignore) = (baseline.to_str().unwrap(), ignore.to_str().unwrap());
    for options in [&[][..], &["--baseline", baseline], &["--ignore", ignore], &["--repository", "web"]] {
        let done = json(&tree, options);
        assert_eq!(serde_json::to_value(done.typed()).unwrap(), done.json(), "{options:?}");
    }
}
