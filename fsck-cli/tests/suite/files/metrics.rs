//! `--metrics-file`: a run in numbers, as Prometheus text.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use registry_fixtures::TreeBuilder;

use super::broken_tree;
use crate::support::{AuditReport as _, ProgramOutput, damaged_tree, fsck, mask_snapshots, run, scan};

/// Scans roots with a metrics file; returns its text, and the output.
fn scan_with_metrics(roots: &[&Path], options: &[&str]) -> (String, ProgramOutput) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.prom");
    let ran = run(fsck().arg("scan").args(options).arg("--metrics-file").arg(&path).args(roots));
    (std::fs::read_to_string(&path).unwrap(), ran)
}

#[test]
fn scan_writes_metrics_file() {
    let tree = damaged_tree();
    let _masked = mask_snapshots(tree.root());
    insta::assert_snapshot!(scan_with_metrics(&[tree.root()], &[]).0, @r#"
    # HELP registry_manifest_integrity_failures Tags that cannot be pulled whole.
    # TYPE registry_manifest_integrity_failures gauge
    registry_manifest_integrity_failures{instance="ROOT"} 12
    # HELP registry_manifest_integrity_catalog_accessible Whether the repositories could be listed (1) or not (0).
    # TYPE registry_manifest_integrity_catalog_accessible gauge
    registry_manifest_integrity_catalog_accessible{instance="ROOT"} 1
    # HELP registry_manifest_integrity_repos_checked Repositories looked at.
    # TYPE registry_manifest_integrity_repos_checked gauge
    registry_manifest_integrity_repos_checked{instance="ROOT"} 4
    # HELP registry_manifest_integrity_tags_checked Tags judged whole or broken.
    # TYPE registry_manifest_integrity_tags_checked gauge
    registry_manifest_integrity_tags_checked{instance="ROOT"} 14
    # HELP registry_manifest_integrity_indexes_checked Image indexes looked at.
    # TYPE registry_manifest_integrity_indexes_checked gauge
    registry_manifest_integrity_indexes_checked{instance="ROOT"} 1
    # HELP registry_manifest_integrity_last_run_timestamp When this run began, in seconds since 1970.
    # TYPE registry_manifest_integrity_last_run_timestamp gauge
    registry_manifest_integrity_last_run_timestamp{instance="ROOT"} …
    # HELP registry_unknown_tags Tags of which it is not known whether they can be pulled.
    # TYPE registry_unknown_tags gauge
    registry_unknown_tags{instance="ROOT"} 1
    # HELP registry_findings Findings by code (docs/findings.md).
    # TYPE registry_findings gauge
    registry_findings{instance="ROOT",code="tag-link-missing"} 0
    registry_findings{instance="ROOT",code="tag-link-invalid"} 2
    registry_findings{instance="ROOT",code="tag-target-unlinked"} 1
    registry_findings{instance="ROOT",code="tag-target-missing"} 1
    registry_findings{instance="ROOT",code="child-link-missing"} 1
    registry_findings{instance="ROOT",code="child-missing"} 0
    registry_findings{instance="ROOT",code="revision-link-invalid"} 0
    registry_findings{instance="ROOT",code="revision-link-mismatch"} 0
    registry_findings{instance="ROOT",code="manifest-missing"} 0
    registry_findings{instance="ROOT",code="manifest-unreadable"} 1
    registry_findings{instance="ROOT",code="manifest-digest-mismatch"} 1
    registry_findings{instance="ROOT",code="layers-folder-missing"} 1
    registry_findings{instance="ROOT",code="layer-link-missing"} 1
    registry_findings{instance="ROOT",code="layer-link-invalid"} 0
    registry_findings{instance="ROOT",code="layer-link-mismatch"} 0
    registry_findings{instance="ROOT",code="descriptor-invalid"} 1
    registry_findings{instance="ROOT",code="descriptor-size-mismatch"} 1
    registry_findings{instance="ROOT",code="blob-missing"} 1
    registry_findings{instance="ROOT",code="blob-size-mismatch"} 2
    registry_findings{instance="ROOT",code="blob-digest-mismatch"} 0
    registry_findings{instance="ROOT",code="unreferenced-blob-wrong"} 0
    registry_findings{instance="ROOT",code="media-type-mismatch"} 0
    registry_findings{instance="ROOT",code="server-error"} 0
    registry_findings{instance="ROOT",code="path-unread"} 1
    registry_findings{instance="ROOT",code="reference-mismatch"} 0
    registry_findings{instance="ROOT",code="referrer-missing"} 0
    registry_findings{instance="ROOT",code="platform-missing"} 0
    registry_findings{instance="ROOT",code="gc-hazard"} 0
    registry_findings{instance="ROOT",code="referrer-untagged"} 0
    registry_findings{instance="ROOT",code="path-unexpected"} 2
    registry_findings{instance="ROOT",code="layer-link-dangling"} 0
    registry_findings{instance="ROOT",code="layer-link-unreferenced"} 0
    registry_findings{instance="ROOT",code="tag-history-dangling"} 1
    registry_findings{instance="ROOT",code="upload-stale"} 1
    registry_findings{instance="ROOT",code="temp-file-stale"} 0
    registry_findings{instance="ROOT",code="manifest-untagged"} 0
    registry_findings{instance="ROOT",code="blob-unreferenced"} 1
    registry_findings{instance="ROOT",code="in-flight"} 0
    # HELP registry_garbage_bytes Bytes that nothing references, by what frees them.
    # TYPE registry_garbage_bytes gauge
    registry_garbage_bytes{instance="ROOT",kind="unreferenced"} 17
    registry_garbage_bytes{instance="ROOT",kind="untagged"} 0
    registry_garbage_bytes{instance="ROOT",kind="stale_uploads"} 12
    # HELP registry_run_duration_seconds How long this run took.
    # TYPE registry_run_duration_seconds gauge
    registry_run_duration_seconds{instance="ROOT"} …
    "#);
}

/// Samples by name and labels. Panics where the text breaks the format.
fn parse_samples(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut typed = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let name = rest.split(' ').next().unwrap().to_owned();
            assert!(!typed.contains(&name), "{name} is declared twice");
            typed.push(name);
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert_eq!(name.split('{').next(), typed.last().map(String::as_str), "{line} is misplaced");
            let old = samples.insert(name.to_owned(), value.parse().unwrap());
            assert!(old.is_none(), "{name} is there twice");
        }
    }
    assert!(text.ends_with('\n'));
    samples
}

