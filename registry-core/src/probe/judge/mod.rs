//! Judges the answers of a registry: which references do not hold, and which tags that breaks. Pure.
//!
//! `repository` judges one repository, `parts` a manifest that answers and what it references. Filing damage, carrying it up
//! to tags and collecting findings are shared with the audit of a tree.

mod options;
mod parts;
mod repository;

use std::collections::HashSet;
use std::sync::Arc;

use super::messages;
use super::responses::{BlobAnswer, RepositoryResponses, Responses};
use crate::audit::{Audit, AuditedKind, AuditedSource, CollectedFindings, RegistryRole};
use crate::oci::manifest::Kind;

pub use options::JudgeOptions;
use repository::RepositoryJudge;

/// An audit, and the tags that it judged.
#[derive(Debug)]
pub struct ProbeJudgement {
    /// The audit.
    pub audit: Audit,
    /// Tags that were judged whole or broken, as repository and tag.
    pub judged: HashSet<(String, String)>,
}

/// Judges the registry called `name`. A tag with something below it that was not asked for is left out of
/// [`Audit::covered`], and is neither broken nor unknown.
pub fn judge(seen: &Responses, name: &str, options: &JudgeOptions) -> ProbeJudgement {
    let name: Arc<str> = name.into();
    let is_out_of_order = seen.is_out_of_order();
    let mut collected = CollectedFindings::new(Arc::clone(&name));
    let mut source = AuditedSource {
        kind: AuditedKind::Registry,
        name: Arc::clone(&name),
        role: RegistryRole::Primary,
        complete: true,
        repositories: 0,
        tags: 0,
        manifests: 0,
        indexes: 0,
        layer_links: 0,
        blobs: 0,
        blob_bytes: 0,
        uploads: 0,
    };
    let (mut covered, mut judged_tags) = (0, HashSet::new());
    for (repository, answers) in &seen.repositories {
        let judged = RepositoryJudge::new(repository, answers, options, is_out_of_order).run();
        count(&mut source, answers);
        source.manifests += judged.verdict.visits.len() as u64;
        for (number, tag) in (0_u32..).zip(answers.tags.keys()) {
            let is_left_out = judged.left_out.contains(&number);
            covered += u64::from(!is_left_out);
            if !is_left_out && !judged.verdict.unknown.contains_key(&number) {
                judged_tags.insert((repository.clone(), tag.clone()));
            }
        }
        for (path, error) in judged.unread {
            collected.push_unread(path, error);
        }
        let tags: Vec<&str> = answers.tags.keys().map(String::as_str).collect();
        let tag = |number: u32| tags.get(number as usize).copied().unwrap_or_default().into();
        collected.add_verdict(repository, judged.verdict, tag, |digest| digest);
    }
    for (path, error) in &seen.unread {
        collected.push_unread(path.clone(), error.clone());
    }
    for (list, names) in &seen.strays {
        collected.push_finding(messages::stray_names(&name, list, names));
    }
    if is_out_of_order {
        let error = "every object answers with a server error: the registry is out of order";
        collected.push_unread(".".into(), error.into());
    }
    ProbeJudgement { audit: Audit { covered, ..collected.finish(source) }, judged: judged_tags }
}

/// Adds what one repository answered to the counts.
fn count(source: &mut AuditedSource, answers: &RepositoryResponses) {
    source.repositories += 1;
    source.tags += answers.listed;
    source.indexes +=
        answers.present().filter(|manifest| manifest.manifest.kind == Kind::Index).count() as u64;
    for blob in answers.blobs.values() {
        source.layer_links += 1;
        if let BlobAnswer::Present { size, .. } = blob {
            source.blobs += 1;
            source.blob_bytes += size.unwrap_or(0);
        }
    }
}
