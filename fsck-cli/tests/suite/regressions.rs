//! A test for each bug that was found after its code was written: the test is named after what holds since then.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use registry_core::audit::{Code, SharedTags};
use registry_core::text::{escape, is_control};
use registry_fixtures::{Digest, TreeBuilder};
use serde_json::json;

use crate::support::{
    AuditReport as _, OLD, fsck, make_fifo, run, scan, scan_json, send_signal, set_length, wait_or_kill,
};

fn sound_tree() -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    tree.image("team/app", Some("v1"), "one");
    tree.image("web", Some("v1"), "two");
    tree
}

#[test]
fn follow_symlinks_accepts_tree_without_loops() {
    let tree = sound_tree();
    assert_eq!(scan(tree.root(), &["--follow-symlinks"]).status, 0);
}

#[test]
fn follow_symlinks_reads_moved_blobs() {
    let mut tree = sound_tree();
    let blobs = tree.blobs();
    tree.break_moved_behind_symlink(&blobs);
    assert_eq!(scan(tree.root(), &["--follow-symlinks"]).status, 0);
    assert_eq!(scan(tree.root(), &[]).status, 8);
}

#[test]
fn unread_registry_among_several_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        let mut tree = TreeBuilder::in_folder(&folder.path().join(name));
        tree.image("web", Some("v1"), name);
    }
    let (inside, moved) = (folder.path().join("b/docker"), folder.path().join("b/moved"));
    std::fs::rename(&inside, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &inside).unwrap();
    let report = scan_json(folder.path(), &[]).json();
    assert_eq!(report["exit_status"], 8);
    assert_eq!(report["sources"].as_array().unwrap().len(), 1);
    assert_eq!(report["unread"].as_array().unwrap().len(), 1);
}

#[test]
fn baseline_does_not_resolve_what_scan_left_out() {
    let mut tree = sound_tree();
    let image = tree.image("team/app", Some("v2"), "three");
    tree.break_blob_flipped(&image.layers[0]);
    let earlier = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(earlier.path(), scan_json(tree.root(), &["--content"]).out).unwrap();
    let baseline = ["--baseline", earlier.path().to_str().unwrap()];
    assert_eq!(scan_json(tree.root(), &baseline).json()["summary"]["resolved"], 0);
    let elsewhere = [&baseline[..], &["--content", "--repository", "web"]].concat();
    assert_eq!(scan_json(tree.root(), &elsewhere).json()["summary"]["resolved"], 0);
}

#[test]
fn newly_required_platform_is_new_finding() {
    let tree = sound_tree();
    let earlier = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(earlier.path(), scan_json(tree.root(), &["--require-platform", "linux/s390x"]).out)
        .unwrap();
    let options = ["--baseline", earlier.path().to_str().unwrap(), "--fail-on", "new", "--require-platform"];
    assert_eq!(scan(tree.root(), &[&options[..], &["linux/s390x"]].concat()).status, 0);
    assert_eq!(scan(tree.root(), &[&options[..], &["linux/ppc64le"]].concat()).status, 4);
}

#[test]
fn unwritable_file_hides_neither_errors_nor_other_file() {
    let mut tree = sound_tree();
    tree.break_tag_link_missing("web", "v1");
    let metrics = tempfile::NamedTempFile::new().unwrap();
    let garbage = tree.root().join("nowhere/garbage");
    let options =
        ["--list-garbage", garbage.to_str().unwrap(), "--metrics-file", metrics.path().to_str().unwrap()];
    let ran = scan(tree.root(), &options);
    assert_eq!(ran.status, 12);
    assert!(ran.out.contains("exit_status=12"));
    let metrics = std::fs::read_to_string(metrics.path()).unwrap();
    assert!(metrics.contains("registry_manifest_integrity_failures"));
}

#[test]
fn metrics_file_does_not_replace_fifo() {
    let tree = sound_tree();
    let fifo = tree.root().join("fifo");
    make_fifo(&fifo);
    assert_eq!(scan(tree.root(), &["--metrics-file", fifo.to_str().unwrap()]).status, 8);
    assert!(!std::fs::metadata(&fifo).unwrap().is_file());
}

