//! Which platforms an image has, and which required ones it lacks. The rule is the same for trees and servers.

use std::collections::HashSet;
use std::hash::Hash;

use super::access::ManifestAccess;
use super::code::Code;
use super::draft::Draft;
use super::verdict::RepositoryVerdict;
use crate::graph::{Edge, GraphLink, NodeId, Recheck, RepositoryView, walk};
use crate::oci::manifest::{Kind, ReferenceRole};
use crate::oci::{Platform, Tag};
use crate::path::Place;

/// What a reference of a manifest tells of platforms. `N` names a digest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlatformReference<'p, N> {
    pub(crate) role: ReferenceRole,
    pub(crate) is_attestation: bool,
    /// Whether its media type is that of a runnable image's configuration.
    pub(crate) is_image_config: bool,
    /// The platform that an index gives it.
    pub(crate) platform: Option<&'p Platform>,
    /// `None` when its digest is invalid.
    pub(crate) target: Option<N>,
}

impl<'p, N> PlatformReference<'p, N> {
    /// The platform that an index gives a child, unless that is `unknown`.
    fn known_platform(&self) -> Option<&'p Platform> {
        self.platform.filter(|platform| !platform.is_unknown())
    }

    /// Whether this is the config of an image, which names its platform; `kind` is that of the manifest with the reference.
    pub(crate) fn is_config_of_image(&self, kind: Kind) -> bool {
        self.role == ReferenceRole::Config && self.is_image_config && kind == Kind::Image
    }
}

/// Where manifests and configs are read from.
pub(crate) trait PlatformSource {
    type Node: Copy + Eq + Hash;

    /// The kind and references of a manifest; `None` when it is damaged or was not read.
    fn manifest(
        &self,
        node: Self::Node,
    ) -> Option<(Kind, impl Iterator<Item = PlatformReference<'_, Self::Node>>)>;

    /// The platform that a config names: `None` when the config was not read, `Some(None)` when it names none.
    fn config(&self, config: Self::Node) -> Option<Option<&Platform>>;
}

/// The platforms that an image offers.
struct OfferedPlatforms<'p, N> {
    platforms: Vec<&'p Platform>,
    /// Whether this is an image to run, rather than an artifact or a build cache.
    is_image: bool,
    /// Whether a part is damaged or was not read: then no platform is reported as missing.
    is_unknown: bool,
    /// Configs that were not read.
    unread: Vec<N>,
}

/// The required platforms that the image of a tag lacks, each with its message. Empty for what is not an image, and for an
/// image that is not completely known; `unread` is called with the configs that must be read to know it.
pub(crate) fn missing_platforms<'r, S: PlatformSource>(
    source: &S,
    required: &'r [Platform],
    tag: &str,
    root: S::Node,
    unread: impl FnMut(S::Node),
) -> Vec<(&'r Platform, String)> {
    if required.is_empty() || Tag::new(tag).is_ok_and(|tag| tag.is_named_after_digest()) {
        return Vec::new();
    }
    let offer = offered_platforms(source, root);
    offer.unread.into_iter().for_each(unread);
    if !offer.is_image || offer.is_unknown {
        return Vec::new();
    }
    let has = |wanted: &Platform| offer.platforms.iter().any(|platform| platform.satisfies(wanted));
    let missing_platforms = required.iter().filter(|wanted| !has(wanted));
    missing_platforms.map(|wanted| (wanted, message(wanted, &offer.platforms))).collect()
}

fn offered_platforms<S: PlatformSource>(source: &S, root: S::Node) -> OfferedPlatforms<'_, S::Node> {
    let mut offer =
        OfferedPlatforms { platforms: Vec::new(), is_image: false, is_unknown: false, unread: Vec::new() };
    // Children to which an index gives no platform are read for it.
    let children = |node| {
        let references = source.manifest(node).into_iter().flat_map(|(_, references)| references);
        let children = references.filter(|one| one.role == ReferenceRole::Child && !one.is_attestation);
        children.filter(|child| child.known_platform().is_none()).filter_map(|child| child.target)
    };
    for node in walk::reach(HashSet::new(), [root], children) {
        let Some((kind, references)) = source.manifest(node) else {
            // A damaged or unread manifest has a finding of its own; its platform is not known.
            offer.is_unknown = true;
            continue;
        };
        for reference in references {
            match reference.role {
                ReferenceRole::Child if reference.is_attestation => {}
                ReferenceRole::Child => match reference.known_platform() {
                    Some(platform) => {
                        offer.is_image = true;
                        offer.platforms.push(platform);
                    }
                    None => offer.is_unknown |= reference.target.is_none(),
                },
                _ if reference.is_config_of_image(kind) => {
                    offer.is_image = true;
                    match reference.target.map(|config| (config, source.config(config))) {
                        // The config was read; it may name no platform.
                        Some((_, Some(platform))) => offer.platforms.extend(platform),
                        Some((config, None)) => {
                            offer.is_unknown = true;
                            offer.unread.push(config);
                        }
                        None => offer.is_unknown = true,
                    }
                }
                ReferenceRole::Config | ReferenceRole::Layer => {}
            }
        }
    }
    offer
}

/// "it has no linux/arm64, only linux/amd64".
fn message(wanted: &Platform, have: &[&Platform]) -> String {
    // Whoever pushes chooses these texts.
    let have: Vec<_> = have.iter().map(|platform| crate::text::escape(&platform.to_string())).collect();
    if have.is_empty() {
        return format!("it has no {wanted} and names no platform");
    }
    format!("it has no {wanted}, only {}", have.join(", "))
}

/// The manifests of a repository that its verdict calls served.
struct ServedManifests<'g, 'v> {
    view: RepositoryView<'g>,
    verdict: &'v RepositoryVerdict,
}

impl PlatformSource for ServedManifests<'_, '_> {
    type Node = NodeId;

    fn manifest(&self, node: NodeId) -> Option<(Kind, impl Iterator<Item = PlatformReference<'_, NodeId>>)> {
        let graph = self.view.graph;
        let visit = self.verdict.visits.get(&node)?;
        let manifest =
            graph.manifest(node).filter(|_| matches!(visit.answer, ManifestAccess::Served { .. }))?;
        let reference = |edge: &'_ Edge| PlatformReference {
            role: edge.role,
            is_attestation: edge.is_attestation,
            is_image_config: edge.is_image_config,
            platform: graph.platform(edge),
            target: edge.target,
        };
        Some((manifest.kind, graph.edges(manifest).iter().map(reference)))
    }

    fn config(&self, config: NodeId) -> Option<Option<&Platform>> {
        self.view.graph.config_platform(config)
    }
}

/// Files a finding for every required platform that a tag's image lacks. Configs that must be read first become doubts.
pub(super) fn check_platforms(
    view: RepositoryView<'_>,
    verdict: &mut RepositoryVerdict,
    required: &[Platform],
) {
    if required.is_empty() {
        return;
    }
    let (mut doubts, mut drafts) = (Vec::new(), Vec::new());
    let source = ServedManifests { view, verdict };
    for (number, tag) in view.repository.numbered_tags() {
        let GraphLink::Names(root) = tag.current else { continue };
        let unread = |config| doubts.push(Recheck::Platform(config));
        for (wanted, message) in missing_platforms(&source, required, &tag.name, root, unread) {
            let path = Place::TagLink(&view.repository.name, &tag.name);
            drafts.push(
                Draft::new(Code::PlatformMissing, Some(root), path, message).about_image(number, wanted),
            );
        }
    }
    verdict.doubts.append(&mut doubts);
    verdict.drafts.append(&mut drafts);
}
