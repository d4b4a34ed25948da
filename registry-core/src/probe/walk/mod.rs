//! Asking a registry: tags, manifests down to the leaves, configs and layers, each digest of each repository once. Fills a
//! [`Seen`]; decides nothing but what is worth a second look.

mod ask;
mod second_look;

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};

use super::platforms;
use super::responses::{BlobAnswer, ManifestAnswer, RespondedManifest, Responses, TagAnswer, Trouble};
use super::state::{ProbeState, RememberedBlob};
use crate::graph::Content;
use crate::oci::Digest;
use crate::oci::manifest::ReferenceRole;
use crate::registry::Client;

/// Most tags that are asked for before what they name.
const WAVE: usize = 4096;
/// So many requests an image may take, by guess; where less is left its tag is asked for alone.
const REQUESTS_OF_A_TAG: usize = 64;

/// How deep a registry is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Depth {
    /// Tags and manifests.
    Manifests,
    /// Configs and layers too.
    #[default]
    Blobs,
    /// Every byte is hashed.
    Content,
}

/// How a registry is asked.
#[derive(Debug, Clone)]
pub struct WalkOptions {
    /// How deep.
    pub depth: Depth,
    /// A config or layer that was there is asked for again after this time, and a manifest's bytes are read again.
    pub recheck_after: SignedDuration,
    /// Whether the last byte of a config or layer is asked for, instead of HEAD: a Forgejo answers HEAD from its database,
    /// which knows nothing of a file that was cut off.
    pub last_byte: bool,
    /// Whether the platforms in configs are wanted.
    pub platforms: bool,
    /// Now.
    pub now: Timestamp,
}

impl WalkOptions {
    /// Asks at the time `now` for manifests, configs and layers without their bytes, again after a day, and for no platforms.
    pub const fn new(now: Timestamp) -> Self {
        Self {
            depth: Depth::Blobs,
            recheck_after: SignedDuration::from_hours(24),
            last_byte: false,
            platforms: false,
            now,
        }
    }
}

/// A walk over one registry.
#[derive(Debug)]
pub struct ProbeWalk<'a> {
    client: &'a Client,
    options: &'a WalkOptions,
    state: &'a mut ProbeState,
    seen: Responses,
    /// Configs whose platform is wanted.
    configs: BTreeSet<RepositoryDigest>,
    /// What looked like damage and was not looked at again yet.
    odd_manifests: BTreeSet<RepositoryDigest>,
    odd_blobs: BTreeSet<RepositoryDigest>,
    /// Repositories of which tags were asked for since the last second look.
    touched: BTreeSet<String>,
    /// Tags that were resolved a second time.
    resolved: BTreeSet<(String, String)>,
}

/// A digest in a repository.
type RepositoryDigest = (String, Digest);

impl<'a> ProbeWalk<'a> {
    /// A walk that knows what earlier runs left, and leaves there what it reads.
    pub fn new(client: &'a Client, options: &'a WalkOptions, state: &'a mut ProbeState) -> Self {
        let (seen, configs, odd_manifests, odd_blobs, touched, resolved) = Default::default();
        Self { client, options, state, seen, configs, odd_manifests, odd_blobs, touched, resolved }
    }

    /// What was answered.
    pub fn into_seen(self) -> Responses {
        self.seen
    }

    /// What was answered so far.
    pub const fn seen(&self) -> &Responses {
        &self.seen
    }

    /// Asks for manifests by digest and all that they reach, each under a name of its own instead of a tag.
    pub async fn digests(&mut self, named: &[(String, String, Digest)]) {
        for (repository, name, digest) in named {
            let tags = &mut self.seen.repositories.entry(repository.clone()).or_default().tags;
            tags.insert(name.clone(), TagAnswer::Names(*digest));
        }
        self.below(named.iter().map(|(repository, _, digest)| (repository.clone(), *digest)).collect()).await;
        self.note_end();
    }

    /// Notes where the run gave up. A server error says nothing of an object then, for nothing answered at the end.
    pub(super) fn note_end(&mut self) {
        let Some(why) = self.client.gave_up() else { return };
        let not_known = |trouble: &mut Trouble| {
            if matches!(trouble, Trouble::Server(_)) {
                *trouble = Trouble::GaveUp;
            }
        };
        for repository in self.seen.repositories.values_mut() {
            for answer in repository.tags.values_mut() {
                if let TagAnswer::Unknown(trouble) = answer {
                    not_known(trouble);
                }
            }
            for answer in repository.manifests.values_mut() {
                if let ManifestAnswer::Unknown(trouble) = answer {
                    not_known(trouble);
                }
            }
            for answer in repository.blobs.values_mut() {
                if let BlobAnswer::Unknown(trouble) = answer {
                    not_known(trouble);
                }
            }
        }
        let end = (".".to_owned(), why.to_string());
        if !self.seen.unread.contains(&end) {
            self.seen.unread.push(end);
        }
    }

