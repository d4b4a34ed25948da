//! Reading a server into a record: every row first, then what each names, down to the leaves. Decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use futures::StreamExt as _;
use jiff::Timestamp;

use super::built;
use super::cache::Cache;
use super::images::followed;
use super::policy::Pattern;
use super::record::{Record, RecordedManifest, RecordedPackage, RecordedVersion, SCHEMA};
use super::server::{Incomplete, Listed, Listing, Reader, Unanswered};
use super::source::Source;
use crate::oci::manifest::Role;
use crate::oci::{Digest, Manifest};

/// How a server is read.
#[derive(Debug)]
pub struct Collecting<'a> {
    /// Questions under way at once.
    pub in_flight: usize,
    /// Manifests read by earlier runs.
    pub cache: Option<&'a Cache>,
    /// Whether the dates of configs are wanted.
    pub built_at: bool,
    /// Only packages that match one of these; all when there are none.
    pub only: &'a [Pattern],
}

/// Reads everything.
///
/// # Errors
/// When the listing cannot be read: then nothing is known. What cannot be read beyond that is recorded as unknown.
pub async fn collect(
    reader: &impl Reader,
    source: Source,
    how: &Collecting<'_>,
    now: Timestamp,
) -> Result<Record, Unanswered> {
    let Listing { rows, incomplete } = reader.rows(None).await?;
    let mut by_package: BTreeMap<String, Vec<Listed>> = BTreeMap::new();
    let wanted = |name: &str| how.only.is_empty() || how.only.iter().any(|pattern| pattern.is_match(name));
    for row in rows.into_iter().filter(|row| wanted(&row.package)) {
        by_package.entry(row.package.clone()).or_default().push(row);
    }
    let mut unlisted: BTreeMap<String, String> = BTreeMap::new();
    for Incomplete { package, why } in incomplete.into_iter().filter(|one| wanted(&one.package)) {
        by_package.entry(package.clone()).or_default();
        unlisted.insert(package, why);
    }
    let mut packages: Vec<RecordedPackage> =
        by_package.into_iter().map(|(name, rows)| listed(&name, rows)).collect();
    for package in &mut packages {
        package.error = unlisted.remove(&package.name);
    }
    read_rows(reader, &mut packages, how).await;
    read_children(reader, &mut packages, how).await;
    read_subjects(reader, &mut packages, how).await;
    if how.built_at {
        read_configs(reader, &mut packages, how).await;
    }
    Ok(Record { schema: SCHEMA.into(), recorded_at: now, source, packages })
}

/// Reads one package again, for a comparison with a plan.
///
/// # Errors
/// As [`collect`].
pub(super) async fn collect_one(
    reader: &impl Reader,
    package: &str,
    how: &Collecting<'_>,
) -> Result<RecordedPackage, Unanswered> {
    let Listing { rows, incomplete } = reader.rows(Some(package)).await?;
    if let Some(one) = incomplete.into_iter().find(|one| one.package == package) {
        return Err(Unanswered::new(one.why));
    }
    let mut packages = vec![listed(package, rows)];
    read_rows(reader, &mut packages, how).await;
    read_children(reader, &mut packages, how).await;
    read_subjects(reader, &mut packages, how).await;
    packages.pop().ok_or_else(|| Unanswered::new("the package is not there"))
}

/// A package of which only the rows are known, in an order of their own: that of a listing means nothing.
fn listed(name: &str, mut rows: Vec<Listed>) -> RecordedPackage {
    rows.sort_by(|a, b| (&a.version, a.id).cmp(&(&b.version, b.id)));
    let version = |row: Listed| RecordedVersion {
        digest: row.version.parse().ok(),
        version: row.version,
        id: row.id,
        created_at: row.created_at,
    };
    let versions = rows.into_iter().map(version).collect();
    RecordedPackage { name: name.to_owned(), error: None, versions, ..RecordedPackage::default() }
}

/// Runs one question for each item, so many at once; answers in the order of the items.
async fn ask<I: Clone, T, F: Future<Output = T>>(
    items: Vec<I>,
    in_flight: usize,
    question: impl Fn(I) -> F,
) -> Vec<(I, T)> {
    let pairs = futures::stream::iter(items).map(|item| {
        let answer = question(item.clone());
        async move { (item, answer.await) }
    });
    pairs.buffered(in_flight.max(1)).collect().await
}

