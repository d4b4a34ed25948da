//! Wrong bytes under a digest that no manifest, tag or revision link names. They break nothing yet, but they break the next
//! push of that digest, because a registry keeps the file that exists (`registry/storage/blobwriter.go @ v2.8.3`,
//! `moveBlob`; `registry/storage/blobstore.go`, `Put`; both the same at v3.1.1).

use std::collections::BTreeMap;

use super::code::{Code, Severity};
use super::draft::Draft;
use super::finding::Repair;
use super::messages::plural;
use super::options::AuditOptions;
use crate::graph::{Content, Graph, GraphLink, NodeId, Presence, Recheck, walk};
use crate::oci::Digest;
use crate::path::Place;

/// Findings for such bytes, and the blobs that should be hashed again before these count. Wrong bytes that something names
/// are judged with what names them. Call this only if all repositories and blobs were listed.
pub(super) fn find_wrong_bytes(graph: &Graph, options: &AuditOptions) -> (Vec<Draft>, Vec<Recheck>) {
    let mut wrong: Vec<NodeId> = graph.nodes().filter(|node| is_wrong(graph, *node)).collect();
    if wrong.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let named = named_nodes(graph);
    // A server of 2.8 writes manifests in place: young bytes may be a push under way.
    wrong.retain(|node| !named[node.index()] && !options.is_young(graph.blob(*node).modified));
    let links = linking_repositories(graph, &wrong);
    let draft = |node: &NodeId| draft_finding(graph, *node, links.get(node).map_or(&[], Vec::as_slice));
    (wrong.iter().map(draft).collect(), wrong.iter().map(|node| Recheck::Content(*node)).collect())
}

/// Whether a blob's bytes do not hash to its digest. An empty file is known to be wrong without being hashed.
fn is_wrong(graph: &Graph, node: NodeId) -> bool {
    let blob = graph.blob(node);
    if blob.presence != Presence::Present {
        return false;
    }
    match blob.content {
        Content::Wrong => true,
        Content::Right | Content::Unread => false,
        Content::Unhashed => {
            let digest = graph.digest(node);
            blob.size == 0 && digest != Digest::hash(digest.algorithm(), b"")
        }
    }
}

/// For each node, whether a tag or revision link of a legal repository reaches it.
fn named_nodes(graph: &Graph) -> Vec<bool> {
    let links = graph.repositories.iter().filter(|one| one.is_legal).flat_map(|repository| {
        let entries = repository.revisions().iter();
        let links = entries.flat_map(|entry| [GraphLink::Names(entry.node), entry.link]);
        links.chain(repository.numbered_tags().map(|(_, tag)| tag.current))
    });
    let mut named = vec![false; graph.digests().len()];
    walk::mark(&mut named, links.filter_map(GraphLink::target), |node| graph.references(node));
    named
}

/// For each wrong node, the names of the legal repositories with a layer link to it, sorted.
fn linking_repositories<'g>(graph: &'g Graph, wrong: &[NodeId]) -> BTreeMap<NodeId, Vec<&'g str>> {
    let mut links: BTreeMap<NodeId, Vec<&str>> = wrong.iter().map(|node| (*node, Vec::new())).collect();
    for repository in graph.repositories.iter().filter(|one| one.is_legal) {
        for entry in repository.layers() {
            if let GraphLink::Names(target) = entry.link
                && let Some(names) = links.get_mut(&target)
                && names.last() != Some(&&*repository.name)
            {
                names.push(&repository.name);
            }
        }
    }
    links
}

/// The finding for one wrong blob; `links` are the repositories with a layer link to it.
fn draft_finding(graph: &Graph, node: NodeId, links: &[&str]) -> Draft {
    let blob = graph.blob(node);
    let what = if blob.size == 0 {
        "an empty file under the digest of something else, which no served manifest names".to_owned()
    } else {
        format!(
            "{} that do not hash to this digest, which no served manifest names",
            plural(blob.size, "byte")
        )
    };
    let then = match links {
        [] => "; the next push of it is answered 201 and keeps them".to_owned(),
        [one] => format!("; {one} links it, so clients skip the upload and pull it wrong"),
        [first, rest @ ..] => {
            let rest = plural(rest.len() as u64, "other");
            format!("; {first} and {rest} link it, so clients skip the upload and pull it wrong")
        }
    };
    let digest = graph.digest(node);
    let draft = Draft::new(Code::UnreferencedBlobWrong, Some(node), Place::BlobData(digest), what + &then);
    let severity = if links.is_empty() { Severity::Warning } else { Severity::Error };
    draft.with_severity(severity).with_repair(Some(Repair::Quarantine))
}
