//! A registry:2 tree on disk as a source of retention, and as something to act on.
//!
//! [`Layout`] reads a tree into a record, as the sources for servers do, and cannot change it. [`moves()`] finds the folders that a
//! plan moves aside, and changes nothing. [`apply`] moves them, through a [`TreeWriter`](crate::tree_writer::TreeWriter) and a
//! journal of [`crate::repair`], so that one undo serves for both.

mod act;
mod apply;
mod links;
mod moves;
mod read;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;

use jiff::Timestamp;

pub use self::apply::apply;
pub use self::links::Links;
pub use self::moves::{Moves, RowFate, moves, moves_of};
#[cfg(test)]
pub(crate) use self::read::read_manifest as recorded_manifest;
use super::other_packages::OtherPackages;
use super::plan::Plan;
use super::policy::{Pattern, matches_any};
use super::record::{Record, RecordedManifest, RecordedPackage, SCHEMA};
use super::source::{Source, SourceKind};
use crate::audit::{RegistryRole, looks_like_cache};
use crate::graph::{FolderState, Graph, Recheck};
use crate::oci::{Digest, RepositoryName};
use crate::path::Place;
use crate::storage::{
    DiskFolder, Folder, FolderError, LocatedRegistry, OpenOptions, ScanOptions, ScanProgress, Tree,
};

/// Why a tree cannot be planned or acted on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// It cannot be opened.
    #[error("cannot open {0}: {1}")]
    Open(String, #[source] io::Error),
    /// Its path is no UTF-8, so it cannot be written into a plan.
    #[error("the path of the registry is no text (UTF-8): rename it, or reach it by another path")]
    Text,
    /// It is a pull-through cache.
    #[error(
        "{tree} is a pull-through cache ({sign}): what is not in it was never fetched or has expired, so \
         nothing can be told about its images; it expires them itself, and retention belongs to the registry that it copies"
    )]
    Cache {
        /// The tree.
        tree: String,
        /// The sign by which that is known.
        sign: CacheSign,
    },
    /// It may be a pull-through cache.
    #[error(
        "{0} looks like a pull-through cache: platforms of its indexes are absent without a trace, as if only some had been \
         pulled. Retention belongs to the registry that a cache copies, so nothing is planned"
    )]
    LooksLikeCache(String),
    /// The list of repositories cannot be read.
    #[error("{path} cannot be read: {why}; without the list of repositories nothing is planned")]
    Repositories {
        /// Below `docker/registry/v2`.
        path: String,
        /// Why.
        why: String,
    },
    /// A repository does not exist any more.
    #[error("repository {0} is gone")]
    Gone(String),
}

/// A sign that a tree is a pull-through cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheSign {
    /// `scheduler-state.json` in its rootdirectory.
    SchedulerState,
    /// The operator said so, by a role or by a configuration with `proxy:`.
    Said,
    /// A server that runs on it has `proxy:` in its configuration.
    Server,
}

impl std::fmt::Display for CacheSign {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::SchedulerState => "it holds scheduler-state.json",
            Self::Said => "the command line says so",
            Self::Server => "the server that runs on it has proxy: in its configuration",
        })
    }
}

/// How a tree is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadOptions<'a> {
    /// Whether to read the build dates of all images.
    pub built_at: bool,
    /// Only packages that match one of these patterns are read; all are when there are none.
    pub only: &'a [Pattern],
}

/// A registry's tree, open for reading.
#[derive(Debug)]
pub struct Layout<F = DiskFolder> {
    tree: Tree<F>,
    source: Source,
    role: Option<RegistryRole>,
}

impl Layout {
    /// Opens the tree of one registry, to be read with `jobs` threads; 0 means a number that suits the machine. Its address in
    /// plans is the path of its rootdirectory, without symbolic links.
    ///
    /// # Errors
    /// When the tree cannot be opened, or its path is no UTF-8.
    pub fn open(located: &LocatedRegistry, jobs: usize) -> Result<Self, LayoutError> {
        let name = located.root.as_ref().unwrap_or(&located.v2);
        let cannot_open = |error| LayoutError::Open(crate::text::escape_os(name.as_os_str()), error);
        let url = name.canonicalize().map_err(cannot_open)?.to_str().ok_or(LayoutError::Text)?.to_owned();
        let options = OpenOptions { jobs, ..OpenOptions::default() };
        let tree = Tree::open(located, &options).map_err(cannot_open)?;
        Ok(Self::from_tree(tree, &url))
    }
}

