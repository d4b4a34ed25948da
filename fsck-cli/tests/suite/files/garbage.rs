//! `--list-garbage`: one line of JSON for each piece.

use std::collections::BTreeMap;

use registry_core::audit::Code;
use registry_fixtures::TreeBuilder;

use super::broken_tree;
use crate::support::{AuditReport as _, OLD, mask_snapshots, scan, scan_json};

#[test]
fn garbage_list_has_one_json_line_per_piece() {
    let mut tree = broken_tree();
    tree.layer("web", b"linked, not needed");
    tree.upload("web", b"half", Some("2024-01-02T03:04:05Z"));
    tree.age_all(OLD);
    let list = tree.root().join("garbage.jsonl");
    let ran = scan_json(tree.root(), &["--list-garbage", list.to_str().unwrap()]);
    let text = std::fs::read_to_string(&list).unwrap();
    let _masked = mask_snapshots(tree.root());
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
        *bytes.entry(piece["code"].as_str().unwrap().into()).or_default() += piece["bytes"].as_u64().unwrap();
        assert!(tree.v2().join(piece["path"].as_str().unwrap()).exists(), "{piece}");
        assert!(piece["code"].as_str().unwrap().parse::<Code>().is_ok());
    }
    let garbage = ran.audit_report().garbage.unwrap();
    assert_eq!(bytes["blob-unreferenced"], garbage.unreferenced.bytes);
    assert_eq!(bytes["upload-stale"], garbage.stale_upload_bytes);
}

#[test]
fn sound_registry_has_empty_garbage_list() {
    let tree = TreeBuilder::new();
    let list = tree.root().join("garbage.jsonl");
    std::fs::write(&list, "from an earlier run").unwrap();
    assert_eq!(scan(tree.root(), &["--list-garbage", list.to_str().unwrap()]).status, 0);
    assert_eq!(std::fs::read_to_string(&list).unwrap(), "");
}

#[test]
fn unwritable_garbage_list_leaves_report() {
    let tree = broken_tree();
    let ran = scan(tree.root(), &["--list-garbage", "/nonexistent/list"]);
    assert!(ran.out.contains("registry-fsck scan: broken_tags=3"), "{ran:?}");
    assert_eq!(ran.status & 8, 8);
    insta::assert_snapshot!(ran.err, @"
     WARN /nonexistent/list cannot be written as it is now: entity not found; the scan goes on
    ERROR cannot write the list of garbage /nonexistent/list: No such file or directory (os error 2)
    ");
}
