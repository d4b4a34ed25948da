//! Asking a registry: tags, manifests down to the leaves, configs and layers, each digest of each repository once. Fills a
//! [`Seen`]; decides nothing but what is worth a second look.

mod ask;
mod budget;
mod second_look;

use std::collections::BTreeSet;

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};

pub use budget::Budget;

use super::judge::{children, present};
use super::platforms;
use super::seen::{BlobAnswer, ManifestAnswer, Seen, TagAnswer, Trouble};
use super::state::{RememberedBlob, State};
use crate::graph::Content;
use crate::oci::Digest;
use crate::oci::manifest::Role;
use crate::registry::Client;

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
    /// Whether the platforms in configs are wanted.
    pub platforms: bool,
    /// Now.
    pub now: Timestamp,
}

/// A walk over one registry.
#[derive(Debug)]
pub struct Walk<'a> {
    client: &'a Client,
    options: &'a WalkOptions,
    budget: Budget,
    state: &'a mut State,
    seen: Seen,
}

/// A digest in a repository.
type At = (String, Digest);

impl<'a> Walk<'a> {
    /// A walk that knows what earlier runs left, and leaves there what it reads.
    pub fn new(client: &'a Client, options: &'a WalkOptions, budget: Budget, state: &'a mut State) -> Self {
        Self { client, options, budget, state, seen: Seen::default() }
    }

    /// What was answered.
    pub fn into_seen(self) -> Seen {
        self.seen
    }

    /// What was answered so far.
    pub const fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Asks for manifests by digest and all that they reach, each under a name of its own instead of a tag.
    pub async fn digests(&mut self, named: &[(String, String, Digest)]) {
        for (repository, name, digest) in named {
            let tags = &mut self.seen.repositories.entry(repository.clone()).or_default().tags;
            tags.insert(name.clone(), TagAnswer::Names(*digest));
        }
        self.below(named.iter().map(|(repository, _, digest)| (repository.clone(), *digest)).collect()).await;
    }

    /// Asks for tags in this order, in waves small enough that a budget cuts between tags, not through all of them.
    pub async fn tags(&mut self, tags: &[(String, String)]) {
        let wave = if self.budget.is_bounded() { self.client.in_flight() } else { 4096 };
        for wave in tags.chunks(wave.max(1)) {
            let asked: Vec<_> = wave.to_vec();
            let this = &*self;
            let answers =
                self.each(asked, |(repository, tag)| async move { this.ask_tag(&repository, &tag).await });
            let answers = answers.await;
            let mut named = Vec::new();
            for ((repository, tag), answer) in answers {
                if let TagAnswer::Names(digest) = answer {
                    named.push((repository.clone(), digest));
                }
                self.seen.repositories.entry(repository).or_default().tags.insert(tag, answer);
            }
            self.below(named).await;
        }
    }

    /// Asks for manifests and all that they reach.
    pub(super) async fn below(&mut self, roots: Vec<At>) {
        let mut frontier: BTreeSet<At> = roots.into_iter().collect();
        let mut met: BTreeSet<At> = BTreeSet::new();
        while !frontier.is_empty() {
            let unasked: Vec<At> = frontier.iter().filter(|at| !self.knows(at)).cloned().collect();
            let this = &*self;
            let answers = self.each(unasked, |(repository, digest)| async move {
                this.ask_manifest(&repository, &digest).await
            });
            for ((repository, digest), (answer, bytes)) in answers.await {
                if let Some((media_type, bytes)) = bytes {
                    self.state.note_manifest(digest, &media_type, &bytes, self.options.now);
                }
                self.seen.repositories.entry(repository).or_default().manifests.insert(digest, answer);
            }
            let next = frontier.iter().flat_map(|at| self.children(at)).collect::<BTreeSet<At>>();
            met.append(&mut frontier);
            frontier = next.into_iter().filter(|at| !met.contains(at)).collect();
        }
        for (_, digest) in &met {
            if let Some(remembered) = self.state.manifests.get_mut(digest) {
                remembered.met_at = self.options.now;
            }
        }
        if self.options.depth >= Depth::Blobs {
            self.parts(&met).await;
        }
        if self.options.platforms {
            self.configs(&met).await;
        }
    }