#[test]
fn metrics_match_report() {
    let tree = damaged_tree();
    let (text, ran) = scan_with_metrics(&[tree.root()], &["--output", "json"]);
    let (samples, report) = (parse_samples(&text), ran.audit_report());
    let label = format!("{{instance=\"{}\"}}", tree.root().display());
    let value = |name: &str| samples[&format!("{name}{label}")] as u64;
    assert_eq!(value("registry_manifest_integrity_failures"), report.summary.broken_tags);
    assert_eq!(value("registry_unknown_tags"), report.summary.unknown_tags);
    assert_eq!(value("registry_manifest_integrity_tags_checked"), report.coverage.tags_checked);
    let age = report.started_at.as_second() - value("registry_manifest_integrity_last_run_timestamp") as i64;
    assert_eq!(age, 0);
    let findings = samples.iter().filter(|(name, _)| name.starts_with("registry_findings{"));
    assert_eq!(findings.map(|(_, value)| *value as usize).sum::<usize>(), report.findings.len());
}

#[test]
fn absent_source_has_no_failure_count() {
    let (one, two) = (broken_tree(), damaged_tree());
    let gone = Path::new("/nonexistent/registry");
    let (text, ran) = scan_with_metrics(&[one.root(), two.root(), gone], &["--quiet"]);
    let samples = parse_samples(&text);
    let value =
        |name: &str, root: &Path| samples.get(&format!("{name}{{instance=\"{}\"}}", root.display())).copied();
    assert_eq!(ran.status, 12);
    assert_eq!(value("registry_manifest_integrity_failures", one.root()), Some(3.0));
    assert_eq!(value("registry_manifest_integrity_failures", two.root()), Some(12.0));
    // A source that could not be read has no failure count, but the alert on it fires.
    assert_eq!(value("registry_manifest_integrity_failures", gone), None);
    assert_eq!(value("registry_manifest_integrity_catalog_accessible", gone), Some(0.0));
    assert_eq!(value("registry_manifest_integrity_catalog_accessible", one.root()), Some(1.0));
    assert!(value("registry_manifest_integrity_last_run_timestamp", gone).is_some());
}

#[test]
fn unlistable_catalog_is_not_accessible() {
    let mut tree = broken_tree();
    tree.break_moved_behind_symlink(&tree.repositories());
    let samples = parse_samples(&scan_with_metrics(&[tree.root()], &[]).0);
    let name =
        format!("registry_manifest_integrity_catalog_accessible{{instance=\"{}\"}}", tree.root().display());
    assert_eq!(samples[&name], 0.0);
}

#[test]
fn labels_are_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("a \"quoted\" \\ back\nslash");
    TreeBuilder::in_folder(&root).image("a", Some("v1"), "x");
    let (text, _) = scan_with_metrics(&[&root], &[]);
    let line = text.lines().find(|line| line.starts_with("registry_unknown_tags{")).unwrap();
    assert!(line.contains(r#"a \"quoted\" \\\\ back\\nslash"} 0"#), "{line}");
    parse_samples(&text);
}

#[test]
fn metrics_file_is_replaced_atomically() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let tree = broken_tree();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.prom");
    std::fs::write(&path, "old").unwrap();
    let reader = std::fs::File::open(&path).unwrap();
    let before = reader.metadata().unwrap().ino();
    assert_eq!(scan(tree.root(), &["--metrics-file", path.to_str().unwrap()]).status, 4);
    let after = std::fs::metadata(&path).unwrap();
    assert_ne!(before, after.ino());
    assert_eq!(std::io::read_to_string(reader).unwrap(), "old");
    assert_eq!(after.permissions().mode() & 0o777, 0o644);
    let files: Vec<PathBuf> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files, [path]);
}

#[test]
fn unwritable_metrics_file_leaves_report() {
    let tree = broken_tree();
    let folder = tempfile::tempdir().unwrap();
    for path in ["/nonexistent/metrics.prom", folder.path().to_str().unwrap()] {
        let ran = scan(tree.root(), &["--metrics-file", path]);
        assert!(ran.out.contains("registry-fsck scan: broken_tags=3"), "{ran:?}");
        assert!(ran.err.contains("cannot write the metrics file"), "{ran:?}");
        assert_eq!(ran.status & 8, 8);
    }
}

#[test]
fn relative_path_is_in_current_folder() {
    let (tree, folder) = (broken_tree(), tempfile::tempdir().unwrap());
    let mut command = fsck();
    command.current_dir(folder.path()).args(["scan", "--metrics-file", "m.prom"]).arg(tree.root());
    assert_eq!(run(&mut command).status, 4);
    assert!(folder.path().join("m.prom").is_file());
}
