//! Which repositories a collector comes to, and in which order. What it does there is not this file's matter.

use std::collections::{HashMap, HashSet};

use super::engine::Engine;
use crate::graph::{FolderState, Graph, Oddities, Repository};
use crate::path::Place;

/// What a collector takes for a repository.
#[derive(Debug, Clone, Copy)]
pub(super) enum VisitedRepository<'o> {
    /// One, by its index in the graph.
    Repository(u32),
    /// What lies right below `repositories/` and is called like the folders that announce a repository.
    Nameless(&'o str),
}

/// What a collector takes for repositories, in the order of its walk: each level in byte order, the folder that announces a
/// repository among its siblings (`handleRepository` in `registry/storage/catalog.go @ v2.8.3`).
pub(super) fn order<'o>(graph: &Graph, oddities: &'o Oddities, engine: Engine) -> Vec<VisitedRepository<'o>> {
    let (folder, part): (&str, fn(&Repository) -> FolderState) = match engine {
        Engine::V2_8 => ("_layers", |one| one.layers_part),
        Engine::V3 => ("_manifests", |one| one.manifests),
    };
    let files: HashSet<&str> = oddities.files.iter().map(String::as_str).collect();
    let stops = Stops::from_oddities(oddities, engine);
    let mut met = Vec::new();
    for (at, repository) in (0_u32..).zip(&graph.repositories) {
        if repository.is_shelved() {
            continue;
        }
        let path = format!("{}/{folder}", Place::Repository(&repository.name));
        // Whether it is a folder is not asked.
        let is_there = part(repository) != FolderState::Absent || files.contains(&*path);
        if is_there && !stops.hide(&path) {
            met.push((path, VisitedRepository::Repository(at)));
        }
    }
    let nameless = format!("{}/{folder}", Place::Repositories);
    for path in oddities.nameless.iter().chain(&oddities.files) {
        if *path == nameless && !stops.hide(path) {
            met.push((path.clone(), VisitedRepository::Nameless(path)));
        }
    }
    met.sort_by(|(a, _), (b, _)| a.split('/').cmp(b.split('/')));
    met.into_iter().map(|(_, one)| one).collect()
}

/// Files that end the walk of the folder they lie in: 2.8 passes over a folder whose name starts with `_`, and takes a file
/// of such a name for the end (`WalkFallback` in `registry/storage/driver/walk.go @ v2.8.3`). By folder, the first name.
struct Stops<'o>(HashMap<&'o str, &'o str>);

impl<'o> Stops<'o> {
    fn from_oddities(oddities: &'o Oddities, engine: Engine) -> Self {
        let mut first: HashMap<&str, &str> = HashMap::new();
        let files = oddities.files.iter().filter(|_| engine == Engine::V2_8);
        for (folder, name) in files.filter_map(|path| path.rsplit_once('/')) {
            // A repository's own folders are walked in another way.
            if !folder.contains("/_") {
                let earlier = first.entry(folder).or_insert(name);
                *earlier = name.min(*earlier);
            }
        }
        Self(first)
    }

    /// Whether the walk ends before it comes to a path.
    fn hide(&self, path: &str) -> bool {
        !self.0.is_empty()
            && path.match_indices('/').any(|(at, _)| {
                let (folder, rest) = (&path[..at], &path[at + 1..]);
                let next = rest.split('/').next().unwrap_or(rest);
                self.0.get(folder).is_some_and(|stop| next > *stop)
            })
    }
}