    /// Asks for tags in this order. Where requests or time are limited it does so in waves: the end of what may be spent
    /// then cuts between tags, not through all of them, and damage is looked at again before it.
    pub async fn tags(&mut self, tags: &[(String, String)]) {
        let mut rest = tags;
        while !rest.is_empty() {
            let (wave, later) = rest.split_at(self.wave().min(rest.len()));
            rest = later;
            let this = &*self;
            let answers =
                self.each(
                    wave.to_vec(),
                    |(repository, tag)| async move { this.ask_tag(&repository, &tag).await },
                );
            let mut named = Vec::new();
            for ((repository, tag), answer) in answers.await {
                if let TagAnswer::Names(digest) = answer {
                    named.push((repository.clone(), digest));
                }
                self.touched.insert(repository.clone());
                self.seen.repositories.entry(repository).or_default().tags.insert(tag, answer);
            }
            self.below(named).await;
            if self.client.is_bounded() {
                self.look_again().await;
            }
        }
        self.note_end();
    }

    /// How many tags are asked for at once: fewer the less is left, so that those that are begun come to an end.
    fn wave(&self) -> usize {
        if !self.client.is_bounded() {
            return WAVE;
        }
        let left = self.client.left().map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        // Nothing left: nothing is sent any more, and no tag is begun.
        if left == 0 { WAVE } else { (left / REQUESTS_OF_A_TAG).clamp(1, self.client.in_flight().max(1)) }
    }

    /// Asks for manifests and all that they reach.
    pub(super) async fn below(&mut self, roots: Vec<RepositoryDigest>) {
        let mut frontier: BTreeSet<RepositoryDigest> = roots.into_iter().collect();
        let mut met: BTreeSet<RepositoryDigest> = BTreeSet::new();
        while !frontier.is_empty() {
            let unasked: Vec<RepositoryDigest> =
                frontier.iter().filter(|at| !self.knows(at)).cloned().collect();
            let this = &*self;
            let answers = self.each(unasked, |(repository, digest)| async move {
                this.ask_manifest(&repository, &digest).await
            });
            for ((repository, digest), (answer, bytes)) in answers.await {
                if let Some((media_type, bytes)) = bytes {
                    self.state.note_manifest(&repository, digest, &media_type, &bytes, self.options.now);
                }
                if matches!(answer, ManifestAnswer::Absent | ManifestAnswer::WrongBytes(_)) {
                    self.odd_manifests.insert((repository.clone(), digest));
                }
                self.seen.repositories.entry(repository).or_default().manifests.insert(digest, answer);
            }
            let next =
                frontier.iter().flat_map(|at| self.children(at)).collect::<BTreeSet<RepositoryDigest>>();
            met.append(&mut frontier);
            frontier = next.into_iter().filter(|at| !met.contains(at)).collect();
        }
        for (_, digest) in &met {
            if let Some(remembered) = self.state.manifests.get_mut(digest) {
                remembered.met_at = self.options.now;
            }
        }
        self.parts(&met).await;
    }

    fn knows(&self, (repository, digest): &RepositoryDigest) -> bool {
        let known = self.seen.repositories.get(repository).and_then(|one| one.manifests.get(digest));
        known.is_some_and(|answer| !matches!(answer, ManifestAnswer::Unknown(Trouble::NotAsked)))
    }

    fn children(&self, (repository, digest): &RepositoryDigest) -> Vec<RepositoryDigest> {
        let seen = self.seen.repositories.get(repository).and_then(|one| one.manifest(digest));
        let children = seen.into_iter().flat_map(|seen| seen.children());
        children.map(|(_, child)| (repository.clone(), child)).collect()
    }

    /// Asks for the configs and layers of manifests, as deep as is wanted.
    async fn parts(&mut self, manifests: &BTreeSet<RepositoryDigest>) {
        let mut wanted: BTreeMap<RepositoryDigest, u64> = BTreeMap::new();
        for (repository, digest) in manifests {
            let Some(seen) = self.seen.repositories.get(repository) else { continue };
            let Some(manifest) = seen.manifest(digest) else { continue };
            let mut configs = BTreeSet::new();
            if self.options.platforms {
                configs.extend(platforms::configs(&manifest.manifest));
                self.configs.extend(configs.iter().map(|config| (repository.clone(), *config)));
            }
            for (part, size) in parts_of(manifest) {
                let is_wanted = self.options.depth >= Depth::Blobs || configs.contains(&part);
                let is_known = seen.blobs.contains_key(&part)
                    && (!configs.contains(&part) || seen.platforms.contains_key(&part));
                if is_wanted && !is_known {
                    let most = wanted.entry((repository.clone(), part)).or_default();
                    *most = size.max(*most);
                }
            }
        }
        let mut ask = Vec::new();
        for (at, size) in wanted {
            match self.remembered(&at) {
                Some(answer) => self.note_blob(&at, answer, false),
                None => ask.push((at, size)),
            }
        }
        self.blobs(ask).await;
    }

