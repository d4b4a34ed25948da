//! Another registry, asked over HTTP: under the same repository name, by digest.

use std::io;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::{Supply, SupplyError};
use crate::oci::Digest;
use crate::oci::manifest::MAX_BYTES;
use crate::registry::Client;

/// Most pieces of a blob that are buffered before they are written.
const BUFFERED_MAX: usize = 16;

/// Another registry.
#[derive(Debug)]
pub struct RegistrySupply {
    name: String,
    client: Arc<Client>,
    runtime: Handle,
}

impl RegistrySupply {
    /// Takes a client, and the runtime that its requests run on. Methods block, so they must not be called on that runtime.
    pub fn new(client: Client, runtime: Handle) -> Self {
        Self { name: client.address(), client: Arc::new(client), runtime }
    }

    fn error(&self, why: impl std::fmt::Display) -> SupplyError {
        SupplyError { name: self.name.clone(), why: why.to_string() }
    }
}

impl Supply for RegistrySupply {
    fn name(&self) -> &str {
        &self.name
    }

    fn manifest(&self, repository: &str, digest: &Digest) -> Result<Option<Vec<u8>>, SupplyError> {
        let reference = digest.to_string();
        let asked = self.client.manifest(repository, &reference);
        let found = self.runtime.block_on(asked).map_err(|error| self.error(error))?;
        let is_small_enough = |bytes: &Vec<u8>| bytes.len() as u64 <= MAX_BYTES;
        Ok(found.map(|found| found.bytes).filter(is_small_enough))
    }

    fn size(&self, repository: &str, digest: &Digest) -> Result<Option<u64>, SupplyError> {
        let asked = self.client.head_blob(repository, digest);
        let found = self.runtime.block_on(asked).map_err(|error| self.error(error))?;
        // A missing size is unknown, not 0.
        let no_size = || self.error(format!("{digest}: it does not tell the size of this config or layer"));
        found.map(|size| size.ok_or_else(no_size)).transpose()
    }

    fn fetch(
        &self,
        repository: &str,
        digest: &Digest,
        into: &mut dyn io::Write,
    ) -> Result<Option<u64>, SupplyError> {
        let (sink, mut pieces) = mpsc::channel(BUFFERED_MAX);
        let (client, name, wanted) = (Arc::clone(&self.client), repository.to_owned(), *digest);
        let asked = self.runtime.spawn(async move { client.stream_blob(&name, &wanted, sink).await });
        let mut written = Ok(());
        while let Some(piece) = pieces.blocking_recv() {
            written = into.write_all(&piece);
            if written.is_err() {
                break;
            }
        }
        drop(pieces);
        let answer = self.runtime.block_on(asked).map_err(|error| self.error(error))?;
        written.map_err(|error| self.error(error))?;
        match answer.map_err(|error| self.error(error))? {
            Some((_, bytes)) => Ok(Some(bytes)),
            // It is no config or layer there, so it may be a manifest, which has another endpoint.
            None => {
                let Some(bytes) = self.manifest(repository, digest)? else { return Ok(None) };
                into.write_all(&bytes).map_err(|error| self.error(error))?;
                Ok(Some(bytes.len() as u64))
            }
        }
    }
}
