//! Writes blobs, links and directories in the layout of registry:2, and counts them. The documents of images are in `image`.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The counts of what [`generate`](super::generate) wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// Files: blobs and links.
    pub files: u64,
    /// Directories, without the root directory.
    pub directories: u64,
    /// Bytes in all files.
    pub bytes: u64,
}

/// A tree that several threads are writing.
#[derive(Debug)]
pub(super) struct Store {
    v2: PathBuf,
    files: AtomicU64,
    directories: AtomicU64,
    bytes: AtomicU64,
}

/// A blob that has been written.
#[derive(Debug, Clone)]
pub(super) struct WrittenBlob {
    hex: String,
    size: u64,
}

/// A repository that one thread is writing.
#[derive(Debug)]
pub(super) struct WrittenRepository<'a> {
    store: &'a Store,
    root: PathBuf,
    pub(super) name: String,
}

impl Store {
    pub(super) fn create(root: &Path) -> io::Result<Self> {
        let store = Store {
            v2: root.join("docker/registry/v2"),
            files: AtomicU64::new(0),
            directories: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        };
        fs::create_dir_all(root).map_err(|error| error_at(root, &error))?;
        store.directory(&store.v2.join("blobs/sha256"))?;
        store.directory(&store.v2.join("repositories"))?;
        Ok(store)
    }

    pub(super) fn made(&self) -> Made {
        Made {
            files: self.files.load(Relaxed),
            directories: self.directories.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
        }
    }

    /// Writes a blob. A blob that exists already is refused, because [`Shape::files`](super::Shape::files) counts each once.
    pub(super) fn blob(&self, bytes: &[u8]) -> io::Result<WrittenBlob> {
        let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let dir = self.v2.join("blobs/sha256").join(&hex[..2]).join(&hex);
        if !self.directory(&dir)? {
            return Err(error_at(&dir, &ErrorKind::AlreadyExists.into()));
        }
        self.file(&dir.join("data"), bytes)?;
        Ok(WrittenBlob { hex, size: bytes.len() as u64 })
    }

    pub(super) fn document(&self, document: &Value) -> io::Result<WrittenBlob> {
        self.blob(document.to_string().as_bytes())
    }

    pub(super) fn repository(&self, name: String) -> io::Result<WrittenRepository<'_>> {
        let root = self.v2.join("repositories").join(&name);
        self.directory(&root.join("_layers/sha256"))?;
        self.directory(&root.join("_manifests/revisions/sha256"))?;
        self.directory(&root.join("_manifests/tags"))?;
        self.directory(&root.join("_uploads"))?;
        Ok(WrittenRepository { store: self, root, name })
    }

    /// Creates a directory and its parents; returns whether it was missing.
    fn directory(&self, dir: &Path) -> io::Result<bool> {
        match fs::create_dir(dir) {
            Ok(()) => {
                self.directories.fetch_add(1, Relaxed);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.directory(dir.parent().ok_or(error)?)?;
                self.directory(dir)
            }
            Err(error) => Err(error_at(dir, &error)),
        }
    }

    fn file(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        fs::write(path, bytes).map_err(|error| error_at(path, &error))?;
        self.files.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes.len() as u64, Relaxed);
        Ok(())
    }

    fn link(&self, dir: &Path, blob: &WrittenBlob) -> io::Result<()> {
        self.directory(dir)?;
        self.file(&dir.join("link"), blob.digest().as_bytes())
    }
}

impl WrittenBlob {
    pub(super) fn digest(&self) -> String {
        format!("sha256:{}", self.hex)
    }

    /// The digest without its algorithm.
    pub(super) fn hex(&self) -> &str {
        &self.hex
    }

    pub(super) fn descriptor(&self, media_type: &str) -> Value {
        json!({ "mediaType": media_type, "digest": self.digest(), "size": self.size })
    }
}

impl WrittenRepository<'_> {
    pub(super) fn store(&self) -> &Store {
        self.store
    }

    /// Links a layer or config to this repository.
    pub(super) fn link_layer(&self, blob: &WrittenBlob) -> io::Result<()> {
        self.store.link(&self.root.join("_layers/sha256").join(&blob.hex), blob)
    }

    /// Writes a manifest, and links it to this repository.
    pub(super) fn manifest(&self, document: &Value) -> io::Result<WrittenBlob> {
        let blob = self.store.document(document)?;
        self.store.link(&self.root.join("_manifests/revisions/sha256").join(&blob.hex), &blob)?;
        Ok(blob)
    }

    pub(super) fn tag(&self, tag: &str, manifest: &WrittenBlob) -> io::Result<()> {
        let dir = self.root.join("_manifests/tags").join(tag);
        self.store.directory(&dir)?;
        self.store.link(&dir.join("current"), manifest)?;
        self.store.link(&dir.join("index/sha256").join(&manifest.hex), manifest)
    }
}

fn error_at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
