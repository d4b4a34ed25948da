//! Where missing bytes come from: another tree, or another registry. They are asked for by digest, and hashed before they are
//! stored.

#[cfg(feature = "remote")]
mod registry;
mod tree;

use std::io;

#[cfg(feature = "remote")]
pub use registry::RegistrySupply;
pub use tree::TreeSupply;

use crate::oci::Digest;

/// Why a supply gave no answer. What it was asked for is then unknown, not absent.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {why}")]
#[non_exhaustive]
pub struct SupplyError {
    /// The supply.
    pub name: String,
    /// What happened, as a lower-case fragment.
    pub why: String,
}

/// Where missing bytes come from.
pub trait Supply: Sync + std::fmt::Debug {
    /// Its path or address, without credentials.
    fn name(&self) -> &str;

    /// The bytes of a manifest, at most [`MAX_BYTES`](crate::oci::manifest::MAX_BYTES); `None` when it does not have them.
    ///
    /// # Errors
    /// When this is not known, or the supply has other bytes under the digest.
    fn manifest(&self, repository: &str, digest: &Digest) -> Result<Option<Vec<u8>>, SupplyError>;

    /// The size of a config or layer in bytes, without reading it; `None` when it does not have it.
    ///
    /// # Errors
    /// When this is not known.
    fn size(&self, repository: &str, digest: &Digest) -> Result<Option<u64>, SupplyError>;

    /// Writes the bytes of a manifest, config or layer, and returns their number; `None` when it does not have them. The bytes are
    /// not hashed.
    ///
    /// # Errors
    /// When they could not be read or written to their end; a part of them may be written.
    fn fetch(
        &self,
        repository: &str,
        digest: &Digest,
        into: &mut dyn io::Write,
    ) -> Result<Option<u64>, SupplyError>;
}
