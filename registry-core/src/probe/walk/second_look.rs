//! Asks again for what looks damaged before that counts: somebody may have pushed or deleted meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use super::{ProbeWalk, RepositoryDigest, parts_of};
use crate::graph::Content;
use crate::oci::Digest;
use crate::probe::judge::{JudgeOptions, judge};
use crate::probe::responses::{BlobAnswer, ManifestAnswer, Responses, TagAnswer, WhyUnknown};

impl ProbeWalk<'_> {
    /// Asks again for what looked damaged since the last second look, then for the tags that this breaks. The transport has
    /// repeated requests after server errors and silence already.
    pub async fn run_second_look(&mut self) {
        let manifests: Vec<RepositoryDigest> =
            std::mem::take(&mut self.second_look.manifests).into_iter().collect();
        let blobs: Vec<RepositoryDigest> = std::mem::take(&mut self.second_look.blobs).into_iter().collect();
        for (repository, digest) in &manifests {
            if let Some(repository) = self.seen.repositories.get_mut(repository) {
                repository.manifests.insert(*digest, ManifestAnswer::Unknown(WhyUnknown::NotAsked));
            }
        }
        self.ask_manifests(manifests).await;
        self.ask_blobs_again(blobs).await;
        self.ask_broken_tags_again().await;
        // What looks damaged now has been asked for twice.
        self.second_look.manifests.clear();
        self.second_look.blobs.clear();
        self.note_giving_up();
    }

    /// Asks again for everything that does not answer as it should, for callers that wait for a registry to catch up.
    pub async fn ask_again(&mut self) {
        let (mut tags, mut manifests, mut blobs) = (Vec::new(), Vec::new(), Vec::new());
        for (name, repository) in &mut self.seen.repositories {
            let unnamed = repository.tags.iter().filter(|(_, answer)| !matches!(answer, TagAnswer::Names(_)));
            tags.extend(unnamed.map(|(tag, _)| (name.clone(), tag.clone())));
            for (digest, answer) in &mut repository.manifests {
                if !matches!(answer, ManifestAnswer::Present(_)) {
                    manifests.push((name.clone(), *digest));
                    *answer = ManifestAnswer::Unknown(WhyUnknown::NotAsked);
                }
            }
            let present = repository.present();
            let declared: BTreeSet<(Digest, u64)> = present.flat_map(|manifest| parts_of(manifest)).collect();
            let is_good = |digest: &Digest, answer: &BlobAnswer| match answer {
                BlobAnswer::Present { content: Content::Wrong, .. } => false,
                BlobAnswer::Present { size: Some(size), .. } => declared.contains(&(*digest, *size)),
                BlobAnswer::Present { size: None, .. } => true,
                BlobAnswer::Absent | BlobAnswer::Unknown(_) => false,
            };
            let bad = repository.blobs.iter().filter(|(digest, answer)| !is_good(digest, answer));
            blobs.extend(bad.map(|(digest, _)| (name.clone(), *digest)));
        }
        self.ask_tags(&tags).await;
        self.ask_manifests(manifests).await;
        self.ask_blobs_again(blobs).await;
        self.note_giving_up();
    }

    /// Asks again for broken tags: a deleted tag is no damage, and a tag that moved is judged by what it names now.
    async fn ask_broken_tags_again(&mut self) {
        let options = JudgeOptions { blobs: true, ..JudgeOptions::default() };
        // Only repositories with new answers can have new broken tags.
        let mut part = Responses::default();
        for name in std::mem::take(&mut self.second_look.repositories) {
            part.repositories.extend(self.seen.repositories.remove_entry(&name));
        }
        let broken = judge(&part, "", &options).audit.broken_tags;
        self.seen.repositories.append(&mut part.repositories);
        let broken = broken.iter().map(|one| (one.repository.to_string(), one.tag.to_string()));
        let broken: Vec<_> = broken.filter(|tag| self.second_look.asked_twice.insert(tag.clone())).collect();
        if broken.is_empty() {
            return;
        }
        let walk = &*self;
        let answers = self
            .ask_all(broken, |(repository, tag)| async move { walk.ask_tag(&repository, &tag).await })
            .await;
        let absent = answers.iter().filter(|(_, answer)| *answer == TagAnswer::Absent);
        let lists: BTreeSet<String> = absent.map(|((repository, _), _)| repository.clone()).collect();
        let lists = self.ask_all(lists.into_iter().collect(), |repository| async move {
            walk.client.tags(&repository).await.ok()
        });
        let mut listed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (repository, tags) in lists.await {
            // A deleted repository has no tags; a list that cannot be read proves nothing.
            if let Some(tags) = tags {
                listed.insert(repository, tags.unwrap_or_default().into_iter().collect());
            }
        }
        let mut moved = Vec::new();
        for ((repository, tag), answer) in answers {
            let is_deleted = listed.get(&repository).is_some_and(|tags| !tags.contains(&tag));
            let seen = self.seen.repositories.entry(repository.clone()).or_default();
            let answer = match answer {
                TagAnswer::Absent if is_deleted => TagAnswer::Vanished,
                // The second request was not sent, so the first answer stays.
                TagAnswer::Unknown(WhyUnknown::NotAsked | WhyUnknown::GaveUp) => continue,
                TagAnswer::Names(digest) if seen.tags.get(&tag) != Some(&TagAnswer::Names(digest)) => {
                    moved.push((repository, digest));
                    TagAnswer::Names(digest)
                }
                answer => answer,
            };
            seen.tags.insert(tag, answer);
        }
        self.ask_manifests(moved).await;
    }
}
