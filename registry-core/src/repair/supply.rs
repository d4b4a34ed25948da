//! Placeholder, replaced at the merge.
use crate::oci::Digest;
/// Why a supply gave no answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SupplyError(pub String);
/// Where missing bytes come from.
pub trait Supply: Sync + std::fmt::Debug {
    /// Name.
    fn name(&self) -> &str;
    /// Manifest.
    ///
    /// # Errors
    /// e
    fn manifest(&self, repository: &str, digest: &Digest) -> Result<Option<Vec<u8>>, SupplyError>;
    /// Size.
    ///
    /// # Errors
    /// e
    fn size(&self, repository: &str, digest: &Digest) -> Result<Option<u64>, SupplyError>;
    /// Fetch.
    ///
    /// # Errors
    /// e
    fn fetch(
        &self,
        repository: &str,
        digest: &Digest,
        into: &mut dyn std::io::Write,
    ) -> Result<Option<u64>, SupplyError>;
}
