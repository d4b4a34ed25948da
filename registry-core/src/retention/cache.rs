//! Manifests by digest, kept in a folder from run to run. A manifest never changes, so what is kept is right or not there:
//! every file is hashed when it is read, and one that is wrong counts as absent.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::server::Fetched;
use crate::oci::Digest;

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
}

impl Cache {
    /// Opens a cache, and makes its folder.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(folder: &Path) -> std::io::Result<Self> {
        fs::create_dir_all(folder)?;
        let was_filled = fs::read_dir(folder)?.next().is_some();
        Ok(Self { folder: folder.to_owned(), was_filled, written: AtomicU64::new(0) })
    }

    /// Whether it held anything when it was opened; asking for a digest first pays only then.
    pub const fn was_filled(&self) -> bool {
        self.was_filled
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.folder.join(digest.algorithm().name()).join(hex.get(..2).unwrap_or_default()).join(&hex)
    }

    /// A manifest that was kept: its media type in the first line of the file, then its bytes.
    pub fn get(&self, digest: &Digest) -> Option<Fetched> {
        let path = self.path(digest);
        if fs::symlink_metadata(&path).ok()?.len() > MAX_BYTES {
            return None;
        }
        let file = fs::read(path).ok()?;
        let end = file.iter().position(|byte| *byte == b'\n')?;
        let (media_type, bytes) = (std::str::from_utf8(&file[..end]).ok()?, &file[end + 1..]);
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
            let mut file = fs::File::create(&temporary)?;
            file.write_all(fetched.media_type.replace(['\n', '\r'], " ").as_bytes())?;
            file.write_all(b"\n")?;
            file.write_all(&fetched.bytes)?;
            fs::rename(&temporary, &path)
        };
        // Nothing is lost by a cache that does not work but time.
        let _ = write();
    }
}