impl<F: Folder> Layout<F> {
    /// Takes a tree that is open already; `url` is its address in plans.
    pub fn from_tree(tree: Tree<F>, url: &str) -> Self {
        let source = Source { kind: SourceKind::Layout, url: url.into(), owner: None, version: None };
        Self { tree, source, role: None }
    }

    /// Sets the role of the tree, which counts more than any sign in it.
    #[must_use]
    pub fn with_role(self, role: RegistryRole) -> Self {
        Self { role: Some(role), ..self }
    }

    /// This tree as a source, for plans.
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// Reads every package: one for each repository that a registry serves and that has `_manifests`. A package that cannot be
    /// read in full has an error. Whatever looks absent or broken is read twice.
    ///
    /// # Errors
    /// When the list of repositories cannot be read, or when the tree is a pull-through cache, or looks like one and has no role
    /// set.
    pub fn record(&self, how: &ReadOptions<'_>, now: Timestamp) -> Result<Record, LayoutError> {
        let wanted = |name: &str| matches_any(how.only, name);
        let graph = self.scan(if how.only.is_empty() { None } else { Some(&wanted) })?;
        if self.role.is_none() && looks_like_cache(&graph, |_| false) {
            return Err(LayoutError::LooksLikeCache(self.source.url.clone()));
        }
        let mut errors = unread_repositories(&graph);
        errors.retain(|name, _| wanted(name));
        let mut packages = BTreeMap::new();
        for (at, repository) in graph.repositories.iter().enumerate() {
            if repository.is_legal && repository.manifests != FolderState::Absent {
                let error = errors.remove(&*repository.name);
                let (package, _) = self.read_package(&graph, at, error, how.built_at);
                packages.insert(repository.name.to_string(), package);
            }
        }
        // A folder that could not be read may be a repository.
        for (name, why) in errors {
            let package = RecordedPackage { name, error: Some(why), ..RecordedPackage::default() };
            packages.entry(package.name.clone()).or_insert(package);
        }
        self.find_subjects_elsewhere(&graph, &mut packages, how.only, &wanted)?;
        let packages = packages.into_values().collect();
        Ok(Record { schema: SCHEMA.into(), recorded_at: now, source: self.source.clone(), packages })
    }

