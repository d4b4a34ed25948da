//! Any OCI registry as a source of retention. It tells no push times and numbers no rows, so images are ranked by what they
//! are, and a tag that moved is told by its digest.

use futures::StreamExt as _;

use super::client::{Client, Removal};
use super::error::Error;
use crate::oci::Digest;
use crate::retention::server::{
    Armed, DeleteError, Deleted, Doomed, Fetched, Listed, Permission, Reader, Unanswered, Writer,
};

/// Most bytes of a config.
const CONFIG_MAX: usize = 8 << 20;

/// Reads a registry.
#[derive(Debug)]
pub struct RegistrySource {
    client: Client,
}

impl RegistrySource {
    /// A source that asks through a client.
    pub const fn new(client: Client) -> Self {
        Self { client }
    }

    /// The client.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Allows changes. Only a run that was told to delete calls this.
    pub const fn arm(self) -> Armed<Self> {
        Armed::new(self)
    }

    /// Asks whether these credentials may delete, by deleting a digest that nothing has.
    pub async fn preflight(&self, repository: Option<&str>) -> Permission {
        let Some(repository) = repository else {
            return Permission::Unknown("there is no repository to ask about".into());
        };
        use std::hash::{BuildHasher as _, Hasher as _, RandomState};
        let chance = [RandomState::new(), RandomState::new()].map(|state| state.build_hasher().finish());
        let nothing =
            Digest::of(crate::oci::Algorithm::Sha256, format!("{chance:?} is no manifest").as_bytes());
        match self.client.delete_manifest(repository, &nothing.to_string()).await {
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
    async fn rows(&self, package: Option<&str>) -> Result<Vec<Listed>, Unanswered> {
        let repositories = match package {
            Some(one) => vec![one.to_owned()],
            None => self.client.catalog().await.map_err(Unanswered::from)?,
        };
        let asked = futures::stream::iter(repositories).map(|name| async move {
            let tags = self.client.tags(&name).await?;
            Ok::<_, Error>((name, tags.unwrap_or_default()))
        });
        let mut rows = Vec::new();
        let mut answers = asked.buffered(self.client.in_flight());
        while let Some(answer) = answers.next().await {
            let (package, tags) = answer.map_err(Unanswered::from)?;
            let row = |version| Listed { package: package.clone(), version, id: None, created_at: None };
            rows.extend(tags.into_iter().map(row));
        }
        Ok(rows)
    }

    async fn row(&self, package: &str, version: &str) -> Result<Option<Listed>, Unanswered> {
        let found = self.head(package, version).await?;
        let (package, version) = (package.to_owned(), version.to_owned());
        Ok(found.map(|_| Listed { package, version, id: None, created_at: None }))
    }

    async fn manifest(&self, package: &str, reference: &str) -> Result<Option<Fetched>, Unanswered> {
        self.client.manifest(package, reference).await.map_err(Unanswered::from)
    }

    async fn head(&self, package: &str, reference: &str) -> Result<Option<Digest>, Unanswered> {
        self.client.head_manifest(package, reference).await.map_err(Unanswered::from)
    }

    async fn recorded_digest(&self, _: &str, _: &str) -> Result<Option<Digest>, Unanswered> {
        Ok(None)
    }

    async fn config(&self, package: &str, digest: &Digest) -> Result<Option<Vec<u8>>, Unanswered> {
        self.client.blob(package, digest, CONFIG_MAX).await.map_err(Unanswered::from)
    }
}

impl Armed<RegistrySource> {
    /// Whether every tag that names a manifest is to go; read right before it is deleted by digest, which takes them all.
    async fn goes_whole(&self, doomed: &Doomed<'_>) -> Result<(), DeleteError> {
        let failed = |why: String| DeleteError::Failed(why);
        let client = &self.reader().client;
        let tags = client.tags(doomed.package).await.map_err(|error| failed(error.to_string()))?;
        for tag in tags.unwrap_or_default() {
            if doomed.together.contains(&tag.as_str()) {
                continue;
            }
            let now = client.head_manifest(doomed.package, &tag).await;
            if now.map_err(|error| failed(error.to_string()))? == Some(doomed.digest) {
                return Err(failed(format!(
                    "tag {tag} names it too, and the registry deletes by digest only"
                )));
            }
        }
        Ok(())
    }
}

impl Writer for Armed<RegistrySource> {
    async fn delete(&self, doomed: &Doomed<'_>) -> Result<Deleted, DeleteError> {
        let client = &self.reader().client;
        let failed = |error: Error| match error {
            Error::Refused { .. } => DeleteError::Forbidden(error.to_string()),
            error => DeleteError::Failed(error.to_string()),
        };
        let mut done = client.delete_manifest(doomed.package, doomed.version).await.map_err(failed)?;
        if done == Removal::Unsupported && !doomed.version.contains(':') {
            self.goes_whole(doomed).await?;
            let digest = doomed.digest.to_string();
            done = client.delete_manifest(doomed.package, &digest).await.map_err(failed)?;
        }
        match done {
            Removal::Deleted => Ok(Deleted::Now),
            Removal::NotThere => Ok(Deleted::Before),
            Removal::Unsupported => Err(DeleteError::Forbidden("the registry deletes nothing".into())),
        }
    }

    async fn put(
        &self,
        package: &str,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<(), Unanswered> {
        self.reader()
            .client
            .put_manifest(package, reference, media_type, bytes)
            .await
            .map_err(Unanswered::from)
    }
}
