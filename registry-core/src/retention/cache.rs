//! A folder that keeps manifests by digest, and the digests of rows, from run to run. Neither ever changes, so a file is right or
//! absent: every file is hashed when it is read, and a wrong one counts as absent.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::known_rows::KnownRows;
use super::source::Source;
use crate::oci::{Algorithm, Digest};
use crate::registry::Fetched;

/// The largest file of a manifest that is read, in bytes.
const MAX_BYTES: u64 = 17 << 20;
/// The largest file of rows that is read, in bytes; a row takes about 150.
const ROWS_MAX: u64 = 1 << 30;

/// A folder of manifests and rows.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    /// Whether the folder held anything when it was opened.
    was_filled: bool,
    /// Number of the next temporary file; files that are written at the same time get different names.
    next_number: AtomicU64,
    /// Why the first file that could not be written failed.
    failure: OnceLock<String>,
}

impl Cache {
    /// Opens a cache, and makes its folder if it is absent.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(folder: &Path) -> std::io::Result<Self> {
        fs::create_dir_all(folder)?;
        let was_filled = fs::read_dir(folder)?.next().is_some();
        Ok(Self {
            folder: folder.to_owned(),
            was_filled,
            next_number: AtomicU64::new(0),
            failure: OnceLock::new(),
        })
    }

    /// Whether the folder held anything when it was opened. Only then does it pay to ask a server for a digest before the
    /// manifest.
    pub(crate) const fn was_filled(&self) -> bool {
        self.was_filled
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.folder.join(digest.algorithm().name()).join(hex.get(..2).unwrap_or_default()).join(&hex)
    }

    /// Why a file could not be written, if that happened.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// A manifest from the cache. Its file holds the media type in the first line, the hash of that line in the second, then
    /// the bytes.
    pub fn get(&self, digest: &Digest) -> Option<Fetched> {
        let path = self.path(digest);
        let found = fs::symlink_metadata(&path).ok()?;
        if !found.is_file() || found.len() > MAX_BYTES {
            return None;
        }
        let file = fs::read(path).ok()?;
        let mut parts = file.splitn(3, |byte| *byte == b'\n');
        let (media_type, check, bytes) = (parts.next()?, parts.next()?, parts.next()?);
        if check != Digest::hash(Algorithm::Sha256, media_type).to_string().as_bytes() {
            return None;
        }
        let media_type = std::str::from_utf8(media_type).ok()?;
        (Digest::hash(digest.algorithm(), bytes) == *digest).then(|| Fetched {
            digest: *digest,
            media_type: media_type.to_owned(),
            bytes: bytes.to_vec(),
        })
    }

    /// Keeps a manifest. If it cannot be written, the next run reads it from the server again.
    pub fn put(&self, fetched: &Fetched) {
        let media_type = fetched.media_type.replace(['\n', '\r'], " ");
        let check = Digest::hash(Algorithm::Sha256, media_type.as_bytes());
        let head = format!("{media_type}\n{check}\n");
        self.replace(&self.path(&fetched.digest), &[head.as_bytes(), &fetched.bytes]);
    }

    /// The digests that rows of a source had in earlier runs; none when the file is damaged.
    pub(super) fn rows(&self, source: &Source) -> KnownRows {
        let read = || {
            let path = self.rows_path(source);
            let found = fs::symlink_metadata(&path).ok()?;
            if !found.is_file() || found.len() > ROWS_MAX {
                return None;
            }
            KnownRows::read(&fs::read_to_string(path).ok()?, source)
        };
        read().unwrap_or_default()
    }

    /// Keeps the digests of a source's rows.
    pub(super) fn put_rows(&self, source: &Source, rows: &KnownRows) {
        self.replace(&self.rows_path(source), &[rows.text(source).as_bytes()]);
    }

    fn rows_path(&self, source: &Source) -> PathBuf {
        self.folder.join("rows").join(KnownRows::file_name(source))
    }

    /// Writes a file so that a reader sees either the old or the new one. A failure costs only time: the first is recorded.
    fn replace(&self, path: &Path, parts: &[&[u8]]) {
        let write = || -> std::io::Result<()> {
            let folder = path.parent().unwrap_or(&self.folder);
            fs::create_dir_all(folder)?;
            let number = self.next_number.fetch_add(1, Ordering::Relaxed);
            let temporary = path.with_extension(format!("{}-{number}.new", std::process::id()));
            let fill = || {
                let mut file = fs::File::create(&temporary)?;
                parts.iter().try_for_each(|part| file.write_all(part))?;
                fs::rename(&temporary, path)
            };
            fill().inspect_err(|_| {
                // The first error is reported; that the remains could not be removed either adds nothing.
                let _ = fs::remove_file(&temporary);
            })
        };
        if let Err(error) = write() {
            let _ = self.failure.set(format!("{}: {error}", path.display()));
        }
    }
}
