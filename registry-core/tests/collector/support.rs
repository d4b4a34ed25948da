//! Shared by the tests: the forecast of a tree as paths.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use registry_core::audit::{self, AuditOptions};
use registry_core::collector::{self, Cost, Engine, Forecast, UntaggedManifests};
use registry_core::graph::{Graph, Oddities};
use registry_core::path::Place;
use registry_core::storage::{OpenOptions, ScanOptions, ScanProgress, Symlinks, Tree, locate};
use walkdir::WalkDir;

/// A forecast with the graph that it was made from.
pub struct TreeForecast {
    pub graph: Graph,
    pub oddities: Oddities,
    pub forecast: Forecast,
    pub cost: Cost,
}

/// The forecast of the only tree at a path; all of the tree can be read.
pub fn forecast_tree(root: &Path, engine: Engine, delete_untagged: bool) -> TreeForecast {
    forecast_tree_strictly(root, engine, delete_untagged, false)
}

/// As [`forecast_tree`], with leaf folders opened if `strict`.
pub fn forecast_tree_strictly(
    root: &Path,
    engine: Engine,
    delete_untagged: bool,
    strict: bool,
) -> TreeForecast {
    let found = locate(root, Symlinks::Refuse);
    let [located] = &found.registries[..] else { panic!("not one tree: {found:?}") };
    let tree = Tree::open(located, &OpenOptions { jobs: 1, ..OpenOptions::default() }).unwrap();
    let progress = ScanProgress::default();
    let options = AuditOptions::new(Timestamp::MAX);
    let read = || {
        let mut graph = tree.scan(&ScanOptions { strict, ..ScanOptions::default() }, &progress);
        let audit = audit::audit_with_recheck(&mut graph, "tree", &options, |graph, doubts| {
            tree.recheck(graph, doubts, &progress);
        });
        (graph, audit)
    };
    let (mut graph, audit) = read();
    let oddities = tree.oddities(&mut graph, &progress);
    assert!(
        graph.unread.is_empty() && oddities.unread.is_empty(),
        "{:?} {:?}",
        graph.unread,
        oddities.unread
    );
    let untagged = if delete_untagged { UntaggedManifests::Delete } else { UntaggedManifests::Keep };
    let forecast = collector::forecast(&graph, &oddities, engine, untagged);
    let cost = collector::cost(&mut graph, &audit, &options, &forecast);
    TreeForecast { graph: read().0, oddities, forecast, cost }
}

/// All files of a tree, below `docker/registry/v2`.
pub fn files(root: &Path) -> BTreeSet<String> {
    let v2 = root.join("docker/registry/v2");
    WalkDir::new(&v2)
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| !entry.file_type().is_dir())
        .map(|entry| entry.path().strip_prefix(&v2).unwrap().to_str().unwrap().to_owned())
        .collect()
}

/// The files that are deleted for certain, and those that may be if the collector stops while it sweeps.
pub struct ExpectedDeletions {
    pub sure: BTreeSet<String>,
    pub perhaps: BTreeSet<String>,
}

/// The files that a forecast names.
pub fn expected_files(seen: &TreeForecast, files: &BTreeSet<String>) -> ExpectedDeletions {
    let TreeForecast { graph, oddities, forecast, .. } = seen;
    let name = |at: u32| &*graph.repositories[at as usize].name;
    let below = |folder: String| {
        let folder = format!("{folder}/");
        files.iter().filter(move |file| file.starts_with(&folder)).cloned().collect::<Vec<_>>()
    };
    let mut sure = BTreeSet::new();
    for (at, node) in &forecast.manifests {
        let digest = graph.digest(*node);
        sure.extend(below(Place::RevisionFolder(name(*at), digest).to_string()));
        // Entries of `tags/` that are not tags have a history too.
        for tag in oddities.tags.iter().filter(|tag| tag.repository == name(*at)) {
            let index = format!("{}/{}/index/sha256/{}", Place::Tags(name(*at)), tag.name, digest.hex());
            sure.extend(below(index));
        }
    }
    let mut swept = BTreeSet::new();
    for (at, tag, node) in &forecast.history {
        let tag = &graph.repositories[*at as usize].tags[*tag as usize].name;
        let entry = below(Place::TagIndexFolder(name(*at), tag, graph.digest(*node)).to_string());
        // Of the manifest at which the collector stops, some entries may be deleted.
        let is_sure = forecast.manifests.contains(&(*at, *node));
        if is_sure { &mut sure } else { &mut swept }.extend(entry);
    }
    for node in &forecast.blobs {
        swept.extend(below(Place::BlobFolder(graph.digest(*node)).to_string()));
    }
    for (at, node) in &forecast.layer_links {
        swept.insert(Place::LayerLink(name(*at), graph.digest(*node)).to_string());
    }
    if forecast.would_abort.is_some() {
        return ExpectedDeletions { sure, perhaps: swept };
    }
    sure.extend(swept);
    ExpectedDeletions { sure, perhaps: BTreeSet::new() }
}
