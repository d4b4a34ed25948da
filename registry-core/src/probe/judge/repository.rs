//! One repository judged: damage filed where it lies, and carried up to the tags that reach it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::options::JudgeOptions;
use crate::audit::Code;
use crate::oci::Digest;
use crate::probe::draft::Draft;
use crate::probe::seen::{ManifestAnswer, SeenRepository, TagAnswer, Trouble};
use crate::probe::visits::Visits;
use crate::probe::{platforms, words};

/// One repository, judged.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// Number of manifests that were met.
    pub(super) manifests: u64,
    pub(super) drafts: Vec<Draft>,
    filed: HashMap<(Code, Option<Digest>, String), usize>,
    pub(super) broken: BTreeMap<u32, BTreeSet<usize>>,
    pub(super) unknown: BTreeMap<u32, String>,
    /// Tags, by number, that are not judged: they vanished, or not all of them was asked for.
    pub(super) left_out: BTreeSet<u32>,
    pub(super) tags: Vec<String>,
    pub(super) covered: u64,
    /// What could not be found out, by where it was asked for.
    pub(super) unread: BTreeMap<String, String>,
}

/// The judging of one repository.
pub(super) struct Judging<'a> {
    pub(super) answers: &'a SeenRepository,
    pub(super) options: &'a JudgeOptions,
    pub(super) is_out_of_order: bool,
    pub(super) visits: Visits<'a>,
    judged: Judged,
}

impl<'a> Judging<'a> {
    pub(super) fn new(answers: &'a SeenRepository, options: &'a JudgeOptions, is_out_of_order: bool) -> Self {
        Self { answers, options, is_out_of_order, visits: Visits::new(answers), judged: Judged::default() }
    }

    pub(super) fn run(mut self) -> Judged {
        self.tags();
        for digest in self.visits.digests() {
            self.manifest(digest);
        }
        self.carry_up();
        for (tag, draft) in platforms::missing(self.answers, &self.options.require_platforms) {
            self.judged.drafts.push(Draft { tags: vec![tag], ..draft });
        }
        let (broken, left_out) = (&self.judged.broken, &mut self.judged.left_out);
        left_out.retain(|tag| !broken.contains_key(tag));
        self.judged.unknown.retain(|tag, _| !broken.contains_key(tag) && !left_out.contains(tag));
        self.judged.covered = (self.judged.tags.len() - self.judged.left_out.len()) as u64;
        self.judged.manifests = self.visits.len() as u64;
        self.judged
    }

    fn tags(&mut self) {
        for (number, (tag, answer)) in (0_u32..).zip(&self.answers.tags) {
            self.judged.tags.push(tag.clone());
            match answer {
                TagAnswer::Names(_) => {}
                TagAnswer::Absent => self.broken_tag(number, words::tag_absent(tag)),
                TagAnswer::Vanished | TagAnswer::Unknown(Trouble::NotAsked) => {
                    self.judged.left_out.insert(number);
                }
                TagAnswer::Unknown(Trouble::Server(status)) if !self.is_out_of_order => {
                    self.broken_tag(number, words::tag_fails(tag, *status));
                }
                TagAnswer::Unknown(trouble) => {
                    self.unread(format!("manifests/{tag}"), trouble);
                    self.judged.unknown.insert(number, trouble.to_string());
                }
            }
        }
    }

    fn broken_tag(&mut self, number: u32, draft: Draft) {
        let draft = Draft { tags: vec![number], ..draft };
        self.judged.broken.entry(number).or_default().insert(self.judged.drafts.len());
        self.judged.drafts.push(draft);
    }

    fn manifest(&mut self, digest: Digest) {
        let draft = match self.answers.manifests.get(&digest) {
            Some(ManifestAnswer::Present(seen)) => {
                let seen = Arc::clone(seen);
                self.served(digest, &seen);
                return;
            }
            None | Some(ManifestAnswer::Unknown(Trouble::NotAsked)) => {
                self.visits.visit(digest).is_unasked = true;
                return;
            }
            Some(ManifestAnswer::Unknown(Trouble::Server(status))) if !self.is_out_of_order => {
                words::manifest_fails(&self.visits, digest, *status)
            }
            Some(ManifestAnswer::Unknown(trouble)) => {
                self.unread(format!("manifests/{digest}"), trouble);
                self.visits.visit(digest).unknown.get_or_insert_with(|| format!("{digest}: {trouble}"));
                return;
            }
            Some(ManifestAnswer::Absent) => words::manifest_absent(&self.visits, digest),
            Some(ManifestAnswer::WrongBytes(found)) => words::manifest_wrong(&self.visits, digest, *found),
        };
        self.file(digest, draft, true);
    }

    /// Notes what could not be found out; of a registry that is out of order, or on which the run gave up, one word says
    /// it all.
    pub(super) fn unread(&mut self, path: String, trouble: &Trouble) {
        if !self.is_out_of_order && *trouble != Trouble::GaveUp {
            self.judged.unread.insert(path, trouble.to_string());
        }
    }

    /// Files a finding once, and notes where a client meets it.
    pub(super) fn file(&mut self, at: Digest, draft: Draft, breaks: bool) {
        let judged = &mut self.judged;
        let key = (draft.code, draft.digest, draft.detail.clone());
        let number = *judged.filed.entry(key).or_insert_with(|| {
            judged.drafts.push(draft);
            judged.drafts.len() - 1
        });
        self.visits.visit(at).own.push((number, breaks));
    }

    fn carry_up(&mut self) {
        let judged = &mut self.judged;
        for (digest, visit) in self.visits.marked() {
            let tags = self.visits.tags_above(*digest);
            for (draft, breaks) in &visit.own {
                judged.drafts[*draft].tags.extend(&tags);
                if *breaks {
                    tags.iter().for_each(|tag| {
                        judged.broken.entry(*tag).or_default().insert(*draft);
                    });
                }
            }
            if visit.is_unasked {
                judged.left_out.extend(&tags);
            }
            if let Some(why) = &visit.unknown {
                for tag in &tags {
                    judged.unknown.entry(*tag).or_insert_with(|| why.clone());
                }
            }
        }
    }
}