/// Reads what every row names. The manifest of a tag is read once, whatever number of tags share it and a cache knows.
async fn read_rows(reader: &impl Reader, packages: &mut [RecordedPackage], how: &Collecting<'_>) {
    let names: Vec<String> = packages.iter().map(|package| package.name.clone()).collect();
    let rows = |tags: bool| {
        let each = packages.iter().enumerate().flat_map(move |(at, package)| {
            let rows = package.versions.iter().enumerate();
            rows.filter(move |(_, row)| row.digest.is_none() == tags)
                .map(move |(row, version)| (at, row, version.version.clone()))
        });
        each.collect::<Vec<_>>()
    };
    let (tags, digests) = (rows(true), rows(false));
    let read = ask(tags, how.in_flight, |(at, _, version)| {
        let package = names[at].clone();
        async move { tag(reader, &package, &version, how.cache).await }
    })
    .await;
    for ((at, row, _), (digest, manifest)) in read {
        packages[at].versions[row].digest = digest;
        if let Some(digest) = digest {
            let known = packages[at].manifests.entry(digest).or_insert(RecordedManifest::Absent);
            // Any row may serve it. Where none does, an answer that did not come may have been it.
            match (&*known, &manifest) {
                (RecordedManifest::Present { .. }, _) | (_, RecordedManifest::Absent) => {}
                (RecordedManifest::Unknown(_), RecordedManifest::Unknown(_)) => {}
                _ => *known = manifest,
            }
        } else if let RecordedManifest::Unknown(why) = manifest {
            packages[at].error.get_or_insert(why);
        }
    }
    let wanted: Vec<(usize, Digest)> =
        digests.into_iter().filter_map(|(at, _, version)| Some((at, version.parse().ok()?))).collect();
    read_digests(reader, packages, wanted, how).await;
}

/// What a tag names. A listed tag that answers 404 twice is asked for by the digest that the server's own records give.
async fn tag(
    reader: &impl Reader,
    package: &str,
    tag: &str,
    cache: Option<&Cache>,
) -> (Option<Digest>, RecordedManifest) {
    let unknown = |why: Unanswered| (None, RecordedManifest::Unknown(format!("tag {tag}: {why}")));
    if let Some(cache) = cache.filter(|cache| cache.was_filled()) {
        match reader.head(package, tag).await {
            Ok(Some(digest)) => {
                if let Some(found) = cache.get(&digest) {
                    return (Some(digest), RecordedManifest::present(&found.media_type, &found.bytes));
                }
            }
            Ok(None) => {}
            Err(why) => return unknown(why),
        }
    }
    for _ in 0..2 {
        match reader.manifest(package, tag).await {
            Ok(Some(found)) => {
                if let Some(cache) = cache {
                    cache.put(&found);
                }
                return (Some(found.digest), RecordedManifest::present(&found.media_type, &found.bytes));
            }
            Ok(None) => {}
            Err(why) => return unknown(why),
        }
    }
    match reader.recorded_digest(package, tag).await {
        Ok(Some(digest)) => match digest_of(reader, package, &digest, cache).await {
            RecordedManifest::Unknown(why) => (Some(digest), RecordedManifest::Unknown(why)),
            found => (Some(digest), found),
        },
        Ok(None) => (None, RecordedManifest::Absent),
        Err(why) => unknown(why),
    }
}

/// A manifest by digest.
async fn digest_of(
    reader: &impl Reader,
    package: &str,
    digest: &Digest,
    cache: Option<&Cache>,
) -> RecordedManifest {
    if let Some(found) = cache.and_then(|cache| cache.get(digest)) {
        // Bytes never change; whether they are still there is asked anew.
        return match reader.head(package, &digest.to_string()).await {
            Ok(Some(_)) => RecordedManifest::present(&found.media_type, &found.bytes),
            Ok(None) => RecordedManifest::Absent,
            Err(why) => RecordedManifest::Unknown(why.to_string()),
        };
    }
    match reader.manifest(package, &digest.to_string()).await {
        Ok(Some(found)) if found.digest == *digest => {
            if let Some(cache) = cache {
                cache.put(&found);
            }
            RecordedManifest::present(&found.media_type, &found.bytes)
        }
        Ok(Some(_)) => RecordedManifest::Unknown("its bytes do not hash to its digest".into()),
        Ok(None) => RecordedManifest::Absent,
        Err(why) => RecordedManifest::Unknown(why.to_string()),
    }
}

