//! Where the platforms of an image are read from online. Which of them an image lacks is the audit's rule.

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

/// Configs that have to be read to know the platforms of a manifest without an index.
#[cfg(feature = "remote")]
pub(super) fn configs(manifest: &Manifest) -> impl Iterator<Item = Digest> {
    let configs = references(manifest).filter(|one| one.is_config_of_image(manifest.kind));
    configs.filter_map(|one| one.target)
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