#[test]
fn unmatched_repository_glob_exits_16() {
    assert_eq!(scan(sound_tree().root(), &["--repository", "taem/*"]).status, 16);
}

#[test]
fn interrupted_scan_ends_with_closed_standard_error() {
    let mut tree = sound_tree();
    let image = tree.image("big", Some("v1"), "big");
    set_length(&tree.blob_path(&image.layers[0]), 64 << 30);
    let mut command = fsck();
    command.args(["scan", "--content", "--progress", "never"]).arg(tree.root());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    std::thread::sleep(Duration::from_millis(700));
    send_signal(&child, "-INT");
    let status = wait_or_kill(&mut child, Duration::from_secs(20));
    assert_eq!(status.and_then(|status| status.code()), Some(130));
}

#[test]
fn json_escapes_control_characters() {
    let mut tree = sound_tree();
    let evil = "\u{1b}]0;owned\u{7}\u{7f}\u{9b}31m\u{85}\u{202e}\u{2066}\n\u{1f980}";
    let child = Digest::absent("child");
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
        {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": child.as_str(), "size": 1,
         "platform": {"os": evil, "architecture": "amd64"}}]});
    let index = tree.manifest("web", index.to_string().as_bytes());
    tree.tag("web", "index", &index).break_stray_tag_name("web", evil);
    let has_control = |text: &str| text.chars().any(|char| char != '\n' && is_control(char));
    let ran = scan_json(tree.root(), &[]);
    assert!(!has_control(&ran.out) && !has_control(&ran.err), "{ran:?}");
    let mut report = ran.audit_report();
    let lost = report.findings.iter_mut().find(|finding| finding.code == Code::ChildMissing).unwrap();
    assert_eq!(lost.platform.as_deref(), Some(&*format!("{}/amd64", escape(evil))));
    // An earlier report may hold any text, and its findings are repeated.
    lost.tags = SharedTags::new([evil.into()]);
    lost.message = evil.to_owned();
    let baseline = tree.root().join("baseline.json");
    std::fs::write(&baseline, serde_json::to_vec(&report).unwrap()).unwrap();
    tree.break_tag_folder_missing("web", "index").break_revision_link_missing("web", &index);
    let ran = scan(tree.root(), &["--output", "json", "--baseline", baseline.to_str().unwrap()]);
    assert!(!has_control(&ran.out) && !has_control(&ran.err), "{ran:?}");
    let resolved = &ran.json()["resolved"][0];
    assert_eq!((&resolved["message"], &resolved["tags"][0]), (&json!(evil), &json!(evil)));
}

#[test]
fn fifo_is_reported_once() {
    let mut tree = sound_tree();
    let link = tree.tag_link("web", "v1");
    tree.break_fifo(&link);
    let report = scan_json(tree.root(), &["--strict"]).audit_report();
    let path = link.strip_prefix(tree.v2()).unwrap().to_str().unwrap();
    let codes: Vec<Code> = report
        .findings
        .iter()
        .filter(|finding| finding.path.as_deref() == Some(path))
        .map(|finding| finding.code)
        .collect();
    assert_eq!((codes, report.unread.len()), (vec![Code::PathUnread], 1));
}

#[test]
fn strict_keeps_reasons_of_strays() {
    let mut tree = sound_tree();
    tree.break_stray_data().break_short_blob_folder().break_stray_tag_name("web", "-x");
    std::fs::write(tree.repositories().join("file"), "x").unwrap();
    let strays = |options: &[&str]| -> BTreeSet<String> {
        let report = scan_json(tree.root(), options).audit_report();
        let strays = report.findings.into_iter().filter(|finding| finding.code == Code::PathUnexpected);
        strays.map(|finding| format!("{}: {}", finding.path.unwrap(), finding.message)).collect()
    };
    let (plain, strict) = (strays(&[]), strays(&["--strict"]));
    assert!(plain.len() >= 4 && plain.is_subset(&strict), "{plain:#?}\n{strict:#?}");
    let mut paths: Vec<_> = strict.iter().map(|stray| stray.split(": ").next().unwrap()).collect();
    paths.dedup();
    assert_eq!(paths.len(), strict.len(), "{strict:#?}");
}

