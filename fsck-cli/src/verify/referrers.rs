//! Lists the referrers of an image: from the referrers list, from the fallback tag, from the tags of cosign.

use registry_core::oci::manifest::ReferenceRole;
use registry_core::oci::{Digest, Manifest};
use registry_core::registry::{Client, Error};

/// A manifest that refers to an image.
#[derive(Debug, Clone)]
pub struct Referrer {
    /// The digest of the referrer.
    pub digest: Digest,
    /// Its artifact type, else the media type of its config; for a tag of cosign, the ending of the tag.
    pub artifact_type: String,
}

impl Referrer {
    /// Whether the referrer has this type; an empty type matches any.
    pub fn has_type(&self, wanted: &str) -> bool {
        wanted.is_empty() || self.artifact_type == wanted
    }
}

/// Lists all referrers of a digest.
///
/// # Errors
/// When something could not be read.
pub async fn list_referrers(
    client: &Client,
    repository: &str,
    digest: &Digest,
) -> Result<Vec<Referrer>, Error> {
    let mut found = Vec::new();
    let tag = digest.to_string().replace(':', "-");
    let listed = match client.referrers(repository, digest).await? {
        Some(listed) => listed,
        // A registry without referrers lists has an index under a tag that is named after the digest.
        None => match client.manifest(repository, &tag).await? {
            Some(index) => {
                let references = Manifest::parse(&index.bytes).references.into_iter();
                let children = references.filter(|reference| reference.role == ReferenceRole::Child);
                children.map(|child| child.descriptor).collect()
            }
            None => Vec::new(),
        },
    };
    for descriptor in listed {
        let Some(digest) = descriptor.digest else { continue };
        let Some(manifest) = client.manifest(repository, &digest.to_string()).await? else { continue };
        found.push(Referrer { digest, artifact_type: artifact_type(&manifest.bytes) });
    }
    for ending in ["sig", "att", "sbom"] {
        if let Some(digest) = client.head_manifest(repository, &format!("{tag}.{ending}")).await? {
            found.push(Referrer { digest, artifact_type: ending.into() });
        }
    }
    Ok(found)
}

fn artifact_type(bytes: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
    let text = |pointer: &str| {
        value.pointer(pointer).and_then(serde_json::Value::as_str).filter(|text| !text.is_empty())
    };
    text("/artifactType").or_else(|| text("/config/mediaType")).unwrap_or_default().to_owned()
}
