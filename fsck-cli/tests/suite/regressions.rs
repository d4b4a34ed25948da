//! A test for each bug that was found after its code was written, named after it.

use std::collections::BTreeSet;

use registry_core::audit::{Code, SharedTags};
use registry_core::text::{escape, is_control};
use registry_fixtures::{Digest, TreeBuilder};
use serde_json::json;

use crate::support::{fsck, ran, report, scan};

fn tree() -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    tree.image("team/app", Some("v1"), "one");
    tree.image("web", Some("v1"), "two");
    tree
}

fn status(output: &std::process::Output) -> i32 {
    output.status.code().unwrap()
}

#[test]
fn follow_symlinks_accepts_tree_without_loops() {
    let tree = tree();
    assert_eq!(status(&scan(tree.root(), &["--follow-symlinks"])), 0);
}

#[test]
fn follow_symlinks_reads_moved_blobs() {
    let mut tree = tree();
    let blobs = tree.blobs();
    tree.break_moved_behind_symlink(&blobs);
    assert_eq!(status(&scan(tree.root(), &["--follow-symlinks"])), 0);
    assert_eq!(status(&scan(tree.root(), &[])), 8);
}

#[test]
fn unread_registry_among_several_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        let mut tree = TreeBuilder::in_folder(&folder.path().join(name));
        tree.image("web", Some("v1"), name);
    }
    let (inside, moved) = (folder.path().join("b/docker"), folder.path().join("b/moved"));
    std::fs::rename(&inside, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &inside).unwrap();
    let report = report(folder.path(), &[]);
    assert_eq!(report["exit_status"], 8);
    assert_eq!(report["sources"].as_array().unwrap().len(), 1);
    assert_eq!(report["unread"].as_array().unwrap().len(), 1);
}

#[test]
fn baseline_does_not_resolve_what_scan_left_out() {
    let mut tree = tree();
    let image = tree.image("team/app", Some("v2"), "three");
    tree.break_blob_flipped(&image.layers[0]);
    let earlier = tempfile::NamedTempFile::new().unwrap();
    let output = scan(tree.root(), &["--content", "--output", "json"]);
    std::fs::write(earlier.path(), &output.stdout).unwrap();
    let baseline = ["--baseline", earlier.path().to_str().unwrap()];
    assert_eq!(report(tree.root(), &baseline)["summary"]["resolved"], 0);
    let elsewhere = [&baseline[..], &["--content", "--repository", "web"]].concat();
    assert_eq!(report(tree.root(), &elsewhere)["summary"]["resolved"], 0);
}

#[test]
fn newly_required_platform_is_new_finding() {
    let tree = tree();
    let earlier = tempfile::NamedTempFile::new().unwrap();
    let output = scan(tree.root(), &["--require-platform", "linux/s390x", "--output", "json"]);
    std::fs::write(earlier.path(), &output.stdout).unwrap();
    let options = ["--baseline", earlier.path().to_str().unwrap(), "--fail-on", "new", "--require-platform"];
    assert_eq!(status(&scan(tree.root(), &[&options[..], &["linux/s390x"]].concat())), 0);
    assert_eq!(status(&scan(tree.root(), &[&options[..], &["linux/ppc64le"]].concat())), 4);
}

#[test]
fn unwritable_file_hides_neither_errors_nor_other_file() {
    let mut tree = tree();
    tree.break_tag_link_missing("web", "v1");
    let metrics = tempfile::NamedTempFile::new().unwrap();
    let garbage = tree.root().join("nowhere/garbage");
    let options =
        ["--list-garbage", garbage.to_str().unwrap(), "--metrics-file", metrics.path().to_str().unwrap()];
    let output = scan(tree.root(), &options);
    assert_eq!(status(&output), 12);
    assert!(String::from_utf8_lossy(&output.stdout).contains("exit_status=12"));
    assert!(
        std::fs::read_to_string(metrics.path()).unwrap().contains("registry_manifest_integrity_failures")
    );
}

#[test]
fn metrics_file_does_not_replace_fifo() {
    let tree = tree();
    let pipe = tree.root().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_eq!(status(&scan(tree.root(), &["--metrics-file", pipe.to_str().unwrap()])), 8);
    assert!(!std::fs::metadata(&pipe).unwrap().is_file());
}

#[test]
fn unmatched_repository_glob_exits_16() {
    assert_eq!(status(&scan(tree().root(), &["--repository", "taem/*"])), 16);
}

#[test]
fn interrupted_scan_ends_with_closed_standard_error() {
    let mut tree = tree();
    let image = tree.image("big", Some("v1"), "big");
    let data = tree.blob_path(&image.layers[0]);
    std::fs::File::options().write(true).open(data).unwrap().set_len(64 << 30).unwrap();
    let mut command = fsck();
    command.args(["scan", "--content", "--progress", "never"]).arg(tree.root());
    let mut process =
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(process.stderr.take());
    std::thread::sleep(std::time::Duration::from_millis(700));
    let id = process.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let ended = loop {
        match process.try_wait().unwrap() {
            Some(ended) => break Some(ended),
            None if std::time::Instant::now() > deadline => break None,
            None => std::thread::sleep(std::time::Duration::from_millis(50)),
        }
    };
    let _ = process.kill();
    assert_eq!(ended.and_then(|ended| ended.code()), Some(130));
}