    /// Looks in all other repositories for the subjects of followers that the follower's own repository does not have.
    fn find_subjects_elsewhere(
        &self,
        graph: &Graph,
        packages: &mut BTreeMap<String, RecordedPackage>,
        only: &[Pattern],
        wanted: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<(), LayoutError> {
        let subjects: BTreeSet<Digest> =
            packages.values().flat_map(RecordedPackage::missing_subjects).collect();
        if subjects.is_empty() {
            return Ok(());
        }
        let rest = if only.is_empty() { None } else { Some(self.scan(Some(&|name| !wanted(name)))?) };
        let mut found: BTreeMap<Digest, Vec<(String, RecordedManifest)>> = BTreeMap::new();
        let mut unread: BTreeMap<String, String> = BTreeMap::new();
        for graph in [Some(graph), rest.as_ref()].into_iter().flatten() {
            unread.extend(unread_repositories(graph));
            for repository in &graph.repositories {
                for subject in &subjects {
                    let answer = read::read_manifest(self.tree.folder(), graph, repository, *subject);
                    if answer != RecordedManifest::Absent {
                        found.entry(*subject).or_default().push((repository.name.to_string(), answer));
                    }
                }
            }
        }
        for package in packages.values_mut() {
            for subject in package.missing_subjects() {
                let mut elsewhere = OtherPackages::default();
                if let Some((name, why)) = unread.iter().find(|(name, _)| **name != package.name) {
                    elsewhere.unread = Some(format!("{name} could not be read: {why}"));
                }
                for (name, answer) in found.get(&subject).into_iter().flatten() {
                    match answer {
                        _ if *name == package.name => {}
                        RecordedManifest::Unknown(why) => {
                            elsewhere.unread.get_or_insert_with(|| format!("{name}: {why}"));
                        }
                        _ => elsewhere.packages.push(name.clone()),
                    }
                }
                elsewhere.packages.sort_unstable();
                package.elsewhere.insert(subject, elsewhere);
            }
        }
        Ok(())
    }

    /// Reads one package, with its links.
    ///
    /// # Errors
    /// When the package does not exist, or as [`Layout::record`].
    pub fn package(&self, name: &str) -> Result<(RecordedPackage, Links), LayoutError> {
        let graph = self.scan(Some(&|other| other == name))?;
        let at = graph.repositories.iter().position(|repository| &*repository.name == name);
        let at = at.ok_or_else(|| LayoutError::Gone(name.to_owned()))?;
        let error = unread_repositories(&graph).remove(name);
        Ok(self.read_package(&graph, at, error, false))
    }

    /// Reads the repository with this index.
    fn read_package(
        &self,
        graph: &Graph,
        at: usize,
        error: Option<String>,
        with_dates: bool,
    ) -> (RecordedPackage, Links) {
        self.tree.run_in_pool(|| read::read_package(self.tree.folder(), graph, at, error, with_dates))
    }

    /// Why this process may not move the folders of a plan's tags, if that can be found out without trying.
    pub fn why_not_writable(&self, plan: &Plan) -> Option<String> {
        for package in plan.planned_packages() {
            let name = &package.name;
            let tags = package.rows_to_delete().filter(|row| row.is_tag());
            let mut places: Vec<String> =
                tags.map(|row| Place::TagFolder(name, &row.version).to_string()).collect();
            if places.is_empty() {
                continue;
            }
            places.extend([Place::Tags(name).to_string(), Place::Revisions(name).to_string()]);
            for path in places {
                if let Ok(Some(false)) = self.tree.folder().may_change(path.as_ref()) {
                    return Some(format!("{path} is not writable, or on a read-only file system"));
                }
            }
        }
        None
    }

    /// Reads the graph, and reads everything a second time that would count as absent or broken.
    fn scan(&self, only: Option<&(dyn Fn(&str) -> bool + Sync)>) -> Result<Graph, LayoutError> {
        let progress = ScanProgress::default();
        let mut graph = self.tree.scan(&ScanOptions { only, ..ScanOptions::default() }, &progress);
        let sign = match self.role {
            Some(RegistryRole::Primary) => None,
            Some(RegistryRole::Cache) => Some(CacheSign::Said),
            None => graph.has_scheduler_state.then_some(CacheSign::SchedulerState),
        };
        if let Some(sign) = sign {
            return Err(LayoutError::Cache { tree: self.source.url.clone(), sign });
        }
        let repositories = Place::Repositories.to_string();
        if let Some(unread) = graph.unread.iter().find(|unread| unread.path == repositories) {
            return Err(LayoutError::Repositories { path: repositories, why: unread.error.clone() });
        }
        let mut seen = HashSet::new();
        loop {
            let doubts = (0..graph.repositories.len()).flat_map(|at| read::doubts(&graph, at));
            let doubts: Vec<Recheck> = doubts.filter(|doubt| seen.insert(*doubt)).collect();
            if doubts.is_empty() {
                return Ok(graph);
            }
            self.tree.recheck(&mut graph, &doubts, &progress);
        }
    }
}

/// The repositories that could not be read in full, with the first error of each. A folder that could not be read counts, because
/// it may be a repository.
fn unread_repositories(graph: &Graph) -> BTreeMap<String, String> {
    let mut errors = BTreeMap::new();
    let prefix = format!("{}/", Place::Repositories);
    for unread in &graph.unread {
        let name = unread.repository.as_deref().or_else(|| unread.path.strip_prefix(&prefix));
        if let Some(name) = name.filter(|name| RepositoryName::new(name).is_ok()) {
            errors.entry(name.to_owned()).or_insert_with(|| format!("{}: {}", unread.path, unread.error));
        }
    }
    let is_unread = |part: FolderState| part == FolderState::Unread;
    for repository in &graph.repositories {
        if [repository.manifests, repository.tags_part, repository.revisions_part, repository.layers_part]
            .into_iter()
            .any(is_unread)
        {
            errors
                .entry(repository.name.to_string())
                .or_insert_with(|| "a part of it could not be listed".into());
        }
    }
    errors
}

/// Why a file could not be read, as a lower-case fragment.
fn error_text(error: &FolderError) -> String {
    match error {
        FolderError::NotFound => "it is gone since it was listed".into(),
        other => other.to_string(),
    }
}
