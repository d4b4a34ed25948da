//! The judgement of what a registry answered: which references do not hold, and which tags that breaks. Pure.
//!
//! As offline: every manifest is visited once for each repository, damage is filed where it lies and carried up to the
//! tags that reach it. What a manifest that answers holds is in `parts`, the audit made of all repositories in `collected`.

mod collected;
mod parts;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use collected::{Collected, count_manifests, source_of};

use super::platforms;
use super::seen::{ManifestAnswer, Seen, SeenManifest, SeenRepository, TagAnswer, Trouble};
use super::words::{self, Draft};
use crate::audit::{Audit, Code, UnreadPath};
use crate::oci::manifest::{Reference, Role as Part};
use crate::oci::{Digest, Platform};

/// How an online audit is asked.
#[derive(Debug, Clone, Default)]
pub struct JudgeOptions {
    /// Whether configs and layers were asked for.
    pub blobs: bool,
    /// Platforms that every image must have.
    pub require_platforms: Vec<Platform>,
}

/// An audit, and which tags it rests on.
#[derive(Debug)]
pub struct Judgement {
    /// What was found.
    pub audit: Audit,
    /// Repository and tag of all that were judged whole or broken.
    pub judged: HashSet<(String, String)>,
}

/// Judges the registry called `name`. Tags of which not everything was asked for are neither broken nor unknown; they
/// are left out of [`Audit::covered`].
pub fn judge(seen: &Seen, name: &str, options: &JudgeOptions) -> Judgement {
    let source: Arc<str> = name.into();
    let is_out_of_order = seen.is_out_of_order();
    let mut all = Collected::default();
    let mut counts = source_of(&source);
    for (repository, answers) in &seen.repositories {
        let judged = Judging::new(answers, options, is_out_of_order).run();
        counts.repositories += 1;
        counts.tags += answers.listed;
        all.covered += judged.covered;
        counts.manifests += judged.visits.len() as u64;
        count_manifests(&mut counts, answers);
        all.take(&source, repository, judged);
    }
    for (path, error) in &seen.unread {
        all.unread.push(UnreadPath { source: Arc::clone(&source), path: path.clone(), error: error.clone() });
    }
    for (list, names) in &seen.strays {
        all.findings.push(words::strays(&source, list, names));
    }
    if is_out_of_order {
        let error = "every object answers with a server error: the registry is out of order".to_owned();
        all.unread.push(UnreadPath { source: Arc::clone(&source), path: ".".into(), error });
    }
    counts.complete = all.unread.is_empty();
    all.finish(counts)
}

pub(super) fn present(answer: &ManifestAnswer) -> Option<&Arc<SeenManifest>> {
    if let ManifestAnswer::Present(manifest) = answer { Some(manifest) } else { None }
}

/// A manifest on the way from tags to leaves.
#[derive(Debug, Default)]
pub(super) struct Visit {
    /// The manifests that name it, and the number of the reference there.
    pub(super) parents: Vec<(Digest, usize)>,
    /// Tags that name it, by number.
    pub(super) tags: Vec<u32>,
    /// Findings that lie here, and whether a client who pulls this manifest runs into them.
    own: Vec<(usize, bool)>,
    unknown: Option<String>,
    /// Whether something here was not asked for.
    is_unasked: bool,
}

/// One repository, judged.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) visits: HashMap<Digest, Visit>,
    drafts: Vec<Draft>,
    filed: HashMap<(Code, Option<Digest>, String), usize>,
    broken: BTreeMap<u32, BTreeSet<usize>>,
    unknown: BTreeMap<u32, String>,
    /// Tags, by number, that are not judged: they vanished, or not all of them was asked for.
    left_out: BTreeSet<u32>,
    tags: Vec<String>,
    covered: u64,
    /// What could not be found out, by where it was asked for.
    unread: BTreeMap<String, String>,
}

pub(super) struct Judging<'a> {
    pub(super) answers: &'a SeenRepository,
    pub(super) options: &'a JudgeOptions,
    is_out_of_order: bool,
    pub(super) judged: Judged,
}

impl<'a> Judging<'a> {
    fn new(answers: &'a SeenRepository, options: &'a JudgeOptions, is_out_of_order: bool) -> Self {
        Self { answers, options, is_out_of_order, judged: Judged::default() }
    }

    fn run(mut self) -> Judged {
        self.tags();
        self.walk();
        let mut digests: Vec<Digest> = self.judged.visits.keys().copied().collect();
        digests.sort_unstable();
        for digest in digests {
            self.manifest(digest);
        }
        self.carry_up();
        platforms::check(&mut self);
        let (broken, left_out) = (&self.judged.broken, &mut self.judged.left_out);
        left_out.retain(|tag| !broken.contains_key(tag));
        self.judged.unknown.retain(|tag, _| !broken.contains_key(tag) && !left_out.contains(tag));
        self.judged.covered = (self.judged.tags.len() - self.judged.left_out.len()) as u64;
        self.judged
    }

