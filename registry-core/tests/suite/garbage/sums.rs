//! Laws of garbage on random trees: it contains nothing reachable, and its pieces sum up to the totals.

use std::collections::BTreeSet;
use std::path::Path;

use registry_core::audit::{Audit, AuditOptions, Code, GarbagePiece};
use registry_core::oci::Digest as CoreDigest;
use registry_core::storage::{Symlinks, Tree, locate};
use registry_fixtures::random::random_tree;
use registry_fixtures::{Digest, TreeBuilder};
use serde_json::Value;

use crate::support::{APP, Base, DAY, View, text};

/// Every digest that a manifest of any repository reaches, found by reading files: each digest with a revision link, and what it
/// names, down to the leaves. A layer by sha512 counts as the digest in its link.
fn reachable(tree: &TreeBuilder) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut stack = Vec::new();
    for entry in walkdir::WalkDir::new(tree.repositories()) {
        let entry = entry.unwrap();
        let path = entry.path().to_string_lossy().into_owned();
        let link = std::fs::read_to_string(entry.path()).ok();
        if !entry.file_type().is_file() || entry.file_name() != "link" {
            continue;
        }
        let named = link.filter(|text| text.parse::<CoreDigest>().is_ok());
        let folder = entry.path().parent().unwrap();
        let own = folder.file_name().unwrap().to_string_lossy().into_owned();
        let algorithm = folder.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        if path.contains("/_manifests/revisions/") {
            stack.extend(named);
            stack.push(format!("{algorithm}:{own}"));
        } else if path.ends_with("/current/link") {
            stack.extend(named);
        }
    }
    while let Some(digest) = stack.pop() {
        if !reached.insert(digest.clone()) || !digest.starts_with("sha256:") {
            continue;
        }
        let path = tree.blob_path(&Digest::from_text(digest));
        let bytes = std::fs::read(path).unwrap_or_default();
        // Here a file that is not a JSON manifest names nothing. The audit may find more references, never fewer.
        let Ok(manifest) = serde_json::from_slice::<Value>(&bytes) else { continue };
        let lists =
            ["layers", "manifests", "fsLayers"].map(|key| manifest.get(key).and_then(Value::as_array));
        let parts = lists.into_iter().flatten().flatten().chain(manifest.get("config"));
        let named = parts.filter_map(|part| part.get("digest").or_else(|| part.get("blobSum"))?.as_str());
        stack.extend(named.filter(|text| text.parse::<CoreDigest>().is_ok()).map(str::to_owned));
    }
    reached
}

// S23: no list of garbage ever names what a manifest of any repository reaches.
#[test]
fn reachable_blobs_are_never_listed_as_unreferenced() {
    for seed in 0..60 {
        let (tree, story) = random_tree(seed);
        let reached = reachable(&tree);
        let audit = View::default().look(tree.root());
        for piece in audit.pieces.iter().filter(|piece| piece.code == Code::BlobUnreferenced) {
            let digest = piece.digest.unwrap().to_string();
            assert!(!reached.contains(&digest), "{digest}: {story:#?}");
        }
    }
}

/// The number and bytes of the pieces with some codes, inside or outside of repositories.
fn sum(audit: &Audit, codes: &[Code], in_repository: bool) -> (u64, u64) {
    let is_counted =
        |piece: &&GarbagePiece| codes.contains(&piece.code) && piece.repository.is_some() == in_repository;
    audit
        .pieces
        .iter()
        .filter(is_counted)
        .fold((0, 0), |(count, bytes), piece| (count + 1, bytes + piece.bytes))
}

#[test]
fn garbage_pieces_sum_up_to_the_totals() {
    let mut all = [0_u64; 5];
    for seed in 0..60 {
        let (tree, story) = random_tree(seed);
        let audit = View::default().look(tree.root());
        let garbage = audit.garbage.unwrap();
        let counted = [
            (garbage.unreferenced.blobs, garbage.unreferenced.bytes),
            (garbage.untagged.blobs, garbage.untagged.bytes),
            (garbage.untagged.manifests, 0),
            (garbage.layer_links, 0),
            (garbage.stale_uploads, garbage.stale_upload_bytes),
        ];
        let listed = [
            sum(&audit, &[Code::BlobUnreferenced], false),
            sum(&audit, &[Code::ManifestUntagged], false),
            sum(&audit, &[Code::ManifestUntagged], true),
            sum(&audit, &[Code::LayerLinkDangling, Code::LayerLinkUnreferenced], true),
            sum(&audit, &[Code::UploadStale], true),
        ];
        assert_eq!(listed, counted, "{story:#?}");
        for (all, (count, _)) in all.iter_mut().zip(listed) {
            *all += count;
        }
    }
    assert!(all.iter().all(|count| *count > 0), "the seeds do not cover every kind of garbage: {all:?}");
}

#[test]
fn garbage_pieces_are_listed_only_on_request() {
    let mut base = Base::new();
    base.tree.blob(b"nobody's");
    base.image(APP, None, "loose");
    let view = View::default();
    let tree =
        Tree::open(&locate(base.tree.root(), Symlinks::Refuse).registries[0], &Default::default()).unwrap();
    let (graph, listed) = view.audit(&tree);
    let counted =
        registry_core::audit::audit(&graph, "tree", &AuditOptions { list_garbage: false, ..view.options() });
    assert!(counted.pieces.is_empty() && !listed.pieces.is_empty());
    assert_eq!(counted.garbage, listed.garbage);
}

/// The report of a tree, digests not replaced.
fn full_report(root: &Path, view: &View<'_>) -> String {
    let audit = view.look(root);
    let mut pieces: Vec<String> =
        audit.pieces.iter().map(|piece| format!("{} {} {}", piece.code, piece.path, piece.bytes)).collect();
    pieces.sort();
    format!("{}\n{}\n{:?}", text(&audit, &Default::default()), pieces.join("\n"), audit.source)
}

#[test]
fn audit_does_not_depend_on_repetition_or_number_of_jobs() {
    for seed in 0..60 {
        let (tree, story) = random_tree(seed);
        let view = View { content: seed % 2 == 0, strict: seed % 3 == 0, later: 10 * DAY, ..View::default() };
        let first = full_report(tree.root(), &View { jobs: 16, ..view.clone() });
        for jobs in [16, 1] {
            let again = full_report(tree.root(), &View { jobs, ..view.clone() });
            assert!(first == again, "{jobs} jobs: {first}\n--\n{again}\n{story:#?}");
        }
    }
}