#[test]
fn lost_children_under_many_tags_are_reported_once() {
    let mut tree = sound_tree();
    let children: Vec<Digest> = (0..3000).map(|number| Digest::absent(&format!("child {number}"))).collect();
    let entry = |child: &Digest| {
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        json!({"mediaType": media_type, "digest": child.as_str(), "size": 1})
    };
    let entries: Vec<_> = children.iter().map(entry).collect();
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": entries});
    let index = tree.manifest("web", index.to_string().as_bytes());
    for number in 0..60 {
        tree.tag("web", &format!("many-{number:02}"), &index);
    }
    let report = scan_json(tree.root(), &[]).audit_report();
    let lost: Vec<_> = report.findings.iter().filter(|finding| finding.code == Code::ChildMissing).collect();
    assert_eq!((lost.len(), report.broken_tags.len()), (3000, 60));
    assert!(lost.iter().all(|finding| finding.tags.len() == 60));
    let text = scan(tree.root(), &["-v"]).out;
    for child in &children {
        assert_eq!(text.matches(&child.as_str()[..19]).count(), 1, "{child:?}");
    }
}

#[test]
fn repository_with_illegal_name_is_not_garbage() {
    let mut tree = sound_tree();
    tree.image("Upper", Some("v1"), "of an illegal name");
    tree.image("Upper", None, "of an illegal name, untagged");
    let report = scan_json(tree.root(), &["--min-age", "0s"]).audit_report();
    let garbage = report.garbage.unwrap();
    assert_eq!((garbage.untagged.manifests, garbage.untagged.blobs, garbage.unreferenced.blobs), (0, 0, 0));
    let codes: Vec<Code> = report.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [Code::PathUnexpected]);
}

#[test]
fn unwritable_file_warns_before_scan() {
    let tree = sound_tree();
    for option in ["--list-garbage", "--metrics-file"] {
        let ran = scan(tree.root(), &[option, "/nonexistent/file", "-v"]);
        let line = |text: &str| ran.err.lines().position(|line| line.contains(text));
        let (before, after) = (line("WARN /nonexistent/file"), line("ERROR cannot write"));
        assert!(before.is_some() && before < after, "{}", ran.err);
        assert!(ran.out.contains("exit_status=8") && ran.status == 8, "{ran:?}");
    }
}

#[test]
fn long_referrer_chain_is_not_garbage() {
    let mut tree = sound_tree();
    let mut subject = tree.image("web", Some("signed"), "signed").digest;
    for number in 0..3000 {
        subject = tree.referrer_with("web", &subject, &format!("application/vnd.example.link-{number}"));
    }
    let ran = scan_json(tree.root(), &["--min-age", "0s"]);
    let garbage = ran.audit_report().garbage.unwrap();
    assert_eq!((ran.status, garbage.untagged.manifests, garbage.unreferenced.blobs), (0, 0, 0));
    let untagged =
        ran.audit_report().findings.iter().filter(|finding| finding.code == Code::ReferrerUntagged).count();
    assert_eq!(untagged, 3000);
}

// https://github.com/minio/minio/issues/21268: MinIO keeps each object as a folder on its disk.
#[test]
fn minio_disk_is_refused() {
    let mut tree = sound_tree();
    tree.break_into_minio_objects();
    let before = paths_below(tree.root());
    let root = tree.root().to_str().unwrap();
    for arguments in [&["scan", root][..], &["gc-preview", root], &["repair", "--apply", root]] {
        let ran = run(fsck().args(arguments));
        assert_eq!((ran.status, &*ran.out), (16, ""), "{arguments:?}: {ran:?}");
        assert!(ran.err.contains("MinIO's own disk format"), "{ran:?}");
    }
    assert_eq!(before, paths_below(tree.root()));
    // Beside a registry the MinIO disk is reported, and the registry is audited.
    let folder = tempfile::tempdir().unwrap();
    for name in ["registry", "minio"] {
        let mut tree = TreeBuilder::in_folder(&folder.path().join(name));
        tree.image("web", Some("v1"), name);
        if name == "minio" {
            tree.break_into_minio_objects();
        }
    }
    let report = scan_json(folder.path(), &[]).json();
    assert_eq!((&report["exit_status"], report["sources"].as_array().unwrap().len()), (&json!(24), 1));
}

