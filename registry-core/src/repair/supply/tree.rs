//! Another tree on disk: a copy, a backup or a mirror. Only its `blobs/` is read, not its links.

use std::io;
use std::path::Path;

use super::{Supply, SupplyError};
use crate::oci::Digest;
use crate::oci::manifest::MAX_BYTES;
use crate::path::Place;
use crate::storage::{DiskFolder, EntryKind, Folder as _, FolderError, LocatedRegistry, OpenOptions, Tree};
use crate::text::escape_os;

/// Bytes read at once.
const BUFFER: usize = 256 << 10;

/// Another tree.
#[derive(Debug)]
pub struct TreeSupply {
    name: String,
    tree: Tree<DiskFolder>,
}

impl TreeSupply {
    /// Opens a tree. Symbolic links in it are not followed.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(located: &LocatedRegistry) -> io::Result<Self> {
        let tree = Tree::open(located, &OpenOptions { jobs: 1, ..OpenOptions::default() })?;
        Ok(Self { name: escape_os(located.name.as_os_str()), tree })
    }

    /// `Some` for a regular file, `None` when there is nothing or a folder, an error for anything else.
    fn expect_file<T>(
        &self,
        digest: &Digest,
        found: Result<(EntryKind, T), FolderError>,
    ) -> Result<Option<T>, SupplyError> {
        match found {
            Ok((EntryKind::File, value)) => Ok(Some(value)),
            Ok((EntryKind::Folder, _)) | Err(FolderError::NotFound | FolderError::NotAFolder) => Ok(None),
            Ok((other, _)) => Err(self.error(digest, other.describe())),
            Err(error) => Err(self.error(digest, error)),
        }
    }

    fn error(&self, digest: &Digest, why: impl std::fmt::Display) -> SupplyError {
        SupplyError { name: self.name.clone(), why: format!("{}: {why}", Place::BlobData(*digest)) }
    }
}

impl Supply for TreeSupply {
    fn name(&self) -> &str {
        &self.name
    }

    fn manifest(&self, _: &str, digest: &Digest) -> Result<Option<Vec<u8>>, SupplyError> {
        let (path, mut bytes) = (Place::BlobData(*digest).to_string(), Vec::new());
        let limit = usize::try_from(MAX_BYTES).unwrap_or(usize::MAX) + 1;
        let read = self.tree.v2.read(Path::new(&path), limit, &mut bytes).map(|stat| (stat.kind, ()));
        if self.expect_file(digest, read)?.is_none() || bytes.len() as u64 > MAX_BYTES {
            return Ok(None);
        }
        if Digest::hash(digest.algorithm(), &bytes) != *digest {
            return Err(self.error(digest, "it has other bytes than its digest says"));
        }
        Ok(Some(bytes))
    }

    fn size(&self, _: &str, digest: &Digest) -> Result<Option<u64>, SupplyError> {
        let path = Place::BlobData(*digest).to_string();
        self.expect_file(digest, self.tree.v2.stat(Path::new(&path)).map(|stat| (stat.kind, stat.size)))
    }

    fn fetch(&self, _: &str, digest: &Digest, into: &mut dyn io::Write) -> Result<Option<u64>, SupplyError> {
        let (path, mut buffer) = (Place::BlobData(*digest).to_string(), vec![0; BUFFER]);
        let (mut written, mut bytes) = (Ok(()), 0_u64);
        let read = self.tree.v2.stream(Path::new(&path), &mut buffer, &mut |piece| {
            if written.is_ok() {
                written = into.write_all(piece);
                bytes += piece.len() as u64;
            }
        });
        let found = self.expect_file(digest, read.map(|stat| (stat.kind, ())))?;
        written.map_err(|error| self.error(digest, error))?;
        Ok(found.map(|()| bytes))
    }
}
