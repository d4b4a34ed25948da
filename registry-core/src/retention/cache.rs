//! Manifests by digest, kept in a folder from run to run. A manifest never changes, so what is kept is right or not there:
//! every file is hashed when it is read, and one that is wrong counts as absent.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::server::Fetched;
use crate::oci::{Algorithm, Digest};

/// Most bytes of a file that is read back.
const MAX_BYTES: u64 = 17 << 20;

/// A folder of manifests.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    /// Whether it held anything when it was opened.
    was_filled: bool,
    /// Tells files that are written at once apart.
    written: AtomicU64,
    /// Why the first manifest that could not be kept was not.
    failure: OnceLock<String>,
}

impl Cache {
    /// Opens a cache, and makes its folder.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(folder: &Path) -> std::io::Result<Self> {
        fs::create_dir_all(folder)?;
        let was_filled = fs::read_dir(folder)?.next().is_some();
        Ok(Self {
            folder: folder.to_owned(),
            was_filled,
            written: AtomicU64::new(0),
            failure: OnceLock::new(),
        })
    }

    /// Whether it held anything when it was opened; asking for a digest first pays only then.
    pub const fn was_filled(&self) -> bool {
        self.was_filled
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.folder.join(digest.algorithm().name()).join(hex.get(..2).unwrap_or_default()).join(&hex)
    }

    /// Why a manifest could not be kept, if one could not.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// A manifest that was kept: its media type in the first line of the file, what that hashes to in the second, then
    /// its bytes.
    pub fn get(&self, digest: &Digest) -> Option<Fetched> {
        let path = self.path(digest);
        let found = fs::symlink_metadata(&path).ok()?;
        if !found.is_file() || found.len() > MAX_BYTES {
            return None;
        }
        let file = fs::read(path).ok()?;
        let mut parts = file.splitn(3, |byte| *byte == b'\n');
        let (media_type, check, bytes) = (parts.next()?, parts.next()?, parts.next()?);
        if check != Digest::of(Algorithm::Sha256, media_type).to_string().as_bytes() {
            return None;
        }
        let media_type = std::str::from_utf8(media_type).ok()?;
        (Digest::of(digest.algorithm(), bytes) == *digest).then(|| Fetched {
            digest: *digest,
            media_type: media_type.to_owned(),
            bytes: bytes.to_vec(),
        })
    }

    /// Keeps a manifest. One that cannot be kept is read again next time.
    pub fn put(&self, fetched: &Fetched) {
        let path = self.path(&fetched.digest);
        let write = || -> std::io::Result<()> {
            let folder = path.parent().unwrap_or(&self.folder);
            fs::create_dir_all(folder)?;
            let number = self.written.fetch_add(1, Ordering::Relaxed);
            let temporary = path.with_extension(format!("{}-{number}.new", std::process::id()));
            let media_type = fetched.media_type.replace(['\n', '\r'], " ");
            let check = Digest::of(Algorithm::Sha256, media_type.as_bytes());
            let fill = || {
                let mut file = fs::File::create(&temporary)?;
                file.write_all(format!("{media_type}\n{check}\n").as_bytes())?;
                file.write_all(&fetched.bytes)?;
                fs::rename(&temporary, &path)
            };
            fill().inspect_err(|_| {
                // What is left of it is of no use; if it cannot be removed either, that is told by the first error.
                let _ = fs::remove_file(&temporary);
            })
        };
        // Nothing is lost by a cache that does not work but time.
        if let Err(error) = write() {
            let _ = self.failure.set(format!("{}: {error}", path.display()));
        }
    }
}
