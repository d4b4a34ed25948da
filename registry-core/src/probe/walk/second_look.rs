//! What looks like damage is asked for once more before it is believed: somebody may have pushed or deleted meanwhile.

use std::collections::BTreeSet;

use super::{ProbeWalk, RepositoryDigest, parts_of};
use crate::graph::Content;
use crate::oci::Digest;
use crate::probe::judge::{JudgeOptions, judge};
use crate::probe::responses::{BlobAnswer, ManifestAnswer, Responses, TagAnswer, Trouble};

impl ProbeWalk<'_> {
    /// Looks again at what did not answer since the last such look, then at the tags that this breaks. Server errors and
    /// silence were met with repetitions already.
    pub async fn look_again(&mut self) {
        let manifests: Vec<RepositoryDigest> = std::mem::take(&mut self.odd_manifests).into_iter().collect();
        let blobs: Vec<RepositoryDigest> = std::mem::take(&mut self.odd_blobs).into_iter().collect();
        for (repository, digest) in &manifests {
            if let Some(repository) = self.seen.repositories.get_mut(repository) {
                repository.manifests.insert(*digest, ManifestAnswer::Unknown(Trouble::NotAsked));
            }
        }
        self.below(manifests).await;
        self.blobs_again(blobs).await;
        self.tags_again().await;
        // What is odd now was so twice.
        self.odd_manifests.clear();
        self.odd_blobs.clear();
        self.note_end();
    }

    /// Asks again for everything that does not answer as it should, whatever the reason: for whoever waits for a registry to
    /// catch up.
    pub async fn ask_again(&mut self) {
        let (mut tags, mut manifests, mut blobs) = (Vec::new(), Vec::new(), Vec::new());
        for (name, repository) in &mut self.seen.repositories {
            let odd = repository.tags.iter().filter(|(_, answer)| !matches!(answer, TagAnswer::Names(_)));
            tags.extend(odd.map(|(tag, _)| (name.clone(), tag.clone())));
            for (digest, answer) in &mut repository.manifests {
                if !matches!(answer, ManifestAnswer::Present(_)) {
                    manifests.push((name.clone(), *digest));
                    *answer = ManifestAnswer::Unknown(Trouble::NotAsked);
                }
            }
            let manifests = repository.present();
            let told: BTreeSet<(Digest, u64)> = manifests.flat_map(|one| parts_of(one)).collect();
            let is_good = |digest: &Digest, answer: &BlobAnswer| match answer {
                BlobAnswer::Present { content: Content::Wrong, .. } => false,
                BlobAnswer::Present { size: Some(size), .. } => told.contains(&(*digest, *size)),
                BlobAnswer::Present { size: None, .. } => true,
                BlobAnswer::Absent | BlobAnswer::Unknown(_) => false,
            };
            let odd = repository.blobs.iter().filter(|(digest, answer)| !is_good(digest, answer));
            blobs.extend(odd.map(|(digest, _)| (name.clone(), *digest)));
        }
        self.tags(&tags).await;
        self.below(manifests).await;
        self.blobs_again(blobs).await;
        self.note_end();
    }

    /// Resolves broken tags anew: one that is gone is no damage, one that moved is judged by what it names now.
    async fn tags_again(&mut self) {
        let options = JudgeOptions { blobs: true, ..JudgeOptions::default() };
        let mut part = Responses::default();
        for name in std::mem::take(&mut self.touched) {
            part.repositories.extend(self.seen.repositories.remove_entry(&name));
        }
        let broken = judge(&part, "", &options).audit.broken_tags;
        self.seen.repositories.append(&mut part.repositories);
        let broken = broken.iter().map(|one| (one.repository.to_string(), one.tag.to_string()));
        let broken: Vec<_> = broken.filter(|tag| self.resolved.insert(tag.clone())).collect();
        if broken.is_empty() {
            return;
        }
        let this = &*self;
        let answers =
            self.each(broken, |(repository, tag)| async move { this.ask_tag(&repository, &tag).await }).await;
        let absent = answers.iter().filter(|(_, answer)| *answer == TagAnswer::Absent);
        let lists: BTreeSet<String> = absent.map(|((repository, _), _)| repository.clone()).collect();
        let lists = self.each(lists.into_iter().collect(), |repository| async move {
            this.client.tags(&repository).await.ok()
        });
        let mut listed: std::collections::BTreeMap<String, BTreeSet<String>> = Default::default();
        for (repository, tags) in lists.await {
            // A repository that is gone has no tags; one whose list cannot be read proves nothing.
            if let Some(tags) = tags {
                listed.insert(repository, tags.unwrap_or_default().into_iter().collect());
            }
        }
        let mut moved = Vec::new();
        for ((repository, tag), answer) in answers {
            let is_gone = listed.get(&repository).is_some_and(|tags| !tags.contains(&tag));
            let seen = self.seen.repositories.entry(repository.clone()).or_default();
            let answer = match answer {
                TagAnswer::Absent if is_gone => TagAnswer::Vanished,
                // Nothing new was learned, so what was seen first holds.
                TagAnswer::Unknown(Trouble::NotAsked | Trouble::GaveUp) => continue,
                TagAnswer::Names(digest) if seen.tags.get(&tag) != Some(&TagAnswer::Names(digest)) => {
                    moved.push((repository, digest));
                    TagAnswer::Names(digest)
                }
                answer => answer,
            };
            seen.tags.insert(tag, answer);
        }
        self.below(moved).await;
    }
}
