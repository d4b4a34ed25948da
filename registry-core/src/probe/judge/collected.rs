//! One audit, made of the judgements of all repositories.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::repository::Judged;
use crate::audit::{Audit, BrokenTag, Finding, Role, Source, SourceKind, Tags, UnknownTag, UnreadPath};
use crate::oci::manifest::Kind;
use crate::probe::seen::{BlobAnswer, SeenRepository};

pub(super) fn source_of(name: &Arc<str>) -> Source {
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

pub(super) fn count_manifests(counts: &mut Source, answers: &SeenRepository) {
    counts.indexes += answers.present().filter(|one| one.manifest.kind == Kind::Index).count() as u64;
    for blob in answers.blobs.values() {
        counts.layer_links += 1;
        if let BlobAnswer::Present { size, .. } = blob {
            counts.blobs += 1;
            counts.blob_bytes += size.unwrap_or(0);
        }
    }
}

#[derive(Default)]
pub(super) struct Collected {
    pub(super) covered: u64,
    judged: HashSet<(String, String)>,
    pub(super) findings: Vec<Finding>,
    broken: Vec<BrokenTag>,
    unknown: Vec<UnknownTag>,
    pub(super) unread: Vec<UnreadPath>,
}

impl Collected {
    pub(super) fn take(&mut self, source: &Arc<str>, repository: &str, judged: Judged) {
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

    /// The audit, and repository and tag of all that were judged.
    pub(super) fn finish(mut self, source: Source) -> (Audit, HashSet<(String, String)>) {
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
        (audit, self.judged)
    }
}
