//! Reads a server into a record: every row first, then the manifests that they name, down to the leaves. It decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use futures::StreamExt as _;
use jiff::Timestamp;

use super::at_risk;
use super::built;
use super::cache::Cache;
use super::confirm::AssumedManifests;
use super::follow::followed_digest;
use super::known_rows::KnownRows;
use super::other_packages::{OtherPackages, SharedDigests, UnselectedPackages};
use super::planning::UndatedManifests;
use super::policy::{Pattern, matches_any};
use super::record::{Record, RecordedManifest, RecordedPackage, RecordedVersion, SCHEMA, config_digest};
use super::server::{IncompletePackage, ListedRow, Listing, NoAnswer, Reader};
use super::source::{Source, SourceKind};
use crate::oci::Digest;
use crate::registry::Fetched;

/// How a server is read.
#[derive(Debug)]
pub struct CollectOptions<'a> {
    /// How many requests may be under way at once.
    pub in_flight: usize,
    /// Manifests that earlier runs read.
    pub cache: Option<&'a Cache>,
    /// Whether to read the build dates of all images.
    pub built_at: bool,
    /// Only packages that match one of these patterns are read; all are when there are none.
    pub only: &'a [Pattern],
}

impl Default for CollectOptions<'_> {
    /// 8 questions at once, all packages, nothing from earlier runs, no dates of configs.
    fn default() -> Self {
        Self { in_flight: 8, cache: None, built_at: false, only: &[] }
    }
}

/// Reads everything, and asks the server for all of it.
///
/// # Errors
/// When the listing cannot be read. Whatever else cannot be read is recorded as unknown.
pub async fn collect(
    reader: &impl Reader,
    source: Source,
    how: &CollectOptions<'_>,
    now: Timestamp,
) -> Result<Record, NoAnswer> {
    read_all(reader, source, how, now, false).await.map(|collected| collected.record)
}

/// A record, and the part of it that was taken from earlier runs.
#[derive(Debug)]
pub struct CollectedRecord {
    /// The record, as if the server had been asked for everything.
    pub record: Record,
    /// The manifests that the server was not asked for.
    pub assumed: AssumedManifests,
}

/// Reads everything that the cache does not know. It does not ask for a listed row whose digest an earlier run read, nor for a
/// manifest that a listed row names and whose bytes are in the cache. That these manifests are still there is an assumption. It
/// must be confirmed before a plan counts ([`find_unconfirmed`](super::find_unconfirmed)); if it fails, [`collect`] asks for everything.
///
/// # Errors
/// As [`collect`].
pub async fn collect_with_cache(
    reader: &impl Reader,
    source: Source,
    how: &CollectOptions<'_>,
    now: Timestamp,
) -> Result<CollectedRecord, NoAnswer> {
    read_all(reader, source, how, now, true).await
}

/// What is known without asking the server, and what of it was used.
struct Knowledge<'a> {
    cache: &'a Cache,
    rows: KnownRows,
    /// Digests that a listed row names, by index of the package.
    listed: BTreeSet<(usize, Digest)>,
    /// Digests that were taken from the cache, by index of the package.
    assumed: BTreeSet<(usize, Digest)>,
}

impl Knowledge<'_> {
    /// A manifest that a listed row names, from the cache. From here on it is assumed to be there.
    fn assume(&mut self, at: usize, digest: &Digest) -> Option<RecordedManifest> {
        let found = self.cache.get(digest).filter(|_| self.listed.contains(&(at, *digest)))?;
        self.assumed.insert((at, *digest));
        Some(RecordedManifest::present(&found.media_type, &found.bytes))
    }
}

