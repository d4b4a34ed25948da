//! The manifests of a graph, with their references in one arena and their platforms interned.

use std::collections::HashMap;

use super::digests::NodeId;
use crate::oci::manifest::{Defect, Kind, Manifest, Problem, ReferenceRole};
use crate::oci::{MediaType, Platform};

/// A manifest that was read.
#[derive(Debug)]
pub struct ManifestNode {
    /// Whether it is an image, an index or something else.
    pub kind: Kind,
    /// The manifest it refers to.
    pub subject: Option<NodeId>,
    /// Its defects. Almost always empty, and then without allocation.
    pub problems: Box<[Problem]>,
    first_edge: u32,
    edge_count: u32,
}

impl ManifestNode {
    /// The defect for which `registry` 2.8 answers with an error, if there is one.
    pub fn refusal(&self) -> Option<&Problem> {
        self.problems.iter().find(|problem| problem.defect == Defect::Refused)
    }
}

/// A reference of a manifest.
#[derive(Debug, Clone, Copy)]
pub struct Edge {
    /// Declared size in bytes, which may be negative; meaningless for schema 1.
    pub size: i64,
    /// The referenced digest; `None` when the descriptor has none.
    pub target: Option<NodeId>,
    platform: u32,
    /// Whether it is a child, a config or a layer.
    pub role: ReferenceRole,
    /// Whether the bytes are elsewhere, so that the registry is not asked for them.
    pub has_urls: bool,
    /// Whether it is a BuildKit attestation.
    pub is_attestation: bool,
    /// Whether the media type is that of a runnable image's config.
    pub is_image_config: bool,
}

/// All manifests of a graph.
#[derive(Debug, Default)]
pub(super) struct Manifests {
    nodes: Vec<ManifestNode>,
    edges: Vec<Edge>,
    platforms: Vec<Platform>,
    platform_numbers: HashMap<Platform, u32>,
}

impl Manifests {
    pub(super) fn get(&self, number: u32) -> Option<&ManifestNode> {
        self.nodes.get(number as usize)
    }

    pub(super) fn edges(&self, manifest: &ManifestNode) -> &[Edge] {
        let first = manifest.first_edge as usize;
        &self.edges[first..first + manifest.edge_count as usize]
    }

    pub(super) fn platform(&self, edge: &Edge) -> Option<&Platform> {
        self.platforms.get(edge.platform as usize)
    }

    /// Adds a manifest and returns its number. `targets` are the digests of its references, in order.
    pub(super) fn add(
        &mut self,
        manifest: &Manifest,
        targets: &[Option<NodeId>],
        subject: Option<NodeId>,
    ) -> u32 {
        let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let first_edge = number(self.edges.len());
        for (reference, target) in manifest.references.iter().zip(targets) {
            let descriptor = &reference.descriptor;
            let platform =
                descriptor.platform.as_ref().map_or(u32::MAX, |platform| self.platform_number(platform));
            self.edges.push(Edge {
                size: descriptor.size,
                target: *target,
                platform,
                role: reference.role,
                has_urls: descriptor.has_urls,
                is_attestation: descriptor.is_attestation,
                is_image_config: descriptor.media_type.as_ref().is_some_and(MediaType::is_image_config),
            });
        }
        self.nodes.push(ManifestNode {
            kind: manifest.kind,
            subject,
            problems: manifest.problems.clone().into_boxed_slice(),
            first_edge,
            edge_count: number(targets.len()),
        });
        number(self.nodes.len() - 1)
    }

    fn platform_number(&mut self, platform: &Platform) -> u32 {
        if let Some(number) = self.platform_numbers.get(platform) {
            return *number;
        }
        let number = u32::try_from(self.platforms.len()).unwrap_or(u32::MAX);
        self.platforms.push(platform.clone());
        self.platform_numbers.insert(platform.clone(), number);
        number
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn edge_takes_24_bytes() {
        assert_eq!(size_of::<super::Edge>(), 24);
    }
}
