//! Manifests by digest, and what rows named, kept in a folder from run to run. Neither ever changes, so what is kept is right
//! or not there: every file is hashed when it is read, and one that is wrong counts as absent.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::known_rows::KnownRows;
use super::source::Source;
use crate::oci::{Algorithm, Digest};
use crate::registry::Fetched;

/// Most bytes of a file that is read back.
const MAX_BYTES: u64 = 17 << 20;
/// Most bytes of a file of rows; one takes about 150.
const ROWS_MAX: u64 = 1 << 30;

/// A folder of manifests.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    /// Whether it held anything when it was opened.
    was_filled: bool,
    /// Tells files that are written at once apart.
    written: AtomicU64,
    /// Why the first file that could not be kept was not.
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
    pub(crate) const fn was_filled(&self) -> bool {
        self.was_filled
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.folder.join(digest.algorithm().name()).join(hex.get(..2).unwrap_or_default()).join(&hex)
    }

    /// Why something could not be kept, if anything could not.
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
        let media_type = fetched.media_type.replace(['\n', '\r'], " ");
        let check = Digest::of(Algorithm::Sha256, media_type.as_bytes());
        let head = format!("{media_type}\n{check}\n");
        self.replace(&self.path(&fetched.digest), &[head.as_bytes(), &fetched.bytes]);
    }

    /// What rows of a source named in earlier runs. A file that is not whole counts as none.
    pub(super) fn rows(&self, source: &Source) -> KnownRows {
        let read = || {
            let path = self.rows_path(source);
            let found = fs::symlink_metadata(&path).ok()?;
            let text =
                (found.is_file() && found.len() <= ROWS_MAX).then(|| fs::read_to_string(path).ok())??;
            KnownRows::read(&text, source)
        };
        read().unwrap_or_default()
    }

    /// Keeps what rows of a source name.
    pub(super) fn put_rows(&self, source: &Source, rows: &KnownRows) {
        self.replace(&self.rows_path(source), &[rows.text(source).as_bytes()]);
    }

    fn rows_path(&self, source: &Source) -> PathBuf {
        self.folder.join("rows").join(KnownRows::file_name(source))
    }

    /// Writes a file so that a reader sees the old one or the new one. Nothing is lost but time by one that cannot be
    /// written.
    fn replace(&self, path: &Path, parts: &[&[u8]]) {
        let write = || -> std::io::Result<()> {
            let folder = path.parent().unwrap_or(&self.folder);
            fs::create_dir_all(folder)?;
            let number = self.written.fetch_add(1, Ordering::Relaxed);
            let temporary = path.with_extension(format!("{}-{number}.new", std::process::id()));
            let fill = || {
                let mut file = fs::File::create(&temporary)?;
                parts.iter().try_for_each(|part| file.write_all(part))?;
                fs::rename(&temporary, path)
            };
            fill().inspect_err(|_| {
                // What is left of it is of no use; if it cannot be removed either, that is told by the first error.
                let _ = fs::remove_file(&temporary);
            })
        };
        if let Err(error) = write() {
            let _ = self.failure.set(format!("{}: {error}", path.display()));
        }
    }
}