#[test]
fn json_escapes_control_characters() {
    let mut tree = tree();
    let evil = "\u{1b}]0;owned\u{7}\u{7f}\u{9b}31m\u{85}\u{202e}\u{2066}\n\u{1f980}";
    let child = Digest::nowhere("child");
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
        {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": child.as_str(), "size": 1,
         "platform": {"os": evil, "architecture": "amd64"}}]});
    let index = tree.manifest("web", index.to_string().as_bytes());
    tree.tag("web", "index", &index).break_stray_tag_name("web", evil);
    let odd = |text: &str| text.chars().any(|char| char != '\n' && is_control(char));
    let done = ran(tree.root(), &["--output", "json"]);
    assert!(!odd(&done.stdout) && !odd(&done.stderr), "{done:?}");
    let mut report = done.typed();
    let lost = report.findings.iter_mut().find(|finding| finding.code == Code::ChildMissing).unwrap();
    assert_eq!(lost.platform.as_deref(), Some(&*format!("{}/amd64", escape(evil))));
    // An earlier report is repeated as it is: from there any text may come.
    lost.tags = SharedTags::new([evil.into()]);
    lost.message = evil.to_owned();
    let baseline = tree.root().join("baseline.json");
    std::fs::write(&baseline, serde_json::to_vec(&report).unwrap()).unwrap();
    tree.break_tag_folder_missing("web", "index").break_revision_link_missing("web", &index);
    let done = ran(tree.root(), &["--output", "json", "--baseline", baseline.to_str().unwrap()]);
    assert!(!odd(&done.stdout) && !odd(&done.stderr), "{done:?}");
    let resolved = &done.json()["resolved"][0];
    assert_eq!((&resolved["message"], &resolved["tags"][0]), (&json!(evil), &json!(evil)));
}

#[test]
fn fifo_is_reported_once() {
    let mut tree = tree();
    let link = tree.tag_link("web", "v1");
    tree.break_fifo(&link);
    let report = ran(tree.root(), &["--strict", "--output", "json"]).typed();
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
    let mut tree = tree();
    tree.break_stray_data().break_short_blob_folder().break_stray_tag_name("web", "-x");
    std::fs::write(tree.repositories().join("file"), "x").unwrap();
    let strays = |options: &[&str]| -> BTreeSet<String> {
        let report = ran(tree.root(), &[options, &["--output", "json"]].concat()).typed();
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
    let mut tree = tree();
    let children: Vec<Digest> = (0..3000).map(|number| Digest::nowhere(&format!("child {number}"))).collect();
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
    let done = ran(tree.root(), &["--output", "json"]).typed();
    let lost: Vec<_> = done.findings.iter().filter(|finding| finding.code == Code::ChildMissing).collect();
    assert_eq!((lost.len(), done.broken_tags.len()), (3000, 60));
    assert!(lost.iter().all(|finding| finding.tags.len() == 60));
    let text = ran(tree.root(), &["-v"]).stdout;
    for child in &children {
        assert_eq!(text.matches(&child.as_str()[..19]).count(), 1, "{child:?}");
    }
}

#[test]
fn repository_with_illegal_name_is_not_garbage() {
    let mut tree = tree();
    tree.image("Upper", Some("v1"), "of an illegal name");
    tree.image("Upper", None, "of an illegal name, untagged");
    let report = ran(tree.root(), &["--min-age", "0s", "--output", "json"]).typed();
    let garbage = report.garbage.unwrap();
    assert_eq!((garbage.untagged.manifests, garbage.untagged.blobs, garbage.unreferenced.blobs), (0, 0, 0));
    let codes: Vec<Code> = report.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [Code::PathUnexpected]);
}

#[test]
fn unwritable_file_warns_before_scan() {
    let tree = tree();
    for option in ["--list-garbage", "--metrics-file"] {
        let done = ran(tree.root(), &[option, "/nonexistent/file", "-v"]);
        let line = |text: &str| done.stderr.lines().position(|line| line.contains(text));
        let (before, after) = (line("WARN /nonexistent/file"), line("ERROR cannot write"));
        assert!(before.is_some() && before < after, "{}", done.stderr);
        assert!(done.stdout.contains("exit_status=8") && done.status == 8, "{done:?}");
    }
}

#[test]
fn long_referrer_chain_is_not_garbage() {
    let mut tree = tree();
    let mut subject = tree.image("web", Some("signed"), "signed").digest;
    for number in 0..3000 {
        subject = tree.referrer_with("web", &subject, &format!("application/vnd.example.link-{number}"));
    }
    let done = ran(tree.root(), &["--min-age", "0s", "--output", "json"]);
    let garbage = done.typed().garbage.unwrap();
    assert_eq!((done.status, garbage.untagged.manifests, garbage.unreferenced.blobs), (0, 0, 0));
    let untagged = done.typed().findings.iter().filter(|one| one.code == Code::ReferrerUntagged).count();
    assert_eq!(untagged, 3000);
}

