//! Asks a registry for tags, manifests down to the leaves, configs and layers, each digest of each repository once. Fills in
//! [`Responses`], and notes what should be looked at again; judging them is not done here.

mod ask;
mod second_look;

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};

use super::platforms;
use super::responses::{AnsweredManifest, BlobAnswer, ManifestAnswer, Responses, TagAnswer, WhyUnknown};
use super::state::{ProbeState, RememberedBlob};
use crate::graph::Content;
use crate::oci::Digest;
use crate::oci::manifest::ReferenceRole;
use crate::registry::Client;

/// How many tags are asked for before the manifests that they name.
const WAVE: usize = 4096;
/// How many requests one image may take, as a guess; if fewer are left, tags are asked for one at a time.
const REQUESTS_OF_A_TAG: usize = 64;

/// What is asked for below tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Depth {
    /// Manifests.
    Manifests,
    /// Configs and layers too.
    #[default]
    Blobs,
    /// Configs and layers too, and every byte of them is hashed.
    Content,
}

/// The options of a walk.
#[derive(Debug, Clone)]
pub struct WalkOptions {
    /// What is asked for below tags.
    pub depth: Depth,
    /// After this time a config or layer that existed is asked for again, and the bytes of a manifest are read again.
    pub recheck_after: SignedDuration,
    /// Whether configs and layers are asked for their last byte instead of with HEAD. Forgejo answers HEAD from its database,
    /// which does not know that a file was cut off.
    pub last_byte: bool,
    /// Whether configs are read for their platforms.
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
    /// Configs that are read for their platform.
    configs: BTreeSet<RepositoryDigest>,
    second_look: SecondLook,
}

/// What the next second look asks for.
#[derive(Debug, Default)]
struct SecondLook {
    /// Manifests that look damaged.
    manifests: BTreeSet<RepositoryDigest>,
    /// Configs and layers that look damaged.
    blobs: BTreeSet<RepositoryDigest>,
    /// Repositories in which tags were asked for since the last one.
    repositories: BTreeSet<String>,
    /// Tags that were asked for twice, as repository and tag.
    asked_twice: BTreeSet<(String, String)>,
}

/// A digest in a repository.
type RepositoryDigest = (String, Digest);

impl<'a> ProbeWalk<'a> {
    /// A walk that uses what earlier runs left in `state`, and adds what it reads.
    pub fn new(client: &'a Client, options: &'a WalkOptions, state: &'a mut ProbeState) -> Self {
        let (seen, configs, second_look) = Default::default();
        Self { client, options, state, seen, configs, second_look }
    }

    /// All answers.
    pub fn into_responses(self) -> Responses {
        self.seen
    }

    /// The answers so far.
    pub const fn responses(&self) -> &Responses {
        &self.seen
    }

    /// Asks for manifests and all that they reach. Each is named by repository, a name in the place of a tag, and digest.
    pub async fn ask_digests(&mut self, named: &[(String, String, Digest)]) {
        for (repository, name, digest) in named {
            let tags = &mut self.seen.repositories.entry(repository.clone()).or_default().tags;
            tags.insert(name.clone(), TagAnswer::Names(*digest));
        }
        let roots = named.iter().map(|(repository, _, digest)| (repository.clone(), *digest));
        self.ask_manifests(roots.collect()).await;
        self.note_giving_up();
    }

    /// Notes that the run gave up, if it did. Server errors then say nothing of single objects: nothing answered at the end.
    pub(super) fn note_giving_up(&mut self) {
        let Some(why) = self.client.gave_up() else { return };
        let mark = |trouble: &mut WhyUnknown| {
            if matches!(trouble, WhyUnknown::Server(_)) {
                *trouble = WhyUnknown::GaveUp;
            }
        };
        for repository in self.seen.repositories.values_mut() {
            for answer in repository.tags.values_mut() {
                if let TagAnswer::Unknown(trouble) = answer {
                    mark(trouble);
                }
            }
            for answer in repository.manifests.values_mut() {
                if let ManifestAnswer::Unknown(trouble) = answer {
                    mark(trouble);
                }
            }
            for answer in repository.blobs.values_mut() {
                if let BlobAnswer::Unknown(trouble) = answer {
                    mark(trouble);
                }
            }
        }
        let end = (".".to_owned(), why.to_string());
        if !self.seen.unread.contains(&end) {
            self.seen.unread.push(end);
        }
    }

