//! The audit, retention, repair and the collector must agree on what links lead to, whether they read a graph or the disk.

use std::collections::HashSet;
use std::path::Path;

use registry_fixtures::TreeBuilder;
use registry_fixtures::random::random_tree;

use super::{Content, LayerAnswer, Presence, RepositoryLinks as _};
use crate::audit::access::{ManifestAccess, UnusableBytes};
use crate::collector::{CollectorView, Engine, LinkStat};
use crate::graph::{Graph, GraphLink, LinkEntry, NodeId, Oddities, Repository, RepositoryView};
use crate::oci::manifest::{MAX_BYTES, ReferenceRole};
use crate::oci::{Algorithm, Digest};
use crate::repair::{serves_layer, serves_manifest};
use crate::retention::RecordedManifest;
use crate::retention::layout::recorded_manifest;
use crate::storage::edit::FdEditor;
use crate::storage::{DiskFolder, OpenOptions, ScanOptions, ScanProgress, Symlinks, Tree, locate};

fn scan(tree: &TreeBuilder) -> Graph {
    let located = locate(tree.root(), Symlinks::Refuse).registries;
    let open = OpenOptions { jobs: 1, ..OpenOptions::default() };
    let options = ScanOptions { content: true, ..ScanOptions::default() };
    Tree::open(&located[0], &open).unwrap().scan(&options, &ScanProgress::default())
}

#[test]
fn audit_retention_repair_and_collector_agree_on_what_is_served() {
    let (mut manifests, mut layers) = ([0; 2], [0; 2]);
    let mut marked_through_another = 0;
    for seed in 0..80 {
        let (tree, story) = random_tree(seed);
        let graph = scan(&tree);
        let aside = tempfile::tempdir().unwrap();
        let editor = FdEditor::open(&tree.v2(), aside.path()).unwrap();
        let folder = DiskFolder::open_root(&tree.v2(), Symlinks::Refuse).unwrap();
        let (parts, oddities) = (parts(&graph), Oddities::default());
        let collector = |engine| CollectorView::new(&graph, &oddities, engine);
        let (older, newer) = (collector(Engine::V2_8), collector(Engine::V3));
        for repository in graph.repositories.iter().filter(|repository| repository.is_legal) {
            let (view, name) = (RepositoryView { graph: &graph, repository }, &*repository.name);
            for node in nodes(&graph) {
                let digest = graph.digest(node);
                let at = || format!("seed {seed}: {name}@{digest}\n{}", story.join("\n"));
                // No server serves a longer manifest, and none of the four reads it whole.
                if graph.manifest(node).is_some() && graph.blob(node).size <= MAX_BYTES {
                    let is_served = match view.manifest(node) {
                        ManifestAccess::Served { right, .. } => right,
                        // The server sends it; no client can use it.
                        ManifestAccess::Unreadable(_) => graph.blob(node).content == Content::Right,
                        _ => false,
                    };
                    let recorded = recorded_manifest(&folder, &graph, repository, digest);
                    let is_recorded = matches!(recorded, RecordedManifest::Present { .. });
                    assert_eq!(is_recorded, is_served, "retention, {}", at());
                    assert_eq!(serves_manifest(&editor, name, digest), is_served, "repair, {}", at());
                    manifests[usize::from(is_served)] += 1;
                    let stat = older.stat_manifest(repository, node);
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
                            assert_eq!(stat, LinkStat::Error, "collector, {}", at());
                        }
                        ManifestAccess::Missing(UnusableBytes::Bytes)
                        | ManifestAccess::Unknown(_)
                        | ManifestAccess::Unasked => {
                            assert_eq!(stat, LinkStat::Unknown, "collector, {}", at());
                        }
                        // No link names it. A collector may mark the target of another blob's layer link.
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
                    let stat = newer.stat_layer(repository, node);
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
                        // The damage is behind an alias, and a collector reads only the alias' own link.
                        _ => assert_ne!(stat, LinkStat::Error, "collector, {}", at()),
                    }
                }
            }
        }
    }
    // The random trees met every kind of answer.
    assert!(marked_through_another > 4, "{marked_through_another}");
    assert!(manifests.iter().chain(&layers).all(|count| *count > 50), "{manifests:?} {layers:?}");
}

