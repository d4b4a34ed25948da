//! Media types of manifests, and the few others that change how a reference is read.

use std::fmt;

/// A media type: a variant for each that changes how a manifest or a reference is read, and the text of every other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MediaType {
    /// OCI image manifest.
    OciManifest,
    /// OCI image index.
    OciIndex,
    /// OCI artifact manifest, withdrawn before image-spec 1.1; no registry 2.8 serves it.
    OciArtifact,
    /// Docker image manifest, version 2, schema 2.
    DockerManifest,
    /// Docker manifest list.
    DockerList,
    /// Docker image manifest, version 2, schema 1, unsigned.
    DockerSchema1,
    /// Docker image manifest, version 2, schema 1, signed.
    DockerSchema1Signed,
    /// OCI image configuration.
    OciConfig,
    /// Docker image configuration.
    DockerConfig,
    /// Configuration of a BuildKit cache.
    BuildkitCacheConfig,
    /// Anything else, as written.
    Other(Box<str>),
}

const KNOWN: [(MediaType, &str); 10] = [
    (MediaType::OciManifest, "application/vnd.oci.image.manifest.v1+json"),
    (MediaType::OciIndex, "application/vnd.oci.image.index.v1+json"),
    (MediaType::OciArtifact, "application/vnd.oci.artifact.manifest.v1+json"),
    (MediaType::DockerManifest, "application/vnd.docker.distribution.manifest.v2+json"),
    (MediaType::DockerList, "application/vnd.docker.distribution.manifest.list.v2+json"),
    (MediaType::DockerSchema1, "application/vnd.docker.distribution.manifest.v1+json"),
    (MediaType::DockerSchema1Signed, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
    (MediaType::OciConfig, "application/vnd.oci.image.config.v1+json"),
    (MediaType::DockerConfig, "application/vnd.docker.container.image.v1+json"),
    (MediaType::BuildkitCacheConfig, "application/vnd.buildkit.cacheconfig.v0"),
];

impl MediaType {
    /// Reads a media type. Any text is accepted; case and parameters are kept as written.
    pub fn new(text: &str) -> Self {
        KNOWN
            .iter()
            .find(|(_, known)| *known == text)
            .map_or_else(|| Self::Other(text.into()), |(media_type, _)| media_type.clone())
    }

    /// The media type as text.
    pub fn as_str(&self) -> &str {
        if let Self::Other(text) = self {
            return text;
        }
        KNOWN.iter().find(|(known, _)| known == self).map_or("", |(_, text)| text)
    }

    /// Whether a client asks for this as a manifest rather than as a blob.
    pub const fn is_manifest(&self) -> bool {
        matches!(
            self,
            Self::OciManifest
                | Self::OciIndex
                | Self::OciArtifact
                | Self::DockerManifest
                | Self::DockerList
                | Self::DockerSchema1
                | Self::DockerSchema1Signed
        )
    }

    /// Whether this is the configuration of a runnable image, which names its platform.
    pub(crate) const fn is_image_config(&self) -> bool {
        matches!(self, Self::OciConfig | Self::DockerConfig)
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_media_type_round_trips() {
        for (media_type, text) in KNOWN {
            assert_eq!(MediaType::new(text), media_type);
            assert_eq!(media_type.as_str(), text);
        }
        assert_eq!(MediaType::new("x/y").as_str(), "x/y");
    }
}