    /// Asks for tags in this order, and all that they reach. If requests or time are limited this is done in small waves, each
    /// with its second look: when the budget is spent, the tags of earlier waves are complete.
    pub async fn ask_tags(&mut self, tags: &[(String, String)]) {
        let mut rest = tags;
        while !rest.is_empty() {
            let (wave, later) = rest.split_at(self.wave_size().min(rest.len()));
            rest = later;
            let walk = &*self;
            let answers = self.ask_all(wave.to_vec(), |(repository, tag)| async move {
                walk.ask_tag(&repository, &tag).await
            });
            let mut named = Vec::new();
            for ((repository, tag), answer) in answers.await {
                if let TagAnswer::Names(digest) = answer {
                    named.push((repository.clone(), digest));
                }
                self.second_look.repositories.insert(repository.clone());
                self.seen.repositories.entry(repository).or_default().tags.insert(tag, answer);
            }
            self.ask_manifests(named).await;
            if self.client.has_budget() {
                self.run_second_look().await;
            }
        }
        self.note_giving_up();
    }

    /// How many tags the next wave has: the fewer requests are left the fewer, so that a wave that was begun can be completed.
    fn wave_size(&self) -> usize {
        if !self.client.has_budget() {
            return WAVE;
        }
        let left = self
            .client
            .remaining_requests()
            .map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        // With no request left nothing is sent, so the rest is answered at once.
        if left == 0 { WAVE } else { (left / REQUESTS_OF_A_TAG).clamp(1, self.client.in_flight().max(1)) }
    }

    /// Asks for manifests and all that they reach: children, configs and layers.
    pub(super) async fn ask_manifests(&mut self, roots: Vec<RepositoryDigest>) {
        let mut frontier: BTreeSet<RepositoryDigest> = roots.into_iter().collect();
        let mut visited: BTreeSet<RepositoryDigest> = BTreeSet::new();
        while !frontier.is_empty() {
            let unasked: Vec<RepositoryDigest> =
                frontier.iter().filter(|at| !self.is_known(at)).cloned().collect();
            let walk = &*self;
            let answers = self.ask_all(unasked, |(repository, digest)| async move {
                walk.ask_manifest(&repository, &digest).await
            });
            for ((repository, digest), (answer, bytes)) in answers.await {
                if let Some((media_type, bytes)) = bytes {
                    self.state.note_manifest(&repository, digest, &media_type, &bytes, self.options.now);
                }
                if matches!(answer, ManifestAnswer::Absent | ManifestAnswer::WrongBytes(_)) {
                    self.second_look.manifests.insert((repository.clone(), digest));
                }
                self.seen.repositories.entry(repository).or_default().manifests.insert(digest, answer);
            }
            let children: BTreeSet<_> = frontier.iter().flat_map(|at| self.children(at)).collect();
            visited.append(&mut frontier);
            frontier = children.into_iter().filter(|at| !visited.contains(at)).collect();
        }
        for (_, digest) in &visited {
            if let Some(remembered) = self.state.manifests.get_mut(digest) {
                remembered.met_at = self.options.now;
            }
        }
        self.ask_parts(&visited).await;
    }

    /// Whether a manifest was asked for.
    fn is_known(&self, (repository, digest): &RepositoryDigest) -> bool {
        let known = self.seen.repositories.get(repository).and_then(|one| one.manifests.get(digest));
        known.is_some_and(|answer| !matches!(answer, ManifestAnswer::Unknown(WhyUnknown::NotAsked)))
    }

    /// The children of a manifest, if it answers.
    fn children(&self, (repository, digest): &RepositoryDigest) -> Vec<RepositoryDigest> {
        let seen = self.seen.repositories.get(repository).and_then(|one| one.manifest(digest));
        let children = seen.into_iter().flat_map(|seen| seen.children());
        children.map(|(_, child)| (repository.clone(), child)).collect()
    }

