//! Judges one repository of a registry: tags, manifests, platforms. The [verdict](crate::audit) carries damage up to tags.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::options::JudgeOptions;
use crate::audit::{Code, Draft, RepositoryVerdict, missing_platforms};
use crate::oci::Digest;
use crate::probe::messages;
use crate::probe::responses::{ManifestAnswer, RepositoryResponses, TagAnswer, WhyUnknown};
use crate::probe::visits::Visits;

/// The judgement of one repository.
#[derive(Debug)]
pub(super) struct JudgedRepository<'a> {
    pub(super) verdict: RepositoryVerdict<Digest, Option<&'a ManifestAnswer>>,
    /// Numbers of the tags that are not judged: they vanished, or something below them was not asked for.
    pub(super) left_out: BTreeSet<u32>,
    /// Why an object is not known, by the path that was asked.
    pub(super) unread: BTreeMap<String, String>,
}

/// Judges one repository.
pub(super) struct RepositoryJudge<'a> {
    pub(super) answers: &'a RepositoryResponses,
    pub(super) options: &'a JudgeOptions,
    pub(super) is_out_of_order: bool,
    pub(super) visits: Visits<'a>,
    /// Manifests that were not asked for, or have a part that was not.
    pub(super) unasked: BTreeSet<Digest>,
    left_out: BTreeSet<u32>,
    unread: BTreeMap<String, String>,
}

impl<'a> RepositoryJudge<'a> {
    pub(super) fn new(
        repository: &'a str,
        answers: &'a RepositoryResponses,
        options: &'a JudgeOptions,
        is_out_of_order: bool,
    ) -> Self {
        let visits = Visits::new(repository, answers);
        let (unasked, left_out, unread) = Default::default();
        Self { answers, options, is_out_of_order, visits, unasked, left_out, unread }
    }

    pub(super) fn run(mut self) -> JudgedRepository<'a> {
        self.judge_tags();
        for digest in self.visits.digests() {
            self.judge_manifest(digest);
        }
        self.judge_platforms();
        let Self { visits: Visits { mut verdict, .. }, mut left_out, unread, .. } = self;
        let mut known = HashMap::new();
        for digest in self.unasked {
            left_out.extend(&*verdict.tags_above(digest, &mut known));
        }
        verdict.carry_up();
        left_out.retain(|tag| !verdict.broken.contains_key(tag));
        verdict.unknown.retain(|tag, _| !left_out.contains(tag));
        JudgedRepository { verdict, left_out, unread }
    }

    fn judge_tags(&mut self) {
        for (number, (tag, answer)) in (0_u32..).zip(&self.answers.tags) {
            match answer {
                TagAnswer::Names(_) => {}
                TagAnswer::Absent => {
                    let draft = messages::tag_absent(&self.visits, tag);
                    self.visits.verdict.break_tag(number, draft);
                }
                TagAnswer::Vanished | TagAnswer::Unknown(WhyUnknown::NotAsked) => {
                    self.left_out.insert(number);
                }
                TagAnswer::Unknown(WhyUnknown::Server(status)) if !self.is_out_of_order => {
                    let draft = messages::tag_fails(&self.visits, tag, *status);
                    self.visits.verdict.break_tag(number, draft);
                }
                TagAnswer::Unknown(trouble) => {
                    self.note_unread(messages::manifest_path(&self.visits, tag), trouble);
                    self.visits.verdict.unknown.insert(number, trouble.to_string());
                }
            }
        }
    }

    fn judge_manifest(&mut self, digest: Digest) {
        let draft = match self.answers.manifests.get(&digest) {
            Some(ManifestAnswer::Present(seen)) => {
                let seen = Arc::clone(seen);
                self.judge_present_manifest(digest, &seen);
                return;
            }
            None | Some(ManifestAnswer::Unknown(WhyUnknown::NotAsked)) => {
                self.unasked.insert(digest);
                return;
            }
            Some(ManifestAnswer::Unknown(WhyUnknown::Server(status))) if !self.is_out_of_order => {
                messages::manifest_fails(&self.visits, digest, *status)
            }
            Some(ManifestAnswer::Unknown(trouble)) => {
                self.note_unread(messages::manifest_path(&self.visits, digest), trouble);
                self.visits.verdict.set_unknown(digest, format!("{digest}: {trouble}"));
                return;
            }
            Some(ManifestAnswer::Absent) => messages::manifest_absent(&self.visits, digest),
            Some(ManifestAnswer::WrongBytes(found)) => messages::manifest_wrong(&self.visits, digest, *found),
        };
        self.visits.verdict.file_draft(digest, draft, true);
    }

    /// Notes why an object is not known; not if an entry for the whole registry says so: out of order, or the run gave up.
    pub(super) fn note_unread(&mut self, path: String, trouble: &WhyUnknown) {
        if !self.is_out_of_order && *trouble != WhyUnknown::GaveUp {
            self.unread.insert(path, trouble.to_string());
        }
    }

    /// Files a finding for every required platform that the image of a tag lacks.
    fn judge_platforms(&mut self) {
        for (number, (tag, answer)) in (0_u32..).zip(&self.answers.tags) {
            let TagAnswer::Names(root) = answer else { continue };
            for (wanted, message) in
                missing_platforms(self.answers, &self.options.require_platforms, tag, *root, drop)
            {
                let path = messages::manifest_path(&self.visits, tag);
                let draft = Draft::new(Code::PlatformMissing, Some(*root), path, message);
                self.visits.verdict.drafts.push(draft.about_image(number, wanted));
            }
        }
    }
}
