//! Manifests that Forgejo's own collector takes although something that stays needs them. No plan can prevent that; a plan warns
//! of it, so that somebody pushes the tag again in time.
//!
//! The collector reads all versions of the server in the order of their numbers, in all packages together
//! (`services/packages/container/cleanup_sha256.go @ v15.0.3`). Of each `sha256:` digest it remembers the last row. Any
//! other version makes it forget the digests that its index names; a digest that is named before its first row is safe. The
//! collector deletes the remembered rows that are over a day old. So it takes
//! - a child that another package has too and that was pushed again after its index,
//! - a manifest pushed by digest that only refers to an image (`subject`), although the image stays.
//!
//! A manifest that a tag names directly answers by its digest through the row of the tag, so nothing is lost with the row of
//! the digest. Packages of other owners are not visible here.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::fmt;

use super::bytes::{ContentHead, content_head};
use super::package::{ManifestId, ManifestState, Package, Row};
use crate::oci::Digest;
use crate::oci::manifest::Kind;
use crate::text::escape;

/// What the collector meets in one pass over all packages: rows of digests, and names in tagged indexes.
#[derive(Debug, Default)]
pub(super) struct CollectorPass {
    events: Vec<Event>,
    needed_rows: Vec<NeededRow>,
    /// Digests whose events in unselected packages were added already.
    shared: HashSet<ContentHead>,
    /// Selected packages with tags that were not read, so that the names in these are unknown.
    unread: u64,
    /// Unselected packages with tags that were not read.
    unselected: u64,
}

#[derive(Debug)]
struct Event {
    head: ContentHead,
    /// The server's number of the row.
    id: u64,
    kind: EventKind,
}

#[derive(Debug, Clone, Copy)]
enum EventKind {
    /// The index of a version that is no `sha256:` digest names the digest.
    Named,
    /// A row of the digest; with its index in [`CollectorPass::needed_rows`] where something that stays would lose it.
    Row(Option<usize>),
}

/// A row of a digest that something needs, and that its own package does not protect.
#[derive(Debug)]
struct NeededRow {
    /// The number of its package.
    package: u32,
    digest: Digest,
    cause: NeededBy,
}

/// Why a manifest that the collector takes is needed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NeededBy {
    /// The index of a tag names it, and the index is older than the manifest's row.
    Child {
        /// The tag.
        of: String,
    },
    /// It refers to something that stays.
    Referrer {
        /// What it refers to.
        subject: Digest,
        /// A tag that names the subject or its index, if there is one.
        tag: Option<String>,
        /// Whether it is an index. On Forgejo no index may name another.
        is_index: bool,
    },
    /// An index without a tag names it, and that index refers to something that stays.
    Part {
        /// The index.
        of: Digest,
    },
}

/// A manifest that the collector takes in one of the next nights although something that stays needs it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Warning {
    pub(super) cause: NeededBy,
    pub(super) digest: Digest,
    /// How many packages were not read in full. An index in one of them may name the manifest, which would save it.
    pub(super) unread: u64,
}

impl fmt::Display for Warning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let will = if self.unread == 0 { "will" } else { "may" };
        write!(out, "the server's own collector {will} take {} (", self.digest)?;
        match &self.cause {
            NeededBy::Child { of } => write!(out, "child of {}", escape(of))?,
            NeededBy::Referrer { subject, tag: Some(tag), .. } => {
                write!(out, "refers to {subject} of {}, which stays", escape(tag))?;
            }
            NeededBy::Referrer { subject, tag: None, .. } => write!(out, "refers to {subject}, which stays")?,
            NeededBy::Part { of } => write!(out, "child of {of}, which refers to what stays")?,
        }
        write!(out, ") once it is a day old")?;
        match self.unread {
            0 => {}
            1 => write!(out, ", unless an index names it in a package that was not read in full")?,
            many => {
                write!(
                    out,
                    ", unless an index names it in one of {many} packages that were not read in full"
                )?;
            }
        }
        match &self.cause {
            NeededBy::Child { .. } => write!(
                out,
                ": it was pushed again after the index that names it, and another package has it too; push the tag again"
            ),
            NeededBy::Referrer { subject, is_index: false, .. } => write!(
                out,
                ": it was pushed by digest, and no index with a tag names it; push the tag {}-{} as an index that \
                 names it",
                subject.algorithm().name(),
                subject.hex()
            ),
            NeededBy::Referrer { is_index: true, .. } => {
                write!(out, ": it was pushed by digest, and has no tag; push it under a tag")
            }
            NeededBy::Part { of } => {
                write!(out, ": no index with a tag names it; push {of} under a tag")
            }
        }
    }
}

