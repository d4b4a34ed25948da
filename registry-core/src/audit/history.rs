//! What the history of a tag tells when the tag's own link is missing or invalid. A registry serves nothing through it.

use super::access::ManifestAccess;
use super::code::Code;
use super::draft::Draft;
use super::finding::Repair;
use crate::graph::{GraphLink, LinkFault, NodeId, Presence, RepositoryView, TagEntry};
use crate::path::Place;

/// Entries of a tag's history that are served through their own revision link, with the right bytes.
fn resolving_entries(view: RepositoryView<'_>, tag: &TagEntry) -> impl Iterator<Item = NodeId> {
    tag.history.iter().copied().filter(move |node| {
        matches!(view.manifest(*node), ManifestAccess::Served { right: true, through_layers: false })
    })
}

/// Entries of a tag's history that are not served, but whose bytes may be present: only their links may be lost.
fn unserved_entries(view: RepositoryView<'_>, tag: &TagEntry) -> Vec<NodeId> {
    let resolving: Vec<NodeId> = resolving_entries(view, tag).collect();
    let may_have_bytes = |node: &NodeId| view.graph.blob(*node).presence != Presence::Absent;
    tag.history.iter().copied().filter(|node| !resolving.contains(node) && may_have_bytes(node)).collect()
}

/// The only entry of a tag's history that still resolves; `None` when none or several resolve, or when the bytes of an
/// unserved entry may be present: that entry may be the newer push.
pub(super) fn restorable_entry(view: RepositoryView<'_>, tag: &TagEntry) -> Option<NodeId> {
    let mut resolving = resolving_entries(view, tag);
    let only = resolving.next().filter(|_| resolving.next().is_none());
    only.filter(|_| !tag.is_file && tag.current != GraphLink::Invalid(LinkFault::NoFile))
        .filter(|_| unserved_entries(view, tag).is_empty())
}

/// The draft for a tag whose own link is missing or invalid; `message` says how.
pub(super) fn broken_tag(view: RepositoryView<'_>, tag: &TagEntry, code: Code, message: String) -> Draft {
    let resolving: Vec<NodeId> = resolving_entries(view, tag).collect();
    let digest = |node: NodeId| view.graph.digest(node);
    let (repair, history) = match (&resolving[..], &unserved_entries(view, tag)[..]) {
        _ if tag.is_file || tag.current == GraphLink::Invalid(LinkFault::NoFile) => (None, String::new()),
        ([one], []) => {
            let gone = match tag.history.len() - 1 {
                0 => String::new(),
                gone => format!(", and {gone} whose bytes are gone"),
            };
            (
                Some(Repair::Restore),
                format!("; its history has one entry that resolves, {}{gone}", digest(*one)),
            )
        }
        ([], []) => (None, "; no entry of its history resolves".into()),
        ([], [one, ..]) => (
            None,
            format!(
                "; no entry of its history resolves, but the bytes of {} are here without a revision link that names them",
                digest(*one)
            ),
        ),
        ([_], [one, ..]) => (
            None,
            format!(
                "; one entry of its history resolves, and {} is not served although its bytes are here, so the right one is for \
                 you to choose",
                digest(*one)
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
    Draft::new(code, None, path, message + &history).with_repair(repair).with_detail(&*tag.name)
}
