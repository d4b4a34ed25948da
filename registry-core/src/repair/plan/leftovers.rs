//! What is planned to be moved aside as leftovers: last, when all that is needed is known. What leftovers there are is the
//! audit's matter.

use std::collections::HashSet;

use super::Planner;
use crate::audit::{Audit, Code, Finding};
use crate::graph::Graph;
use crate::path::Place;
use crate::repair::propose;
use crate::repair::regressions::{NotWhole, broken_now};
use crate::repair::step::{Act, RepairStep};

impl<S> Planner<'_, S> {
    /// Plans what is to be moved aside as leftovers; last, when all that is needed is known.
    pub(super) fn leftovers(&mut self, graph: &mut Graph, audit: &Audit, before: &NotWhole) {
        let mut steps = propose::leftovers(audit, graph, self.scope);
        // What a tag was, when its link does not say and is not restored, only its history tells.
        let lost = lost_tags(audit);
        steps.retain(|step| match Place::parse(&step.path) {
            Some(Place::TagIndexFolder(name, tag, _)) => !lost.contains(&(name, tag)),
            _ => true,
        });
        // What a manifest that is lost referenced nobody knows: its layers may be all that is left of the image.
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
            self.hopes.take(graph, step, self.options.now);
        }
        if steps.iter().any(|step| step.action == Act::Unlink) {
            let broken: HashSet<String> = broken_now(graph, &self.options, before)
                .into_iter()
                .map(|(repository, _)| repository)
                .collect();
            steps.retain(|step| {
                let is_guilty = step.repository.as_deref().is_some_and(|name| broken.contains(name));
                !(is_guilty && step.action == Act::Unlink)
            });
        }
        steps.sort_by(|a, b| (a.action, &a.path).cmp(&(b.action, &b.path)));
        // What stands where something is fetched to goes before that.
        let fetched = |path: &str| self.planned.contains(&(Act::Fetch, path.to_owned()));
        let (mut all, mut rest): (Vec<RepairStep>, Vec<RepairStep>) =
            steps.into_iter().partition(|step| step.action == Act::MoveAside && fetched(&step.path));
        all.append(&mut self.steps);
        all.append(&mut rest);
        self.steps = all;
    }
}

/// Tags whose link names nothing, as repository and tag.
fn lost_tags(audit: &Audit) -> HashSet<(&str, &str)> {
    let is_lost = |finding: &&Finding| matches!(finding.code, Code::TagLinkMissing | Code::TagLinkInvalid);
    let paths = audit.findings.iter().filter(is_lost).filter_map(|finding| finding.path.as_deref());
    let places = paths.filter_map(|path| match Place::parse(path)? {
        Place::TagLink(name, tag) | Place::TagFolder(name, tag) => Some((name, tag)),
        _ => None,
    });
    places.collect()
}

/// Whether a finding is about a manifest of which nothing, or nothing right, can be read.
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