async fn read_all(
    reader: &impl Reader,
    source: Source,
    how: &CollectOptions<'_>,
    now: Timestamp,
    may_assume: bool,
) -> Result<CollectedRecord, NoAnswer> {
    let Listing { rows, incomplete } = reader.rows(None).await?;
    let listed_names = rows.iter().map(|row| &row.package);
    let names: BTreeSet<String> =
        listed_names.chain(incomplete.iter().map(|one| &one.package)).cloned().collect();
    let mut selected: BTreeMap<String, Vec<ListedRow>> = BTreeMap::new();
    let mut unselected: BTreeMap<String, Vec<ListedRow>> = BTreeMap::new();
    for row in rows {
        let group = if matches_any(how.only, &row.package) { &mut selected } else { &mut unselected };
        group.entry(row.package.clone()).or_default().push(row);
    }
    let mut listing_errors: BTreeMap<String, String> = BTreeMap::new();
    for IncompletePackage { package, why } in incomplete {
        let group = if matches_any(how.only, &package) { &mut selected } else { &mut unselected };
        group.entry(package.clone()).or_default();
        listing_errors.insert(package, why);
    }
    let mut packages: Vec<RecordedPackage> =
        selected.into_iter().map(|(name, rows)| package_with_rows(&name, rows)).collect();
    for package in &mut packages {
        package.error = listing_errors.remove(&package.name);
    }
    let mut known = how.cache.filter(|cache| may_assume && cache.was_filled()).map(|cache| Knowledge {
        cache,
        rows: cache.rows(&source),
        listed: BTreeSet::new(),
        assumed: BTreeSet::new(),
    });
    read_manifests(reader, &mut packages, how, known.as_mut()).await;
    read_elsewhere(reader, &mut packages, names, source.kind, how).await;
    if source.kind == SourceKind::Forgejo && !unselected.is_empty() {
        read_unselected(reader, &mut packages, unselected, &listing_errors, how).await;
    }
    if how.built_at {
        let all = packages.iter().enumerate();
        let all = all.flat_map(|(at, package)| package.manifests.keys().map(move |digest| (at, *digest)));
        let all = all.collect();
        read_configs(reader, &mut packages, all, how).await;
    }
    let mut assumed = AssumedManifests::default();
    for (at, digest) in known.iter().flat_map(|known| &known.assumed) {
        assumed.0.entry(packages[*at].name.clone()).or_default().insert(*digest);
    }
    if let Some(cache) = how.cache.filter(|_| source.kind == SourceKind::Forgejo) {
        let mut rows = known.map_or_else(|| cache.rows(&source), |known| known.rows);
        rows.learn(&packages);
        cache.put_rows(&source, &rows);
    }
    let record = Record { schema: SCHEMA.into(), recorded_at: now, source, packages };
    Ok(CollectedRecord { record, assumed })
}

/// Reads one package, to compare it with a plan.
///
/// # Errors
/// As [`collect`].
pub(super) async fn collect_one(
    reader: &impl Reader,
    package: &str,
    how: &CollectOptions<'_>,
) -> Result<RecordedPackage, NoAnswer> {
    let Listing { rows, incomplete } = reader.rows(Some(package)).await?;
    if let Some(one) = incomplete.into_iter().find(|one| one.package == package) {
        return Err(NoAnswer::new(one.why));
    }
    let mut packages = vec![package_with_rows(package, rows)];
    read_manifests(reader, &mut packages, how, None).await;
    packages.pop().ok_or_else(|| NoAnswer::new("the package is not there"))
}

/// A package with rows and nothing else. The rows are sorted, because the order of a listing means nothing.
fn package_with_rows(name: &str, mut rows: Vec<ListedRow>) -> RecordedPackage {
    rows.sort_by(|a, b| (&a.version, a.id).cmp(&(&b.version, b.id)));
    let version = |row: ListedRow| RecordedVersion {
        digest: row.version.parse().ok(),
        version: row.version,
        id: row.id,
        created_at: row.created_at,
    };
    let versions = rows.into_iter().map(version).collect();
    RecordedPackage { name: name.to_owned(), error: None, versions, ..RecordedPackage::default() }
}