async fn read_digests(
    reader: &impl Reader,
    packages: &mut [RecordedPackage],
    wanted: Vec<(usize, Digest)>,
    how: &Collecting<'_>,
) {
    let wanted: BTreeSet<(usize, Digest)> =
        wanted.into_iter().filter(|(at, digest)| !packages[*at].manifests.contains_key(digest)).collect();
    let names: Vec<String> = packages.iter().map(|package| package.name.clone()).collect();
    let read = ask(wanted.into_iter().collect(), how.in_flight, |(at, digest)| {
        let package = names[at].clone();
        async move { digest_of(reader, &package, &digest, how.cache).await }
    })
    .await;
    for ((at, digest), manifest) in read {
        packages[at].manifests.insert(digest, manifest);
    }
}

/// Reads the children of everything read, and theirs.
async fn read_children(reader: &impl Reader, packages: &mut [RecordedPackage], how: &Collecting<'_>) {
    let all = packages.iter().enumerate().flat_map(|(at, package)| {
        package.manifests.keys().map(move |digest| (at, *digest)).collect::<Vec<_>>()
    });
    let mut parents: BTreeSet<(usize, Digest)> = all.collect();
    while !parents.is_empty() {
        let mut wanted = BTreeSet::new();
        for (at, digest) in parents {
            let Some(bytes) = packages[at].manifests.get(&digest).and_then(RecordedManifest::bytes) else {
                continue;
            };
            let references = Manifest::parse(bytes).references.into_iter();
            let children = references.filter(|reference| reference.role == Role::Child);
            wanted.extend(children.filter_map(|child| Some((at, child.descriptor.digest?))));
        }
        wanted.retain(|(at, digest)| !packages[*at].manifests.contains_key(digest));
        read_digests(reader, packages, wanted.iter().copied().collect(), how).await;
        parents = wanted;
    }
}

/// Asks whether what signatures are named after is still there.
async fn read_subjects(reader: &impl Reader, packages: &mut [RecordedPackage], how: &Collecting<'_>) {
    let mut wanted = Vec::new();
    for (at, package) in packages.iter().enumerate() {
        wanted.extend(
            package.versions.iter().filter_map(|row| followed(&row.version)).map(|digest| (at, digest)),
        );
    }
    read_digests(reader, packages, wanted, how).await;
}

async fn read_configs(reader: &impl Reader, packages: &mut [RecordedPackage], how: &Collecting<'_>) {
    let mut wanted = Vec::new();
    for (at, package) in packages.iter().enumerate() {
        for (digest, bytes) in
            package.manifests.iter().filter_map(|(digest, one)| Some((digest, one.bytes()?)))
        {
            let references = Manifest::parse(bytes).references;
            let config = references.into_iter().find(|reference| reference.role == Role::Config);
            wanted.push((at, *digest, config.map(|reference| reference.descriptor.digest)));
        }
    }
    let names: Vec<String> = packages.iter().map(|package| package.name.clone()).collect();
    let read = ask(wanted, how.in_flight, |(at, _, config)| {
        let package = names[at].clone();
        async move {
            match config {
                Some(Some(config)) => Some(reader.config(&package, &config).await.ok().flatten()),
                // Its config has no digest that can be asked for.
                Some(None) => Some(None),
                None => None,
            }
        }
    })
    .await;
    for ((at, digest, _), answer) in read {
        let manifest = packages[at].manifests.get_mut(&digest);
        if let Some(RecordedManifest::Present { built_at, data, .. }) = manifest {
            *built_at = match answer {
                // What a config says that could not be read is not known.
                Some(None) => None,
                Some(Some(config)) => built::built_at(data, Some(&config)),
                None => built::built_at(data, None),
            };
        }
    }
}
