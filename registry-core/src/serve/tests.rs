//! Every question about what a link leads to has one answer: the audit, retention and a collector ask it of a graph, a repair
//! asks the disk.

use std::collections::HashSet;
use std::path::Path;

use registry_fixtures::TreeBuilder;
use registry_fixtures::random::random_tree;

use super::{Content, LayerAnswer, Presence, Shelf as _};
use crate::audit::access::{ManifestAccess, UnusableBytes};
use crate::collector::{CollectorView, Engine, LinkStat};
use crate::graph::{Graph, GraphLink, LinkEntry, NodeId, Oddities, Repository, View};
use crate::oci::manifest::{MAX_BYTES, ReferenceRole};
use crate::oci::{Algorithm, Digest};
use crate::repair::{serves_layer, serves_manifest};
use crate::retention::RecordedManifest;
use crate::retention::layout::recorded_manifest;
use crate::storage::edit::FdEditor;
use crate::storage::{DiskFolder, OpenOptions, ScanOptions, ScanProgress, Symlinks, Tree, locate};

fn scanned(tree: &TreeBuilder) -> Graph {
    let located = locate(tree.root(), Symlinks::Refuse).registries;
    let open = OpenOptions { jobs: 1, ..OpenOptions::default() };
    let scan = ScanOptions { content: true, ..ScanOptions::default() };
    Tree::open(&located[0], &open).unwrap().scan(&scan, &ScanProgress::default())
}

#[test]
fn audit_retention_repair_and_collector_agree_on_what_is_served() {
    let (mut manifests, mut layers) = ([0; 2], [0; 2]);
    let mut marked_through_another = 0;
    for seed in 0..80 {
        let (tree, story) = random_tree(seed);
        let graph = scanned(&tree);
        let aside = tempfile::tempdir().unwrap();
        let editor = FdEditor::open(&tree.v2(), aside.path()).unwrap();
        let folder = DiskFolder::open_root(&tree.v2(), Symlinks::Refuse).unwrap();
        let (parts, oddities) = (parts(&graph), Oddities::default());
        let collector = |engine| CollectorView::new(&graph, &oddities, engine);
        let (older, newer) = (collector(Engine::V2_8), collector(Engine::V3));
        for repository in graph.repositories.iter().filter(|repository| repository.is_legal) {
            let (view, name) = (View { graph: &graph, repository }, &*repository.name);
            for node in nodes(&graph) {
                let digest = graph.digest(node);
                let at = || format!("seed {seed}: {name}@{digest}\n{}", story.join("\n"));
                // No server serves what is longer, and nothing here reads it whole.
                if graph.manifest(node).is_some() && graph.blob(node).size <= MAX_BYTES {
                    let is_served = match view.manifest(node) {
                        ManifestAccess::Served { right, .. } => right,
                        // Served, and no client can use it.
                        ManifestAccess::Unreadable(_) => graph.blob(node).content == Content::Right,
                        _ => false,
                    };
                    let recorded = recorded_manifest(&folder, &graph, repository, digest);
                    let is_recorded = matches!(recorded, RecordedManifest::Present { .. });
                    assert_eq!(is_recorded, is_served, "retention, {}", at());
                    assert_eq!(serves_manifest(&editor, name, digest), is_served, "repair, {}", at());
                    manifests[usize::from(is_served)] += 1;
                    let stat = older.manifest(repository, node);
                    match view.manifest(node) {
                        ManifestAccess::Served { .. }
                        | ManifestAccess::Unreadable(_)
                        | ManifestAccess::WrongBytes => {
                            assert_eq!(stat, LinkStat::Found(node), "collector, {}", at());
                        }
                        ManifestAccess::LinkMismatch { target, .. } => {
                            assert_eq!(stat, found(&graph, target), "collector, {}", at());
                            marked_through_another += 1;
                        }
                        ManifestAccess::LinkInvalid(_) => {
                            assert_eq!(stat, LinkStat::Error, "collector, {}", at())
                        }
                        ManifestAccess::Missing(UnusableBytes::Bytes)
                        | ManifestAccess::Unknown(_)
                        | ManifestAccess::Unasked => {
                            assert_eq!(stat, LinkStat::Unknown, "collector, {}", at());
                        }
                        // No link names it; the layer link of something else leads a collector there, and it marks that.
                        ManifestAccess::Unlinked | ManifestAccess::Missing(_) => {
                            assert_ne!(stat, LinkStat::Found(node), "collector, {}", at());
                        }
                    }
                }
                if parts.contains(&node) {
                    let answer = view.layer(node);
                    // A repair hashes nothing.
                    let is_served = matches!(answer, LayerAnswer::Served(_) | LayerAnswer::WrongAlias(..));
                    assert_eq!(serves_layer(&editor, name, digest), is_served, "{answer:?}, {}", at());
                    layers[usize::from(is_served)] += 1;
                    let stat = newer.layer(repository, node);
                    match answer {
                        LayerAnswer::Served(end) | LayerAnswer::WrongAlias(_, end) => {
                            assert_eq!(stat, LinkStat::Found(end), "collector, {}", at());
                        }
                        LayerAnswer::Mismatch(link, target, _) if link == node => {
                            assert_eq!(stat, found(&graph, target), "collector, {}", at());
                        }
                        LayerAnswer::Invalid(link, _) if link == node => {
                            assert_eq!(stat, LinkStat::Error, "collector, {}", at());
                        }
                        LayerAnswer::Unlinked(link) | LayerAnswer::NoBytes(link) if link == node => {
                            assert_eq!(stat, LinkStat::Unknown, "collector, {}", at());
                        }
                        LayerAnswer::NoFolder => assert_eq!(stat, LinkStat::Unknown, "collector, {}", at()),
                        // What lacks is behind an alias, of which a collector reads the first link only.
                        _ => assert_ne!(stat, LinkStat::Error, "collector, {}", at()),
                    }
                }
            }
        }
    }
    // All answers were met.
    assert!(marked_through_another > 4, "{marked_through_another}");
    assert!(manifests.iter().chain(&layers).all(|count| *count > 50), "{manifests:?} {layers:?}");
}

