//! Reads the platforms of an image from a registry's answers. The audit decides which required ones the image lacks.

use super::responses::RepositoryResponses;
use crate::audit::{PlatformReference, PlatformSource};
use crate::oci::manifest::Kind;
use crate::oci::{Digest, Manifest, MediaType, Platform};

fn references(manifest: &Manifest) -> impl Iterator<Item = PlatformReference<'_, Digest>> {
    manifest.references.iter().map(|reference| {
        let descriptor = &reference.descriptor;
        PlatformReference {
            role: reference.role,
            is_attestation: descriptor.is_attestation,
            is_image_config: descriptor.media_type.as_ref().is_some_and(MediaType::is_image_config),
            platform: descriptor.platform.as_ref(),
            target: descriptor.digest,
        }
    })
}

/// The configs that must be read to know the platforms of an image without an index.
#[cfg(feature = "remote")]
pub(super) fn configs(manifest: &Manifest) -> impl Iterator<Item = Digest> {
    let configs = references(manifest).filter(|reference| reference.is_config_of_image(manifest.kind));
    configs.filter_map(|reference| reference.target)
}

impl PlatformSource for RepositoryResponses {
    type Node = Digest;

    fn manifest(
        &self,
        digest: Digest,
    ) -> Option<(Kind, impl Iterator<Item = PlatformReference<'_, Digest>>)> {
        let seen = self.manifest(&digest).filter(|seen| seen.is_json)?;
        Some((seen.manifest.kind, references(&seen.manifest)))
    }

    fn config(&self, config: Digest) -> Option<Option<&Platform>> {
        self.platforms.get(&config).map(Option::as_ref)
    }
}
