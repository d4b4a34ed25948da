//! `--baseline`: an earlier report separates new, known and resolved findings.

use registry_core::audit::Code;
use registry_fixtures::Digest;

use super::{broken_tree, read_link, write_baseline, write_file};
use crate::support::{AuditReport as _, fsck, mask_snapshots, run, scan, scan_json};

#[test]
fn baseline_separates_new_known_and_resolved() {
    let mut tree = broken_tree();
    let baseline = write_baseline(&tree);
    let target = Digest::from_text(read_link(&tree.tag_link("team/app", "v2")));
    tree.break_revision_link_missing("team/app", &target);
    let target = Digest::from_text(read_link(&tree.tag_link("web", "v1")));
    tree.revision("web", &target);
    let _masked = mask_snapshots(tree.root());
    let ran = scan(tree.root(), &["--baseline", &baseline]);
    insta::assert_snapshot!(ran.out, @"
    Run no garbage collector before the missing links are mended: it deletes the bytes they lead to.
    team/app:v1 cannot be pulled: its manifest is gone: neither a revision link nor its bytes are here [tag-target-missing, known]
    team/app:v2 cannot be pulled:
      config sha256:9b48691575b5 is gone: its layer link is here, its bytes are not [blob-missing, known]
      its manifest has lost its revision link; its bytes are here, repairable [tag-target-unlinked, new]
    info manifest-untagged: team/app: 1 manifest that no tag reaches: only an untagged collection frees it [known]
    info manifest-untagged: web: 1 manifest that no tag reaches: only an untagged collection frees it [known]
    info blob-unreferenced: blobs: 1 blob that no manifest references, 7 bytes: a plain collection frees it [known]
    resolved tag-target-unlinked: web:v1: its manifest has lost its revision link; its bytes are here
    garbage: 7 B in 1 blob that a plain collection frees; 1.99 KiB more in 8 blobs under 2 untagged manifests that only an untagged one frees
    looked at ROOT (primary): 2 repositories, 3 tags, 3 manifests of which 0 indexes, 12 layer links, 16 blobs (3.73 KiB), 0 uploads
    `registry-fsck repair ROOT` says how it would mend what is repairable here, and does it with --apply.
    registry-fsck scan: broken_tags=2 unknown_tags=0 errors=3 warnings=0 infos=3 repairable=1 new_errors=1 resolved=1 tags=3 unread=0 exit_status=4 seconds=…
    ");
    let report = scan_json(tree.root(), &["--baseline", &baseline]).audit_report();
    let new: Vec<_> = report.findings.iter().filter(|finding| finding.new == Some(true)).collect();
    assert_eq!(new.iter().map(|finding| finding.code).collect::<Vec<_>>(), [Code::TagTargetUnlinked]);
    let resolved: Vec<_> = report.resolved.unwrap().into_iter().map(|finding| finding.code).collect();
    assert!(resolved.contains(&Code::TagTargetUnlinked) && report.summary.resolved == resolved.len() as u64);
}

#[test]
fn unread_findings_are_not_resolved() {
    let mut tree = broken_tree();
    let baseline = write_baseline(&tree);
    tree.break_moved_behind_symlink(&tree.repository("web"));
    let ran = scan_json(tree.root(), &["--baseline", &baseline]);
    assert_eq!(ran.json()["resolved"], serde_json::json!([]), "{}", ran.out);
    let gone = run(fsck().args(["scan", "--baseline", &baseline, "--output", "json", "/nonexistent"]));
    assert_eq!(gone.json()["resolved"], serde_json::json!([]));
}

#[test]
fn invalid_baselines_are_refused() {
    let tree = broken_tree();
    let good = scan_json(tree.root(), &[]).out;
    let bad = [
        ("not JSON", "registry-fsck scan: broken_tags=1".to_owned()),
        ("empty", String::new()),
        ("another schema", good.replace("fsck/report/1", "fsck/report/9")),
        ("no schema", "{}".into()),
        ("a list", "[]".into()),
        ("schema is a number", r#"{"schema": 1}"#.into()),
        ("half a report", r#"{"schema": "registry-fsck/report/1", "command": "scan"}"#.into()),
        ("cut off", good.split("sources").next().unwrap().into()),
        ("an unknown code", good.replace("tag-target-missing", "tag-target-eaten")),
    ];
    let mut errors = String::new();
    for (name, text) in bad {
        let path = write_file(&tree, "bad.json", &text);
        let ran = scan(tree.root(), &["--baseline", &path]);
        assert_eq!((ran.status, &*ran.out), (16, ""), "{name}");
        errors.push_str(&format!("{name}: {}", ran.err));
    }
    let missing = tree.root().join("missing.json");
    let ran = scan(tree.root(), &["--baseline", missing.to_str().unwrap()]);
    errors.push_str(&format!("missing: {}", ran.err));
    let _masked = mask_snapshots(tree.root());
    insta::assert_snapshot!(errors, @r#"
    not JSON: ERROR the baseline ROOT/bad.json is no JSON: expected value at line 1 column 1
    empty: ERROR the baseline ROOT/bad.json is no JSON: EOF while parsing a value at line 1 column 0
    another schema: ERROR the baseline ROOT/bad.json has schema "registry-fsck/report/9"; "registry-fsck/report/1" is needed
    no schema: ERROR the baseline ROOT/bad.json is no report: it has no schema (write one with --output json)
    a list: ERROR the baseline ROOT/bad.json is no report (write one with --output json)
    schema is a number: ERROR the baseline ROOT/bad.json is no report (write one with --output json)
    half a report: ERROR the baseline ROOT/bad.json is no report of schema "registry-fsck/report/1": missing field `version` at line 1 column 55
    cut off: ERROR the baseline ROOT/bad.json is no JSON: EOF while parsing a string at line 13 column 3
    an unknown code: ERROR the baseline ROOT/bad.json is no report of schema "registry-fsck/report/1": unknown variant `tag-target-eaten`, expected one of `tag-link-missing`, `tag-link-invalid`, `tag-target-unlinked`, `tag-target-missing`, `child-link-missing`, `child-missing`, `revision-link-invalid`, `revision-link-mismatch`, `manifest-missing`, `manifest-unreadable`, `manifest-digest-mismatch`, `layers-folder-missing`, `layer-link-missing`, `layer-link-invalid`, `layer-link-mismatch`, `descriptor-invalid`, `descriptor-size-mismatch`, `blob-missing`, `blob-size-mismatch`, `blob-digest-mismatch`, `unreferenced-blob-wrong`, `media-type-mismatch`, `server-error`, `path-unread`, `reference-mismatch`, `referrer-missing`, `platform-missing`, `gc-hazard`, `referrer-untagged`, `path-unexpected`, `layer-link-dangling`, `layer-link-unreferenced`, `tag-history-dangling`, `upload-stale`, `temp-file-stale`, `manifest-untagged`, `blob-unreferenced`, `in-flight` at line 46 column 32
    missing: ERROR cannot read the baseline ROOT/missing.json: No such file or directory (os error 2)
    "#);
}