// https://github.com/minio/minio/issues/21268: on a disk of MinIO each object is a folder.
#[test]
fn minio_disk_is_refused() {
    let mut tree = tree();
    tree.break_into_minio_objects();
    let before = tree_of(tree.root());
    let root = tree.root().to_str().unwrap();
    for arguments in [&["scan", root][..], &["gc-preview", root], &["repair", "--apply", root]] {
        let output = fsck().args(arguments).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(16), 0), "{arguments:?}: {told}");
        assert!(told.contains("MinIO's own disk format"), "{told}");
    }
    assert_eq!(before, tree_of(tree.root()));
    // Beside a registry it is named, and that one is audited.
    let folder = tempfile::tempdir().unwrap();
    for name in ["true", "minio"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        let mut tree = TreeBuilder::in_folder(&folder.path().join(name));
        tree.image("web", Some("v1"), name);
        if name == "minio" {
            tree.break_into_minio_objects();
        }
    }
    let report = report(folder.path(), &[]);
    assert_eq!((&report["exit_status"], report["sources"].as_array().unwrap().len()), (&json!(24), 1));
}

/// Every path below a folder.
fn tree_of(root: &std::path::Path) -> BTreeSet<std::path::PathBuf> {
    walkdir::WalkDir::new(root).into_iter().map(|entry| entry.unwrap().into_path()).collect()
}

// https://github.com/distribution/distribution/pull/3880: with `proxy.ttl: 0` registry 3 never writes scheduler-state.json.
#[test]
fn cache_without_scheduler_state_is_known_by_options() {
    let mut tree = TreeBuilder::new();
    let (amd, arm) = (tree.image("app", None, "amd"), tree.image("app", None, "arm"));
    tree.index("app", Some("v1"), &[amd.child(), arm.child()]);
    tree.break_image_untraced("app", &arm);
    let told = |options: &[&str]| {
        let output = scan(tree.root(), options);
        let hint =
            String::from_utf8(output.stderr.clone()).unwrap().contains("looks like a pull-through cache");
        (status(&output), hint)
    };
    assert_eq!(told(&[]), (4, true));
    assert_eq!(told(&["--role", "primary"]), (4, false));
    assert_eq!(told(&["--role", "cache"]), (0, false));
    assert_eq!(told(&["--sparse", "*"]), (0, false));
    let config = tempfile::NamedTempFile::new().unwrap();
    let named = ["--registry-config", config.path().to_str().unwrap()];
    std::fs::write(
        config.path(),
        "version: 0.1\nproxy: {remoteurl: 'https://registry-1.docker.io', ttl: 0s}\n",
    )
    .unwrap();
    assert_eq!(told(&named), (0, false));
    std::fs::write(config.path(), "version: 0.1\nstorage: filesystem\n").unwrap();
    assert_eq!(told(&named), (4, true));
    std::fs::write(config.path(), "a: [").unwrap();
    assert_eq!(told(&named).0, 16);
}

// https://github.com/Joxit/docker-registry-ui/issues/124, https://github.com/goharbor/harbor/issues/7924: a DELETE by digest whose tag
// stayed.
#[test]
fn tag_deleted_through_api_is_recognised() {
    let mut tree = tree();
    let image = tree.image("tools", Some("2"), "tools");
    tree.break_empty_folder_left("tools", &image.digest);
    tree.age_all(std::time::Duration::from_secs(30 * 24 * 3600));
    let output = scan(tree.root(), &["--color", "never"]);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(status(&output), 4);
    assert!(
        text.contains("was probably deleted through the API") && text.contains("--drop-deleted-tags"),
        "{text}"
    );
    assert!(!text.contains("Run no garbage collector") && !text.contains(", repairable"), "{text}");
    let found = &report(tree.root(), &[])["findings"][0];
    let fields = (&found["code"], &found["repair"], &found["cause"]);
    assert_eq!(fields, (&json!("tag-target-unlinked"), &json!("relink"), &json!("probably-deleted")));
    let run = |arguments: &[&str]| {
        let journals = tempfile::tempdir().unwrap();
        fsck().args(arguments).arg(tree.root()).current_dir(journals.path()).output().unwrap()
    };
    assert_eq!(status(&run(&["gc-preview"])), 4);
    let before = tree_of(tree.root());
    assert_eq!(status(&run(&["repair", "--apply"])), 4);
    assert_eq!(before, tree_of(tree.root()));
    assert_eq!(status(&run(&["repair", "--restore-deleted-tags", "--drop-deleted-tags"])), 16);
    assert_eq!(status(&run(&["repair", "--apply", "--drop-deleted-tags"])), 1);
    assert!(!tree.tag_folder("tools", "2").exists());
    assert_eq!(status(&scan(tree.root(), &[])), 0);
    assert_eq!(status(&run(&["gc-preview"])), 0);
}
