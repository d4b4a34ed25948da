//! The second half of a collection: manifests first, then what is not marked in `blobs/`, then layer links. An error here
//! leaves things half done.

use std::collections::{HashMap, HashSet};

use super::engine::Engine;
use super::forecast::{Abort, Forecast};
use super::mark::Marks;
use crate::graph::{Graph, GraphLink, NodeId, Oddities, Presence};
use crate::oci::{Algorithm, Digest};
use crate::path::Place;

pub(super) fn sweep(graph: &Graph, oddities: &Oddities, engine: Engine, mut marked: Marks) -> Forecast {
    let mut forecast = Forecast::default();
    if engine == Engine::V3 {
        // What was marked through an index after it was met as untagged stays: the fix of issue 3178.
        marked.untagged.retain(|(_, node)| !marked.set[node.index()]);
    }
    if let Err(abort) = manifests(graph, oddities, &marked, &mut forecast) {
        forecast.would_abort = Some(abort);
        return forecast;
    }
    if !graph.has_blobs_folder {
        forecast.would_abort = Some(Abort::sweep(Place::Blobs, "there is no such folder"));
        return forecast;
    }
    let filed_elsewhere = match odd_data(graph, oddities, &marked) {
        Ok(filed_elsewhere) => filed_elsewhere,
        Err(abort) => {
            forecast.would_abort = Some(abort);
            return forecast;
        }
    };
    let is_swept =
        |node: &NodeId| graph.blob(*node).presence == Presence::Present && !marked.set[node.index()];
    forecast.blobs = graph.nodes().filter(is_swept).collect();
    if let Some(path) = filed_elsewhere {
        // Its digest is right, its place is not: looked for in vain, when is random.
        forecast.would_abort = Some(Abort::sweep(path, "a blob that is not where its digest belongs"));
        forecast.layer_links = marked.layers;
        return forecast;
    }
    let mut seen = HashSet::new();
    for (at, node) in &marked.layers {
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

/// Removes what is untagged, with its entries in the histories of all tags.
fn manifests(
    graph: &Graph,
    oddities: &Oddities,
    marked: &Marks,
    forecast: &mut Forecast,
) -> Result<(), Abort> {
    let mut gone = HashSet::new();
    let mut bare = HashSet::new();
    for (repository, digest) in &oddities.bare {
        bare.extend(graph.digests().find(digest).map(|node| (repository.as_str(), node)));
    }
    let histories: HashMap<&str, &str> =
        oddities.histories.iter().map(|(repository, path)| (repository.as_str(), path.as_str())).collect();
    for (at, node) in &marked.untagged {
        let repository = &graph.repositories[*at as usize];
        if !gone.contains(&(*at, *node)) {
            for (number, tag) in repository.numbered_tags() {
                if tag.history.contains(node) {
                    forecast.history.push((*at, number, *node));
                }
            }
        }
        if let Some(path) = histories.get(&*repository.name) {
            return Err(Abort::sweep(path, "a file in the place of a folder of a tag's history"));
        }
        // A folder without a link in it would do.
        let is_there =
            repository.revision(*node) != GraphLink::Absent || bare.contains(&(&*repository.name, *node));
        if !is_there || !gone.insert((*at, *node)) {
            let path = Place::RevisionFolder(&repository.name, graph.digest(*node));
            return Err(Abort::sweep(path, "an untagged manifest without a folder to remove"));
        }
        forecast.manifests.push((*at, *node));
    }
    Ok(())
}

/// Looks at files called `data` in odd places: most end the enumeration; one whose digest is right and unmarked is swept in
/// vain.
fn odd_data(graph: &Graph, oddities: &Oddities, marked: &Marks) -> Result<Option<String>, Abort> {
    let mut data: Vec<&String> = oddities.data.iter().collect();
    data.sort_by(|a, b| a.split('/').cmp(b.split('/')));
    let mut in_vain = None;
    for path in data {
        let why = match digest_of_path(path) {
            Named::Digest(digest) => {
                let node = graph.digests().find(&digest);
                let is_marked = node.is_some_and(|node| marked.set[node.index()]);
                let is_there = node.is_some_and(|node| graph.blob(node).presence == Presence::Present);
                if !is_marked && !is_there {
                    in_vain.get_or_insert_with(|| path.clone());
                }
                continue;
            }
            Named::Nothing => "a data file whose path names no digest",
            Named::Panic => "a data file in a folder of one character: the collector crashes on it",
        };
        return Err(Abort::sweep(path, why));
    }
    Ok(in_vain)
}

/// What a path in `blobs/` names.
enum Named {
    Digest(Digest),
    Nothing,
    Panic,
}

/// The digest that a collector reads from the path of a `data` file: only the last folder and the one around it count
/// (`digestFromPath` in `registry/storage/paths.go @ v2.8.3`).
fn digest_of_path(path: &str) -> Named {
    let full = format!("docker/registry/v2/{}", path.strip_suffix("/data").unwrap_or(path));
    let mut parts = full.rsplit('/');
    let (hex, next) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let Some(start) = hex.as_bytes().get(..2) else { return Named::Panic };
    let algorithm = if next.as_bytes() == start { parts.next().unwrap_or("") } else { next };
    Algorithm::from_name(algorithm)
        .and_then(|algorithm| Digest::from_hex(algorithm, hex).ok())
        .map_or(Named::Nothing, Named::Digest)
}