    /// Asks for configs and layers, each with the size that manifests give it.
    async fn blobs(&mut self, ask: Vec<(RepositoryDigest, u64)>) {
        let this = &*self;
        let answers = self.each(ask, |(at, size)| async move {
            let (repository, digest) = &at;
            if this.configs.contains(&at) {
                return this.ask_config(repository, digest, size).await;
            }
            (this.ask_blob(repository, digest, size).await, None)
        });
        for ((at, _), (answer, platform)) in answers.await {
            if let Some(platform) = platform {
                let seen = self.seen.repositories.entry(at.0.clone()).or_default();
                seen.platforms.insert(at.1, platform);
            }
            self.note_blob(&at, answer, true);
        }
    }

    /// Asks for configs and layers once more.
    pub(super) async fn blobs_again(&mut self, ask: Vec<RepositoryDigest>) {
        let mut sizes: BTreeMap<RepositoryDigest, u64> = ask.into_iter().map(|at| (at, 0)).collect();
        let names: BTreeSet<String> = sizes.keys().map(|(repository, _)| repository.clone()).collect();
        for repository in names {
            let Some(seen) = self.seen.repositories.get(&repository) else { continue };
            for (part, size) in seen.present().flat_map(|one| parts_of(one)) {
                if let Some(most) = sizes.get_mut(&(repository.clone(), part)) {
                    *most = size.max(*most);
                }
            }
        }
        self.blobs(sizes.into_iter().collect()).await;
    }

    /// A config or layer that was there not long ago, and hashed where that is wanted.
    fn remembered(&self, at: &RepositoryDigest) -> Option<BlobAnswer> {
        let (repository, digest) = at;
        // A platform is not remembered.
        if self.configs.contains(at) {
            return None;
        }
        let blob = self.state.repositories.get(repository)?.blobs.get(digest)?;
        let is_hashing = self.options.depth == Depth::Content;
        let at = if is_hashing { blob.hashed_at? } else { blob.asked_at };
        let age = self.options.now.duration_since(at);
        let content = if is_hashing { Content::Right } else { Content::Unhashed };
        let is_recent = age < self.options.recheck_after && !age.is_negative();
        is_recent.then_some(BlobAnswer::Present { size: blob.size, content })
    }

    fn note_blob(&mut self, at: &RepositoryDigest, answer: BlobAnswer, is_new: bool) {
        let (repository, digest) = at;
        let blobs = &mut self.state.repositories.entry(repository.clone()).or_default().blobs;
        match &answer {
            BlobAnswer::Present { content: Content::Wrong, .. } | BlobAnswer::Absent => {
                blobs.remove(digest);
            }
            BlobAnswer::Present { size, content } if is_new => {
                let before = blobs.get(digest).and_then(|blob| blob.hashed_at);
                let hashed_at = if *content == Content::Right { Some(self.options.now) } else { before };
                blobs.insert(*digest, RememberedBlob { size: *size, asked_at: self.options.now, hashed_at });
            }
            _ => {}
        }
        if answer == BlobAnswer::Absent {
            self.odd_blobs.insert(at.clone());
        }
        self.seen.repositories.entry(repository.clone()).or_default().blobs.insert(*digest, answer);
    }

    /// Asks one question for each item, so many at once.
    pub(super) async fn each<I: Clone, T, F: Future<Output = T>>(
        &self,
        items: Vec<I>,
        question: impl Fn(I) -> F,
    ) -> Vec<(I, T)> {
        let pairs = futures::stream::iter(items).map(|item| {
            let answer = question(item.clone());
            async move { (item, answer.await) }
        });
        pairs.buffer_unordered(self.client.in_flight().max(1)).collect().await
    }
}

/// The configs and layers of a manifest that the registry has to have, and what size it gives them.
fn parts_of(manifest: &RespondedManifest) -> impl Iterator<Item = (Digest, u64)> {
    let parts = manifest.manifest.references.iter();
    let parts = parts.filter(|one| one.role != ReferenceRole::Child && !one.descriptor.has_urls);
    parts.filter_map(|one| Some((one.descriptor.digest?, u64::try_from(one.descriptor.size).unwrap_or(0))))
}