/// Asks one question for each item, `in_flight` at once. The answers come in the order of the items.
async fn ask_each<I: Clone, T, F: Future<Output = T>>(
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

/// Reads the manifests of every row, those below them, and the subjects of followers.
async fn read_manifests(
    reader: &impl Reader,
    packages: &mut [RecordedPackage],
    how: &CollectOptions<'_>,
    mut known: Option<&mut Knowledge<'_>>,
) {
    read_rows(reader, packages, how, known.as_deref_mut()).await;
    read_children(reader, packages, how, known.as_deref_mut()).await;
    let mut subjects = Vec::new();
    for (at, package) in packages.iter().enumerate() {
        let digests = package.versions.iter().filter_map(|row| followed_digest(&row.version));
        subjects.extend(digests.map(|digest| (at, digest)));
    }
    read_digests(reader, packages, subjects, how, known).await;
}

/// Reads the manifest of every row. A manifest that several tags share is read once where a cache knows it.
async fn read_rows(
    reader: &impl Reader,
    packages: &mut [RecordedPackage],
    how: &CollectOptions<'_>,
    mut known: Option<&mut Knowledge<'_>>,
) {
    if let Some(known) = known.as_deref_mut() {
        assume_rows(packages, known);
    }
    let names: Vec<String> = packages.iter().map(|package| package.name.clone()).collect();
    let (mut tags, mut digests) = (Vec::new(), Vec::new());
    for (at, package) in packages.iter().enumerate() {
        for (row, RecordedVersion { version, digest, .. }) in package.versions.iter().enumerate() {
            if digest.is_none() {
                tags.push((at, row, version.clone()));
            } else if let Ok(digest) = version.parse() {
                digests.push((at, digest));
            }
        }
    }
    let read = ask_each(tags, how.in_flight, |(at, _, version)| {
        let package = names[at].clone();
        async move { read_tag(reader, &package, &version, how.cache).await }
    })
    .await;
    for ((at, row, _), (digest, manifest)) in read {
        packages[at].versions[row].digest = digest;
        if let Some(digest) = digest {
            // A manifest of a listed row need not be asked for again by an index that names it.
            if let (Some(known), RecordedManifest::Present { .. }) = (known.as_deref_mut(), &manifest) {
                known.listed.insert((at, digest));
            }
            let best = packages[at].manifests.entry(digest).or_insert(RecordedManifest::Absent);
            // One row that answers suffices. If none does, a missing answer counts more than "absent".
            match (&*best, &manifest) {
                (RecordedManifest::Present { .. } | RecordedManifest::Schema1 { .. }, _)
                | (_, RecordedManifest::Absent)
                | (RecordedManifest::Unknown(_), RecordedManifest::Unknown(_)) => {}
                _ => *best = manifest,
            }
        } else if let RecordedManifest::Unknown(why) = manifest {
            packages[at].error.get_or_insert(why);
        }
    }
    read_digests(reader, packages, digests, how, known).await;
}

/// Fills in the digests that rows had in earlier runs, where the manifests are in the cache too.
fn assume_rows(packages: &mut [RecordedPackage], known: &mut Knowledge<'_>) {
    for (at, package) in packages.iter_mut().enumerate() {
        for row in package.versions.iter_mut().filter(|row| row.id.is_some()) {
            let Some(digest) = row.digest.or_else(|| known.rows.digest(&package.name, row)) else { continue };
            known.listed.insert((at, digest));
            if let Some(manifest) = known.assume(at, &digest) {
                row.digest = Some(digest);
                package.manifests.insert(digest, manifest);
            }
        }
    }
}

/// Reads the digest and the manifest of a tag. When a listed tag answers 404 twice, its manifest is asked for by the digest in
/// the server's own records.
async fn read_tag(
    reader: &impl Reader,
    package: &str,
    tag: &str,
    cache: Option<&Cache>,
) -> (Option<Digest>, RecordedManifest) {
    let unknown = |why: NoAnswer| (None, RecordedManifest::Unknown(format!("tag {tag}: {why}")));
    if let Some(cache) = cache.filter(|cache| cache.was_filled()) {
        match reader.manifest_digest(package, tag).await {
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
            Ok(Some(found)) => return (Some(found.digest), record_manifest(found, cache)),
            Ok(None) => {}
            Err(why) => return unknown(why),
        }
    }
    match reader.recorded_digest(package, tag).await {
        Ok(Some(digest)) => (Some(digest), read_digest(reader, package, &digest, cache).await),
        Ok(None) => (None, RecordedManifest::Absent),
        Err(why) => unknown(why),
    }
}

/// Records a manifest that the server sent. It goes to the cache if its bytes hash to its digest.
fn record_manifest(found: Fetched, cache: Option<&Cache>) -> RecordedManifest {
    if Digest::hash(found.digest.algorithm(), &found.bytes) != found.digest {
        return RecordedManifest::Schema1 { media_type: found.media_type, data: found.bytes };
    }
    if let Some(cache) = cache {
        cache.put(&found);
    }
    RecordedManifest::present(&found.media_type, &found.bytes)
}

/// Reads a manifest by digest.
async fn read_digest(
    reader: &impl Reader,
    package: &str,
    digest: &Digest,
    cache: Option<&Cache>,
) -> RecordedManifest {
    if let Some(found) = cache.and_then(|cache| cache.get(digest)) {
        // The bytes never change, but the server may not have them any more.
        return match reader.manifest_digest(package, &digest.to_string()).await {
            Ok(Some(_)) => RecordedManifest::present(&found.media_type, &found.bytes),
            Ok(None) => RecordedManifest::Absent,
            Err(why) => RecordedManifest::Unknown(why.to_string()),
        };
    }
    match reader.manifest(package, &digest.to_string()).await {
        Ok(Some(found)) if found.digest == *digest => record_manifest(found, cache),
        Ok(Some(_)) => RecordedManifest::Unknown("its bytes do not hash to its digest".into()),
        Ok(None) => RecordedManifest::Absent,
        Err(why) => RecordedManifest::Unknown(why.to_string()),
    }
}

/// Reads manifests by digest, each given with the index of its package, except those that were read already.
async fn read_digests(
    reader: &impl Reader,
    packages: &mut [RecordedPackage],
    wanted: Vec<(usize, Digest)>,
    how: &CollectOptions<'_>,
    known: Option<&mut Knowledge<'_>>,
) {
    let mut wanted: BTreeSet<(usize, Digest)> =
        wanted.into_iter().filter(|(at, digest)| !packages[*at].manifests.contains_key(digest)).collect();
    if let Some(known) = known {
        wanted.retain(|(at, digest)| match known.assume(*at, digest) {
            Some(manifest) => packages[*at].manifests.insert(*digest, manifest).is_some(),
            None => true,
        });
    }
    let names: Vec<String> = packages.iter().map(|package| package.name.clone()).collect();
    let read = ask_each(wanted.into_iter().collect(), how.in_flight, |(at, digest)| {
        let package = names[at].clone();
        async move { read_digest(reader, &package, &digest, how.cache).await }
    })
    .await;
    for ((at, digest), manifest) in read {
        packages[at].manifests.insert(digest, manifest);
    }
}

/// Reads the children of all manifests that were read, at every depth.
async fn read_children(
    reader: &impl Reader,
    packages: &mut [RecordedPackage],
    how: &CollectOptions<'_>,
    mut known: Option<&mut Knowledge<'_>>,
) {
    let all = packages.iter().enumerate().flat_map(|(at, package)| {
        package.manifests.keys().map(move |digest| (at, *digest)).collect::<Vec<_>>()
    });
    let mut parents: BTreeSet<(usize, Digest)> = all.collect();
    while !parents.is_empty() {
        let mut wanted = BTreeSet::new();
        for (at, digest) in parents {
            let children =
                packages[at].manifests.get(&digest).into_iter().flat_map(RecordedManifest::children);
            wanted.extend(children.map(|child| (at, child)));
        }
        wanted.retain(|(at, digest)| !packages[*at].manifests.contains_key(digest));
        let children = wanted.iter().copied().collect();
        read_digests(reader, packages, children, how, known.as_deref_mut()).await;
        parents = wanted;
    }
}

/// The most questions about subjects in other packages: their number is that of packages times that of subjects.
const ELSEWHERE_MAX: usize = 100_000;

/// Asks all other packages for the subjects of followers that the follower's own package does not have.
async fn read_elsewhere(
    reader: &impl Reader,
    packages: &mut [RecordedPackage],
    mut names: BTreeSet<String>,
    kind: SourceKind,
    how: &CollectOptions<'_>,
) {
    let wanted: Vec<BTreeSet<Digest>> = packages.iter().map(RecordedPackage::missing_subjects).collect();
    let subjects: BTreeSet<Digest> = wanted.iter().flatten().copied().collect();
    if subjects.is_empty() {
        return;
    }
    let mut unread = None;
    match reader.unlisted_packages().await {
        Ok(more) => names.extend(more),
        Err(why) => unread = Some(format!("the packages could not be listed: {why}")),
    }
    let read: BTreeMap<&str, &RecordedPackage> =
        packages.iter().map(|package| (package.name.as_str(), package)).collect();
    let mut found: BTreeMap<Digest, BTreeMap<String, RecordedManifest>> = BTreeMap::new();
    let mut questions = Vec::new();
    for name in &names {
        for subject in &subjects {
            match read.get(name.as_str()).and_then(|package| known_manifest(package, subject, kind)) {
                Some(known) => drop(found.entry(*subject).or_default().insert(name.clone(), known)),
                None => questions.push((name.clone(), *subject)),
            }
        }
    }
    if questions.len() > ELSEWHERE_MAX {
        unread.get_or_insert_with(|| format!("{} questions would be too many", questions.len()));
        questions.clear();
    }
    let answers = ask_each(questions, how.in_flight, |(name, subject)| async move {
        read_digest(reader, &name, &subject, how.cache).await
    })
    .await;
    for ((name, subject), answer) in answers {
        found.entry(subject).or_default().insert(name, answer);
    }
    for (package, wanted) in packages.iter_mut().zip(wanted) {
        for subject in wanted {
            let mut elsewhere = OtherPackages { packages: Vec::new(), unread: unread.clone() };
            for (name, answer) in found.get(&subject).into_iter().flatten() {
                match answer {
                    _ if *name == package.name => {}
                    RecordedManifest::Absent => {}
                    RecordedManifest::Present { .. } | RecordedManifest::Schema1 { .. } => {
                        elsewhere.packages.push(name.clone());
                    }
                    RecordedManifest::Unknown(why) => {
                        elsewhere.unread.get_or_insert_with(|| format!("{name} could not be asked: {why}"));
                    }
                }
            }
            package.elsewhere.insert(subject, elsewhere);
        }
    }
}

/// Finds out where packages that were not selected list or name digests of those that were. Their rows are known from the
/// listing. Their tags are read only where they list a digest whose safety depends on them.
async fn read_unselected(
    reader: &impl Reader,
    packages: &mut [RecordedPackage],
    unselected: BTreeMap<String, Vec<ListedRow>>,
    listing_errors: &BTreeMap<String, String>,
    how: &CollectOptions<'_>,
) {
    // The server's collector takes only rows of `sha256:` digests; every other row protects the manifests that its index names.
    let collectable =
        |version: &str| version.parse::<Digest>().ok().filter(|_| version.starts_with("sha256:"));
    let mut shared: BTreeMap<Digest, SharedDigests> = BTreeMap::new();
    for row in unselected.values().flatten() {
        if let (Some(digest), Some(id)) = (collectable(&row.version), row.id) {
            shared.entry(digest).or_default().rows.push(id);
        }
    }
    let lists_shared = |package: &&RecordedPackage| {
        let mut digests = package.versions.iter().filter_map(|row| collectable(&row.version));
        digests.any(|digest| shared.contains_key(&digest))
    };
    let doubtful: BTreeSet<Digest> = packages
        .iter()
        .filter(lists_shared)
        .flat_map(|package| at_risk::digests_that_others_decide(&package.package()))
        .collect();
    let is_doubtful =
        |row: &ListedRow| collectable(&row.version).is_some_and(|digest| doubtful.contains(&digest));
    let mut unread = 0;
    let mut wanted = Vec::new();
    for (name, rows) in unselected {
        let must_be_read = rows.iter().any(is_doubtful);
        let tags: Vec<ListedRow> =
            rows.into_iter().filter(|row| collectable(&row.version).is_none()).collect();
        if must_be_read {
            wanted.push(package_with_rows(&name, tags));
        } else {
            unread += u64::from(!tags.is_empty() || listing_errors.contains_key(&name));
        }
    }
    read_rows(reader, &mut wanted, how, None).await;
    for package in &wanted {
        let mut is_complete = !listing_errors.contains_key(&package.name);
        for row in &package.versions {
            let manifest = row.digest.and_then(|digest| package.manifests.get(&digest));
            let (Some(manifest @ RecordedManifest::Present { .. }), Some(id)) = (manifest, row.id) else {
                is_complete = false;
                continue;
            };
            for digest in manifest.children() {
                shared.entry(digest).or_default().named_by.push(id);
            }
        }
        unread += u64::from(!is_complete);
    }
    for package in packages {
        let digests = package.versions.iter().filter_map(|row| collectable(&row.version));
        let own = digests.filter_map(|digest| Some((digest, shared.get(&digest)?.clone())));
        package.unselected = Some(UnselectedPackages { shared: own.collect(), unread });
    }
}

/// What is known of a digest in a package that was read, without asking. Forgejo lists every manifest, so an unlisted one is
/// absent; other registries list tags only.
fn known_manifest(package: &RecordedPackage, digest: &Digest, kind: SourceKind) -> Option<RecordedManifest> {
    if let Some(known) = package.manifests.get(digest) {
        return Some(known.clone());
    }
    if kind != SourceKind::Forgejo {
        return None;
    }
    let is_listed = package.error.is_none() && package.versions.iter().all(|row| row.digest.is_some());
    is_listed.then_some(RecordedManifest::Absent)
}

/// Reads the build dates that a plan needs.
pub async fn read_build_dates(
    reader: &impl Reader,
    record: &mut Record,
    undated: &[UndatedManifests],
    how: &CollectOptions<'_>,
) {
    let packages = &mut record.packages;
    let places: BTreeMap<&str, usize> =
        packages.iter().enumerate().map(|(at, package)| (package.name.as_str(), at)).collect();
    let mut wanted = Vec::new();
    for UndatedManifests { package, manifests } in undated {
        if let Some(at) = places.get(package.as_str()) {
            wanted.extend(manifests.iter().map(|digest| (*at, *digest)));
        }
    }
    read_configs(reader, packages, wanted, how).await;
}

/// The bytes of a config, from the cache if it has them: they never change.
async fn read_config(
    reader: &impl Reader,
    package: &str,
    digest: &Digest,
    cache: Option<&Cache>,
) -> Option<Vec<u8>> {
    if let Some(found) = cache.and_then(|cache| cache.get(digest)) {
        return Some(found.bytes);
    }
    let bytes = reader.config(package, digest).await.ok().flatten()?;
    if let Some(cache) = cache {
        let media_type = "application/vnd.oci.image.config.v1+json".to_owned();
        cache.put(&Fetched { digest: *digest, media_type, bytes: bytes.clone() });
    }
    Some(bytes)
}

/// Reads the build dates of manifests, each given with the index of its package, from their configs and annotations.
async fn read_configs(
    reader: &impl Reader,
    packages: &mut [RecordedPackage],
    manifests: Vec<(usize, Digest)>,
    how: &CollectOptions<'_>,
) {
    let mut wanted = Vec::new();
    for (at, digest) in manifests {
        if let Some(bytes) = packages[at].manifests.get(&digest).and_then(RecordedManifest::bytes) {
            wanted.push((at, digest, config_digest(bytes)));
        }
    }
    let names: Vec<String> = packages.iter().map(|package| package.name.clone()).collect();
    let read = ask_each(wanted, how.in_flight, |(at, _, config)| {
        let package = names[at].clone();
        async move {
            match config {
                Some(Some(config)) => Some(read_config(reader, &package, &config, how.cache).await),
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
                // The config could not be read, so its date is unknown and the annotation does not count.
                Some(None) => None,
                Some(Some(config)) => built::built_at(data, Some(&config)),
                None => built::built_at(data, None),
            };
        }
    }
}
