//! The judgement of what a registry answered: which references do not hold, and which tags that breaks. Pure.
//!
//! As offline: every manifest is visited once for each repository, damage is filed where it lies and carried up to the
//! tags that reach it. One repository is judged in `repository`, what a manifest that answers holds in `parts`; the audit of
//! all repositories is put together in `collected`.

mod collected;
mod options;
mod parts;
mod repository;

use std::collections::HashSet;
use std::sync::Arc;

use super::seen::Seen;
use super::words;
use crate::audit::{Audit, UnreadPath};

use collected::{Collected, count_manifests, source_of};
pub use options::JudgeOptions;
use repository::Judging;

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
        counts.manifests += judged.manifests;
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
    let (audit, judged) = all.finish(counts);
    Judgement { audit, judged }
}
