//! Confirms the manifests that a plan rests on and that this run took from a cache without asking the server. Rows to delete need
//! no confirmation: they are read again before the deletion. Rows that stay do: whether they are whole decides how many more must
//! stay.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;

use super::package::Row;
use super::plan::{PackagePlan, Plan};
use super::record::{Record, RecordedPackage};
use super::server::Reader;
use crate::oci::Digest;

/// Manifests that are assumed to be there, by package: a listed row names them, and their bytes are in the cache.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AssumedManifests(pub(super) BTreeMap<String, BTreeSet<Digest>>);

impl AssumedManifests {
    /// Whether the server was asked for everything.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(BTreeSet::is_empty)
    }
}

/// A tag or a digest that must answer with a digest for a plan to count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnconfirmedReference {
    /// The package.
    pub package: String,
    /// The tag, or the digest.
    pub reference: String,
    /// What it must answer with.
    pub digest: Digest,
}

/// The tags and digests that a plan rests on and that are only assumed. Once all of them are confirmed, the plan is the one that
/// a record without assumptions gives, with one exception: a row to delete that was lost since it was last read is called
/// broken in that other plan, and deleted too.
pub fn find_unconfirmed(
    record: &Record,
    assumed: &AssumedManifests,
    plan: &Plan,
) -> Vec<UnconfirmedReference> {
    let planned: BTreeMap<&str, _> =
        plan.packages.iter().map(|package| (package.name.as_str(), package)).collect();
    let mut all = Vec::new();
    for package in &record.packages {
        let Some(assumed) = assumed.0.get(&package.name).filter(|digests| !digests.is_empty()) else {
            continue;
        };
        let planned = planned.get(package.name.as_str()).copied();
        let deleted = planned.into_iter().flat_map(PackagePlan::rows_to_delete);
        let deleted = deleted.map(|row| (row.version.as_str(), row.id)).collect();
        all.extend(unconfirmed_in_package(package, assumed, &deleted));
    }
    all.sort_unstable();
    all
}

fn unconfirmed_in_package(
    recorded: &RecordedPackage,
    assumed: &BTreeSet<Digest>,
    deleted: &BTreeSet<(&str, Option<u64>)>,
) -> Vec<UnconfirmedReference> {
    let package = recorded.package();
    let goes = |row: &Row| deleted.contains(&(&*row.version, row.id));
    let below_deleted =
        package.reach(package.rows.iter().filter(|row| goes(row)).filter_map(|row| row.manifest));
    // The row of a digest that only deleted rows reach is left to the server, whether it is there or not.
    let stays = |row: &Row| {
        !goes(row) && (row.is_tag() || row.manifest.is_some_and(|manifest| !below_deleted[manifest.index()]))
    };
    let staying = || package.rows.iter().filter(|row| stays(row));
    let is_assumed = |digest: &Digest| assumed.contains(digest);
    let unconfirmed = |reference: String, digest: Digest| UnconfirmedReference {
        package: recorded.name.clone(),
        reference,
        digest,
    };
    // A tag is asked for by its name, which also confirms its digest.
    let tags = staying().filter(|row| row.is_tag()).filter_map(|row| {
        let digest = package.digest(row.manifest?);
        is_assumed(&digest).then(|| unconfirmed(row.version.to_string(), digest))
    });
    let mut needed: Vec<UnconfirmedReference> = tags.collect();
    let tagged: BTreeSet<Digest> = needed.iter().map(|tag| tag.digest).collect();
    let reached = package.reach(staying().filter_map(|row| row.manifest));
    let others = package.manifests().filter(|manifest| reached[manifest.index()]);
    let others = others.map(|manifest| package.digest(manifest)).filter(|digest| !tagged.contains(digest));
    needed.extend(others.filter(is_assumed).map(|digest| unconfirmed(digest.to_string(), digest)));
    needed
}

/// Asks the server for all of them. False as soon as one answers with another digest, or not at all.
pub async fn confirm(reader: &impl Reader, needed: &[UnconfirmedReference], in_flight: usize) -> bool {
    let answers = futures::stream::iter(needed).map(|expected| async move {
        let answer = reader.manifest_digest(&expected.package, &expected.reference).await;
        matches!(answer, Ok(Some(digest)) if digest == expected.digest)
    });
    answers.buffer_unordered(in_flight.max(1)).all(|is_there| async move { is_there }).await
}