/// What a collector finds through a link that names `target`.
fn found(graph: &Graph, target: NodeId) -> LinkStat {
    if graph.blob(target).presence == Presence::Present { LinkStat::Found(target) } else { LinkStat::Unknown }
}

/// Every digest of a registry.
fn nodes(graph: &Graph) -> impl Iterator<Item = NodeId> + use<> {
    (0..u32::try_from(graph.digests().len()).unwrap()).map(NodeId::from_index)
}

/// The digests that manifests name as configs or layers.
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
    RepositoryView { graph, repository: &graph.repositories[0] }.manifest(node)
}

#[test]
fn revision_link_to_another_manifest_sends_that_manifest() {
    let (mut tree, [one, two]) = two_images();
    tree.break_revision_link_mismatch("app", &one, &two);
    let graph = scan(&tree);
    let ManifestAccess::LinkMismatch { sent, target } = answer(&graph, &one) else { panic!("no mismatch") };
    assert_eq!((sent, graph.digest(target).to_string()), (false, two.as_str().to_owned()));
}

#[test]
fn right_bytes_in_the_blob_of_another_digest_are_sent() {
    let (mut tree, [one, two]) = two_images();
    tree.break_revision_link_mismatch("app", &one, &two);
    std::fs::copy(tree.blob_path(&one), tree.blob_path(&two)).unwrap();
    let graph = scan(&tree);
    assert!(matches!(answer(&graph, &one), ManifestAccess::LinkMismatch { sent: true, .. }));
}

#[test]
fn target_of_a_mismatched_link_is_unasked_until_it_is_read() {
    let (mut graph, mut repository) = (Graph::default(), Repository::default());
    let [asked, named] = [b"asked".as_slice(), b"named"].map(|text| Digest::hash(Algorithm::Sha256, text));
    let [asked, named] = [asked, named].map(|digest| graph.intern(&digest));
    let link = LinkEntry { node: asked, modified: 0, link: GraphLink::Names(named) };
    repository.set_revisions(vec![link]);
    let answer = |graph: &Graph| RepositoryView { graph, repository: &repository }.manifest(asked);
    assert_eq!(answer(&graph), ManifestAccess::Unasked);
    // The blob was looked at, but not read as a manifest.
    graph.blob_mut(named).presence = Presence::Present;
    assert_eq!(answer(&graph), ManifestAccess::Unasked);
    graph.blob_mut(named).presence = Presence::Unread;
    assert!(matches!(answer(&graph), ManifestAccess::Unknown(_)));
}

#[test]
fn layer_link_answers_for_a_manifest_only_when_it_names_it() {
    let (mut tree, [one, two]) = two_images();
    tree.break_revision_only_as_layer("app", &one);
    assert!(matches!(
        answer(&scan(&tree), &one),
        ManifestAccess::Served { right: true, through_layers: true }
    ));
    tree.break_layer_link_mismatch("app", &one, &two);
    assert_eq!(answer(&scan(&tree), &one), ManifestAccess::Unlinked);
    std::fs::remove_file(tree.blob_path(&one)).unwrap();
    assert_eq!(answer(&scan(&tree), &one), ManifestAccess::Missing(UnusableBytes::Both));
}

#[test]
fn repair_ignores_a_layer_link_beside_a_mismatched_revision_link() {
    let (mut tree, [one, two]) = two_images();
    tree.layer_link("app", &one).break_revision_link_mismatch("app", &one, &two);
    let aside = tempfile::tempdir().unwrap();
    let editor = FdEditor::open(&tree.v2(), Path::new(aside.path())).unwrap();
    assert!(!serves_manifest(&editor, "app", one.as_str().parse().unwrap()));
    assert!(serves_manifest(&editor, "app", two.as_str().parse().unwrap()));
}
