//! Control characters in text from a registry, a file or the command line.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

use registry_fixtures::{Digest, TreeBuilder};
use serde_json::json;

use super::{OCI_INDEX, OCI_MANIFEST, app};
use crate::support::{ProgramOutput, scan, scan_json};

const EVIL: &[u8] = b"e\n\x1b[31m\x07\r\xff\xc2\x9b2J\xe2\x80\xae";

/// The output has no control characters, those of C1 included, and none that change the direction of text.
fn assert_printable(ran: &ProgramOutput) {
    for text in [&ran.out, &ran.err] {
        let bad = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!text.contains(bad), "{text:?}");
    }
}

#[test]
fn hostile_file_names_are_escaped() {
    let (tree, image) = app();
    let evil = OsStr::from_bytes(EVIL);
    let (layers, uploads) = (tree.layers_folder("app"), tree.uploads_folder("app"));
    for folder in [
        tree.v2(),
        tree.blobs(),
        tree.blobs().join("sha256"),
        tree.blob_folder(&image.config).parent().unwrap().into(),
        tree.blob_folder(&image.config),
        tree.repositories(),
        tree.repository("app"),
        tree.manifests_folder("app"),
        tree.tags_folder("app"),
        tree.tag_folder("app", "v1"),
        tree.tag_folder("app", "v1").join("index/sha256"),
        tree.revisions_folder("app"),
        tree.revisions_folder("app").join("sha256"),
        layers.clone(),
        layers.join("sha256"),
        uploads,
    ] {
        std::fs::create_dir(folder.join(evil)).unwrap();
        std::fs::write(folder.join(OsStr::from_bytes(&[EVIL, b"-file"].concat())), "x").unwrap();
        symlink("x\x1b[31m", folder.join(OsStr::from_bytes(&[EVIL, b"-link"].concat()))).unwrap();
    }
    let repository = tree.repositories().join(evil).join("_manifests/tags").join(evil);
    std::fs::create_dir_all(repository).unwrap();
    let list = tree.root().join("garbage");
    for options in
        [&["-v"][..], &["-v", "--strict"], &["-v", "--follow-symlinks"], &["--output", "json", "--strict"]]
    {
        let ran = scan(tree.root(), &[options, &["--list-garbage", list.to_str().unwrap()]].concat());
        assert_printable(&ran);
        assert_eq!(ran.status & 4, 0, "{}", ran.out);
    }
    let garbage = std::fs::read_to_string(&list).unwrap();
    assert!(!garbage.contains(|c: char| c.is_control() && c != '\n'));
}

#[test]
fn hostile_root_name_is_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join(OsStr::from_bytes(EVIL));
    assert_printable(&scan(&root, &[]));
    let mut tree = TreeBuilder::in_folder(&root);
    tree.image("a", Some("v1"), "x");
    tree.break_tag_target("a", "v1");
    for options in [&["-v"][..], &["--output", "json"], &["--repository", "nothing"]] {
        assert_printable(&scan(&root, options));
    }
    let metrics = folder.path().join("m.prom");
    assert_printable(&scan(folder.path(), &["--metrics-file", metrics.to_str().unwrap()]));
    assert!(!std::fs::read_to_string(metrics).unwrap().contains(|c: char| c.is_control() && c != '\n'));
}

#[test]
fn hostile_option_file_names_are_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let evil = folder.path().join("e\u{1b}[31m\n\u{202e}x");
    for option in ["--baseline", "--ignore"] {
        let path = evil.to_str().unwrap();
        assert_printable(&scan(folder.path(), &[option, path]));
        std::fs::write(&evil, "{\u{1b}[31m").unwrap();
        assert_printable(&scan(folder.path(), &[option, path]));
        std::fs::remove_file(&evil).unwrap();
    }
}

#[test]
fn hostile_manifest_text_is_escaped() {
    let (mut tree, image) = app();
    let evil = "\u{1b}]0;owned\u{7}\n\r\u{202e}\u{9b}31m";
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
            {"mediaType": OCI_MANIFEST, "digest": Digest::absent("x").as_str(), "size": 1,
             "platform": {"os": evil, "architecture": evil, "variant": evil}},
            {"mediaType": evil, "digest": evil, "size": 1},
            {"mediaType": OCI_MANIFEST, "digest": format!("sha256:{evil}"), "size": 1}]});
    let digest = tree.manifest("app", index.to_string().as_bytes());
    tree.tag("app", "index", &digest);
    let unknown = json!({"schemaVersion": 2, "mediaType": evil, evil: evil});
    let digest = tree.manifest("app", unknown.to_string().as_bytes());
    tree.tag("app", "unknown", &digest);
    let config = json!({"os": evil, "architecture": evil}).to_string();
    tree.break_blob_replaced(&image.config, config.as_bytes());
    let ran = scan(tree.root(), &["-v", "--require-platform", "linux/s390x"]);
    assert_printable(&ran);
    assert_eq!(ran.status, 4);
}

#[test]
fn hostile_baseline_and_ignore_text_is_escaped() {
    let (mut tree, _) = app();
    let healed = std::fs::read(tree.tag_link("app", "v1")).unwrap();
    tree.break_tag_link_empty("app", "v1");
    let evil = r"\u001b]31m\u0007\r\u202e";
    let baseline =
        scan_json(tree.root(), &[]).out.replace("its link", evil).replace("\"v1\"", &format!("\"{evil}\""));
    let path = tree.root().join("baseline.json");
    std::fs::write(&path, baseline).unwrap();
    std::fs::write(tree.tag_link("app", "v1"), healed).unwrap();
    let ignore = tree.root().join("ignore.toml");
    let entry = format!(
        "[[ignore]]\ncode = 'gc-hazard'\nrepository = \"{0}*\"\nreason = \"{0}\"\nexpires = 2999-01-01\n",
        evil.replace(r"\r", "")
    );
    std::fs::write(&ignore, entry).unwrap();
    let options = ["--baseline", path.to_str().unwrap(), "--ignore", ignore.to_str().unwrap()];
    let ran = scan(tree.root(), &options);
    assert!(ran.out.contains("resolved tag-link-invalid") && ran.out.contains("matches nothing"), "{ran:?}");
    assert_printable(&ran);
}
