//! Plans the steps that move leftovers aside. The audit finds the leftovers.

use std::collections::HashSet;

use super::Planner;
use crate::audit::{Audit, Code, Finding};
use crate::graph::Graph;
use crate::path::Place;
use crate::repair::propose;
use crate::repair::regressions::{BrokenBefore, newly_broken_tags};
use crate::repair::step::{RepairStep, StepAction};

impl<S> Planner<'_, S> {
    /// Plans the steps that move leftovers aside. Called last, when it is known what the repaired tags need.
    pub(super) fn plan_leftovers(&mut self, graph: &mut Graph, audit: &Audit, before: &BrokenBefore) {
        let mut steps = propose::leftover_steps(audit, graph, self.scope);
        // When the link of a tag names nothing and is not restored, only its history tells what it named, so it is kept.
        let lost = lost_tags(audit);
        steps.retain(|step| match Place::parse(&step.path) {
            Some(Place::TagIndexFolder(name, tag, _)) => !lost.contains(&(name, tag)),
            _ => true,
        });
        // Nobody knows what a lost manifest referenced: its layers may be all that is left of the image.
        let opaque: HashSet<&str> = audit
            .findings
            .iter()
            .filter(|finding| hides_references(finding.code))
            .filter_map(|finding| finding.repository.as_deref())
            .collect();
        steps.retain(|step| {
            let is_layer = matches!(step.code, Some(Code::LayerLinkDangling | Code::LayerLinkUnreferenced));
            !(is_layer && step.repository.as_deref().is_some_and(|name| opaque.contains(name)))
        });
        steps.retain(|step| self.planned.insert((step.action, step.path.clone())));
        for step in &steps {
            self.simulated.apply(graph, step, self.options.now);
        }
        if steps.iter().any(|step| step.action == StepAction::Unlink) {
            let broken: HashSet<String> = newly_broken_tags(graph, &self.options, before)
                .into_iter()
                .map(|(repository, _)| repository)
                .collect();
            steps.retain(|step| {
                let is_in_broken = step.repository.as_deref().is_some_and(|name| broken.contains(name));
                !(is_in_broken && step.action == StepAction::Unlink)
            });
        }
        steps.sort_by(|a, b| (a.action, &a.path).cmp(&(b.action, &b.path)));
        // A stray in the place of fetched bytes is moved before they are fetched.
        let is_fetched = |path: &str| self.planned.contains(&(StepAction::Fetch, path.to_owned()));
        let (mut all, mut rest): (Vec<RepairStep>, Vec<RepairStep>) = steps
            .into_iter()
            .partition(|step| step.action == StepAction::MoveAside && is_fetched(&step.path));
        all.append(&mut self.steps);
        all.append(&mut rest);
        self.steps = all;
    }
}

/// Tags, as (repository, tag), whose link names nothing.
fn lost_tags(audit: &Audit) -> HashSet<(&str, &str)> {
    let is_lost = |finding: &&Finding| matches!(finding.code, Code::TagLinkMissing | Code::TagLinkInvalid);
    let paths = audit.findings.iter().filter(is_lost).filter_map(|finding| finding.path.as_deref());
    let places = paths.filter_map(|path| match Place::parse(path)? {
        Place::TagLink(name, tag) | Place::TagFolder(name, tag) => Some((name, tag)),
        _ => None,
    });
    places.collect()
}

/// Whether a finding is about a manifest whose references cannot be known.
const fn hides_references(code: Code) -> bool {
    matches!(
        code,
        Code::TagLinkMissing
            | Code::TagLinkInvalid
            | Code::TagTargetMissing
            | Code::ChildMissing
            | Code::RevisionLinkInvalid
            | Code::RevisionLinkMismatch
            | Code::ManifestMissing
            | Code::ManifestUnreadable
            | Code::ManifestDigestMismatch
            | Code::PathUnread
    )
}