/// Whether the collector may take the row. Every other row protects the manifests that its index names.
fn is_collectable(row: &Row) -> bool {
    row.version.starts_with("sha256:")
}

/// The number of the rows that the undo window makes: it comes after the numbers of all rows that exist now.
const HELD: u64 = u64::MAX;

impl CollectorPass {
    /// Adds the staying rows of a package, and the rows that the undo window makes for its deleted images. `number` is the
    /// number of its plan. A package without a plan has no number; its rows count nevertheless.
    pub(super) fn add(
        &mut self,
        number: Option<u32>,
        package: &Package,
        stays: impl Fn(usize) -> bool,
        undo_window: bool,
    ) {
        self.add_unselected(package);
        let rows_that = |stay: bool| -> Vec<&Row> {
            let rows = package.rows.iter().enumerate().filter(|(at, _)| stays(*at) == stay);
            rows.map(|(_, row)| row).collect()
        };
        let (staying, going) = (rows_that(true), rows_that(false));
        let is_read = |row: &&Row| row.manifest.is_some_and(|manifest| package.info(manifest).is_some());
        let has_unread = staying.iter().any(|row| !is_collectable(row) && !is_read(row));
        self.unread += u64::from(package.unreadable.is_some() || has_unread);
        let held = if undo_window { package.held(tagged(&going), tagged(&staying)) } else { Vec::new() };
        let is_held = |manifest: ManifestId| held.get(manifest.index()).copied().unwrap_or(false);
        for manifest in package.manifests().filter(|manifest| is_held(*manifest)) {
            let head = content_head(&package.digest(manifest));
            self.events.push(Event { head, id: HELD, kind: EventKind::Row(None) });
        }
        let needs = Needs::from_newest_first(package, &staying);
        for row in &staying {
            let (Some(manifest), Some(id)) = (row.manifest, row.id) else { continue };
            if !is_collectable(row) {
                let names = package.children(manifest).map(|child| content_head(&package.digest(child)));
                self.events.extend(names.map(|head| Event { head, id, kind: EventKind::Named }));
            } else if !is_held(manifest) {
                let cause = number.and_then(|number| Some((number, needs.cause(manifest, id)?)));
                let digest = package.digest(manifest);
                let needed_row = cause.map(|(package, cause)| {
                    self.needed_rows.push(NeededRow { package, digest, cause });
                    self.needed_rows.len() - 1
                });
                self.events.push(Event { head: content_head(&digest), id, kind: EventKind::Row(needed_row) });
            }
        }
    }

    /// Adds the known rows and names in packages that were not selected, once for each digest.
    fn add_unselected(&mut self, package: &Package) {
        let Some(unselected) = &package.unselected else { return };
        self.unselected = self.unselected.max(unselected.unread);
        for (digest, shared) in &unselected.shared {
            let head = content_head(digest);
            if self.shared.insert(head) {
                let rows = shared.rows.iter().map(|id| (*id, EventKind::Row(None)));
                let names = shared.named_by.iter().map(|id| (*id, EventKind::Named));
                self.events.extend(rows.chain(names).map(|(id, kind)| Event { head, id, kind }));
            }
        }
    }

    /// Plays the collector night after night until it takes nothing more. It takes one row of a digest a night, the last one; so
    /// in the end it takes every row after the last index that names the digest. It takes none if some index named the digest
    /// before its first row.
    pub(super) fn warnings(mut self) -> Vec<(u32, Warning)> {
        self.events.sort_by_key(|event| (event.head, event.id));
        let unread = self.unread + self.unselected;
        let mut taken = Vec::new();
        for events in self.events.chunk_by(|a, b| a.head == b.head) {
            let (mut is_met, mut is_safe) = (false, false);
            for event in events {
                match event.kind {
                    EventKind::Row(_) => is_met = true,
                    EventKind::Named => is_safe |= !std::mem::take(&mut is_met),
                }
            }
            if !is_safe {
                let after = events.iter().rev().map_while(|event| match event.kind {
                    EventKind::Row(needed_row) => Some(needed_row),
                    EventKind::Named => None,
                });
                taken.extend(after.flatten());
            }
        }
        let warning = |index: usize| {
            let NeededRow { package, digest, cause } = &self.needed_rows[index];
            (*package, Warning { cause: cause.clone(), digest: *digest, unread })
        };
        let mut warnings: Vec<_> = taken.into_iter().map(warning).collect();
        warnings.sort_unstable();
        warnings
    }
}

