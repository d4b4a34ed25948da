//! Any OCI registry as a source of retention. It has no push times and no row numbers, so images are ranked by their version or
//! build date, and a tag that moved is recognised by its digest. Deletion is in [`deletion`].

mod deletion;
mod memory;

use futures::StreamExt as _;

use super::server::{ListedRow, Listing, NoAnswer, Permission, Reader, WriteAccess};
use super::source::{Source, SourceKind};
use crate::oci::Digest;
use crate::registry::{Client, Error, Fetched, Removal};
use memory::Memory;

/// The largest config that is read, in bytes.
const CONFIG_MAX: usize = 8 << 20;

/// Reads a registry.
#[derive(Debug)]
pub struct RegistrySource {
    client: Client,
    /// What the deletions of this run found out; empty while nothing may be deleted.
    memory: Memory,
}

impl RegistrySource {
    /// A source that reads through a client.
    pub fn new(client: Client) -> Self {
        Self { client, memory: Memory::default() }
    }

    /// The client.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// This source, as plans name it.
    pub fn source(&self) -> Source {
        Source { kind: SourceKind::Registry, url: self.client.address(), owner: None, version: None }
    }

    /// Gives write access. Only a run that was told to delete calls this.
    pub fn arm(self) -> WriteAccess<Self> {
        WriteAccess::new(self)
    }

    /// Finds out whether these credentials may delete from a repository, by deleting a random digest that no manifest has.
    pub async fn preflight(&self, repository: &str) -> Permission {
        use std::hash::{BuildHasher as _, Hasher as _, RandomState};
        let random = [RandomState::new(), RandomState::new()].map(|state| state.build_hasher().finish());
        let absent =
            Digest::hash(crate::oci::Algorithm::Sha256, format!("{random:?} is no manifest").as_bytes());
        match self.client.delete_absent(repository, &absent).await {
            Ok(Removal::NotThere) => Permission::Granted,
            Ok(Removal::Unsupported) => Permission::Denied(
                "the registry deletes nothing (REGISTRY_STORAGE_DELETE_ENABLED is not set?)".into(),
            ),
            Ok(Removal::Deleted) => Permission::Unknown("it says that it deleted what cannot exist".into()),
            Err(Error::Refused { status, .. }) => {
                Permission::Denied(format!("the registry refuses a deletion with status {status}"))
            }
            Err(error) => Permission::Unknown(error.to_string()),
        }
    }
}

impl Reader for RegistrySource {
    async fn rows(&self, package: Option<&str>) -> Result<Listing, NoAnswer> {
        let repositories = match package {
            Some(package) => vec![package.to_owned()],
            None => self.client.catalog().await.map_err(NoAnswer::from)?,
        };
        let asked = futures::stream::iter(repositories).map(|name| async move {
            let tags = self.client.tags(&name).await?;
            Ok::<_, Error>((name, tags.unwrap_or_default()))
        });
        let mut rows = Vec::new();
        let mut answers = asked.buffered(self.client.in_flight());
        while let Some(answer) = answers.next().await {
            let (package, tags) = answer.map_err(NoAnswer::from)?;
            let row = |version| ListedRow { package: package.clone(), version, id: None, created_at: None };
            rows.extend(tags.into_iter().map(row));
        }
        Ok(rows.into())
    }

    async fn unlisted_packages(&self) -> Result<Vec<String>, NoAnswer> {
        // The rows are tags, and a repository may have manifests without a tag.
        self.client.catalog().await.map_err(NoAnswer::from)
    }

    async fn row(&self, package: &str, version: &str) -> Result<Option<ListedRow>, NoAnswer> {
        let found = self.manifest_digest(package, version).await?;
        let (package, version) = (package.to_owned(), version.to_owned());
        Ok(found.map(|_| ListedRow { package, version, id: None, created_at: None }))
    }

    async fn manifest(&self, package: &str, reference: &str) -> Result<Option<Fetched>, NoAnswer> {
        self.client.manifest_or_schema1(package, reference).await.map_err(NoAnswer::from)
    }

    async fn manifest_digest(&self, package: &str, reference: &str) -> Result<Option<Digest>, NoAnswer> {
        self.client.head_manifest(package, reference).await.map_err(NoAnswer::from)
    }

    async fn recorded_digest(&self, _: &str, _: &str) -> Result<Option<Digest>, NoAnswer> {
        Ok(None)
    }

    async fn config(&self, package: &str, digest: &Digest) -> Result<Option<Vec<u8>>, NoAnswer> {
        self.client.blob(package, digest, CONFIG_MAX).await.map_err(NoAnswer::from)
    }

    fn why_gave_up(&self) -> Option<String> {
        self.client.gave_up().map(|why| why.to_string())
    }
}
