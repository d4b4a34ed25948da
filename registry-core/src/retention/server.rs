//! What retention asks of a server, and what it may change there. Reading and writing are two traits: code that plans holds a
//! reader, which has no way to delete.

use std::future::Future;

use jiff::Timestamp;

use crate::Stop;
use crate::oci::Digest;
use crate::registry::{Error, Fetched};

/// A row of a listing, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRow {
    /// The package, without the owner.
    pub package: String,
    /// The tag, or the digest.
    pub version: String,
    /// The server's number for this row.
    pub id: Option<u64>,
    /// When it was pushed.
    pub created_at: Option<Timestamp>,
}

/// What a server lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// The rows, in any order.
    pub rows: Vec<ListedRow>,
    /// Packages with versions that the server cannot list. The versions that it does list are among the rows.
    pub incomplete: Vec<IncompletePackage>,
}

impl From<Vec<ListedRow>> for Listing {
    fn from(rows: Vec<ListedRow>) -> Self {
        Self { rows, incomplete: Vec::new() }
    }
}

/// A package whose listing is incomplete, so that nothing can be decided about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncompletePackage {
    /// The package, without the owner.
    pub package: String,
    /// What is missing in the listing, and what the operator can do, as a lower-case fragment.
    pub why: String,
}

/// Why a question got no answer. What was asked for is unknown, not absent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoAnswer {
    /// The registry did not answer.
    #[error(transparent)]
    Registry(#[from] Error),
    /// The source has no answer for another reason.
    #[error("{0}")]
    Other(String),
}

impl NoAnswer {
    /// The cause is no [`Error`] of a registry.
    pub fn new(why: impl Into<String>) -> Self {
        Self::Other(why.into())
    }
}

/// How a deletion ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeletionTime {
    /// The server deleted it, or may have: the answer to a request of this run was lost.
    Now,
    /// It was gone before this run asked.
    Before,
}

/// Why something was not deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeleteError {
    /// These credentials may not delete, so no other deletion need be tried.
    Forbidden(String),
    /// It may or may not have been deleted.
    Failed(String),
}

/// A row to delete.
#[derive(Debug, Clone, Copy)]
pub struct PlannedDeletion<'a> {
    /// The package.
    pub package: &'a str,
    /// The tag, or the digest.
    pub version: &'a str,
    /// The server's number for the row, as it was planned.
    pub id: Option<u64>,
    /// The manifest that it names.
    pub digest: Digest,
    /// All rows of this manifest that are to be deleted, this one included.
    pub rows_of_manifest: &'a [&'a str],
}

/// Whether these credentials may delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    /// They may.
    Granted,
    /// They may not, and why.
    Denied(String),
    /// It could not be found out, and why.
    Unknown(String),
}

/// Reads a server. `None` means absent; an error means unknown.
pub trait Reader: Sync {
    /// Rows of all packages, or of one.
    fn rows(&self, package: Option<&str>) -> impl Future<Output = Result<Listing, NoAnswer>> + Send;

    /// Names of packages that may hold manifests although the listing has no row of them.
    fn unlisted_packages(&self) -> impl Future<Output = Result<Vec<String>, NoAnswer>> + Send;

    /// One row as it is now.
    fn row(
        &self,
        package: &str,
        version: &str,
    ) -> impl Future<Output = Result<Option<ListedRow>, NoAnswer>> + Send;

    /// A manifest, by tag or by digest. Its bytes hash to its digest, except for schema 1, which some servers sign anew at each
    /// answer.
    fn manifest(
        &self,
        package: &str,
        reference: &str,
    ) -> impl Future<Output = Result<Option<Fetched>, NoAnswer>> + Send;

    /// The digest of a manifest, by tag or by digest, without downloading the manifest.
    fn manifest_digest(
        &self,
        package: &str,
        reference: &str,
    ) -> impl Future<Output = Result<Option<Digest>, NoAnswer>> + Send;

    /// The digest of a row from the server's own records, which do not need the manifest. `None` where a server has no such
    /// records.
    fn recorded_digest(
        &self,
        package: &str,
        version: &str,
    ) -> impl Future<Output = Result<Option<Digest>, NoAnswer>> + Send;

    /// The bytes of an image's config.
    fn config(
        &self,
        package: &str,
        digest: &Digest,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, NoAnswer>> + Send;

    /// Why the run gave up on this server and asks it nothing more, if it did.
    fn why_gave_up(&self) -> Option<String> {
        None
    }
}

/// Changes a server. Only a run that was told to delete makes one.
pub trait Writer: Reader {
    /// Deletes one row. Before another attempt the row is read again.
    fn delete(
        &self,
        planned: &PlannedDeletion<'_>,
    ) -> impl Future<Output = Result<DeletionTime, DeleteError>> + Send;

    /// Puts a manifest under a tag or its digest.
    fn put(
        &self,
        package: &str,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> impl Future<Output = Result<(), NoAnswer>> + Send;

    /// The handle through which this run may be asked to stop.
    fn stop(&self) -> Option<&Stop> {
        None
    }
}

/// A source that may be changed. It reads as the source in it does; each source implements [`Writer`] for itself.
#[derive(Debug)]
pub struct WriteAccess<R> {
    reader: R,
    stop: Option<Stop>,
}

impl<R> WriteAccess<R> {
    /// Arms a source. Only a run that was told to delete does this.
    pub const fn new(reader: R) -> Self {
        Self { reader, stop: None }
    }

    /// Sets the handle through which the run may be asked to stop: then the step under way is finished, and no other begins.
    #[must_use]
    pub fn stopped_by(self, stop: Stop) -> Self {
        Self { stop: Some(stop), ..self }
    }

    /// The handle through which the run may be asked to stop.
    pub(crate) const fn stop(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    /// The source in it.
    pub const fn reader(&self) -> &R {
        &self.reader
    }
}

impl<R: Reader + Send> Reader for WriteAccess<R> {
    async fn rows(&self, package: Option<&str>) -> Result<Listing, NoAnswer> {
        self.reader.rows(package).await
    }

    async fn unlisted_packages(&self) -> Result<Vec<String>, NoAnswer> {
        self.reader.unlisted_packages().await
    }

    async fn row(&self, package: &str, version: &str) -> Result<Option<ListedRow>, NoAnswer> {
        self.reader.row(package, version).await
    }

    async fn manifest(&self, package: &str, reference: &str) -> Result<Option<Fetched>, NoAnswer> {
        self.reader.manifest(package, reference).await
    }

    async fn manifest_digest(&self, package: &str, reference: &str) -> Result<Option<Digest>, NoAnswer> {
        self.reader.manifest_digest(package, reference).await
    }

    async fn recorded_digest(&self, package: &str, version: &str) -> Result<Option<Digest>, NoAnswer> {
        self.reader.recorded_digest(package, version).await
    }

    async fn config(&self, package: &str, digest: &Digest) -> Result<Option<Vec<u8>>, NoAnswer> {
        self.reader.config(package, digest).await
    }

    fn why_gave_up(&self) -> Option<String> {
        self.reader.why_gave_up()
    }
}
