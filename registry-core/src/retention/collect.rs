//! Reading a server into a record: every row first, then what each names, down to the leaves. Decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use futures::StreamExt as _;
use jiff::Timestamp;

use super::at_risk;
use super::built;
use super::cache::Cache;
use super::confirm::Assumed;
use super::follow::followed;
use super::known_rows::KnownRows;
use super::other_packages::{Elsewhere, SharedDigests, Unselected};
use super::planning::Undated;
use super::policy::Pattern;
use super::record::{Record, RecordedManifest, RecordedPackage, RecordedVersion, SCHEMA};
use super::server::{Incomplete, ListedRow, Listing, Reader, Unanswered};
use super::source::{Source, SourceKind};
use crate::oci::manifest::ReferenceRole;
use crate::oci::{Digest, Manifest};
use crate::registry::Fetched;

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

impl Default for Collecting<'_> {
    /// 8 questions at once, all packages, nothing from earlier runs, no dates of configs.
    fn default() -> Self {
        Self { in_flight: 8, cache: None, built_at: false, only: &[] }
    }
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
    read_all(reader, source, how, now, false).await.map(|collected| collected.record)
}

/// What was read, and what of it was taken from earlier runs.
#[derive(Debug)]
pub struct Collection {
    /// Everything, as if all of it had been asked for.
    pub record: Record,
    /// What was not.
    pub assumed: Assumed,
}

/// Reads everything that the cache does not know: a listed row that names what it named in an earlier run is not asked for,
/// nor is a manifest that a listed row carries, when its bytes are known. Whether it is there is an assumption that must be
/// confirmed before a plan counts ([`unconfirmed`](super::unconfirmed)); otherwise [`collect`] asks for all of it.
///
/// # Errors
/// As [`collect`].
pub async fn collect_known(
    reader: &impl Reader,
    source: Source,
    how: &Collecting<'_>,
    now: Timestamp,
) -> Result<Collection, Unanswered> {
    read_all(reader, source, how, now, true).await
}

/// What is known without asking, and what was taken from it.
struct Knowledge<'a> {
    cache: &'a Cache,
    rows: KnownRows,
    /// Digests that a listed row carries, by number of the package.
    carried: BTreeSet<(usize, Digest)>,
    assumed: BTreeSet<(usize, Digest)>,
}

impl Knowledge<'_> {
    /// The bytes of a manifest that a listed row carries. From here on it is assumed to be there.
    fn assume(&mut self, at: usize, digest: &Digest) -> Option<RecordedManifest> {
        let found = self.cache.get(digest).filter(|_| self.carried.contains(&(at, *digest)))?;
        self.assumed.insert((at, *digest));
        Some(RecordedManifest::present(&found.media_type, &found.bytes))
    }
}

async fn read_all(
    reader: &impl Reader,
    source: Source,
    how: &Collecting<'_>,
    now: Timestamp,
    is_known: bool,
) -> Result<Collection, Unanswered> {
    let Listing { rows, incomplete } = reader.rows(None).await?;
    let listed_names = rows.iter().map(|row| &row.package);
    let names: BTreeSet<String> =
        listed_names.chain(incomplete.iter().map(|one| &one.package)).cloned().collect();
    let mut by_package: BTreeMap<String, Vec<ListedRow>> = BTreeMap::new();
    let mut others: BTreeMap<String, Vec<ListedRow>> = BTreeMap::new();
    let wanted = |name: &str| how.only.is_empty() || how.only.iter().any(|pattern| pattern.is_match(name));
    for row in rows {
        let of = if wanted(&row.package) { &mut by_package } else { &mut others };
        of.entry(row.package.clone()).or_default().push(row);
    }
    let mut unlisted: BTreeMap<String, String> = BTreeMap::new();
    for Incomplete { package, why } in incomplete {
        let of = if wanted(&package) { &mut by_package } else { &mut others };
        of.entry(package.clone()).or_default();
        unlisted.insert(package, why);
    }
    let mut packages: Vec<RecordedPackage> =
        by_package.into_iter().map(|(name, rows)| listed(&name, rows)).collect();
    for package in &mut packages {
        package.error = unlisted.remove(&package.name);
    }
    let mut known = how.cache.filter(|cache| is_known && cache.was_filled()).map(|cache| Knowledge {
        cache,
        rows: cache.rows(&source),
        carried: BTreeSet::new(),
        assumed: BTreeSet::new(),
    });
    read_rows(reader, &mut packages, how, known.as_mut()).await;
    read_children(reader, &mut packages, how, known.as_mut()).await;
    read_subjects(reader, &mut packages, how, known.as_mut()).await;
    read_elsewhere(reader, &mut packages, names, source.kind, how).await;
    if source.kind == SourceKind::Forgejo && !others.is_empty() {
        read_unselected(reader, &mut packages, others, &unlisted, how).await;
    }
    if how.built_at {
        let all = packages.iter().enumerate();
        let all = all.flat_map(|(at, package)| package.manifests.keys().map(move |digest| (at, *digest)));
        let all = all.collect();
        read_configs(reader, &mut packages, all, how).await;
    }
    let mut assumed = Assumed::default();
    for (at, digest) in known.iter().flat_map(|known| &known.assumed) {
        assumed.0.entry(packages[*at].name.clone()).or_default().insert(*digest);
    }
    if let Some(cache) = how.cache.filter(|_| source.kind == SourceKind::Forgejo) {
        let mut rows = known.map_or_else(|| cache.rows(&source), |known| known.rows);
        rows.learn(&packages);
        cache.put_rows(&source, &rows);
    }
    let record = Record { schema: SCHEMA.into(), recorded_at: now, source, packages };
    Ok(Collection { record, assumed })
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
    read_rows(reader, &mut packages, how, None).await;
    read_children(reader, &mut packages, how, None).await;
    read_subjects(reader, &mut packages, how, None).await;
    packages.pop().ok_or_else(|| Unanswered::new("the package is not there"))
}

