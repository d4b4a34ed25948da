//! What nothing references any more, what only an untagged collection would take, and what is too young to say.

use std::collections::BTreeSet;
use std::path::Path;

use insta::assert_snapshot;
use registry_core::audit::{Audit, Code, Piece};
use registry_core::oci::Digest as CoreDigest;
use registry_core::storage::{Tree, locate};
use registry_fixtures::random::random_tree;
use registry_fixtures::{Digest, ImageSpec, JsonDamage, TreeBuilder};
use serde_json::Value;

use crate::support::{APP, Base, DAY, HOUR, Sight, after, after_seen, age, text};

/// Half an hour after the last write: everything is young.
fn soon() -> Sight<'static> {
    Sight { later: HOUR / 2, ..Sight::default() }
}

#[test]
fn a_blob_that_nothing_names() {
    assert_snapshot!(after(|base| { base.tree.blob(b"nobody's"); }), @"
    info blob-unreferenced - | 1 blob that no manifest references, 8 bytes: a plain collection frees it | blobs
    garbage: 1 blobs (8 bytes) unreferenced
    ");
}

#[test]
fn half_a_push_whose_manifest_never_came() {
    assert_snapshot!(after(|base| { base.tree.layer("half", b"nobody's"); }), @"
    info blob-unreferenced - | 1 blob that no manifest references, 8 bytes: a plain collection frees it | blobs
    info layer-link-unreferenced half | 1 layer link that no manifest needs | repositories/half/_layers | Remove
    garbage: 1 blobs (8 bytes) unreferenced, 1 layer links
    ");
}

#[test]
fn an_untagged_image_and_its_own_blobs() {
    assert_snapshot!(after(|base| { base.image(APP, None, "loose"); }), @"
    info manifest-untagged team/app | 1 manifest that no tag reaches: only an untagged collection frees it | repositories/team/app/_manifests/revisions
    garbage: 1 manifests untagged, 4 blobs (1018 bytes) untagged
    ");
}

#[test]
fn an_untagged_index_frees_its_children() {
    assert_snapshot!(after(|base| { base.tree.break_tag_folder_missing(APP, "v2"); }), @"
    info manifest-untagged team/app | 3 manifests that no tag reaches: only an untagged collection frees them | repositories/team/app/_manifests/revisions
    garbage: 3 manifests untagged, 9 blobs (2523 bytes) untagged
    ");
}

#[test]
fn children_of_a_deleted_index() {
    assert_snapshot!(after(|base| {
        base.tree.break_tag_folder_missing(APP, "v2").break_revision_link_missing(APP, &base.index.digest);
    }), @"
    info blob-unreferenced - | 1 blob that no manifest references, 491 bytes: a plain collection frees it | blobs
    info manifest-untagged team/app | 2 manifests that no tag reaches: only an untagged collection frees them | repositories/team/app/_manifests/revisions
    garbage: 1 blobs (491 bytes) unreferenced, 2 manifests untagged, 8 blobs (2032 bytes) untagged
    ");
}

#[test]
fn what_an_untagged_image_shares_with_a_tagged_one_stays() {
    let sharing = |base: &mut Base, repo: &str| {
        let shared = base.one.layers.clone();
        base.tree.image_with(repo, None, &ImageSpec { shared, layers: 0, ..ImageSpec::oci("loose") });
    };
    assert_snapshot!(after(|base| sharing(base, APP)), @"
    info manifest-untagged team/app | 1 manifest that no tag reaches: only an untagged collection frees it | repositories/team/app/_manifests/revisions
    garbage: 1 manifests untagged, 2 blobs (817 bytes) untagged
    ");
    assert_snapshot!(after(|base| sharing(base, "elsewhere")), @"
    info manifest-untagged elsewhere | 1 manifest that no tag reaches: only an untagged collection frees it | repositories/elsewhere/_manifests/revisions
    garbage: 1 manifests untagged, 2 blobs (817 bytes) untagged
    ");
}

#[test]
fn an_image_untagged_here_and_tagged_there_stays_with_its_blobs() {
    assert_snapshot!(after(|base| { base.tree.image("lib", None, "one"); }), @"
    info manifest-untagged lib | 1 manifest that no tag reaches: only an untagged collection frees it | repositories/lib/_manifests/revisions
    garbage: 1 manifests untagged
    ");
}

#[test]
fn an_unreadable_manifest_makes_no_garbage_of_its_repository() {
    // `rest` was linked for the manifest that nobody can read, `loose` may be its child.
    let leave = |base: &mut Base| {
        base.tree.layer(APP, b"rest");
        base.image(APP, None, "loose");
        let bad = base.tree.damaged_json(APP, None, "three", JsonDamage::UnknownMediaType);
        base.names.put(&bad, "bad");
    };
    assert_snapshot!(after(leave), @r#"error manifest-unreadable team/app sha256:bad | untagged manifest sha256:bad is unreadable: unknown manifest type "application/vnd.example.unknown+json" | blobs/sha256/xx/bad/data"#);
    assert_snapshot!(after(|base| {
        leave(base);
        base.tree.blob(b"linked nowhere");
    }), @r#"
    info blob-unreferenced - | 1 blob that no manifest references, 14 bytes: a plain collection frees it | blobs
    error manifest-unreadable team/app sha256:bad | untagged manifest sha256:bad is unreadable: unknown manifest type "application/vnd.example.unknown+json" | blobs/sha256/xx/bad/data
    garbage: 1 blobs (14 bytes) unreferenced
    "#);
}

#[test]
fn a_tag_that_names_nothing_makes_no_garbage_of_its_repository() {
    assert_snapshot!(after(|base| {
        base.image(APP, None, "loose");
        base.tree.break_tag_link_empty(APP, "v1").break_history_missing(APP, "v1");
    }), @"
    error tag-link-invalid team/app:v1 | its link is empty (0 bytes); no entry of its history resolves | repositories/team/app/_manifests/tags/v1/current/link
    broken: team/app:v1 by tag-link-invalid
    ");
}

#[test]
fn a_repository_chosen_leaves_garbage_out() {
    let only = Sight { only: Some("team/*"), ..Sight::default() };
    assert_snapshot!(after_seen(&only, |base| {
        base.tree.blob(b"nobody's");
        base.image(APP, None, "loose");
        base.tree.break_layer_link_missing(APP, &base.one.layers[0]).break_tag_link_missing("lib", "v1");
    }), @"
    error layer-link-missing team/app:v1 sha256:one-layer1 of sha256:one | layer sha256:one-layer1 has no layer link here; its bytes are here | repositories/team/app/_layers/sha256/one-layer1/link | Relink
    broken: team/app:v1 by layer-link-missing
    garbage: not known
    ");
}

// S21: a tree that is being written has young things and no garbage.

#[test]
fn young_blobs_are_in_flight() {
    assert_snapshot!(after_seen(&soon(), |base| { base.tree.blob(b"nobody's"); }), @"info in-flight - | 1 young blob (8 bytes) that no manifest references yet: a push under way | blobs");
}

#[test]
fn young_layer_links_are_in_flight() {
    assert_snapshot!(after_seen(&soon(), |base| { base.tree.layer(APP, b"nobody's"); }), @"info in-flight team/app | 1 young layer link that no manifest needs yet: a push under way | repositories/team/app/_layers");
}

#[test]
fn a_young_link_keeps_an_old_blob() {
    let sight = Sight::default();
    assert_snapshot!(after_seen(&sight, |base| {
        let layer = base.tree.layer(APP, b"nobody's");
        age(&base.tree.layer_link_path(APP, &layer), &sight, HOUR / 2);
    }), @"info in-flight team/app | 1 young layer link that no manifest needs yet: a push under way | repositories/team/app/_layers");
}

#[test]
fn young_manifests_are_in_flight() {
    assert_snapshot!(after_seen(&soon(), |base| { base.image(APP, None, "loose"); }), @"info in-flight team/app | 1 young manifest that no tag reaches yet: a push under way | repositories/team/app/_manifests/revisions");
    let sight = Sight::default();
    assert_snapshot!(after_seen(&sight, |base| {
        let loose = base.image(APP, None, "loose");
        age(&base.tree.revision_link(APP, &loose.digest), &sight, HOUR / 2);
    }), @"info in-flight team/app | 1 young manifest that no tag reaches yet: a push under way | repositories/team/app/_manifests/revisions");
}

#[test]
fn a_young_manifest_without_bytes_is_in_flight() {
    assert_snapshot!(after_seen(&soon(), |base| {
        let loose = base.image(APP, None, "loose");
        base.tree.break_blob_missing(&loose.digest);
    }), @"
    info in-flight team/app | 3 young layer links that no manifest needs yet: a push under way | repositories/team/app/_layers
    info in-flight team/app sha256:loose | untagged manifest sha256:loose is gone: its revision link is here, its bytes are not; young, and no tag reaches it: a push under way | blobs/sha256/xx/loose/data
    ");
}

#[test]
fn young_parts_of_a_young_untagged_manifest_are_in_flight() {
    assert_snapshot!(after_seen(&soon(), |base| {
        let loose = base.image(APP, None, "loose");
        base.tree.break_layer_link_missing(APP, &loose.layers[0]);
    }), @"
    info in-flight team/app | 1 young manifest that no tag reaches yet: a push under way | repositories/team/app/_manifests/revisions
    info in-flight team/app sha256:loose-layer1 of sha256:loose | layer sha256:loose-layer1 has no layer link here; its bytes are here; young, and no tag reaches it: a push under way | repositories/team/app/_layers/sha256/loose-layer1/link
    ");
}

#[test]
fn damage_below_a_tag_is_never_in_flight() {
    assert_snapshot!(after_seen(&soon(), |base| {
        base.tree.break_revision_link_missing(APP, &base.arm.digest);
    }), @"
    error child-link-missing team/app:v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64 has lost its revision link; its bytes are here | repositories/team/app/_manifests/revisions/sha256/arm/link | Relink
    broken: team/app:v2 by child-link-missing
    ");
}

#[test]
fn what_is_exactly_an_hour_old_is_no_longer_young() {
    let sight = Sight::default();
    for (ago, is_young) in [(HOUR * 59 / 60, true), (HOUR * 61 / 60, false)] {
        let report = after_seen(&sight, |base| {
            let blob = base.tree.blob(b"nobody's");
            age(&base.tree.blob_path(&blob), &sight, ago);
        });
        assert_eq!(report.contains("in-flight"), is_young, "{report}");
        assert_eq!(report.contains("blob-unreferenced"), !is_young, "{report}");
    }
}

// S22: a layer link without bytes is told apart by whether a manifest needs it.
#[test]
fn links_without_bytes_that_a_collection_left() {
    assert_snapshot!(after(|base| {
        let loose = base.image(APP, None, "loose");
        base.tree.break_revision_link_missing(APP, &loose.digest).break_blob_missing(&loose.layers[0]);
        base.tree.break_blob_missing(&base.arm.layers[0]);
    }), @"
    info blob-unreferenced - | 3 blobs that no manifest references, 918 bytes: a plain collection frees them | blobs
    info layer-link-dangling team/app | 1 layer link that no manifest needs and whose bytes are gone | repositories/team/app/_layers | Remove
    info layer-link-unreferenced team/app | 2 layer links that no manifest needs | repositories/team/app/_layers | Remove
    error blob-missing team/app:v2 sha256:arm-layer1 of sha256:arm | layer sha256:arm-layer1 is gone: its layer link is here, its bytes are not | blobs/sha256/xx/arm-layer1/data
    broken: team/app:v2 by blob-missing
    garbage: 3 blobs (918 bytes) unreferenced, 3 layer links
    ");
}

#[test]
fn a_referrer_stays_with_its_subject() {
    assert_snapshot!(after(|base| {
        let signature = base.tree.referrer(APP, &base.one.digest);
        base.names.put(&signature, "signature");
        let of_it = base.tree.referrer_with(APP, &signature, "application/vnd.example.countersignature");
        base.names.put(&of_it, "countersignature");
    }), @"
    warning referrer-untagged team/app sha256:countersignature | referrer of sha256:signature that no tag and no index names: every untagged collection deletes it | repositories/team/app/_manifests/revisions/sha256/countersignature/link
    warning referrer-untagged team/app sha256:signature | referrer of sha256:one that no tag and no index names: every untagged collection deletes it | repositories/team/app/_manifests/revisions/sha256/signature/link
    ");
}

#[test]
fn a_referrer_of_an_untagged_manifest_goes_with_it() {
    assert_snapshot!(after(|base| {
        let loose = base.image(APP, None, "loose");
        base.tree.referrer(APP, &loose.digest);
    }), @"
    info manifest-untagged team/app | 2 manifests that no tag reaches: only an untagged collection frees them | repositories/team/app/_manifests/revisions
    garbage: 2 manifests untagged, 7 blobs (1665 bytes) untagged
    ");
}

#[test]
fn a_referrer_in_a_fallback_index_is_tagged() {
    assert_snapshot!(after(|base| {
        let signature = base.tree.referrer(APP, &base.one.digest);
        base.tree.fallback_tag(APP, &base.one.digest, &[signature]);
    }), @"nothing");
}

#[test]
fn a_tag_that_moved_on_leaves_its_former_manifest() {
    assert_snapshot!(after(|base| { base.image(APP, Some("v1"), "newer"); }), @"
    info manifest-untagged team/app | 1 manifest that no tag reaches: only an untagged collection frees it | repositories/team/app/_manifests/revisions
    garbage: 1 manifests untagged, 4 blobs (1016 bytes) untagged
    ");
}

/// Every digest that a manifest of any repository reaches, found by reading files: whatever has a revision link, and
/// what it names, down to the leaves. Layers by sha512 count as what their links name.
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
        // What is no JSON, or not as a manifest is, names nothing here: the audit may know better, never less.
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
fn nothing_reachable_is_listed_as_unreferenced() {
    for seed in 0..60 {
        let (tree, story) = random_tree(seed);
        let reached = reachable(&tree);
        let audit = Sight::default().look(tree.root());
        for piece in audit.pieces.iter().filter(|piece| piece.code == Code::BlobUnreferenced) {
            let digest = piece.digest.unwrap().to_string();
            assert!(!reached.contains(&digest), "{digest}: {story:#?}");
        }
    }
}

/// Number and bytes of the pieces of some codes, those that lie in a repository or those that do not.
fn sum(audit: &Audit, codes: &[Code], in_repository: bool) -> (u64, u64) {
    let of = |piece: &&Piece| codes.contains(&piece.code) && piece.repository.is_some() == in_repository;
    audit.pieces.iter().filter(of).fold((0, 0), |(count, bytes), piece| (count + 1, bytes + piece.bytes))
}

#[test]
fn pieces_sum_up_to_what_is_counted() {
    let mut all = [0_u64; 5];
    for seed in 0..60 {
        let (tree, story) = random_tree(seed);
        let audit = Sight::default().look(tree.root());
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
    assert!(all.iter().all(|count| *count > 0), "the seeds show not every kind of garbage: {all:?}");
}

#[test]
fn pieces_are_there_only_when_asked_for() {
    let mut base = Base::new();
    base.tree.blob(b"nobody's");
    base.image(APP, None, "loose");
    let sight = Sight::default();
    let tree = Tree::open(&locate(base.tree.root(), false).registries[0], &Default::default()).unwrap();
    let (graph, listed) = sight.audit(&tree);
    let counted = registry_core::audit::audit(&graph, "tree", &sight.options(), false);
    assert!(counted.pieces.is_empty() && !listed.pieces.is_empty());
    assert_eq!(counted.garbage, listed.garbage);
}

/// The report of a tree with its own digests.
fn plain(root: &Path, sight: &Sight<'_>) -> String {
    let audit = sight.look(root);
    let mut pieces: Vec<String> =
        audit.pieces.iter().map(|piece| format!("{} {} {}", piece.code, piece.path, piece.bytes)).collect();
    pieces.sort();
    format!("{}\n{}\n{:?}", text(&audit, &Default::default()), pieces.join("\n"), audit.source)
}

#[test]
fn an_audit_is_the_same_twice_and_with_any_number_of_jobs() {
    for seed in 0..60 {
        let (tree, story) = random_tree(seed);
        let sight =
            Sight { content: seed % 2 == 0, strict: seed % 3 == 0, later: 10 * DAY, ..Sight::default() };
        let first = plain(tree.root(), &Sight { jobs: 16, ..sight.clone() });
        for jobs in [16, 1] {
            let again = plain(tree.root(), &Sight { jobs, ..sight.clone() });
            assert!(first == again, "{jobs} jobs: {first}\n--\n{again}\n{story:#?}");
        }
    }
}
