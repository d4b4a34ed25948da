//! What Forgejo's own collector takes although something that stays needs it. No plan can prevent that; a plan warns of it,
//! so that somebody pushes the tag again in time.
//!
//! The collector reads all versions of the server in the order of their numbers, whatever package they are of
//! (`services/packages/container/cleanup_sha256.go @ v15.0.3`). Of each `sha256:` digest it remembers the last row. Any
//! other version strikes out the digests that its index names; those that it has not met yet are safe. What is left and
//! over a day old goes. So it takes
//! - a child that another package has too and that was pushed again after its index,
//! - a manifest pushed by digest that only refers to an image (`subject`), although the image stays.
//!
//! A manifest that a tag names directly answers by its digest through the row of the tag, so nothing is lost with the row of
//! the digest. Packages of other owners cannot be seen here.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::fmt;

use super::package::{ManifestId, ManifestState, Package, Row};
use crate::oci::Digest;
use crate::oci::manifest::Kind;
use crate::text::escape;

/// The events of the collector's pass: rows of digests, and names in tagged indexes, over all packages.
#[derive(Debug, Default)]
pub(super) struct Collector {
    events: Vec<Event>,
    at_risk: Vec<AtRisk>,
    /// Digests of which the events of unselected packages are known.
    shared: HashSet<DigestHead>,
    /// Packages that were read, with tags that were not: what these name is not known.
    unread: u64,
    /// Packages that were not selected, with tags that were not read.
    unselected: u64,
}

/// The first bytes of a hash suffice to bring the events of one digest together.
type DigestHead = [u8; 16];

#[derive(Debug)]
struct Event {
    head: DigestHead,
    /// The server's number of the row.
    id: u64,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    /// A version that is no `sha256:` digest names the digest in its index.
    Named,
    /// A row of the digest. A number in [`Collector::at_risk`] where something that stays would lose it.
    Row(Option<usize>),
}

/// A row that something needs, and that its own package does not protect.
#[derive(Debug)]
struct AtRisk {
    /// The number of its package.
    package: u32,
    digest: Digest,
    cause: NeededBy,
}

/// What needs a manifest that the collector takes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NeededBy {
    /// The index of a tag names it, and is older than its row.
    Child {
        /// The tag.
        of: String,
    },
    /// It refers to something that stays.
    Referrer {
        /// What it refers to.
        subject: Digest,
        /// A tag that reaches the subject, where one names it or its index.
        tag: Option<String>,
        /// Whether it is an index, which no index on Forgejo may name.
        is_index: bool,
    },
    /// An index without a tag names it, which refers to something that stays.
    Part {
        /// The index.
        of: Digest,
    },
}

/// A manifest that the collector takes in one of the next nights, although something that stays needs it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Warning {
    pub(super) cause: NeededBy,
    pub(super) digest: Digest,
    /// How many packages were not read, or not all of their tags. An index there may name the manifest, which would save it.
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

fn head(digest: &Digest) -> DigestHead {
    let mut head = DigestHead::default();
    head.copy_from_slice(&digest.as_bytes()[..16]);
    head
}

/// Whether the collector may take the row; every other row protects what its index names.
fn is_collected(row: &Row) -> bool {
    row.version.starts_with("sha256:")
}

/// Where the undo window puts what goes: after all rows that are there now.
const HELD: u64 = u64::MAX;