    fn tags(&mut self) {
        for (number, (tag, answer)) in (0_u32..).zip(&self.answers.tags) {
            self.judged.tags.push(tag.clone());
            match answer {
                TagAnswer::Names(digest) => {
                    self.judged.visits.entry(*digest).or_default().tags.push(number);
                }
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

    /// Follows children from what tags name.
    fn walk(&mut self) {
        let mut frontier: Vec<Digest> = self.judged.visits.keys().copied().collect();
        while let Some(digest) = frontier.pop() {
            let Some(seen) = self.answers.manifests.get(&digest).and_then(present) else { continue };
            for (number, child) in children(&seen.manifest.references) {
                let visit = self.judged.visits.entry(child).or_insert_with(|| {
                    frontier.push(child);
                    Visit::default()
                });
                visit.parents.push((digest, number));
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
                self.visit(digest).is_unasked = true;
                return;
            }
            Some(ManifestAnswer::Unknown(Trouble::Server(status))) if !self.is_out_of_order => {
                words::manifest_fails(self, digest, *status)
            }
            Some(ManifestAnswer::Unknown(trouble)) => {
                self.unread(format!("manifests/{digest}"), trouble);
                self.visit(digest).unknown.get_or_insert_with(|| format!("{digest}: {trouble}"));
                return;
            }
            Some(ManifestAnswer::Absent) => words::manifest_absent(self, digest),
            Some(ManifestAnswer::WrongBytes(found)) => words::manifest_wrong(self, digest, *found),
        };
        self.file(digest, draft, true);
    }

    /// Notes what could not be found out; of a registry that is out of order, or on which the run gave up, one word says
    /// it all.
    fn unread(&mut self, path: String, trouble: &Trouble) {
        if !self.is_out_of_order && *trouble != Trouble::GaveUp {
            self.judged.unread.insert(path, trouble.to_string());
        }
    }

    fn visit(&mut self, digest: Digest) -> &mut Visit {
        self.judged.visits.entry(digest).or_default()
    }

    /// Files a finding once, and notes where a client meets it.
    fn file(&mut self, at: Digest, draft: Draft, breaks: bool) {
        let judged = &mut self.judged;
        let key = (draft.code, draft.digest, draft.detail.clone());
        let number = *judged.filed.entry(key).or_insert_with(|| {
            judged.drafts.push(draft);
            judged.drafts.len() - 1
        });
        self.visit(at).own.push((number, breaks));
    }

    /// Files a finding of one tag that breaks nothing that can be pulled.
    pub(super) fn file_of_tag(&mut self, tag: u32, draft: Draft) {
        self.judged.drafts.push(Draft { tags: vec![tag], ..draft });
    }

    pub(super) fn tag_names(&self) -> impl Iterator<Item = (u32, &str)> {
        (0_u32..).zip(self.judged.tags.iter().map(String::as_str))
    }

    fn carry_up(&mut self) {
        let marked: Vec<Digest> = self
            .judged
            .visits
            .iter()
            .filter(|(_, visit)| visit.is_marked())
            .map(|(digest, _)| *digest)
            .collect();
        for digest in marked {
            let tags = self.tags_above(digest);
            let judged = &mut self.judged;
            let Some(visit) = judged.visits.get(&digest) else { continue };
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

    /// All tags from which a manifest is reached.
    fn tags_above(&self, digest: Digest) -> BTreeSet<u32> {
        let (mut tags, mut seen, mut frontier) = (BTreeSet::new(), BTreeSet::from([digest]), vec![digest]);
        while let Some(visit) = frontier.pop().and_then(|digest| self.judged.visits.get(&digest)) {
            tags.extend(&visit.tags);
            frontier.extend(
                visit.parents.iter().map(|(parent, _)| *parent).filter(|parent| seen.insert(*parent)),
            );
        }
        tags
    }
}

impl Visit {
    fn is_marked(&self) -> bool {
        !self.own.is_empty() || self.unknown.is_some() || self.is_unasked
    }
}

/// The manifests that a manifest lists, with their numbers.
pub(super) fn children(references: &[Reference]) -> impl Iterator<Item = (usize, Digest)> {
    references
        .iter()
        .enumerate()
        .filter(|(_, one)| one.role == Part::Child && !one.descriptor.has_urls)
        .filter_map(|(number, one)| Some((number, one.descriptor.digest?)))
}