fn paths_below(root: &Path) -> BTreeSet<PathBuf> {
    walkdir::WalkDir::new(root).into_iter().map(|entry| entry.unwrap().into_path()).collect()
}

// https://github.com/distribution/distribution/pull/3880: with `proxy.ttl: 0` registry 3 never writes scheduler-state.json.
#[test]
fn cache_without_scheduler_state_is_known_by_options() {
    let mut tree = TreeBuilder::new();
    let (amd, arm) = (tree.image("app", None, "amd"), tree.image("app", None, "arm"));
    tree.index("app", Some("v1"), &[amd.child(), arm.child()]);
    tree.break_image_untraced("app", &arm);
    let status_and_hint = |options: &[&str]| {
        let ran = scan(tree.root(), options);
        (ran.status, ran.err.contains("looks like a pull-through cache"))
    };
    assert_eq!(status_and_hint(&[]), (4, true));
    assert_eq!(status_and_hint(&["--role", "primary"]), (4, false));
    assert_eq!(status_and_hint(&["--role", "cache"]), (0, false));
    assert_eq!(status_and_hint(&["--sparse", "*"]), (0, false));
    let config = tempfile::NamedTempFile::new().unwrap();
    let with_config = ["--registry-config", config.path().to_str().unwrap()];
    let proxy = "version: 0.1\nproxy: {remoteurl: 'https://registry-1.docker.io', ttl: 0s}\n";
    std::fs::write(config.path(), proxy).unwrap();
    assert_eq!(status_and_hint(&with_config), (0, false));
    std::fs::write(config.path(), "version: 0.1\nstorage: filesystem\n").unwrap();
    assert_eq!(status_and_hint(&with_config), (4, true));
    std::fs::write(config.path(), "a: [").unwrap();
    assert_eq!(status_and_hint(&with_config).0, 16);
}

// https://github.com/Joxit/docker-registry-ui/issues/124, https://github.com/goharbor/harbor/issues/7924: a DELETE by digest leaves
// the tag.
#[test]
fn tag_deleted_through_api_is_recognised() {
    let mut tree = sound_tree();
    let image = tree.image("tools", Some("2"), "tools");
    tree.break_empty_folder_left("tools", &image.digest);
    tree.age_all(OLD);
    let ran = scan(tree.root(), &["--color", "never"]);
    let text = &ran.out;
    assert_eq!(ran.status, 4);
    assert!(
        text.contains("was probably deleted through the API") && text.contains("--drop-deleted-tags"),
        "{text}"
    );
    assert!(!text.contains("Run no garbage collector") && !text.contains(", repairable"), "{text}");
    let found = &scan_json(tree.root(), &[]).json()["findings"][0];
    let fields = (&found["code"], &found["repair"], &found["cause"]);
    assert_eq!(fields, (&json!("tag-target-unlinked"), &json!("relink"), &json!("probably-deleted")));
    let run = |arguments: &[&str]| {
        let journals = tempfile::tempdir().unwrap();
        run(fsck().args(arguments).arg(tree.root()).current_dir(journals.path()))
    };
    assert_eq!(run(&["gc-preview"]).status, 4);
    let before = paths_below(tree.root());
    assert_eq!(run(&["repair", "--apply"]).status, 4);
    assert_eq!(before, paths_below(tree.root()));
    assert_eq!(run(&["repair", "--restore-deleted-tags", "--drop-deleted-tags"]).status, 16);
    assert_eq!(run(&["repair", "--apply", "--drop-deleted-tags"]).status, 1);
    assert!(!tree.tag_folder("tools", "2").exists());
    assert_eq!(scan(tree.root(), &[]).status, 0);
    assert_eq!(run(&["gc-preview"]).status, 0);
}