impl Collector {
    /// Adds what stays of a package, and what the undo window puts there of what goes. `number` is that of its plan; a
    /// package without one is not planned, and its rows count nevertheless.
    pub(super) fn add(
        &mut self,
        number: Option<u32>,
        package: &Package,
        stays: impl Fn(usize) -> bool,
        undo_window: bool,
    ) {
        self.add_unselected(package);
        let rows = package.rows.iter().enumerate();
        let (staying, going): (Vec<_>, Vec<_>) = rows.partition(|(at, _)| stays(*at));
        let only_rows = |rows: Vec<(usize, _)>| rows.into_iter().map(|(_, row)| row).collect::<Vec<&Row>>();
        let (staying, going) = (only_rows(staying), only_rows(going));
        let is_read = |row: &&Row| row.manifest.is_some_and(|manifest| package.info(manifest).is_some());
        let has_unread = staying.iter().any(|row| !is_collected(row) && !is_read(row));
        self.unread += u64::from(package.unreadable.is_some() || has_unread);
        let held = if undo_window { package.held(tagged(&going), tagged(&staying)) } else { Vec::new() };
        let is_held = |manifest: ManifestId| held.get(manifest.index()).copied().unwrap_or(false);
        for manifest in package.manifests().filter(|manifest| is_held(*manifest)) {
            self.events.push(Event {
                head: head(&package.digest(manifest)),
                id: HELD,
                what: What::Row(None),
            });
        }
        let needs = Needs::newest_first(package, &staying);
        for row in &staying {
            let (Some(manifest), Some(id)) = (row.manifest, row.id) else { continue };
            if !is_collected(row) {
                let children = package.info(manifest).into_iter().flat_map(|info| &info.children);
                let names = children.map(|child| head(&package.digest(*child)));
                self.events.extend(names.map(|head| Event { head, id, what: What::Named }));
            } else if !is_held(manifest) {
                let cause = number.and_then(|number| Some((number, needs.cause(manifest, id)?)));
                let digest = package.digest(manifest);
                let at_risk = cause.map(|(package, cause)| {
                    self.at_risk.push(AtRisk { package, digest, cause });
                    self.at_risk.len() - 1
                });
                self.events.push(Event { head: head(&digest), id, what: What::Row(at_risk) });
            }
        }
    }

    /// Adds what is known of packages that were not selected, of each digest once.
    fn add_unselected(&mut self, package: &Package) {
        let Some(unselected) = &package.unselected else { return };
        self.unselected = self.unselected.max(unselected.unread);
        for (digest, shared) in &unselected.shared {
            let head = head(digest);
            if self.shared.insert(head) {
                let rows = shared.rows.iter().map(|id| Event { head, id: *id, what: What::Row(None) });
                self.events.extend(rows);
                let names = shared.named_by.iter().map(|id| Event { head, id: *id, what: What::Named });
                self.events.extend(names);
            }
        }
    }

