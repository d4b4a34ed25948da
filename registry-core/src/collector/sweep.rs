//! The second phase of a collection: deletes untagged manifests, then unmarked blobs, then layer links. An error in it leaves the
//! collection half done.

use std::collections::{HashMap, HashSet};

use super::engine::Engine;
use super::forecast::{Abort, Forecast};
use super::mark::Marks;
use crate::graph::{Graph, GraphLink, NodeId, Oddities, Presence};
use crate::oci::{Algorithm, Digest};
use crate::path::Place;

/// What is deleted after `marked` was marked.
pub(super) fn sweep(graph: &Graph, oddities: &Oddities, engine: Engine, mut marked: Marks) -> Forecast {
    let mut forecast = Forecast::default();
    if engine == Engine::V3 {
        // An untagged manifest that an index marked later stays: the fix of issue 3178.
        marked.untagged.retain(|(_, node)| !marked.is_marked[node.index()]);
    }
    if let Err(abort) = sweep_manifests(graph, oddities, &marked, &mut forecast) {
        forecast.would_abort = Some(abort);
        return forecast;
    }
    if !graph.has_blobs_folder {
        forecast.would_abort = Some(Abort::sweep(Place::Blobs, "there is no such folder"));
        return forecast;
    }
    let misplaced_blob = match check_odd_data(graph, oddities, &marked) {
        Ok(misplaced_blob) => misplaced_blob,
        Err(abort) => {
            forecast.would_abort = Some(abort);
            return forecast;
        }
    };
    let is_swept =
        |node: &NodeId| graph.blob(*node).presence == Presence::Present && !marked.is_marked[node.index()];
    forecast.blobs = graph.nodes().filter(is_swept).collect();
    if let Some(path) = misplaced_blob {
        // The collector looks for the blob where its digest belongs, at a random time, and does not find it.
        forecast.would_abort = Some(Abort::sweep(path, "a blob that is not where its digest belongs"));
        forecast.layer_links = marked.layer_links;
        return forecast;
    }
    let mut seen = HashSet::new();
    for (at, node) in &marked.layer_links {
        if !seen.insert((*at, *node)) {
            let repository = &graph.repositories[*at as usize];
            let path = Place::LayerLink(&repository.name, graph.digest(*node));
            forecast.would_abort = Some(Abort::sweep(path, "a layer link that is to be removed twice"));
        }
    }
    forecast.layer_links = seen.into_iter().collect();
    forecast.layer_links.sort_unstable();
    forecast
}

/// Deletes untagged manifests, with their entries in the histories of all tags.
fn sweep_manifests(
    graph: &Graph,
    oddities: &Oddities,
    marked: &Marks,
    forecast: &mut Forecast,
) -> Result<(), Abort> {
    let mut deleted = HashSet::new();
    let mut bare = HashSet::new();
    for (repository, digest) in &oddities.bare {
        bare.extend(graph.digests().find(digest).map(|node| (repository.as_str(), node)));
    }
    let histories: HashMap<&str, &str> =
        oddities.histories.iter().map(|(repository, path)| (repository.as_str(), path.as_str())).collect();
    for (at, node) in &marked.untagged {
        let repository = &graph.repositories[*at as usize];
        if !deleted.contains(&(*at, *node)) {
            for (number, tag) in repository.numbered_tags() {
                if tag.history.contains(node) {
                    forecast.history.push((*at, number, *node));
                }
            }
        }
        if let Some(path) = histories.get(&*repository.name) {
            return Err(Abort::sweep(path, "a file in the place of a folder of a tag's history"));
        }
        // The collector needs only the folder, not a link in it.
        let exists =
            repository.revision(*node) != GraphLink::Absent || bare.contains(&(&*repository.name, *node));
        if !exists || !deleted.insert((*at, *node)) {
            let path = Place::RevisionFolder(&repository.name, graph.digest(*node));
            return Err(Abort::sweep(path, "an untagged manifest without a folder to remove"));
        }
        forecast.manifests.push((*at, *node));
    }
    Ok(())
}

/// Checks files called `data` in odd places. Most of them end the collection. Otherwise the result is the first one whose path names
/// an unmarked digest without a blob: the collector fails when it deletes that blob.
fn check_odd_data(graph: &Graph, oddities: &Oddities, marked: &Marks) -> Result<Option<String>, Abort> {
    let mut data: Vec<&String> = oddities.data.iter().collect();
    data.sort_by(|a, b| a.split('/').cmp(b.split('/')));
    let mut misplaced_blob = None;
    for path in data {
        let why = match digest_from_path(path) {
            PathDigest::Digest(digest) => {
                let node = graph.digests().find(&digest);
                let is_marked = node.is_some_and(|node| marked.is_marked[node.index()]);
                let exists = node.is_some_and(|node| graph.blob(node).presence == Presence::Present);
                if !is_marked && !exists {
                    misplaced_blob.get_or_insert_with(|| path.clone());
                }
                continue;
            }
            PathDigest::Absent => "a data file whose path names no digest",
            PathDigest::Panic => "a data file in a folder of one character: the collector crashes on it",
        };
        return Err(Abort::sweep(path, why));
    }
    Ok(misplaced_blob)
}

/// The digest that a path in `blobs/` names.
enum PathDigest {
    Digest(Digest),
    Absent,
    /// The collector crashes on the path.
    Panic,
}

/// The digest that a collector reads from the path of a `data` file: only the last folder and the one around it count
/// (`digestFromPath` in `registry/storage/paths.go @ v2.8.3`).
fn digest_from_path(path: &str) -> PathDigest {
    let full = format!("docker/registry/v2/{}", path.strip_suffix("/data").unwrap_or(path));
    let mut parts = full.rsplit('/');
    let (hex, next) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let Some(start) = hex.as_bytes().get(..2) else { return PathDigest::Panic };
    let algorithm = if next.as_bytes() == start { parts.next().unwrap_or("") } else { next };
    Algorithm::from_name(algorithm)
        .and_then(|algorithm| Digest::from_hex(algorithm, hex).ok())
        .map_or(PathDigest::Absent, PathDigest::Digest)
}
