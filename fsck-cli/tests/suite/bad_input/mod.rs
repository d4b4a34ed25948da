//! Hostile input, and input that no server writes. None of it may make the scan panic, hang, use much memory, send control
//! characters to a terminal, or report something wrong.

mod files;
mod graphs;
mod surroundings;
mod symlinks;
mod terminal;

use std::os::unix::fs::symlink;
use std::path::Path;

use registry_core::audit::Report;
use registry_fixtures::{Image, TreeBuilder};

use crate::support::{AuditReport as _, fsck, make_fifo, mask_snapshots, run, scan, scan_json};

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A tree with the image `app:v1`, which is returned, and `app:sound`.
fn app() -> (TreeBuilder, Image) {
    let mut tree = TreeBuilder::new();
    let image = tree.image("app", Some("v1"), "x");
    tree.image("app", Some("sound"), "sound");
    (tree, image)
}

fn broken_tag_names(report: &Report) -> Vec<&str> {
    report.broken_tags.iter().map(|tag| &*tag.tag).collect()
}

/// The exit status, the codes of all findings, the broken and the unknown tags.
fn verdict(tree: &TreeBuilder, options: &[&str]) -> String {
    let ran = scan_json(tree.root(), options);
    let report = ran.audit_report();
    let unknown: Vec<_> = report.unknown_tags.iter().map(|tag| &*tag.tag).collect();
    format!("{} {:?} broken {:?} unknown {unknown:?}", ran.status, ran.codes(), broken_tag_names(&report))
}

#[test]
fn invalid_roots_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("empty")).unwrap();
    std::fs::create_dir_all(at("foreign/etc")).unwrap();
    std::fs::write(at("foreign/etc/passwd"), "root").unwrap();
    std::fs::write(at("file"), "x").unwrap();
    symlink("loop", at("loop")).unwrap();
    make_fifo(&at("pipe"));
    let mut errors = String::new();
    for name in ["empty", "foreign", "file", "missing", "loop", "pipe", ""] {
        let ran = scan(&at(name), &[]);
        assert_eq!(ran.status, 8, "{name}");
        errors.push_str(&format!("{name}: {}", ran.err));
    }
    let _masked = mask_snapshots(folder.path());
    insta::assert_snapshot!(errors, @"
    empty: ERROR no registry in ROOT/empty: looked for docker/registry/v2, for blobs and repositories, and in folders up to 4 levels below for docker/registry/v2
    foreign: ERROR no registry in ROOT/foreign: looked for docker/registry/v2, for blobs and repositories, and in folders up to 4 levels below for docker/registry/v2
    file: ERROR ROOT/file is no folder: name the rootdirectory of a registry (the one that holds docker/registry/v2)
    missing: ERROR cannot open ROOT/missing: No such file or directory (os error 2)
    loop: ERROR cannot open ROOT/loop: Too many levels of symbolic links (os error 40)
    pipe: ERROR ROOT/pipe is no folder: name the rootdirectory of a registry (the one that holds docker/registry/v2)
    : ERROR no registry in ROOT/: looked for docker/registry/v2, for blobs and repositories, and in folders up to 4 levels below for docker/registry/v2
    ");
    insta::assert_snapshot!(scan(&at("empty"), &[]).out, @"
    ROOT/empty was not audited: no registry in ROOT/empty: looked for docker/registry/v2, for blobs and repositories, and in folders up to 4 levels below for docker/registry/v2
    garbage: not known, because something could not be read
    registry-fsck scan: broken_tags=0 unknown_tags=0 errors=0 warnings=0 infos=0 repairable=0 tags=0 unread=1 exit_status=8 seconds=…
    ");
}

#[test]
fn empty_path_exits_16() {
    assert_eq!(run(fsck().args(["scan", ""])).status, 16);
}

#[test]
fn good_root_is_audited_beside_bad_one() {
    let (mut tree, image) = app();
    tree.break_blob_missing(&image.config);
    for order in [["/nonexistent", "good"], ["good", "/nonexistent"]] {
        let roots = order.map(|root| if root == "good" { tree.root() } else { Path::new(root) });
        let ran = run(fsck().args(["scan", "--output", "json"]).args(roots));
        let report = ran.audit_report();
        assert_eq!((ran.status, broken_tag_names(&report), report.unread.len()), (12, vec!["v1"], 1));
        assert_eq!(report.sources.len(), 1);
    }
}

#[test]
fn v2_folder_and_symlink_name_same_root() {
    let (mut tree, image) = app();
    tree.break_blob_missing(&image.config);
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link");
    symlink(tree.root(), &link).unwrap();
    for root in [tree.root(), &tree.v2(), &link, &link.join("docker/registry/v2")] {
        assert_eq!(broken_tag_names(&scan_json(root, &[]).audit_report()), ["v1"], "{}", root.display());
    }
}