    fn knows(&self, (repository, digest): &At) -> bool {
        let known = self.seen.repositories.get(repository).and_then(|one| one.manifests.get(digest));
        known.is_some_and(|answer| !matches!(answer, ManifestAnswer::Unknown(Trouble::NotAsked)))
    }

    fn children(&self, (repository, digest): &At) -> Vec<At> {
        let answer = self.seen.repositories.get(repository).and_then(|one| one.manifests.get(digest));
        let references =
            answer.and_then(present).map(|seen| &seen.manifest.references[..]).unwrap_or_default();
        children(references).map(|(_, child)| (repository.clone(), child)).collect()
    }

    /// Asks for the configs and layers of manifests.
    async fn parts(&mut self, manifests: &BTreeSet<At>) {
        let mut wanted: BTreeSet<At> = BTreeSet::new();
        for (repository, digest) in manifests {
            let Some(seen) = self.seen.repositories.get(repository) else { continue };
            let Some(manifest) = seen.manifests.get(digest).and_then(present) else { continue };
            let parts = manifest.manifest.references.iter().filter(|one| one.role != Role::Child);
            let parts = parts.filter(|one| !one.descriptor.has_urls).filter_map(|one| one.descriptor.digest);
            wanted.extend(
                parts.filter(|part| !seen.blobs.contains_key(part)).map(|part| (repository.clone(), part)),
            );
        }
        let mut ask = Vec::new();
        for (repository, digest) in wanted {
            match self.remembered(&repository, &digest) {
                Some(answer) => self.note_blob(&repository, digest, answer, false),
                None => ask.push((repository, digest)),
            }
        }
        let this = &*self;
        let answers =
            self.each(ask, |(repository, digest)| async move { this.ask_blob(&repository, &digest).await });
        for ((repository, digest), answer) in answers.await {
            self.note_blob(&repository, digest, answer, true);
        }
    }

    /// A config or layer that was there not long ago, and hashed where that is wanted.
    fn remembered(&self, repository: &str, digest: &Digest) -> Option<BlobAnswer> {
        let blob = self.state.repositories.get(repository)?.blobs.get(digest)?;
        let is_hashing = self.options.depth == Depth::Content;
        let at = if is_hashing { blob.hashed_at? } else { blob.asked_at };
        let age = self.options.now.duration_since(at);
        let content = if is_hashing { Content::Right } else { Content::Unhashed };
        let is_recent = age < self.options.recheck_after && !age.is_negative();
        is_recent.then_some(BlobAnswer::Present { size: blob.size, content })
    }

    pub(super) fn note_blob(&mut self, repository: &str, digest: Digest, answer: BlobAnswer, is_new: bool) {
        let blobs = &mut self.state.repositories.entry(repository.to_owned()).or_default().blobs;
        match &answer {
            BlobAnswer::Present { content: Content::Wrong, .. } | BlobAnswer::Absent => {
                blobs.remove(&digest);
            }
            BlobAnswer::Present { size, content } if is_new => {
                let before = blobs.get(&digest).and_then(|blob| blob.hashed_at);
                let hashed_at = if *content == Content::Right { Some(self.options.now) } else { before };
                blobs.insert(digest, RememberedBlob { size: *size, asked_at: self.options.now, hashed_at });
            }
            _ => {}
        }
        self.seen.repositories.entry(repository.to_owned()).or_default().blobs.insert(digest, answer);
    }

    /// Reads the configs of images that no index gives a platform.
    async fn configs(&mut self, manifests: &BTreeSet<At>) {
        let mut wanted: BTreeSet<At> = BTreeSet::new();
        for (repository, digest) in manifests {
            let Some(seen) = self.seen.repositories.get(repository) else { continue };
            let Some(manifest) = seen.manifests.get(digest).and_then(present) else { continue };
            let configs = platforms::configs(&manifest.manifest);
            wanted.extend(
                configs.filter(|one| !seen.platforms.contains_key(one)).map(|one| (repository.clone(), one)),
            );
        }
        let this = &*self;
        let answers = self.each(wanted.into_iter().collect(), |(repository, digest)| async move {
            this.ask_platform(&repository, &digest).await
        });
        for ((repository, digest), platform) in answers.await {
            if let Some(platform) = platform {
                self.seen.repositories.entry(repository).or_default().platforms.insert(digest, platform);
            }
        }
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