/// A package of which only the rows are known, in an order of their own: that of a listing means nothing.
fn listed(name: &str, mut rows: Vec<ListedRow>) -> RecordedPackage {
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
async fn read_rows(
    reader: &impl Reader,
    packages: &mut [RecordedPackage],
    how: &Collecting<'_>,
    mut known: Option<&mut Knowledge<'_>>,
) {
    if let Some(known) = known.as_deref_mut() {
        assume_rows(packages, known);
    }
    let names: Vec<String> = packages.iter().map(|package| package.name.clone()).collect();
    let rows = |tags: bool| {
        let each = packages.iter().enumerate().flat_map(move |(at, package)| {
            let rows = package.versions.iter().enumerate();
            rows.filter(move |(_, row)| row.digest.is_none() == tags && (tags || row.version.contains(':')))
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
            // Carried by this row: what names it need not ask again.
            if let (Some(known), RecordedManifest::Present { .. }) = (known.as_deref_mut(), &manifest) {
                known.carried.insert((at, digest));
            }
            let known = packages[at].manifests.entry(digest).or_insert(RecordedManifest::Absent);
            // Any row may serve it. Where none does, an answer that did not come may have been it.
            match (&*known, &manifest) {
                (RecordedManifest::Present { .. } | RecordedManifest::Schema1 { .. }, _)
                | (_, RecordedManifest::Absent) => {}
                (RecordedManifest::Unknown(_), RecordedManifest::Unknown(_)) => {}
                _ => *known = manifest,
            }
        } else if let RecordedManifest::Unknown(why) = manifest {
            packages[at].error.get_or_insert(why);
        }
    }
    let wanted: Vec<(usize, Digest)> =
        digests.into_iter().filter_map(|(at, _, version)| Some((at, version.parse().ok()?))).collect();
    read_digests(reader, packages, wanted, how, known).await;
}

/// Fills in what rows named in earlier runs, where the bytes of that are known too.
fn assume_rows(packages: &mut [RecordedPackage], known: &mut Knowledge<'_>) {
    for (at, package) in packages.iter_mut().enumerate() {
        for row in package.versions.iter_mut().filter(|row| row.id.is_some()) {
            let digest = match row.digest {
                Some(digest) => Some(digest),
                None => known.rows.digest(&package.name, row),
            };
            let Some(digest) = digest else { continue };
            known.carried.insert((at, digest));
            if let Some(manifest) = known.assume(at, &digest) {
                row.digest = Some(digest);
                package.manifests.insert(digest, manifest);
            }
        }
    }
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
                return (Some(found.digest), recorded(found, cache));
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

/// A manifest that answered, kept for later runs where its bytes are what its digest says.
fn recorded(found: Fetched, cache: Option<&Cache>) -> RecordedManifest {
    if Digest::of(found.digest.algorithm(), &found.bytes) != found.digest {
        return RecordedManifest::Schema1 { media_type: found.media_type, data: found.bytes };
    }
    if let Some(cache) = cache {
        cache.put(&found);
    }
    RecordedManifest::present(&found.media_type, &found.bytes)
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
        Ok(Some(found)) if found.digest == *digest => recorded(found, cache),
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
async fn read_children(
    reader: &impl Reader,
    packages: &mut [RecordedPackage],
    how: &Collecting<'_>,
    mut known: Option<&mut Knowledge<'_>>,
) {
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
            let children = references.filter(|reference| reference.role == ReferenceRole::Child);
            wanted.extend(children.filter_map(|child| Some((at, child.descriptor.digest?))));
        }
        wanted.retain(|(at, digest)| !packages[*at].manifests.contains_key(digest));
        let children = wanted.iter().copied().collect();
        read_digests(reader, packages, children, how, known.as_deref_mut()).await;
        parents = wanted;
    }
}

/// Asks whether what signatures are named after is still there.
async fn read_subjects(
    reader: &impl Reader,
    packages: &mut [RecordedPackage],
    how: &Collecting<'_>,
    known: Option<&mut Knowledge<'_>>,
) {
    let mut wanted = Vec::new();
    for (at, package) in packages.iter().enumerate() {
        wanted.extend(
            package.versions.iter().filter_map(|row| followed(&row.version)).map(|digest| (at, digest)),
        );
    }
    read_digests(reader, packages, wanted, how, known).await;
}

/// Most packages times digests that are asked for subjects of followers that are kept elsewhere.
const ELSEWHERE_MAX: usize = 100_000;

/// Asks all other packages for what signatures are named after and their own package does not have.
async fn read_elsewhere(
    reader: &impl Reader,
    packages: &mut [RecordedPackage],
    mut names: BTreeSet<String>,
    kind: SourceKind,
    how: &Collecting<'_>,
) {
    let wanted: Vec<BTreeSet<Digest>> = packages.iter().map(RecordedPackage::missing_subjects).collect();
    let subjects: BTreeSet<Digest> = wanted.iter().flatten().copied().collect();
    if subjects.is_empty() {
        return;
    }
    let mut unread = None;
    match reader.unlisted().await {
        Ok(more) => names.extend(more),
        Err(why) => unread = Some(format!("the packages could not be listed: {why}")),
    }
    let read: BTreeMap<&str, &RecordedPackage> =
        packages.iter().map(|package| (package.name.as_str(), package)).collect();
    let mut found: BTreeMap<Digest, BTreeMap<String, RecordedManifest>> = BTreeMap::new();
    let mut questions = Vec::new();
    for name in &names {
        for subject in &subjects {
            let known = read.get(name.as_str()).and_then(|package| known(package, subject, kind));
            match known {
                Some(known) => drop(found.entry(*subject).or_default().insert(name.clone(), known)),
                None => questions.push((name.clone(), *subject)),
            }
        }
    }
    if questions.len() > ELSEWHERE_MAX {
        unread.get_or_insert_with(|| format!("{} questions would be too many", questions.len()));
        questions.clear();
    }
    let answers = ask(questions, how.in_flight, |(name, subject)| async move {
        digest_of(reader, &name, &subject, how.cache).await
    })
    .await;
    for ((name, subject), answer) in answers {
        found.entry(subject).or_default().insert(name, answer);
    }
    for (package, wanted) in packages.iter_mut().zip(wanted) {
        for subject in wanted {
            let mut elsewhere = Elsewhere { packages: Vec::new(), unread: unread.clone() };
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

/// Reads what packages that were not selected have to do with digests of those that were. Their rows are listed anyway; their
/// tags are read only where they have a digest that no index of its own package settles.
async fn read_unselected(
    reader: &impl Reader,
    packages: &mut [RecordedPackage],
    others: BTreeMap<String, Vec<ListedRow>>,
    incomplete: &BTreeMap<String, String>,
    how: &Collecting<'_>,
) {
    // Every other version protects what its index names.
    let collected = |version: &str| version.parse::<Digest>().ok().filter(|_| version.starts_with("sha256:"));
    let is_listed = |package: &RecordedPackage, digests: &BTreeMap<Digest, SharedDigests>| {
        let mut rows = package.versions.iter().filter_map(|row| collected(&row.version));
        rows.any(|digest| digests.contains_key(&digest))
    };
    let mut shared: BTreeMap<Digest, SharedDigests> = BTreeMap::new();
    for row in others.values().flatten() {
        if let (Some(digest), Some(id)) = (collected(&row.version), row.id) {
            shared.entry(digest).or_default().rows.push(id);
        }
    }
    let doubtful = packages.iter().filter(|package| is_listed(package, &shared));
    let unsettled: BTreeSet<Digest> =
        doubtful.flat_map(|package| at_risk::unsettled(&package.package())).collect();
    let concerns =
        |row: &ListedRow| collected(&row.version).is_some_and(|digest| unsettled.contains(&digest));
    let mut unread = 0;
    let mut wanted = Vec::new();
    for (name, rows) in others {
        let is_concerned = rows.iter().any(concerns);
        let tags: Vec<ListedRow> = rows.into_iter().filter(|row| collected(&row.version).is_none()).collect();
        if is_concerned {
            wanted.push(listed(&name, tags));
        } else {
            unread += u64::from(!tags.is_empty() || incomplete.contains_key(&name));
        }
    }
    read_rows(reader, &mut wanted, how, None).await;
    for package in &wanted {
        let mut is_whole = !incomplete.contains_key(&package.name);
        for row in &package.versions {
            let manifest = row.digest.and_then(|digest| package.manifests.get(&digest));
            let (Some(bytes), Some(id)) = (manifest.and_then(RecordedManifest::bytes), row.id) else {
                is_whole = false;
                continue;
            };
            let references = Manifest::parse(bytes).references.into_iter();
            let children = references.filter(|reference| reference.role == ReferenceRole::Child);
            for digest in children.filter_map(|child| child.descriptor.digest) {
                shared.entry(digest).or_default().named_by.push(id);
            }
        }
        unread += u64::from(!is_whole);
    }
    for package in packages {
        let digests = package.versions.iter().filter_map(|row| collected(&row.version));
        let own = digests.filter_map(|digest| Some((digest, shared.get(&digest)?.clone())));
        package.unselected = Some(Unselected { shared: own.collect(), unread });
    }
}

/// What is known already of a digest in a package that was read. Forgejo lists every manifest; other registries list tags.
fn known(package: &RecordedPackage, digest: &Digest, kind: SourceKind) -> Option<RecordedManifest> {
    if let Some(known) = package.manifests.get(digest) {
        return Some(known.clone());
    }
    if kind != SourceKind::Forgejo {
        return None;
    }
    let is_listed = package.error.is_none() && package.versions.iter().all(|row| row.digest.is_some());
    is_listed.then_some(RecordedManifest::Absent)
}

/// Reads when images were built, of those manifests of which that is wanted.
pub async fn add_dates(reader: &impl Reader, record: &mut Record, undated: &[Undated], how: &Collecting<'_>) {
    let packages = &mut record.packages;
    let places: BTreeMap<&str, usize> =
        packages.iter().enumerate().map(|(at, package)| (package.name.as_str(), at)).collect();
    let wanted = undated.iter().filter_map(|one| Some((*places.get(one.package.as_str())?, &one.manifests)));
    let wanted =
        wanted.flat_map(|(at, manifests)| manifests.iter().map(move |digest| (at, *digest))).collect();
    read_configs(reader, packages, wanted, how).await;
}

/// The bytes of a config, from the cache where it has them: they never change.
async fn config(
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

async fn read_configs(
    reader: &impl Reader,
    packages: &mut [RecordedPackage],
    manifests: Vec<(usize, Digest)>,
    how: &Collecting<'_>,
) {
    let mut wanted = Vec::new();
    for (at, digest) in manifests {
        let Some(bytes) = packages[at].manifests.get(&digest).and_then(RecordedManifest::bytes) else {
            continue;
        };
        let references = Manifest::parse(bytes).references;
        let config = references.into_iter().find(|reference| reference.role == ReferenceRole::Config);
        wanted.push((at, digest, config.map(|reference| reference.descriptor.digest)));
    }
    let names: Vec<String> = packages.iter().map(|package| package.name.clone()).collect();
    let read = ask(wanted, how.in_flight, |(at, _, config)| {
        let package = names[at].clone();
        async move {
            match config {
                Some(Some(config)) => Some(self::config(reader, &package, &config, how.cache).await),
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
