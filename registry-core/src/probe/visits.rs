//! The way from the tags of one repository down to every manifest that answers.

use super::responses::{ManifestAnswer, RepositoryResponses, TagAnswer};
use crate::audit::{RepositoryVerdict, Visit};
use crate::oci::Digest;

/// A manifest that was met, with what the registry answered.
pub(super) type AnsweredVisit<'a> = Visit<Digest, Option<&'a ManifestAnswer>>;

/// What was answered of one repository, and the verdict on it as far as it has come.
#[derive(Debug)]
pub(super) struct Visits<'a> {
    /// Its name.
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
                verdict.enter_tag(number, *digest, answer);
            }
        }
        let children = |_, visit: &AnsweredVisit<'a>| {
            let seen = visit.answer.and_then(ManifestAnswer::manifest);
            seen.into_iter().flat_map(|seen| seen.children())
        };
        verdict.follow(true, children, answer);
        Self { repository, answers, verdict }
    }

    /// All manifests, in order.
    pub(super) fn digests(&self) -> Vec<Digest> {
        let mut digests: Vec<Digest> = self.verdict.visits.keys().copied().collect();
        digests.sort_unstable();
        digests
    }

    /// A manifest that was met.
    pub(super) fn get(&self, digest: Digest) -> Option<&AnsweredVisit<'a>> {
        self.verdict.visits.get(&digest)
    }
}
