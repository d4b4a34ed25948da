//! A manifest that answers, and whether what it references does.

use super::repository::RepositoryJudge;
use crate::graph::Content;
use crate::oci::Digest;
use crate::oci::manifest::{Defect, Kind, Reference, ReferenceRole as Part};
use crate::probe::messages;
use crate::probe::responses::{BlobAnswer, RespondedManifest, Trouble};

impl RepositoryJudge<'_> {
    /// A manifest that answers: itself, and what it references.
    pub(super) fn served(&mut self, digest: Digest, seen: &RespondedManifest) {
        if !seen.is_json {
            let why = seen.manifest.refusal().map_or("it is no JSON", |problem| &*problem.message).to_owned();
            let draft = messages::manifest_unreadable(&self.visits, digest, &why);
            self.visits.verdict.file(digest, draft, true);
            return;
        }
        if let Some(draft) = messages::wrong_type(&self.visits, digest, seen) {
            self.visits.verdict.file(digest, draft, false);
        }
        for problem in seen.manifest.problems.iter().filter(|problem| problem.defect == Defect::Part) {
            let draft = messages::descriptor(&self.visits, digest, &problem.pointer, &problem.message);
            self.visits.verdict.file(digest, draft, true);
        }
        for (number, reference) in seen.manifest.references.iter().enumerate() {
            let Some(target) = reference.descriptor.digest.filter(|_| !reference.descriptor.has_urls) else {
                continue;
            };
            match reference.role {
                Part::Child => self.child(digest, number, reference, target),
                Part::Config | Part::Layer if self.options.blobs => {
                    let has_size = seen.manifest.kind != Kind::Schema1;
                    let size = u64::try_from(reference.descriptor.size).ok().filter(|_| has_size);
                    self.blob(digest, reference, target, size);
                }
                Part::Config | Part::Layer => {}
            }
        }
    }

    fn child(&mut self, digest: Digest, number: usize, reference: &Reference, child: Digest) {
        let Some(seen) = self.answers.manifest(&child) else { return };
        let size = reference.descriptor.size;
        if seen.manifest.kind != Kind::Schema1 && size >= 0 && u64::try_from(size) != Ok(seen.bytes) {
            let draft = messages::size_lie(&self.visits, digest, number, child, seen.bytes);
            self.visits.verdict.file(digest, draft, true);
        }
    }

    fn blob(&mut self, digest: Digest, reference: &Reference, target: Digest, wanted: Option<u64>) {
        let draft = match self.answers.blobs.get(&target) {
            None | Some(BlobAnswer::Unknown(Trouble::NotAsked)) => {
                self.unasked.insert(digest);
                return;
            }
            Some(BlobAnswer::Unknown(Trouble::Server(status))) if !self.is_out_of_order => {
                messages::blob_fails(&self.visits, digest, reference.role, target, *status)
            }
            Some(BlobAnswer::Unknown(trouble)) => {
                self.note_unread(messages::blob_path(&self.visits, target), trouble);
                self.visits.verdict.set_unknown(digest, format!("{target}: {trouble}"));
                return;
            }
            Some(BlobAnswer::Absent) => messages::blob_absent(&self.visits, digest, reference.role, target),
            Some(BlobAnswer::Present { size, content }) => match (wanted, size) {
                (Some(wanted), Some(size)) if wanted != *size => messages::blob_size(
                    &self.visits,
                    digest,
                    reference.role,
                    target,
                    (wanted, *size),
                    *content,
                ),
                _ if *content == Content::Wrong => {
                    messages::blob_wrong(&self.visits, digest, reference.role, target)
                }
                _ => return,
            },
        };
        self.visits.verdict.file(digest, draft, true);
    }
}