    /// Asks for the configs and layers of manifests, if the depth or their platforms require it.
    async fn ask_parts(&mut self, manifests: &BTreeSet<RepositoryDigest>) {
        let mut sizes: BTreeMap<RepositoryDigest, u64> = BTreeMap::new();
        for (repository, digest) in manifests {
            let Some(seen) = self.seen.repositories.get(repository) else { continue };
            let Some(manifest) = seen.manifest(digest) else { continue };
            let mut configs = BTreeSet::new();
            if self.options.platforms {
                configs.extend(platforms::configs(&manifest.manifest));
                self.configs.extend(configs.iter().map(|config| (repository.clone(), *config)));
            }
            for (part, size) in parts_of(manifest) {
                let is_needed = self.options.depth >= Depth::Blobs || configs.contains(&part);
                let is_known = seen.blobs.contains_key(&part)
                    && (!configs.contains(&part) || seen.platforms.contains_key(&part));
                if is_needed && !is_known {
                    let most = sizes.entry((repository.clone(), part)).or_default();
                    *most = size.max(*most);
                }
            }
        }
        let mut ask = Vec::new();
        for (at, size) in sizes {
            match self.remembered_blob(&at) {
                Some(answer) => self.note_blob(&at, answer, false),
                None => ask.push((at, size)),
            }
        }
        self.ask_blobs(ask).await;
    }

    /// Asks for configs and layers, each given with the largest size that a manifest declares.
    async fn ask_blobs(&mut self, ask: Vec<(RepositoryDigest, u64)>) {
        let walk = &*self;
        let answers = self.ask_all(ask, |(at, size)| async move {
            let (repository, digest) = &at;
            if walk.configs.contains(&at) {
                return walk.ask_config(repository, digest, size).await;
            }
            (walk.ask_blob(repository, digest, size).await, None)
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
    pub(super) async fn ask_blobs_again(&mut self, ask: Vec<RepositoryDigest>) {
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
        self.ask_blobs(sizes.into_iter().collect()).await;
    }

    /// The answer for a config or layer that existed not long ago, and was hashed if this walk hashes.
    fn remembered_blob(&self, at: &RepositoryDigest) -> Option<BlobAnswer> {
        let (repository, digest) = at;
        // The state does not hold platforms.
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

    /// Takes an answer over into the responses and, if `is_new`, into the state.
    fn note_blob(&mut self, at: &RepositoryDigest, answer: BlobAnswer, is_new: bool) {
        let (repository, digest) = at;
        let blobs = &mut self.state.repositories.entry(repository.clone()).or_default().blobs;
        match &answer {
            BlobAnswer::Present { content: Content::Wrong, .. } | BlobAnswer::Absent => {
                blobs.remove(digest);
            }
            BlobAnswer::Present { size, content } if is_new => {
                let known = blobs.get(digest).and_then(|blob| blob.hashed_at);
                let hashed_at = if *content == Content::Right { Some(self.options.now) } else { known };
                blobs.insert(*digest, RememberedBlob { size: *size, asked_at: self.options.now, hashed_at });
            }
            _ => {}
        }
        if answer == BlobAnswer::Absent {
            self.second_look.blobs.insert(at.clone());
        }
        self.seen.repositories.entry(repository.clone()).or_default().blobs.insert(*digest, answer);
    }

    /// Asks one question for each item, as many at once as the client allows.
    pub(super) async fn ask_all<I: Clone, T, F: Future<Output = T>>(
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

/// The configs and layers of a manifest that the registry must have, each with its declared size.
fn parts_of(manifest: &AnsweredManifest) -> impl Iterator<Item = (Digest, u64)> {
    let references = manifest.manifest.references.iter();
    let parts = references.filter(|part| part.role != ReferenceRole::Child).map(|part| &part.descriptor);
    let parts = parts.filter(|descriptor| !descriptor.has_urls);
    parts.filter_map(|part| Some((part.digest?, u64::try_from(part.size).unwrap_or(0))))
}
