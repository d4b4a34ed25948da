//! Files that a probe reads and writes: state, repositories, baseline, ignore file.

use std::path::{Path, PathBuf};

use registry_fixtures::registry::{Fault, Server};
use tempfile::TempDir;

use crate::support::{
    ProgramOutput, fsck, host, images, images_with_lost_child, manifest_digest, mask_snapshots, registry,
};

fn read_text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn write_file(folder: &TempDir, name: &str, content: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn probe(server: &Server, option: &str, path: &Path, more: &[&str]) -> ProgramOutput {
    fsck(&[&["probe", &server.url, option, path.to_str().unwrap()], more].concat())
}

#[test]
fn second_run_with_state_reads_no_manifest_again() {
    let (server, folder) = (registry(images), tempfile::tempdir().unwrap());
    let state = folder.path().join("state.json");
    assert_eq!(probe(&server, "--state", &state, &[]).status, 0);
    let first = read_text(&state);
    assert!(first.starts_with(r#"{"schema":"registry-fsck/state/1","source":"http://127.0.0.1:"#), "{first}");
    server.clear_log();
    assert_eq!(probe(&server, "--state", &state, &[]).status, 0);
    let lines = server.lines();
    let lists = lines.iter().filter(|line| line.starts_with("GET ")).count();
    assert_eq!(lists, 4, "ping, catalog and two lists: {lines:#?}");
    // A HEAD for each of four tags, and for five manifests by digest: an index, its two children, two images.
    assert_eq!(lines.len(), lists + 4 + 5, "{lines:#?}");
    server.clear_log();
    probe(&server, "--state", &state, &["--recheck-after", "0s"]);
    assert!(server.lines().iter().any(|line| line.contains("/blobs/")));
}

#[test]
fn unusable_state_exits_16_and_is_kept() {
    let _masked = mask_snapshots();
    let (server, folder) = (registry(images), tempfile::tempdir().unwrap());
    let mut errors = String::new();
    let other = r#"{"schema":"registry-fsck/state/1","source":"https://other.example"}"#;
    for content in ["nonsense", r#"{"schema":"registry-fsck/state/2","source":"x"}"#, other] {
        let path = write_file(&folder, "state.json", content);
        let ran = probe(&server, "--state", &path, &[]);
        assert_eq!((ran.status, &*ran.out, &*read_text(&path)), (16, "", content));
        errors.push_str(&ran.err);
    }
    assert!(server.log().is_empty());
    insta::assert_snapshot!(errors, @r#"
    ERROR cannot use the state FOLDER/state.json; remove it to begin anew, or name another file: it holds no state: expected ident at line 1 column 2
    ERROR cannot use the state FOLDER/state.json; remove it to begin anew, or name another file: its schema is "registry-fsck/state/2", and "registry-fsck/state/1" is needed
    ERROR cannot use the state FOLDER/state.json; remove it to begin anew, or name another file: it is the state of "https://other.example"
    "#);
}

#[test]
fn empty_state_file_begins_new_state() {
    let (server, folder) = (registry(images), tempfile::tempdir().unwrap());
    let path = write_file(&folder, "state.json", "");
    assert_eq!(probe(&server, "--state", &path, &[]).status, 0);
    assert!(read_text(&path).contains("team/app"));
}

#[test]
fn unwritable_state_exits_8_after_report() {
    let (server, folder) = (registry(images), tempfile::tempdir().unwrap());
    let ran = probe(&server, "--state", &folder.path().join("no/such/folder/state.json"), &[]);
    assert_eq!(ran.status, 8);
    assert!(ran.err.contains("cannot write the state") && ran.out.contains("4 of 4 tags"), "{ran:?}");
}

#[test]
fn failing_registry_leaves_state_unchanged() {
    let (server, folder) = (registry(images), tempfile::tempdir().unwrap());
    let state = folder.path().join("state.json");
    probe(&server, "--state", &state, &[]);
    let before = read_text(&state);
    server.set_hook(|_, ask, _| ask.path.contains("/manifests/").then_some(Fault::Status(500)));
    assert_eq!(probe(&server, "--state", &state, &["--retries", "0"]).status, 8);
    assert_eq!(read_text(&state), before);
}

#[test]
fn coverage_counts_unchecked_tags_and_names_oldest_check() {
    let (server, folder) = (registry(images), tempfile::tempdir().unwrap());
    let state = folder.path().join("state.json");
    let ran = probe(&server, "--state", &state, &["--sample", "50", "--output", "json"]);
    let coverage = &ran.json()["coverage"];
    assert_eq!((&coverage["tags_checked"], &coverage["never_checked"]), (&2.into(), &2.into()));
    assert!(coverage["oldest_check"].is_null(), "{coverage}");
    let ran = probe(&server, "--state", &state, &["--sample", "50", "--output", "json"]);
    let coverage = &ran.json()["coverage"];
    assert_eq!((&coverage["tags_checked"], &coverage["never_checked"]), (&2.into(), &0.into()));
    assert!(coverage["oldest_check"].is_string(), "{coverage}");
}

#[test]
fn repositories_file_replaces_catalog() {
    let (server, folder) = (registry(images_with_lost_child), tempfile::tempdir().unwrap());
    let path = write_file(&folder, "names", "# ours\n\n  web  \nno/such/thing\n");
    let ran = probe(&server, "--repositories-file", &path, &["--output", "json"]);
    assert_eq!((ran.status, &ran.json()["coverage"]["tags_total"]), (0, &1.into()));
    assert!(server.lines().iter().all(|line| !line.contains("_catalog") && !line.contains("team/app")));
}

#[test]
fn bug_unusable_repositories_file_exits_16() {
    let _masked = mask_snapshots();
    let (server, folder) = (registry(images), tempfile::tempdir().unwrap());
    let mut errors = String::new();
    for content in ["web\nUPPER/..\n", "# nothing\n", "web\nteam/app:v1\n"] {
        let path = write_file(&folder, "names", content);
        let ran = probe(&server, "--repositories-file", &path, &[]);
        assert_eq!((ran.status, &*ran.out), (16, ""));
        errors.push_str(&ran.err);
    }
    let ran = probe(&server, "--repositories-file", &folder.path().join("absent"), &[]);
    assert_eq!(ran.status, 16);
    errors.push_str(&ran.err);
    assert!(server.log().is_empty());
    insta::assert_snapshot!(errors, @r#"
    ERROR line 2 of FOLDER/names: "UPPER/.." is no repository name
    ERROR FOLDER/names names no repository
    ERROR line 2 of FOLDER/names: "team/app:v1" is no repository name
    ERROR cannot read FOLDER/absent: No such file or directory (os error 2)
    "#);
}

#[test]
fn baseline_separates_new_and_resolved_findings() {
    let (server, folder) = (registry(images_with_lost_child), tempfile::tempdir().unwrap());
    let first = fsck(&["probe", &server.url, "--output", "json"]);
    let baseline = write_file(&folder, "baseline.json", &first.out);
    let ran = probe(&server, "--baseline", &baseline, &["--fail-on", "new", "--output", "json"]);
    assert_eq!((ran.status, &ran.json()["findings"][0]["new"]), (0, &false.into()));
    server.world().unlink_manifest("web", &manifest_digest("four"));
    let ran = probe(&server, "--baseline", &baseline, &["--fail-on", "new", "--output", "json"]);
    assert_eq!((ran.status, ran.codes()), (4, vec!["child-missing".into(), "tag-target-missing".into()]));
    server.world().push_image("team/app", None, "two");
    let ran = probe(&server, "--baseline", &baseline, &["--output", "json"]);
    assert_eq!(ran.json()["summary"]["resolved"], 1);
}

#[test]
fn ignore_file_sets_findings_aside() {
    let (server, folder) = (registry(images_with_lost_child), tempfile::tempdir().unwrap());
    let entry = "[[ignore]]\ncode = \"child-missing\"\nrepository = \"team/*\"\nreason = \"known\"\nexpires = \"2999-01-01\"\n";
    let ran = probe(&server, "--ignore", &write_file(&folder, "ignore.toml", entry), &["--output", "json"]);
    assert_eq!((ran.status, ran.codes()), (0, Vec::new()));
    assert_eq!(ran.json()["ignored"][0]["matched"], 1);
}

#[test]
fn state_accepts_address_in_any_case() {
    let (server, folder) = (registry(images), tempfile::tempdir().unwrap());
    let state = folder.path().join("state.json");
    probe(&server, "--state", &state, &[]);
    let upper_case = format!("HTTP://{}/", host(&server));
    let ran = fsck(&["probe", &upper_case, "--state", state.to_str().unwrap()]);
    assert_eq!(ran.status, 0, "{}", ran.err);
}
