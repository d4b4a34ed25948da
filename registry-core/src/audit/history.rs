//! What a tag's history tells of a tag whose own link says nothing. Nothing is served through a history.

use super::access::ManifestAccess;
use super::code::Code;
use super::draft::Draft;
use super::finding::Repair;
use crate::graph::{GraphLink, LinkFault, NodeId, Presence, TagEntry, View};
use crate::path::Place;

/// Entries of a tag's history that are served through their own revision link, with the right bytes.
fn resolving(view: View<'_>, tag: &TagEntry) -> impl Iterator<Item = NodeId> {
    tag.history.iter().copied().filter(move |node| {
        matches!(view.manifest(*node), ManifestAccess::Served { right: true, through_layers: false })
    })
}

/// Entries of a tag's history that are not served and of which there are bytes, or may be: a push that only lost its links.
fn unserved(view: View<'_>, tag: &TagEntry) -> Vec<NodeId> {
    let resolving: Vec<NodeId> = resolving(view, tag).collect();
    let is_here = |node: &NodeId| view.graph.blob(*node).presence != Presence::Absent;
    tag.history.iter().copied().filter(|node| !resolving.contains(node) && is_here(node)).collect()
}

/// The one entry of a tag's history that still resolves; `None` when there is none, or more than one, or another that is only
/// not served: that may be the newer push.
pub(super) fn restorable(view: View<'_>, tag: &TagEntry) -> Option<NodeId> {
    let mut left = resolving(view, tag);
    let one = left.next().filter(|_| left.next().is_none());
    one.filter(|_| !tag.is_file && tag.current != GraphLink::Invalid(LinkFault::NoFile))
        .filter(|_| unserved(view, tag).is_empty())
}

/// Damage to a tag itself.
pub(super) fn tag(view: View<'_>, tag: &TagEntry, code: Code, message: String) -> Draft {
    let left: Vec<NodeId> = resolving(view, tag).collect();
    let name = |node: NodeId| view.graph.digest(node);
    let (repair, history) = match (&left[..], &unserved(view, tag)[..]) {
        _ if tag.is_file || tag.current == GraphLink::Invalid(LinkFault::NoFile) => (None, String::new()),
        ([one], []) => {
            let gone = match tag.history.len() - 1 {
                0 => String::new(),
                gone => format!(", and {gone} whose bytes are gone"),
            };
            (
                Some(Repair::Restore),
                format!("; its history has one entry that resolves, {}{gone}", name(*one)),
            )
        }
        ([], []) => (None, "; no entry of its history resolves".into()),
        ([], [one, ..]) => (
            None,
            format!(
                "; no entry of its history resolves, but the bytes of {} are here without a revision link that names them",
                name(*one)
            ),
        ),
        ([_], [one, ..]) => (
            None,
            format!(
                "; one entry of its history resolves, and {} is not served although its bytes are here, so the right one is for \
                 you to choose",
                name(*one)
            ),
        ),
        (several, _) => (
            None,
            format!(
                "; {} entries of its history resolve, so the right one is for you to choose",
                several.len()
            ),
        ),
    };
    let path = if tag.is_file {
        Place::TagFolder(&view.repository.name, &tag.name).to_string()
    } else {
        Place::TagLink(&view.repository.name, &tag.name).to_string()
    };
    Draft::new(code, None, path, message + &history).repair(repair).apart_by(&*tag.name)
}
