//! Why a package is skipped: something in it is unknown, so nothing can be decided about it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::package::Loss;
use crate::oci::Digest;

/// Why nothing is decided about a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "code", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Skip {
    /// Its listing could not be read.
    UnreadListing {
        /// What the source answered.
        error: String,
    },
    /// What a listed tag names could not be found out. The policy may name tags that are lost for good.
    TagWithoutDigest {
        /// The tag.
        tag: String,
    },
    /// The manifest of a listed tag is not there. The policy may name tags that are lost for good.
    TagWithoutManifest {
        /// The tag.
        tag: String,
        /// What is lost.
        lost: Loss,
    },
    /// A manifest could not be read, and may need any other.
    UnreadManifest {
        /// The manifest.
        digest: Digest,
        /// What the source answered.
        error: String,
    },
    /// Nobody asked for a manifest that is listed, or that another needs.
    UnaskedManifest {
        /// The manifest.
        digest: Digest,
        /// Whether it is listed.
        is_listed: bool,
    },
}

impl fmt::Display for Skip {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnreadListing { error } => out.write_str(error),
            Self::TagWithoutDigest { tag } => {
                write!(out, "tag {tag} is listed, and what it names is not known")
            }
            Self::TagWithoutManifest { tag, lost: Loss::Manifest } => {
                write!(out, "tag {tag} is listed and its manifest answers 404")
            }
            Self::TagWithoutManifest { tag, lost } => {
                write!(out, "tag {tag} is listed and its manifest {lost}")
            }
            Self::UnreadManifest { digest, error } => {
                write!(out, "manifest {digest} could not be read: {error}")
            }
            Self::UnaskedManifest { digest, is_listed: true } => {
                write!(out, "manifest {digest} is listed and was not read")
            }
            Self::UnaskedManifest { digest, is_listed: false } => {
                write!(out, "manifest {digest} was not read")
            }
        }
    }
}
