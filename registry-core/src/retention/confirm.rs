//! What a plan rests on that was not asked for in this run. What goes needs no confirmation: it is read again before it is
//! deleted. What stays does: whether it is whole decides how many more must stay.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;

use super::decision::Action;
use super::plan::Plan;
use super::record::{Record, RecordedPackage};
use super::server::Reader;
use crate::oci::Digest;

/// Manifests that are taken to be there, by package: a listed row carries them, and their bytes are known.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Assumed(pub(super) BTreeMap<String, BTreeSet<Digest>>);

impl Assumed {
    /// Whether everything was asked for.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(BTreeSet::is_empty)
    }
}

/// A tag or a digest that must answer with a digest for a plan to count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unconfirmed {
    /// The package.
    pub package: String,
    /// The tag, or the digest.
    pub reference: String,
    /// What it must answer with.
    pub digest: Digest,
}

/// What of a plan rests on assumptions. With all of it confirmed the plan is the one that a record without assumptions
/// gives, unless something that goes was lost since it was read last: then that plan calls it broken, and lets it go too.
pub fn unconfirmed(record: &Record, assumed: &Assumed, plan: &Plan) -> Vec<Unconfirmed> {
    let planned: BTreeMap<&str, _> = plan.packages.iter().map(|one| (one.name.as_str(), one)).collect();
    let mut all = Vec::new();
    for package in &record.packages {
        let Some(assumed) = assumed.0.get(&package.name).filter(|digests| !digests.is_empty()) else {
            continue;
        };
        let going: BTreeSet<(&str, Option<u64>)> = planned
            .get(package.name.as_str())
            .into_iter()
            .flat_map(|planned| &planned.versions)
            .filter(|row| row.action == Action::Delete)
            .map(|row| (row.version.as_str(), row.id))
            .collect();
        all.extend(of_package(package, assumed, &going));
    }
    all.sort_unstable();
    all
}

fn of_package(
    recorded: &RecordedPackage,
    assumed: &BTreeSet<Digest>,
    going: &BTreeSet<(&str, Option<u64>)>,
) -> Vec<Unconfirmed> {
    let package = recorded.package();
    let goes = |row: &super::Row| going.contains(&(&*row.version, row.id));
    let doomed = package.reach(package.rows.iter().filter(|row| goes(row)).filter_map(|row| row.manifest));
    // The row of a digest that only what goes reaches is left to the server, whether it is there or not.
    let stays = |row: &super::Row| {
        !goes(row) && (row.is_tag() || row.manifest.is_some_and(|manifest| !doomed[manifest.index()]))
    };
    let staying = || package.rows.iter().filter(|row| stays(row));
    let is_assumed = |digest: &Digest| assumed.contains(digest);
    let one =
        |reference: String, digest: Digest| Unconfirmed { package: recorded.name.clone(), reference, digest };
    // A tag is asked for by its name: that confirms what it names, too.
    let tags = staying().filter(|row| row.is_tag()).filter_map(|row| {
        let digest = package.digest(row.manifest?);
        is_assumed(&digest).then(|| one(row.version.to_string(), digest))
    });
    let mut needed: Vec<Unconfirmed> = tags.collect();
    let named: BTreeSet<Digest> = needed.iter().map(|one| one.digest).collect();
    let reached = package.reach(staying().filter_map(|row| row.manifest));
    let others = package.manifests().filter(|manifest| reached[manifest.index()]);
    let others = others.map(|manifest| package.digest(manifest)).filter(|digest| !named.contains(digest));
    needed.extend(others.filter(is_assumed).map(|digest| one(digest.to_string(), digest)));
    needed
}

/// Asks for all of it; false as soon as something answers otherwise, or not at all.
pub async fn confirm(reader: &impl Reader, needed: &[Unconfirmed], in_flight: usize) -> bool {
    let asked = futures::stream::iter(needed).map(|one| async move {
        matches!(reader.head(&one.package, &one.reference).await, Ok(Some(digest)) if digest == one.digest)
    });
    asked.buffer_unordered(in_flight.max(1)).all(|is_there| async move { is_there }).await
}