/// What a collector finds behind a link that names this.
fn found(graph: &Graph, target: NodeId) -> LinkStat {
    if graph.blob(target).presence == Presence::Present { LinkStat::Found(target) } else { LinkStat::Unknown }
}

/// Every digest of a registry.
fn nodes(graph: &Graph) -> impl Iterator<Item = NodeId> + use<> {
    (0..u32::try_from(graph.digests().len()).unwrap()).map(NodeId::from_index)
}

/// What manifests name as a config or layer.
fn parts(graph: &Graph) -> HashSet<NodeId> {
    let manifests = nodes(graph).filter_map(|node| graph.manifest(node));
    let edges = manifests.flat_map(|manifest| graph.edges(manifest));
    edges.filter(|edge| edge.role != ReferenceRole::Child).filter_map(|edge| edge.target).collect()
}

/// A repository with two images, and the digests of their manifests.
fn two_images() -> (TreeBuilder, [registry_fixtures::Digest; 2]) {
    let mut tree = TreeBuilder::new();
    let images = ["one", "two"].map(|seed| tree.image("app", Some(seed), seed).digest);
    (tree, images)
}

fn answer(graph: &Graph, digest: &registry_fixtures::Digest) -> ManifestAccess {
    let digest: Digest = digest.as_str().parse().unwrap();
    let node = graph.digests().find(&digest).unwrap();
    View { graph, repository: &graph.repositories[0] }.manifest(node)
}

#[test]
fn a_revision_link_to_another_manifest_sends_that_one() {
    let (mut tree, [one, two]) = two_images();
    tree.break_revision_link_mismatch("app", &one, &two);
    let graph = scanned(&tree);
    let ManifestAccess::LinkMismatch { sent, target } = answer(&graph, &one) else { panic!("no mismatch") };
    assert_eq!((sent, graph.digest(target).to_string()), (false, two.as_str().to_owned()));
}

#[test]
fn a_client_cannot_tell_the_right_bytes_under_another_digest() {
    let (mut tree, [one, two]) = two_images();
    tree.break_revision_link_mismatch("app", &one, &two);
    std::fs::copy(tree.blob_path(&one), tree.blob_path(&two)).unwrap();
    let graph = scanned(&tree);
    assert!(matches!(answer(&graph, &one), ManifestAccess::LinkMismatch { sent: true, .. }));
}

#[test]
fn a_manifest_that_another_link_names_is_read_before_anything_is_said() {
    let (mut graph, mut repository) = (Graph::default(), Repository::default());
    let [asked, named] = [b"asked".as_slice(), b"named"].map(|text| Digest::of(Algorithm::Sha256, text));
    let [asked, named] = [asked, named].map(|digest| graph.intern(&digest));
    let link = LinkEntry { node: asked, modified: 0, link: GraphLink::Names(named) };
    repository.set_revisions(vec![link]);
    let answer = |graph: &Graph| View { graph, repository: &repository }.manifest(asked);
    assert_eq!(answer(&graph), ManifestAccess::Unasked);
    // A source has seen it, and has not read it as a manifest.
    graph.blob_mut(named).presence = Presence::Present;
    assert_eq!(answer(&graph), ManifestAccess::Unasked);
    graph.blob_mut(named).presence = Presence::Unread;
    assert!(matches!(answer(&graph), ManifestAccess::Unknown(_)));
}

#[test]
fn a_layer_link_answers_for_a_manifest_only_when_it_names_it() {
    let (mut tree, [one, two]) = two_images();
    tree.break_revision_only_as_layer("app", &one);
    assert!(matches!(
        answer(&scanned(&tree), &one),
        ManifestAccess::Served { right: true, through_layers: true }
    ));
    tree.break_layer_link_mismatch("app", &one, &two);
    assert_eq!(answer(&scanned(&tree), &one), ManifestAccess::Unlinked);
    std::fs::remove_file(tree.blob_path(&one)).unwrap();
    assert_eq!(answer(&scanned(&tree), &one), ManifestAccess::Missing(UnusableBytes::Both));
}

#[test]
fn a_repair_follows_no_layer_link_past_a_revision_link_to_another_manifest() {
    let (mut tree, [one, two]) = two_images();
    tree.layer_link("app", &one).break_revision_link_mismatch("app", &one, &two);
    let aside = tempfile::tempdir().unwrap();
    let editor = FdEditor::open(&tree.v2(), Path::new(aside.path())).unwrap();
    assert!(!serves_manifest(&editor, "app", one.as_str().parse().unwrap()));
    assert!(serves_manifest(&editor, "app", two.as_str().parse().unwrap()));
}
