//! Judges a manifest that answers, and the answers to what it references.

use super::repository::RepositoryJudge;
use crate::graph::Content;
use crate::oci::Digest;
use crate::oci::manifest::{Defect, Kind, Reference, ReferenceRole};
use crate::probe::messages;
use crate::probe::responses::{AnsweredManifest, BlobAnswer, WhyUnknown};

impl RepositoryJudge<'_> {
    /// Judges a manifest that answers, and what it references.
    pub(super) fn judge_present_manifest(&mut self, digest: Digest, seen: &AnsweredManifest) {
        if !seen.is_json {
            let why = seen.manifest.refusal().map_or("it is no JSON", |problem| &*problem.message).to_owned();
            let draft = messages::manifest_unreadable(&self.visits, digest, &why);
            self.visits.verdict.file_draft(digest, draft, true);
            return;
        }
        if let Some(draft) = messages::wrong_media_type(&self.visits, digest, seen) {
            self.visits.verdict.file_draft(digest, draft, false);
        }
        for problem in seen.manifest.problems.iter().filter(|problem| problem.defect == Defect::Part) {
            let draft =
                messages::invalid_descriptor(&self.visits, digest, &problem.pointer, &problem.message);
            self.visits.verdict.file_draft(digest, draft, true);
        }
        for (number, reference) in seen.manifest.references.iter().enumerate() {
            let Some(target) = reference.descriptor.digest.filter(|_| !reference.descriptor.has_urls) else {
                continue;
            };
            match reference.role {
                ReferenceRole::Child => self.judge_child_size(digest, number, reference, target),
                ReferenceRole::Config | ReferenceRole::Layer if self.options.blobs => {
                    let has_size = seen.manifest.kind != Kind::Schema1;
                    let size = u64::try_from(reference.descriptor.size).ok().filter(|_| has_size);
                    self.judge_blob(digest, reference, target, size);
                }
                ReferenceRole::Config | ReferenceRole::Layer => {}
            }
        }
    }

    fn judge_child_size(&mut self, digest: Digest, number: usize, reference: &Reference, child: Digest) {
        let Some(seen) = self.answers.manifest(&child) else { return };
        let size = reference.descriptor.size;
        if seen.manifest.kind != Kind::Schema1 && size >= 0 && u64::try_from(size) != Ok(seen.bytes) {
            let draft = messages::wrong_declared_size(&self.visits, digest, number, child, seen.bytes);
            self.visits.verdict.file_draft(digest, draft, true);
        }
    }

    fn judge_blob(&mut self, digest: Digest, reference: &Reference, target: Digest, declared: Option<u64>) {
        let blob = messages::BlobReference { parent: digest, role: reference.role, target };
        let draft = match self.answers.blobs.get(&target) {
            None | Some(BlobAnswer::Unknown(WhyUnknown::NotAsked)) => {
                self.unasked.insert(digest);
                return;
            }
            Some(BlobAnswer::Unknown(WhyUnknown::Server(status))) if !self.is_out_of_order => {
                messages::blob_fails(&self.visits, blob, *status)
            }
            Some(BlobAnswer::Unknown(trouble)) => {
                self.note_unread(messages::blob_path(&self.visits, target), trouble);
                self.visits.verdict.set_unknown(digest, format!("{target}: {trouble}"));
                return;
            }
            Some(BlobAnswer::Absent) => messages::blob_absent(&self.visits, blob),
            Some(BlobAnswer::Present { size, content }) => match (declared, size) {
                (Some(declared), Some(size)) if declared != *size => {
                    messages::blob_size(&self.visits, blob, declared, *size, *content)
                }
                _ if *content == Content::Wrong => messages::blob_wrong(&self.visits, blob),
                _ => return,
            },
        };
        self.visits.verdict.file_draft(digest, draft, true);
    }
}
