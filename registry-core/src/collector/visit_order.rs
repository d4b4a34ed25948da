//! Which repositories a collector visits, and in which order. What it does there is in `mark`.

use std::collections::{HashMap, HashSet};

use super::engine::Engine;
use crate::graph::{FolderState, Graph, Oddities, Repository};
use crate::path::Place;

/// Something that a collector takes for a repository.
#[derive(Debug, Clone, Copy)]
pub(super) enum VisitedRepository<'o> {
    /// A repository, by its index in the graph.
    Repository(u32),
    /// An entry directly below `repositories/` whose name is that of the folder that marks a repository.
    Nameless(&'o str),
}

/// What a collector takes for repositories, in the order of its walk: each level in byte order, and the folder that marks a
/// repository among its siblings (`handleRepository` in `registry/storage/catalog.go @ v2.8.3`).
pub(super) fn visit_order<'o>(
    graph: &Graph,
    oddities: &'o Oddities,
    engine: Engine,
) -> Vec<VisitedRepository<'o>> {
    let (folder, folder_state): (&str, fn(&Repository) -> FolderState) = match engine {
        Engine::V2_8 => ("_layers", |repository| repository.layers_part),
        Engine::V3 => ("_manifests", |repository| repository.manifests),
    };
    let files: HashSet<&str> = oddities.files.iter().map(String::as_str).collect();
    let stops = WalkStops::from_oddities(oddities, engine);
    let mut visited = Vec::new();
    for (at, repository) in (0_u32..).zip(&graph.repositories) {
        if repository.is_shelved() {
            continue;
        }
        let path = format!("{}/{folder}", Place::Repository(&repository.name));
        // The collector does not check that it is a folder.
        let exists = folder_state(repository) != FolderState::Absent || files.contains(&*path);
        if exists && !stops.hides(&path) {
            visited.push((path, VisitedRepository::Repository(at)));
        }
    }
    let nameless = format!("{}/{folder}", Place::Repositories);
    for path in oddities.nameless.iter().chain(&oddities.files) {
        if *path == nameless && !stops.hides(path) {
            visited.push((path.clone(), VisitedRepository::Nameless(path)));
        }
    }
    visited.sort_by(|(a, _), (b, _)| a.split('/').cmp(b.split('/')));
    visited.into_iter().map(|(_, repository)| repository).collect()
}

/// Files that end the walk of their folder, the first one of each folder: 2.8 skips a folder whose name starts with `_`, and ends the
/// walk at a file with such a name (`WalkFallback` in `registry/storage/driver/walk.go @ v2.8.3`).
struct WalkStops<'o>(HashMap<&'o str, &'o str>);

impl<'o> WalkStops<'o> {
    fn from_oddities(oddities: &'o Oddities, engine: Engine) -> Self {
        let mut first: HashMap<&str, &str> = HashMap::new();
        let files = oddities.files.iter().filter(|_| engine == Engine::V2_8);
        for (folder, name) in files.filter_map(|path| path.rsplit_once('/')) {
            // The walk for repositories does not enter a repository's own folders.
            if !folder.contains("/_") {
                let earlier = first.entry(folder).or_insert(name);
                *earlier = name.min(*earlier);
            }
        }
        Self(first)
    }

    /// Whether the walk ends before it reaches a path.
    fn hides(&self, path: &str) -> bool {
        !self.0.is_empty()
            && path.match_indices('/').any(|(at, _)| {
                let (folder, rest) = (&path[..at], &path[at + 1..]);
                let next = rest.split('/').next().unwrap_or(rest);
                self.0.get(folder).is_some_and(|stop| next > *stop)
            })
    }
}
