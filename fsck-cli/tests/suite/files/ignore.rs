//! `--ignore`: findings that an entry sets aside, with a reason, until it expires.

use registry_core::audit::Code;
use registry_fixtures::TreeBuilder;

use super::{broken_tree, write_file};
use crate::support::{AuditReport as _, ProgramOutput, mask_snapshots, scan};

const ENTRY: &str = "[[ignore]]\ncode = 'blob-missing'\nrepository = 'team/*'\nreason = 'rebuilt on Monday'\n\
                         expires = 2999-12-31\n";

/// Scans a tree with an ignore file.
fn scan_with_ignore(tree: &TreeBuilder, text: &str, options: &[&str]) -> ProgramOutput {
    let path = write_file(tree, "ignore.toml", text);
    scan(tree.root(), &[&["--ignore", &path], options].concat())
}

#[test]
fn matching_entry_removes_findings_and_tags() {
    let tree = broken_tree();
    let ran = scan_with_ignore(&tree, ENTRY, &["--output", "json"]);
    let report = ran.audit_report();
    assert!(report.findings.iter().all(|finding| finding.code != Code::BlobMissing));
    let broken: Vec<_> = report.broken_tags.iter().map(|tag| (&*tag.repository, &*tag.tag)).collect();
    assert_eq!(broken, [("team/app", "v1"), ("web", "v1")]);
    for tag in &report.broken_tags {
        assert!(tag.findings.iter().all(|number| report.findings[*number].tags.contains(&tag.tag)));
    }
    insta::assert_json_snapshot!(ran.json()["ignored"], @r#"
    [
      {
        "code": "blob-missing",
        "expires": "2999-12-31",
        "matched": 1,
        "reason": "rebuilt on Monday",
        "repository": "team/*"
      }
    ]
    "#);
}

#[test]
fn tag_with_other_damage_stays_broken() {
    let mut tree = broken_tree();
    let image = tree.image("team/app", Some("v3"), "v3");
    tree.break_blob_missing(&image.config).break_layer_link_missing("team/app", &image.layers[0]);
    let report = scan_with_ignore(&tree, ENTRY, &["--output", "json"]).audit_report();
    assert!(report.broken_tags.iter().any(|tag| &*tag.tag == "v3" && tag.findings.len() == 1));
}

#[test]
fn expired_and_unmatched_entries_are_warnings() {
    let tree = broken_tree();
    let expired = ENTRY.replace("2999", "2001");
    let unmatched = ENTRY.replace("team/*", "elsewhere/*");
    let _masked = mask_snapshots(tree.root());
    let ran = scan_with_ignore(&tree, &[ENTRY, &expired, &unmatched].join("\n"), &[]);
    insta::assert_snapshot!(ran.out, @"
    Run no garbage collector before the missing links are mended: it deletes the bytes they lead to.
    team/app:v1 cannot be pulled: its manifest is gone: neither a revision link nor its bytes are here [tag-target-missing]
    web:v1 cannot be pulled: its manifest has lost its revision link; its bytes are here, repairable [tag-target-unlinked]
    ignored until 2999-12-31: 1 x blob-missing in team/* (rebuilt on Monday)
    warning ignore entry for blob-missing in team/* expired on 2001-12-31; remove it
    warning ignore entry for blob-missing in elsewhere/* matches nothing; remove it
    info manifest-untagged: team/app: 1 manifest that no tag reaches: only an untagged collection frees it
    info manifest-untagged: web: 1 manifest that no tag reaches: only an untagged collection frees it
    info blob-unreferenced: blobs: 1 blob that no manifest references, 7 bytes: a plain collection frees it
    garbage: 7 B in 1 blob that a plain collection frees; 1.99 KiB more in 8 blobs under 2 untagged manifests that only an untagged one frees
    looked at ROOT (primary): 2 repositories, 3 tags, 3 manifests of which 0 indexes, 12 layer links, 16 blobs (3.73 KiB), 0 uploads
    `registry-fsck repair ROOT` says how it would mend what is repairable here, and does it with --apply.
    registry-fsck scan: broken_tags=2 unknown_tags=0 errors=2 warnings=2 infos=3 repairable=1 tags=3 unread=0 exit_status=4 seconds=…
    ");
    let quiet = scan_with_ignore(&TreeBuilder::new(), &unmatched, &["--fail-on", "warning"]);
    assert_eq!(quiet.status, 4, "{quiet:?}");
}

#[test]
fn entry_applies_on_its_last_day() {
    let tree = broken_tree();
    let day = || jiff::Timestamp::now().to_string()[..10].to_owned();
    let today = day();
    let entry = ENTRY.replace("2999-12-31", &today);
    let report = scan_with_ignore(&tree, &entry, &["--output", "json"]).audit_report();
    // Midnight may pass while this runs.
    assert!(report.ignored.unwrap()[0].matched == 1 || today != day());
}

#[test]
fn invalid_ignore_files_are_refused() {
    let tree = broken_tree();
    let bad = [
        ("an unknown key", ENTRY.replace("reason", "raison")),
        ("one key too many", format!("{ENTRY}severity = 'error'\n")),
        ("another table", format!("[[ignored]]\n{ENTRY}")),
        ("no TOML", "code: blob-missing".to_owned()),
        ("no reason", ENTRY.replace("reason = 'rebuilt on Monday'\n", "")),
        ("an empty reason", ENTRY.replace("rebuilt on Monday", " ")),
        ("no expiry", ENTRY.replace("expires = 2999-12-31\n", "")),
        ("a date that is none", ENTRY.replace("2999-12-31", "'2999-02-30'")),
        ("words for a date", ENTRY.replace("2999-12-31", "'next year'")),
        ("a number for a date", ENTRY.replace("2999-12-31", "2999")),
        ("an unknown code", ENTRY.replace("blob-missing", "blob-mising")),
        ("a bad glob", ENTRY.replace("team/*", "team/[")),
        ("second entry", format!("{ENTRY}\n{}", ENTRY.replace("team/*", "{"))),
    ];
    let mut errors = String::new();
    for (name, text) in bad {
        let ran = scan_with_ignore(&tree, &text, &[]);
        assert_eq!((ran.status, &*ran.out), (16, ""), "{name}");
        errors.push_str(&format!("{name}: {}", ran.err));
    }
    let _masked = mask_snapshots(tree.root());
    insta::assert_snapshot!(errors, @r#"
    an unknown key: ERROR the ignore file ROOT/ignore.toml is unusable: line 4: unknown field `raison`, expected one of `code`, `repository`, `reason`, `expires`
    one key too many: ERROR the ignore file ROOT/ignore.toml is unusable: line 6: unknown field `severity`, expected one of `code`, `repository`, `reason`, `expires`
    another table: ERROR the ignore file ROOT/ignore.toml is unusable: line 1: unknown field `ignored`, expected `ignore`
    no TOML: ERROR the ignore file ROOT/ignore.toml is unusable: line 1: key with no value, expected `=`
    no reason: ERROR the ignore file ROOT/ignore.toml is unusable: line 1: missing field `reason`
    an empty reason: ERROR entry 1 of the ignore file ROOT/ignore.toml: the reason is empty: say why this finding may stay
    no expiry: ERROR the ignore file ROOT/ignore.toml is unusable: line 1: missing field `expires`
    a date that is none: ERROR entry 1 of the ignore file ROOT/ignore.toml: expires is "2999-02-30", and a date such as 2027-01-31 is needed
    words for a date: ERROR entry 1 of the ignore file ROOT/ignore.toml: expires is "next year", and a date such as 2027-01-31 is needed
    a number for a date: ERROR entry 1 of the ignore file ROOT/ignore.toml: expires is integer, and a date such as 2027-01-31 is needed
    an unknown code: ERROR entry 1 of the ignore file ROOT/ignore.toml: "blob-mising": no such finding code (docs/findings.md lists them)
    a bad glob: ERROR entry 1 of the ignore file ROOT/ignore.toml: error parsing glob 'team/[': unclosed character class; missing ']'
    second entry: ERROR entry 2 of the ignore file ROOT/ignore.toml: error parsing glob '{': unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)
    "#);
}

#[test]
fn empty_file_ignores_nothing() {
    let ran = scan_with_ignore(&broken_tree(), "", &["--output", "json"]);
    assert_eq!((ran.status, &ran.json()["ignored"]), (4, &serde_json::json!([])));
}