    /// Plays the collector until it finds nothing more. Of a digest it takes one row a night, the last one; so in the end
    /// every row after the last index that names the digest, unless an index named it before any row was met.
    pub(super) fn warnings(mut self) -> Vec<(u32, Warning)> {
        self.events.sort_by_key(|event| (event.head, event.id));
        let unread = self.unread + self.unselected;
        let mut taken = Vec::new();
        for events in self.events.chunk_by(|a, b| a.head == b.head) {
            let (mut is_met, mut is_safe) = (false, false);
            for event in events {
                match event.what {
                    What::Row(_) => is_met = true,
                    What::Named => is_safe |= !std::mem::take(&mut is_met),
                }
            }
            if !is_safe {
                let after = events.iter().rev().map_while(|event| match event.what {
                    What::Row(at_risk) => Some(at_risk),
                    What::Named => None,
                });
                taken.extend(after.flatten());
            }
        }
        let warning = |number: usize| {
            let AtRisk { package, digest, cause } = &self.at_risk[number];
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

/// What the staying rows of a package need.
struct Needs<'p> {
    package: &'p Package,
    /// By number of the manifest.
    needed: Vec<bool>,
    /// The newest tag of each manifest that has one.
    tags: HashMap<ManifestId, &'p Row>,
    /// Of each child: the largest number of a version that the collector sees name it, and the newest tag among these.
    names: HashMap<ManifestId, (u64, Option<&'p Row>)>,
    /// Indexes by what they name; made when it is asked for.
    parents: OnceCell<HashMap<ManifestId, Vec<ManifestId>>>,
}

impl<'p> Needs<'p> {
    /// Of rows that stay, newest first.
    fn newest_first(package: &'p Package, staying: &[&'p Row]) -> Self {
        let mut needs = Self {
            package,
            needed: package.needed(tagged(staying)),
            tags: HashMap::new(),
            names: HashMap::new(),
            parents: OnceCell::new(),
        };
        for row in staying.iter().filter(|row| !is_collected(row)) {
            let Some(manifest) = row.manifest else { continue };
            let tag = Some(*row).filter(|row| row.is_tag());
            if let Some(tag) = tag {
                needs.tags.entry(manifest).or_insert(tag);
            }
            let Some(id) = row.id else { continue };
            for child in package.info(manifest).into_iter().flat_map(|info| &info.children) {
                let (largest, newest) = needs.names.entry(*child).or_insert((id, tag));
                *largest = id.max(*largest);
                *newest = newest.or(tag);
            }
        }
        needs
    }

    /// What loses the manifest when the collector takes its row of this number; `None` when nothing does, or when a version
    /// of its own package protects it.
    fn cause(&self, manifest: ManifestId, id: u64) -> Option<NeededBy> {
        let package = self.package;
        let named = self.names.get(&manifest);
        let is_lost = self.needed[manifest.index()]
            && !self.tags.contains_key(&manifest)
            && !matches!(package.state(manifest), ManifestState::Absent);
        // An index after the row strikes it out, whatever was before.
        if !is_lost || named.is_some_and(|(last, _)| *last > id) {
            return None;
        }
        let text = |row: &Row| row.version.to_string();
        if let Some((_, Some(tag))) = named {
            return Some(NeededBy::Child { of: text(tag) });
        }
        let info = package.info(manifest);
        let subject = info.and_then(|info| info.subject).filter(|subject| self.needed[subject.index()]);
        if let Some(subject) = subject {
            let above = || self.names.get(&subject).and_then(|(_, tag)| *tag);
            return Some(NeededBy::Referrer {
                subject: package.digest(subject),
                tag: self.tags.get(&subject).copied().or_else(above).map(text),
                is_index: info.is_some_and(|info| info.kind == Kind::Index),
            });
        }
        let parents = self.parents.get_or_init(|| package.parents()).get(&manifest).into_iter().flatten();
        let needed = parents.filter(|parent| self.needed[parent.index()]);
        needed.map(|parent| package.digest(*parent)).min().map(|of| NeededBy::Part { of })
    }
}

/// Digests that packages which were not selected decide about too, whatever a policy lets go: something in this package needs
/// them, and not every index that names them is tagged and younger than their row.
#[cfg(feature = "remote")]
pub(super) fn unsettled(package: &Package) -> HashSet<Digest> {
    let needed =
        package.needed(package.rows.iter().filter(|row| row.is_tag()).filter_map(|row| row.manifest));
    let (parents, rows_of) = (package.parents(), package.rows_of());
    let is_settled = |manifest: ManifestId, id: u64| {
        let is_younger = |parent: &ManifestId| {
            let mut rows =
                rows_of[parent.index()].iter().map(|at| &package.rows[*at]).filter(|row| row.is_tag());
            let first = rows.by_ref().map(|row| row.id).min().flatten();
            first.is_some_and(|first| first > id)
        };
        let refers = package.info(manifest).is_some_and(|info| info.subject.is_some());
        !refers && parents.get(&manifest).into_iter().flatten().all(is_younger)
    };
    let rows = package.rows.iter().filter(|row| is_collected(row));
    let rows = rows.filter_map(|row| Some((row.manifest?, row.id?)));
    let unsettled = rows.filter(|(manifest, id)| needed[manifest.index()] && !is_settled(*manifest, *id));
    unsettled.map(|(manifest, _)| package.digest(manifest)).collect()
}
