//! The judgement of what a registry answered: which references do not hold, and which tags that breaks. Pure.
//!
//! As offline: every manifest is visited once for each repository, damage is filed where it lies and carried up to the
//! tags that reach it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::platforms;
use super::seen::{BlobAnswer, ManifestAnswer, Seen, SeenManifest, SeenRepository, TagAnswer, Trouble};
use super::words::{self, Draft};
use crate::audit::{Audit, BrokenTag, Code, Finding, Role, Source, SourceKind, Tags, UnknownTag, UnreadPath};
use crate::graph::Content;
use crate::oci::manifest::{Defect, Kind, Reference, Role as Part};
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
    if is_out_of_order {
        let error = "every object answers with a server error: the registry is out of order".to_owned();
        all.unread.push(UnreadPath { source: Arc::clone(&source), path: ".".into(), error });
    }
    counts.complete = all.unread.is_empty();
    all.finish(counts)
}

fn source_of(name: &Arc<str>) -> Source {
    Source {
        kind: SourceKind::Registry,
        name: Arc::clone(name),
        role: Role::Primary,
        complete: true,
        repositories: 0,
        tags: 0,
        manifests: 0,
        indexes: 0,
        layer_links: 0,
        blobs: 0,
        blob_bytes: 0,
        uploads: 0,
    }
}

fn count_manifests(counts: &mut Source, answers: &SeenRepository) {
    let present = answers.manifests.values().filter_map(present);
    counts.indexes += present.filter(|one| one.manifest.kind == Kind::Index).count() as u64;
    for blob in answers.blobs.values() {
        counts.layer_links += 1;
        if let BlobAnswer::Present { size, .. } = blob {
            counts.blobs += 1;
            counts.blob_bytes += size.unwrap_or(0);
        }
    }
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

    /// Notes what could not be found out; of a registry that is out of order one word says it all.
    fn unread(&mut self, path: String, trouble: &Trouble) {
        if !self.is_out_of_order {
            self.judged.unread.insert(path, trouble.to_string());
        }
    }

    fn visit(&mut self, digest: Digest) -> &mut Visit {
        self.judged.visits.entry(digest).or_default()
    }

    /// A manifest that answers: itself, and what it references.
    fn served(&mut self, digest: Digest, seen: &SeenManifest) {
        if !seen.is_json {
            let why = seen.manifest.refusal().map_or("it is no JSON", |problem| &*problem.message).to_owned();
            let draft = words::manifest_unreadable(self, digest, &why);
            self.file(digest, draft, true);
            return;
        }
        if let Some(draft) = words::wrong_type(self, digest, seen) {
            self.file(digest, draft, false);
        }
        for problem in seen.manifest.problems.iter().filter(|problem| problem.defect == Defect::Part) {
            let draft = words::descriptor(self, digest, &problem.pointer, &problem.message);
            self.file(digest, draft, true);
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
        let Some(seen) = self.answers.manifests.get(&child).and_then(present) else { return };
        let size = reference.descriptor.size;
        if seen.manifest.kind != Kind::Schema1 && size >= 0 && u64::try_from(size) != Ok(seen.bytes) {
            let draft = words::size_lie(self, digest, number, child, seen.bytes);
            self.file(digest, draft, true);
        }
    }

    fn blob(&mut self, digest: Digest, reference: &Reference, target: Digest, wanted: Option<u64>) {
        let draft = match self.answers.blobs.get(&target) {
            None | Some(BlobAnswer::Unknown(Trouble::NotAsked)) => {
                self.visit(digest).is_unasked = true;
                return;
            }
            Some(BlobAnswer::Unknown(Trouble::Server(status))) if !self.is_out_of_order => {
                words::blob_fails(self, digest, reference.role, target, *status)
            }
            Some(BlobAnswer::Unknown(trouble)) => {
                self.unread(format!("blobs/{target}"), trouble);
                self.visit(digest).unknown.get_or_insert_with(|| format!("{target}: {trouble}"));
                return;
            }
            Some(BlobAnswer::Absent) => words::blob_absent(self, digest, reference.role, target),
            Some(BlobAnswer::Present { size, content }) => match (wanted, size) {
                (Some(wanted), Some(size)) if wanted != *size => {
                    words::blob_size(self, digest, reference.role, target, (wanted, *size), *content)
                }
                _ if *content == Content::Wrong => words::blob_wrong(self, digest, reference.role, target),
                _ => return,
            },
        };
        self.file(digest, draft, true);
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

#[derive(Default)]
struct Collected {
    covered: u64,
    judged: HashSet<(String, String)>,
    findings: Vec<Finding>,
    broken: Vec<BrokenTag>,
    unknown: Vec<UnknownTag>,
    unread: Vec<UnreadPath>,
}

impl Collected {
    fn take(&mut self, source: &Arc<str>, repository: &str, judged: Judged) {
        let left_out = |number: &u32| judged.left_out.contains(number) || judged.unknown.contains_key(number);
        let kept = (0_u32..).zip(&judged.tags).filter(|(number, _)| !left_out(number));
        self.judged.extend(kept.map(|(_, tag)| (repository.to_owned(), tag.clone())));
        let repository: Arc<str> = repository.into();
        let tag = |number: &u32| -> Arc<str> { judged.tags[*number as usize].as_str().into() };
        let first = self.findings.len();
        for (number, drafts) in &judged.broken {
            self.broken.push(BrokenTag {
                source: Arc::clone(source),
                repository: Arc::clone(&repository),
                tag: tag(number),
                findings: drafts.iter().map(|draft| first + draft).collect(),
            });
        }
        for (number, reason) in &judged.unknown {
            let (source, repository) = (Arc::clone(source), Arc::clone(&repository));
            self.unknown.push(UnknownTag { source, repository, tag: tag(number), reason: reason.clone() });
        }
        for (path, error) in &judged.unread {
            let (source, path) = (Arc::clone(source), format!("/v2/{repository}/{path}"));
            self.unread.push(UnreadPath { source, path, error: error.clone() });
        }
        for draft in &judged.drafts {
            let numbers: BTreeSet<u32> = draft.tags.iter().copied().collect();
            let mut tags: Vec<Arc<str>> = numbers.iter().map(tag).collect();
            tags.sort();
            self.findings.push(draft.finding(source, &repository, Tags::new(tags)));
        }
    }

    fn finish(mut self, source: Source) -> Judgement {
        let mut order: Vec<usize> = (0..self.findings.len()).collect();
        order.sort_by(|a, b| self.findings[*a].order().cmp(&self.findings[*b].order()));
        let mut place = vec![0; order.len()];
        order.iter().enumerate().for_each(|(new, old)| place[*old] = new);
        for tag in &mut self.broken {
            tag.findings.iter_mut().for_each(|number| *number = place[*number]);
            tag.findings.sort_unstable();
        }
        let mut findings: Vec<Option<Finding>> = self.findings.into_iter().map(Some).collect();
        let audit = Audit {
            source,
            covered: self.covered,
            findings: order.iter().filter_map(|old| findings[*old].take()).collect(),
            broken_tags: self.broken,
            unknown_tags: self.unknown,
            unread: self.unread,
            garbage: None,
            pieces: Vec::new(),
            doubts: Vec::new(),
            looks_like_cache: false,
        };
        Judgement { audit, judged: self.judged }
    }
}
