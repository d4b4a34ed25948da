//! Visits the manifests of one repository: those that its tags name, and their children as far as they answer.

use super::responses::{ManifestAnswer, RepositoryResponses, TagAnswer};
use crate::audit::{RepositoryVerdict, Visit};
use crate::oci::Digest;

/// A visited manifest with the registry's answer; `None` if it was not asked for.
pub(super) type AnsweredVisit<'a> = Visit<Digest, Option<&'a ManifestAnswer>>;

/// The answers about one repository, and the verdict under way.
#[derive(Debug)]
pub(super) struct Visits<'a> {
    /// Name of the repository.
    pub(super) repository: &'a str,
    pub(super) answers: &'a RepositoryResponses,
    pub(super) verdict: RepositoryVerdict<Digest, Option<&'a ManifestAnswer>>,
}

impl<'a> Visits<'a> {
    /// Visits what tags name, and follows children from there.
    pub(super) fn new(repository: &'a str, answers: &'a RepositoryResponses) -> Self {
        let mut verdict = RepositoryVerdict::default();
        let answer = |digest| answers.manifests.get(&digest);
        for (number, tag) in (0_u32..).zip(answers.tags.values()) {
            if let TagAnswer::Names(digest) = tag {
                verdict.visit_tag(number, *digest, answer);
            }
        }
        let children = |_, visit: &AnsweredVisit<'a>| {
            let seen = visit.answer.and_then(ManifestAnswer::manifest);
            seen.into_iter().flat_map(|seen| seen.children())
        };
        verdict.follow_children(true, children, answer);
        Self { repository, answers, verdict }
    }

    /// The digests of all visited manifests, sorted.
    pub(super) fn digests(&self) -> Vec<Digest> {
        let mut digests: Vec<Digest> = self.verdict.visits.keys().copied().collect();
        digests.sort_unstable();
        digests
    }

    /// The visit of a manifest.
    pub(super) fn get(&self, digest: Digest) -> Option<&AnsweredVisit<'a>> {
        self.verdict.visits.get(&digest)
    }
}