/// The manifests that tags among these rows name.
fn tagged<'r>(rows: &'r [&Row]) -> impl Iterator<Item = ManifestId> + 'r {
    rows.iter().filter(|row| row.is_tag()).filter_map(|row| row.manifest)
}

/// The manifests that the staying rows of a package need.
struct Needs<'p> {
    package: &'p Package,
    /// By manifest, whether it is needed.
    needed: Vec<bool>,
    /// The newest tag of each tagged manifest.
    tags: HashMap<ManifestId, &'p Row>,
    /// For each child, the largest number of a version whose index names it, and the newest tag among these versions.
    names: HashMap<ManifestId, (u64, Option<&'p Row>)>,
    /// Indexes by the manifests that they name; built on first use.
    parents: OnceCell<HashMap<ManifestId, Vec<ManifestId>>>,
}

impl<'p> Needs<'p> {
    /// Takes the staying rows, which must be sorted newest first.
    fn from_newest_first(package: &'p Package, staying: &[&'p Row]) -> Self {
        let mut needs = Self {
            package,
            needed: package.needed(tagged(staying)),
            tags: HashMap::new(),
            names: HashMap::new(),
            parents: OnceCell::new(),
        };
        for row in staying.iter().filter(|row| !is_collectable(row)) {
            let Some(manifest) = row.manifest else { continue };
            let tag = Some(*row).filter(|row| row.is_tag());
            if let Some(tag) = tag {
                needs.tags.entry(manifest).or_insert(tag);
            }
            let Some(id) = row.id else { continue };
            for child in package.children(manifest) {
                let (largest, newest) = needs.names.entry(child).or_insert((id, tag));
                *largest = id.max(*largest);
                *newest = newest.or(tag);
            }
        }
        needs
    }

    /// Why the manifest is needed when the collector takes its row with this number. `None` when it is not needed, or when a
    /// version of its own package protects it.
    fn cause(&self, manifest: ManifestId, id: u64) -> Option<NeededBy> {
        let package = self.package;
        let named = self.names.get(&manifest);
        let is_lost = self.needed[manifest.index()]
            && !self.tags.contains_key(&manifest)
            && !matches!(package.state(manifest), ManifestState::Absent);
        // An index with a larger number than the row protects it.
        if !is_lost || named.is_some_and(|(last, _)| *last > id) {
            return None;
        }
        let tag_name = |row: &Row| row.version.to_string();
        if let Some((_, Some(tag))) = named {
            return Some(NeededBy::Child { of: tag_name(tag) });
        }
        if let Some(subject) = package.subject(manifest).filter(|subject| self.needed[subject.index()]) {
            let tag_of_index = || self.names.get(&subject).and_then(|(_, tag)| *tag);
            return Some(NeededBy::Referrer {
                subject: package.digest(subject),
                tag: self.tags.get(&subject).copied().or_else(tag_of_index).map(tag_name),
                is_index: package.info(manifest).is_some_and(|info| info.kind == Kind::Index),
            });
        }
        let parents = self.parents.get_or_init(|| package.parents()).get(&manifest).into_iter().flatten();
        let needed = parents.filter(|parent| self.needed[parent.index()]);
        needed.map(|parent| package.digest(*parent)).min().map(|of| NeededBy::Part { of })
    }
}

/// Digests whose safety depends on packages that were not selected, under every policy: something in this package needs them,
/// and not every index that names them is tagged and younger than their row.
#[cfg(feature = "remote")]
pub(super) fn digests_that_others_decide(package: &Package) -> HashSet<Digest> {
    let needed = package.needed(package.tagged_manifests());
    let (parents, rows_of) = (package.parents(), package.rows_of());
    let is_protected_here = |manifest: ManifestId, id: u64| {
        let is_younger = |parent: &ManifestId| {
            let rows = rows_of[parent.index()].iter().map(|at| &package.rows[*at]);
            let oldest = rows.filter(|row| row.is_tag()).map(|row| row.id).min().flatten();
            oldest.is_some_and(|oldest| oldest > id)
        };
        package.subject(manifest).is_none() && parents.get(&manifest).into_iter().flatten().all(is_younger)
    };
    let rows = package.rows.iter().filter(|row| is_collectable(row));
    let rows = rows.filter_map(|row| Some((row.manifest?, row.id?)));
    let unsafe_rows =
        rows.filter(|(manifest, id)| needed[manifest.index()] && !is_protected_here(*manifest, *id));
    unsafe_rows.map(|(manifest, _)| package.digest(manifest)).collect()
}
