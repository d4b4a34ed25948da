//! The judgement of one repository: tags, manifests; what that means for tags is the [verdict's](crate::audit) matter.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::options::JudgeOptions;
use crate::audit::{Code, Draft, RepositoryVerdict, lacking};
use crate::oci::Digest;
use crate::probe::messages;
use crate::probe::responses::{ManifestAnswer, RepositoryResponses, TagAnswer, Trouble};
use crate::probe::visits::Visits;

/// One repository, judged.
#[derive(Debug)]
pub(super) struct Judged<'a> {
    pub(super) verdict: RepositoryVerdict<Digest, Option<&'a ManifestAnswer>>,
    /// Tags, by number, that are not judged: they vanished, or not all of them was asked for.
    pub(super) left_out: BTreeSet<u32>,
    /// What could not be found out, by where it was asked for.
    pub(super) unread: BTreeMap<String, String>,
}

/// The judging of one repository.
pub(super) struct RepositoryJudge<'a> {
    pub(super) answers: &'a RepositoryResponses,
    pub(super) options: &'a JudgeOptions,
    pub(super) is_out_of_order: bool,
    pub(super) visits: Visits<'a>,
    /// Manifests of which not everything was asked for.
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

    pub(super) fn run(mut self) -> Judged<'a> {
        self.tags();
        for digest in self.visits.digests() {
            self.manifest(digest);
        }
        self.platforms();
        let Self { visits: Visits { mut verdict, .. }, mut left_out, unread, .. } = self;
        let mut known = HashMap::new();
        for digest in self.unasked {
            left_out.extend(&*verdict.tags_above(digest, &mut known));
        }
        verdict.carry_up();
        left_out.retain(|tag| !verdict.broken.contains_key(tag));
        verdict.unknown.retain(|tag, _| !left_out.contains(tag));
        Judged { verdict, left_out, unread }
    }

    fn tags(&mut self) {
        for (number, (tag, answer)) in (0_u32..).zip(&self.answers.tags) {
            match answer {
                TagAnswer::Names(_) => {}
                TagAnswer::Absent => {
                    let draft = messages::tag_absent(&self.visits, tag);
                    self.visits.verdict.break_tag(number, draft);
                }
                TagAnswer::Vanished | TagAnswer::Unknown(Trouble::NotAsked) => {
                    self.left_out.insert(number);
                }
                TagAnswer::Unknown(Trouble::Server(status)) if !self.is_out_of_order => {
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

    fn manifest(&mut self, digest: Digest) {
        let draft = match self.answers.manifests.get(&digest) {
            Some(ManifestAnswer::Present(seen)) => {
                let seen = Arc::clone(seen);
                self.served(digest, &seen);
                return;
            }
            None | Some(ManifestAnswer::Unknown(Trouble::NotAsked)) => {
                self.unasked.insert(digest);
                return;
            }
            Some(ManifestAnswer::Unknown(Trouble::Server(status))) if !self.is_out_of_order => {
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
        self.visits.verdict.file(digest, draft, true);
    }

    /// Notes what could not be found out; of a registry that is out of order, or on which the run gave up, one word says
    /// it all.
    pub(super) fn note_unread(&mut self, path: String, trouble: &Trouble) {
        if !self.is_out_of_order && *trouble != Trouble::GaveUp {
            self.unread.insert(path, trouble.to_string());
        }
    }

    /// Files a finding for every tag whose image lacks a required platform.
    fn platforms(&mut self) {
        for (number, (tag, answer)) in (0_u32..).zip(&self.answers.tags) {
            let TagAnswer::Names(root) = answer else { continue };
            for (wanted, message) in lacking(self.answers, &self.options.require_platforms, tag, *root, drop)
            {
                let path = messages::manifest_path(&self.visits, tag);
                let draft = Draft::new(Code::PlatformMissing, Some(*root), path, message);
                self.visits.verdict.drafts.push(draft.of_image(number, wanted));
            }
        }
    }
}
