//! Which platforms an image has, and which required ones it lacks.

use super::access::Answer;
use super::code::Code;
use super::draft::Draft;
use super::verdict::Verdict;
use crate::graph::{Doubt, Link, NodeId, View};
use crate::oci::manifest::{Kind, Role};
use crate::oci::{Platform, Tag};
use crate::path::Place;

/// What an image offers.
#[derive(Default)]
struct Offer {
    platforms: Vec<Platform>,
    /// Whether this is something to run at all, rather than an artifact or a cache.
    is_image: bool,
    /// Whether a part could not be read: nothing is said then.
    is_unknown: bool,
}

/// Files a finding for every tag whose image lacks a required platform. Configs that have to be read for that are asked
/// for as doubts.
pub(super) fn check(view: View<'_>, verdict: &mut Verdict, required: &[Platform]) {
    if required.is_empty() {
        return;
    }
    for (index, tag) in view.repository.numbered_tags() {
        let Link::Names(root) = tag.current else { continue };
        if Tag::new(&tag.name).is_ok_and(|tag| tag.follows_a_digest()) {
            continue;
        }
        let mut offer = Offer::default();
        gather(view, verdict, root, &mut offer);
        if !offer.is_image || offer.is_unknown {
            continue;
        }
        for wanted in required {
            if offer.platforms.iter().any(|platform| platform.satisfies(wanted)) {
                continue;
            }
            let message = lacks(wanted, &offer.platforms);
            let path = Place::TagLink(&view.repository.name, &tag.name);
            let mut draft = Draft::new(Code::PlatformMissing, Some(root), path, message);
            draft.platform = Some(wanted.to_string());
            draft.tags = [index].into();
            verdict.drafts.push(draft);
        }
    }
}

/// "it has no linux/arm64, only linux/amd64".
pub(crate) fn lacks(wanted: &Platform, have: &[Platform]) -> String {
    // Whoever pushes chooses these texts.
    let have: Vec<_> = have.iter().map(|platform| crate::text::escape(&platform.to_string())).collect();
    if have.is_empty() {
        return format!("it has no {wanted} and names no platform");
    }
    format!("it has no {wanted}, only {}", have.join(", "))
}

fn gather(view: View<'_>, verdict: &mut Verdict, root: NodeId, offer: &mut Offer) {
    let graph = view.graph;
    let (mut seen, mut stack) = (std::collections::HashSet::new(), vec![root]);
    while let Some(node) = stack.pop() {
        if !seen.insert(node) {
            continue;
        }
        let answer = verdict.visits.get(&node).map(|visit| visit.answer.clone());
        let Some(manifest) = graph.manifest(node).filter(|_| matches!(answer, Some(Answer::Served { .. })))
        else {
            // Whatever is damaged or unread has a finding of its own; its platform is not known.
            offer.is_unknown = true;
            continue;
        };
        for edge in graph.edges(manifest) {
            match edge.role {
                Role::Child if edge.is_attestation => {}
                Role::Child => match graph.platform(edge).filter(|platform| !platform.is_unknown()) {
                    Some(platform) => {
                        offer.is_image = true;
                        offer.platforms.push(platform.clone());
                    }
                    None => stack.extend(edge.target),
                },
                Role::Config if edge.is_image_config && manifest.kind == Kind::Image => {
                    offer.is_image = true;
                    let Some(config) = edge.target else { continue };
                    match graph.config_platform(config) {
                        Some(Some(platform)) => offer.platforms.push(platform.clone()),
                        // It was read, and names none.
                        Some(None) => {}
                        None => {
                            offer.is_unknown = true;
                            verdict.doubts.push(Doubt::Platform(config));
                        }
                    }
                }
                Role::Config | Role::Layer => {}
            }
        }
    }
}
