//! Files that a scan reads beside the tree and files that it writes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use registry_core::audit::Code;
use registry_fixtures::{Digest, TreeBuilder};

use crate::support::{Ran, fsck, masked, ran, run};
use crate::text::ruin;

const OLD: Duration = Duration::from_secs(30 * 24 * 3600);

/// Two damaged tags in `team/app`, one in `web`, some garbage.
fn tree() -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    tree.image("team/app", Some("v1"), "v1");
    let two = tree.image("team/app", Some("v2"), "v2");
    tree.image("web", Some("v1"), "web");
    tree.image("web", None, "untagged");
    tree.blob(b"garbage");
    tree.break_tag_target("team/app", "v1");
    tree.break_blob_missing(&two.config);
    tree.break_revision_link_missing("web", &Digest::from_text(link(&tree.tag_link("web", "v1"))));
    tree.age_all(OLD);
    tree
}

fn link(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// A file beside the registry.
fn file(tree: &TreeBuilder, name: &str, text: &str) -> String {
    let path = tree.root().join(name);
    std::fs::write(&path, text).unwrap();
    path.into_os_string().into_string().unwrap()
}

fn baseline_of(tree: &TreeBuilder) -> String {
    file(tree, "baseline.json", &ran(tree.root(), &["--output", "json"]).stdout)
}

mod baseline {
    use super::*;

    #[test]
    fn new_known_and_resolved() {
        let mut tree = tree();
        let baseline = baseline_of(&tree);
        let target = Digest::from_text(link(&tree.tag_link("team/app", "v2")));
        tree.break_revision_link_missing("team/app", &target);
        let child = link(&tree.tag_link("web", "v1"));
        tree.revision("web", &Digest::from_text(child));
        let _masked = masked(tree.root());
        let done = ran(tree.root(), &["--baseline", &baseline]);
        insta::assert_snapshot!(done.stdout, @"
        Run no garbage collector before the missing links are mended: it deletes the bytes they lead to.
        Commands below are for the rootdirectory; give what they make the owner of its neighbours.
        team/app:v1 cannot be pulled: its manifest is gone: neither a revision link nor its bytes are here [tag-target-missing, known]
        team/app:v2 cannot be pulled:
          config sha256:9b48691575b5 is gone: its layer link is here, its bytes are not [blob-missing, known]
          its manifest has lost its revision link; its bytes are here, repairable [tag-target-unlinked, new]
            mkdir -p docker/registry/v2/repositories/team/app/_manifests/revisions/sha256/e74cb118adb5… && printf %s sha256:e74cb118adb5… > docker/registry/v2/repositories/team/app/_manifests/revisions/sha256/e74cb118adb5…/link
        info manifest-untagged: team/app: 1 manifest that no tag reaches: only an untagged collection frees it [known]
        info manifest-untagged: web: 1 manifest that no tag reaches: only an untagged collection frees it [known]
        info blob-unreferenced: blobs: 1 blob that no manifest references, 7 bytes: a plain collection frees it [known]
        resolved tag-target-unlinked: web:v1: its manifest has lost its revision link; its bytes are here
        garbage: 7 B in 1 blob that a plain collection frees; 1.99 KiB more in 8 blobs under 2 untagged manifests that only an untagged one frees
        looked at ROOT (primary): 2 repositories, 3 tags, 3 manifests of which 0 indexes, 12 layer links, 16 blobs (3.73 KiB), 0 uploads
        registry-fsck scan: broken_tags=2 unknown_tags=0 errors=3 warnings=0 infos=3 repairable=1 new_errors=1 resolved=1 tags=3 unread=0 exit_status=4 seconds=…
        ");
        let report = ran(tree.root(), &["--baseline", &baseline, "--output", "json"]).typed();
        let new: Vec<_> = report.findings.iter().filter(|finding| finding.new == Some(true)).collect();
        assert_eq!(new.iter().map(|finding| finding.code).collect::<Vec<_>>(), [Code::TagTargetUnlinked]);
        let resolved: Vec<_> = report.resolved.unwrap().into_iter().map(|finding| finding.code).collect();
        assert!(
            resolved.contains(&Code::TagTargetUnlinked) && report.summary.resolved == resolved.len() as u64
        );
    }

    #[test]
    fn what_could_not_be_read_is_not_called_resolved() {
        let mut tree = tree();
        let baseline = baseline_of(&tree);
        tree.break_moved_behind_symlink(&tree.repository("web"));
        let report = ran(tree.root(), &["--baseline", &baseline, "--output", "json"]);
        assert_eq!(report.json()["resolved"], serde_json::json!([]), "{}", report.stdout);
        let gone = run(fsck().args(["scan", "--baseline", &baseline, "--output", "json", "/nonexistent"]));
        assert_eq!(gone.json()["resolved"], serde_json::json!([]));
    }

    #[test]
    fn what_is_no_report_is_refused() {
        let tree = tree();
        let good = ran(tree.root(), &["--output", "json"]).stdout;
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
        let mut said = String::new();
        for (name, text) in bad {
            let path = file(&tree, "bad.json", &text);
            let done = ran(tree.root(), &["--baseline", &path]);
            assert_eq!((done.status, &*done.stdout), (16, ""), "{name}");
            said.push_str(&format!("{name}: {}", done.stderr));
        }
        let missing = tree.root().join("missing.json");
        let done = ran(tree.root(), &["--baseline", missing.to_str().unwrap()]);
        said.push_str(&format!("missing: {}", done.stderr));
        let _masked = masked(tree.root());
        insta::assert_snapshot!(said, @r#"
        not JSON: ERROR the baseline ROOT/bad.json is no JSON: expected value at line 1 column 1
        empty: ERROR the baseline ROOT/bad.json is no JSON: EOF while parsing a value at line 1 column 0
        another schema: ERROR the baseline ROOT/bad.json has schema "registry-fsck/report/9"; "registry-fsck/report/1" is needed
        no schema: ERROR the baseline ROOT/bad.json is no report: it has no schema (write one with --output json)
        a list: ERROR the baseline ROOT/bad.json is no report (write one with --output json)
        schema is a number: ERROR the baseline ROOT/bad.json is no report (write one with --output json)
        half a report: ERROR the baseline ROOT/bad.json is no report of schema "registry-fsck/report/1": missing field `version` at line 1 column 55
        cut off: ERROR the baseline ROOT/bad.json is no JSON: EOF while parsing a string at line 13 column 3
        an unknown code: ERROR the baseline ROOT/bad.json is no report of schema "registry-fsck/report/1": unknown variant `tag-target-eaten`, expected one of `tag-link-missing`, `tag-link-invalid`, `tag-target-unlinked`, `tag-target-missing`, `child-link-missing`, `child-missing`, `revision-link-invalid`, `revision-link-mismatch`, `manifest-missing`, `manifest-unreadable`, `manifest-digest-mismatch`, `layers-folder-missing`, `layer-link-missing`, `layer-link-invalid`, `layer-link-mismatch`, `descriptor-invalid`, `descriptor-size-mismatch`, `blob-missing`, `blob-size-mismatch`, `blob-digest-mismatch`, `server-error`, `path-unread`, `platform-missing`, `gc-hazard`, `referrer-untagged`, `path-unexpected`, `layer-link-dangling`, `layer-link-unreferenced`, `tag-history-dangling`, `upload-stale`, `temp-file-stale`, `manifest-untagged`, `blob-unreferenced`, `in-flight` at line 46 column 32
        missing: ERROR cannot read the baseline ROOT/missing.json: No such file or directory (os error 2)
        "#);
    }
}

mod ignore {
    use super::*;

    const ENTRY: &str = "[[ignore]]\ncode = 'blob-missing'\nrepository = 'team/*'\nreason = 'rebuilt on Monday'\n\
                         expires = 2999-12-31\n";

    fn with(tree: &TreeBuilder, text: &str, options: &[&str]) -> Ran {
        let path = file(tree, "ignore.toml", text);
        ran(tree.root(), &[&["--ignore", &path], options].concat())
    }

    #[test]
    fn a_matching_entry_takes_findings_and_tags_away() {
        let tree = tree();
        let done = with(&tree, ENTRY, &["--output", "json"]);
        let report = done.typed();
        assert!(report.findings.iter().all(|finding| finding.code != Code::BlobMissing));
        let broken: Vec<_> = report.broken_tags.iter().map(|tag| (&*tag.repository, &*tag.tag)).collect();
        assert_eq!(broken, [("team/app", "v1"), ("web", "v1")]);
        for tag in &report.broken_tags {
            assert!(tag.findings.iter().all(|number| report.findings[*number].tags.contains(&tag.tag)));
        }
        insta::assert_json_snapshot!(done.json()["ignored"], @r#"
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
    fn a_tag_with_another_damage_stays_broken() {
        let mut tree = tree();
        let image = tree.image("team/app", Some("v3"), "v3");
        tree.break_blob_missing(&image.config).break_layer_link_missing("team/app", &image.layers[0]);
        let report = with(&tree, ENTRY, &["--output", "json"]).typed();
        assert!(report.broken_tags.iter().any(|tag| &*tag.tag == "v3" && tag.findings.len() == 1));
    }

    #[test]
    fn stale_entries_are_warnings() {
        let tree = tree();
        let expired = ENTRY.replace("2999", "2001");
        let unmatched = ENTRY.replace("team/*", "elsewhere/*");
        let _masked = masked(tree.root());
        let done = with(&tree, &[ENTRY, &expired, &unmatched].join("\n"), &[]);
        insta::assert_snapshot!(done.stdout, @"
        Run no garbage collector before the missing links are mended: it deletes the bytes they lead to.
        Commands below are for the rootdirectory; give what they make the owner of its neighbours.
        team/app:v1 cannot be pulled: its manifest is gone: neither a revision link nor its bytes are here [tag-target-missing]
        web:v1 cannot be pulled: its manifest has lost its revision link; its bytes are here, repairable [tag-target-unlinked]
            mkdir -p docker/registry/v2/repositories/web/_manifests/revisions/sha256/fab89dfc1071… && printf %s sha256:fab89dfc1071… > docker/registry/v2/repositories/web/_manifests/revisions/sha256/fab89dfc1071…/link
        ignored until 2999-12-31: 1 x blob-missing in team/* (rebuilt on Monday)
        warning ignore entry for blob-missing in team/* expired on 2001-12-31; remove it
        warning ignore entry for blob-missing in elsewhere/* matches nothing; remove it
        info manifest-untagged: team/app: 1 manifest that no tag reaches: only an untagged collection frees it
        info manifest-untagged: web: 1 manifest that no tag reaches: only an untagged collection frees it
        info blob-unreferenced: blobs: 1 blob that no manifest references, 7 bytes: a plain collection frees it
        garbage: 7 B in 1 blob that a plain collection frees; 1.99 KiB more in 8 blobs under 2 untagged manifests that only an untagged one frees
        looked at ROOT (primary): 2 repositories, 3 tags, 3 manifests of which 0 indexes, 12 layer links, 16 blobs (3.73 KiB), 0 uploads
        registry-fsck scan: broken_tags=2 unknown_tags=0 errors=2 warnings=2 infos=3 repairable=1 tags=3 unread=0 exit_status=4 seconds=…
        ");
        let quiet = with(&TreeBuilder::new(), &unmatched, &["--fail-on", "warning"]);
        assert_eq!(quiet.status, 4, "{quiet:?}");
    }

    #[test]
    fn an_entry_counts_on_its_last_day() {
        let tree = tree();
        let day = || jiff::Timestamp::now().to_string()[..10].to_owned();
        let today = day();
        let entry = ENTRY.replace("2999-12-31", &today);
        let report = with(&tree, &entry, &["--output", "json"]).typed();
        // Midnight may pass while this runs.
        assert!(report.ignored.unwrap()[0].matched == 1 || today != day());
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        let tree = tree();
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
        let mut said = String::new();
        for (name, text) in bad {
            let done = with(&tree, &text, &[]);
            assert_eq!((done.status, &*done.stdout), (16, ""), "{name}");
            said.push_str(&format!("{name}: {}", done.stderr));
        }
        let _masked = masked(tree.root());
        insta::assert_snapshot!(said, @r#"
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
    fn an_empty_file_ignores_nothing() {
        let done = with(&tree(), "", &["--output", "json"]);
        assert_eq!((done.status, &done.json()["ignored"]), (4, &serde_json::json!([])));
    }
}

mod garbage {
    use super::*;

    #[test]
    fn every_piece_is_a_line_of_json() {
        let mut tree = tree();
        tree.layer("web", b"linked, not needed");
        tree.upload("web", b"half", Some("2024-01-02T03:04:05Z"));
        tree.age_all(OLD);
        let list = tree.root().join("garbage.jsonl");
        let done = ran(tree.root(), &["--output", "json", "--list-garbage", list.to_str().unwrap()]);
        let text = std::fs::read_to_string(&list).unwrap();
        let _masked = masked(tree.root());
        insta::assert_snapshot!(text, @r#"
        {"bytes":265,"code":"manifest-untagged","digest":"sha256:19145d85a059…","path":"blobs/sha256/19/19145d85a059…/data","source":"ROOT"}
        {"bytes":555,"code":"manifest-untagged","digest":"sha256:28764f317e1e…","path":"blobs/sha256/28/28764f317e1e…/data","source":"ROOT"}
        {"bytes":101,"code":"manifest-untagged","digest":"sha256:3cb404eccf40…","path":"blobs/sha256/3c/3cb404eccf40…/data","source":"ROOT"}
        {"bytes":101,"code":"manifest-untagged","digest":"sha256:464599bb0992…","path":"blobs/sha256/46/464599bb0992…/data","source":"ROOT"}
        {"bytes":259,"code":"manifest-untagged","digest":"sha256:694a73d7af9a…","path":"blobs/sha256/69/694a73d7af9a…/data","source":"ROOT"}
        {"bytes":18,"code":"blob-unreferenced","digest":"sha256:74030281ccc0…","path":"blobs/sha256/74/74030281ccc0…/data","source":"ROOT"}
        {"bytes":7,"code":"blob-unreferenced","digest":"sha256:795b6904e54f…","path":"blobs/sha256/79/795b6904e54f…/data","source":"ROOT"}
        {"bytes":100,"code":"manifest-untagged","digest":"sha256:7c8eba92da10…","path":"blobs/sha256/7c/7c8eba92da10…/data","source":"ROOT"}
        {"bytes":555,"code":"manifest-untagged","digest":"sha256:972086ff1956…","path":"blobs/sha256/97/972086ff1956…/data","source":"ROOT"}
        {"bytes":100,"code":"manifest-untagged","digest":"sha256:f81174748cf9…","path":"blobs/sha256/f8/f81174748cf9…/data","source":"ROOT"}
        {"bytes":0,"code":"manifest-untagged","digest":"sha256:972086ff1956…","path":"repositories/team/app/_manifests/revisions/sha256/972086ff1956…/link","repository":"team/app","source":"ROOT"}
        {"bytes":0,"code":"layer-link-unreferenced","digest":"sha256:74030281ccc0…","path":"repositories/web/_layers/sha256/74030281ccc0…/link","repository":"web","source":"ROOT"}
        {"bytes":0,"code":"manifest-untagged","digest":"sha256:28764f317e1e…","path":"repositories/web/_manifests/revisions/sha256/28764f317e1e…/link","repository":"web","source":"ROOT"}
        {"bytes":4,"code":"upload-stale","path":"repositories/web/_uploads/5dd2b57a-7a70-4810-8c54-67bde3d56b6c","repository":"web","source":"ROOT"}
        "#);
        let mut bytes: BTreeMap<String, u64> = BTreeMap::new();
        for line in text.lines() {
            let piece: serde_json::Value = serde_json::from_str(line).unwrap();
            *bytes.entry(piece["code"].as_str().unwrap().into()).or_default() +=
                piece["bytes"].as_u64().unwrap();
            assert!(tree.v2().join(piece["path"].as_str().unwrap()).exists(), "{piece}");
            assert!(piece["code"].as_str().unwrap().parse::<Code>().is_ok());
        }
        let garbage = done.typed().garbage.unwrap();
        assert_eq!(bytes["blob-unreferenced"], garbage.unreferenced.bytes);
        assert_eq!(bytes["upload-stale"], garbage.stale_upload_bytes);
    }

    #[test]
    fn a_sound_registry_has_an_empty_list() {
        let tree = TreeBuilder::new();
        let list = tree.root().join("garbage.jsonl");
        std::fs::write(&list, "from an earlier run").unwrap();
        assert_eq!(ran(tree.root(), &["--list-garbage", list.to_str().unwrap()]).status, 0);
        assert_eq!(std::fs::read_to_string(&list).unwrap(), "");
    }

    #[test]
    fn a_list_that_cannot_be_written_costs_no_report() {
        let tree = tree();
        let done = ran(tree.root(), &["--list-garbage", "/nonexistent/list"]);
        assert!(done.stdout.contains("registry-fsck scan: broken_tags=3"), "{done:?}");
        assert_eq!(done.status & 8, 8);
        insta::assert_snapshot!(done.stderr, @r#"
         WARN /nonexistent/list cannot be written as it is now: No such file or directory (os error 2) at path "/nonexistent/.registry-fsck-Jmef4X"; the scan goes on
        ERROR cannot write the list of garbage /nonexistent/list: No such file or directory (os error 2)
        "#);
    }
}

mod metrics {
    use super::*;

    fn metrics(roots: &[&Path], options: &[&str]) -> (String, Ran) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.prom");
        let done = run(fsck().arg("scan").args(options).arg("--metrics-file").arg(&path).args(roots));
        (std::fs::read_to_string(&path).unwrap(), done)
    }

    #[test]
    fn the_whole_file() {
        let tree = ruin();
        let _masked = masked(tree.root());
        insta::assert_snapshot!(metrics(&[tree.root()], &[]).0, @r#"
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
        registry_findings{instance="ROOT",code="server-error"} 0
        registry_findings{instance="ROOT",code="path-unread"} 1
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

    /// Samples by name and labels; panics where the text format is not kept.
    fn samples(text: &str) -> BTreeMap<String, f64> {
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
    fn numbers_are_those_of_the_report() {
        let tree = ruin();
        let (text, done) = metrics(&[tree.root()], &["--output", "json"]);
        let (samples, report) = (samples(&text), done.typed());
        let label = format!("{{instance=\"{}\"}}", tree.root().display());
        let value = |name: &str| samples[&format!("{name}{label}")] as u64;
        assert_eq!(value("registry_manifest_integrity_failures"), report.summary.broken_tags);
        assert_eq!(value("registry_unknown_tags"), report.summary.unknown_tags);
        assert_eq!(value("registry_manifest_integrity_tags_checked"), report.coverage.tags_checked);
        let age =
            report.started_at.as_second() - value("registry_manifest_integrity_last_run_timestamp") as i64;
        assert_eq!(age, 0);
        let findings = samples.iter().filter(|(name, _)| name.starts_with("registry_findings{"));
        assert_eq!(findings.map(|(_, value)| *value as usize).sum::<usize>(), report.findings.len());
    }

    #[test]
    fn several_sources_and_one_that_is_gone() {
        let (one, two) = (tree(), ruin());
        let gone = Path::new("/nonexistent/registry");
        let (text, done) = metrics(&[one.root(), two.root(), gone], &["--quiet"]);
        let samples = samples(&text);
        let of = |name: &str, root: &Path| {
            samples.get(&format!("{name}{{instance=\"{}\"}}", root.display())).copied()
        };
        assert_eq!(done.status, 12);
        assert_eq!(of("registry_manifest_integrity_failures", one.root()), Some(3.0));
        assert_eq!(of("registry_manifest_integrity_failures", two.root()), Some(12.0));
        // Nothing is claimed of what was not seen, but the alert on it fires.
        assert_eq!(of("registry_manifest_integrity_failures", gone), None);
        assert_eq!(of("registry_manifest_integrity_catalog_accessible", gone), Some(0.0));
        assert_eq!(of("registry_manifest_integrity_catalog_accessible", one.root()), Some(1.0));
        assert!(of("registry_manifest_integrity_last_run_timestamp", gone).is_some());
    }

    #[test]
    fn a_catalog_that_cannot_be_listed() {
        let mut tree = tree();
        tree.break_moved_behind_symlink(&tree.repositories());
        let samples = samples(&metrics(&[tree.root()], &[]).0);
        let name = format!(
            "registry_manifest_integrity_catalog_accessible{{instance=\"{}\"}}",
            tree.root().display()
        );
        assert_eq!(samples[&name], 0.0);
    }

    #[test]
    fn labels_are_escaped() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("a \"quoted\" \\ back\nslash");
        TreeBuilder::in_folder(&root).image("a", Some("v1"), "x");
        let (text, _) = metrics(&[&root], &[]);
        let line = text.lines().find(|line| line.starts_with("registry_unknown_tags{")).unwrap();
        assert!(line.contains(r#"a \"quoted\" \\\\ back\\nslash"} 0"#), "{line}");
        samples(&text);
    }

    #[test]
    fn the_file_is_exchanged_whole() {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
        let tree = tree();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("registry.prom");
        std::fs::write(&path, "old").unwrap();
        let reader = std::fs::File::open(&path).unwrap();
        let before = reader.metadata().unwrap().ino();
        assert_eq!(ran(tree.root(), &["--metrics-file", path.to_str().unwrap()]).status, 4);
        let after = std::fs::metadata(&path).unwrap();
        assert_ne!(before, after.ino());
        assert_eq!(std::io::read_to_string(reader).unwrap(), "old");
        assert_eq!(after.permissions().mode() & 0o777, 0o644);
        let left: Vec<PathBuf> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [path]);
    }

    #[test]
    fn a_file_that_cannot_be_written_costs_no_report() {
        let tree = tree();
        let folder = tempfile::tempdir().unwrap();
        for path in ["/nonexistent/metrics.prom", folder.path().to_str().unwrap()] {
            let done = ran(tree.root(), &["--metrics-file", path]);
            assert!(done.stdout.contains("registry-fsck scan: broken_tags=3"), "{done:?}");
            assert!(done.stderr.contains("cannot write the metrics file"), "{done:?}");
            assert_eq!(done.status & 8, 8);
        }
    }

    #[test]
    fn a_relative_path_is_in_the_current_folder() {
        let (tree, folder) = (tree(), tempfile::tempdir().unwrap());
        let mut command = fsck();
        command.current_dir(folder.path()).args(["scan", "--metrics-file", "m.prom"]).arg(tree.root());
        assert_eq!(run(&mut command).status, 4);
        assert!(folder.path().join("m.prom").is_file());
    }
}

#[test]
fn a_registry_that_is_named_twice_is_audited_once() {
    let tree = tree();
    let metrics = tree.root().join("m.prom");
    let mut command = fsck();
    command.args(["scan", "--output", "json", "--metrics-file"]).arg(&metrics);
    let report =
        run(command.args([tree.root(), tree.root(), &tree.root().join("docker/registry/v2")])).typed();
    assert_eq!((report.sources.len(), report.broken_tags.len()), (1, 3));
    let metrics = std::fs::read_to_string(metrics).unwrap();
    assert_eq!(metrics.matches("registry_unknown_tags{").count(), 1, "{metrics}");
}

#[test]
fn what_is_ignored_is_not_resolved() {
    let tree = tree();
    let baseline = baseline_of(&tree);
    let entry = "[[ignore]]\ncode = 'blob-missing'\nrepository = '*'\nreason = 'r'\nexpires = 2999-01-01\n";
    let ignore = file(&tree, "ignore.toml", entry);
    let done = ran(tree.root(), &["--baseline", &baseline, "--ignore", &ignore, "--output", "json"]);
    assert_eq!(done.json()["resolved"], serde_json::json!([]));
}

#[test]
fn several_roots_make_one_report() {
    let (one, two) = (tree(), ruin());
    let done = run(fsck().args(["scan", "--output", "json"]).arg(one.root()).arg(two.root()));
    let report = done.typed();
    assert_eq!(report.sources.len(), 2);
    let of =
        |root: &Path| report.broken_tags.iter().filter(|tag| *tag.source == *root.to_str().unwrap()).count();
    assert_eq!((of(one.root()), of(two.root())), (3, 12));
    assert_eq!(report.coverage.tags_total, report.sources.iter().map(|source| source.tags).sum::<u64>());
    for tag in &report.broken_tags {
        assert!(tag.findings.iter().all(|number| report.findings[*number].source == tag.source));
    }
    let alone = ran(one.root(), &["--output", "json"]).typed().garbage.unwrap();
    let other = ran(two.root(), &["--output", "json"]).typed().garbage.unwrap();
    let both = report.garbage.unwrap();
    assert_eq!(both.unreferenced.bytes, alone.unreferenced.bytes + other.unreferenced.bytes);
}
