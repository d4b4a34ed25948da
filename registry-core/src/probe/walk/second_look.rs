//! What looks like damage is asked for once more before it is believed: somebody may have pushed or deleted meanwhile.

use std::collections::BTreeSet;

use super::Walk;
use crate::graph::Content;
use crate::probe::judge::{JudgeOptions, judge};
use crate::probe::seen::{BlobAnswer, ManifestAnswer, TagAnswer, Trouble};

impl Walk<'_> {
    /// Looks again at what did not answer, then at the tags that this breaks. Server errors and silence were met with
    /// repetitions already.
    pub async fn look_again(&mut self) {
        let mut manifests = Vec::new();
        let mut blobs = Vec::new();
        for (name, repository) in &self.seen.repositories {
            let is_odd = |answer: &ManifestAnswer| {
                matches!(answer, ManifestAnswer::Absent | ManifestAnswer::WrongBytes(_))
            };
            let odd = repository.manifests.iter().filter(|(_, answer)| is_odd(answer));
            manifests.extend(odd.map(|(digest, _)| (name.clone(), *digest)));
            let odd = repository.blobs.iter().filter(|(_, answer)| **answer == BlobAnswer::Absent);
            blobs.extend(odd.map(|(digest, _)| (name.clone(), *digest)));
        }
        for (repository, digest) in &manifests {
            if let Some(repository) = self.seen.repositories.get_mut(repository) {
                repository.manifests.insert(*digest, ManifestAnswer::Unknown(Trouble::NotAsked));
            }
        }
        self.below(manifests).await;
        let this = &*self;
        let answers =
            self.each(blobs, |(repository, digest)| async move { this.ask_blob(&repository, &digest).await });
        for ((repository, digest), answer) in answers.await {
            self.note_blob(&repository, digest, answer, true);
        }
        self.tags_again().await;
    }

    /// Asks again for everything that does not answer as it should, whatever the reason: for whoever waits for a registry to
    /// catch up. Gives how much that was.
    pub async fn ask_again(&mut self) -> usize {
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
            let is_good = |answer: &BlobAnswer| matches!(answer, BlobAnswer::Present { content, .. } if *content != Content::Wrong);
            let odd = repository.blobs.iter().filter(|(_, answer)| !is_good(answer));
            blobs.extend(odd.map(|(digest, _)| (name.clone(), *digest)));
        }
        let asked = tags.len() + manifests.len() + blobs.len();
        self.tags(&tags).await;
        self.below(manifests).await;
        let this = &*self;
        let answers =
            self.each(blobs, |(repository, digest)| async move { this.ask_blob(&repository, &digest).await });
        for ((repository, digest), answer) in answers.await {
            self.note_blob(&repository, digest, answer, true);
        }
        asked
    }

    /// Resolves broken tags anew: one that is gone is no damage, one that moved is judged by what it names now.
    async fn tags_again(&mut self) {
        let options = JudgeOptions { blobs: true, ..JudgeOptions::default() };
        let broken = judge(&self.seen, "", &options).audit.broken_tags;
        let broken: Vec<(String, String)> =
            broken.iter().map(|one| (one.repository.to_string(), one.tag.to_string())).collect();
        if broken.is_empty() {
            return;
        }
        let this = &*self;
        let answers =
            self.each(broken, |(repository, tag)| async move { this.ask_tag(&repository, &tag).await }).await;
        let absent = answers.iter().filter(|(_, answer)| *answer == TagAnswer::Absent);
        let lists: BTreeSet<String> = absent.map(|((repository, _), _)| repository.clone()).collect();
        let lists = self.each(lists.into_iter().collect(), |repository| async move {
            if this.budget.take() { this.client.tags(&repository).await.ok() } else { None }
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
                TagAnswer::Unknown(Trouble::NotAsked) => continue,
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
