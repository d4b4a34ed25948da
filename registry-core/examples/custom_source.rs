//! Audits a registry that is not on disk: anything that can list folders and read files is a source. Here it is a map
//! from path to bytes, as an archive or the listing of a bucket would fill it.
//!
//! ```sh
//! cargo run --example custom_source
//! ```
#![expect(clippy::disallowed_macros, reason = "a program prints; the library does not")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use registry_core::audit::{Audit, AuditOptions, audit_tree};
use registry_core::storage::FolderResult as Result;
use registry_core::storage::{EntryKind, Folder, FolderError, SchedulerState, Stat, Tree};

/// Files by their path below `docker/registry/v2`.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A folder of an archive held in memory.
#[derive(Debug, Clone)]
pub struct Archive {
    files: Arc<Files>,
    at: PathBuf,
}

impl Archive {
    /// The outermost folder.
    pub fn new(files: Files) -> Self {
        Self { files: Arc::new(files), at: PathBuf::new() }
    }

    /// Paths that the library asks for consist of plain names; `.` alone stands for the folder itself.
    fn full(&self, path: &Path) -> PathBuf {
        let names = path.components().filter(|part| matches!(part, Component::Normal(_)));
        names.fold(self.at.clone(), |full, name| full.join(name))
    }

    fn file(&self, path: &Path) -> Result<(Stat, &[u8])> {
        let path = self.full(path);
        if let Some(bytes) = self.files.get(&path) {
            let stat =
                Stat { kind: EntryKind::File, size: bytes.len() as u64, modified: 0, subfolders: None };
            return Ok((stat, bytes));
        }
        // A folder is there when something lies below it.
        if self.below(&path).next().is_some() {
            return Ok((Stat { kind: EntryKind::Folder, size: 0, modified: 0, subfolders: None }, &[]));
        }
        // `NotFound` is the one answer that means "absent"; every other error makes things unknown, not missing.
        Err(FolderError::NotFound)
    }

    fn below<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = &'a Path> {
        let from = self.files.range(folder.to_path_buf()..).map(|(path, _)| path.as_path());
        from.take_while(move |path| path.starts_with(folder)).filter(move |path| *path != folder)
    }
}

impl Folder for Archive {
    fn open(&self, path: &Path) -> Result<Self> {
        match self.file(path)?.0.kind {
            EntryKind::Folder => Ok(Self { files: Arc::clone(&self.files), at: self.full(path) }),
            _ => Err(FolderError::NotAFolder),
        }
    }

    fn list(&mut self, each: &mut dyn FnMut(&OsStr, EntryKind)) -> Result<()> {
        let mut last = None;
        for path in self.below(&self.at) {
            let Ok(rest) = path.strip_prefix(&self.at) else { continue };
            let mut parts = rest.components();
            let name = parts.next().map(Component::as_os_str);
            let kind = if parts.next().is_some() { EntryKind::Folder } else { EntryKind::File };
            if let Some(name) = name.filter(|name| Some(*name) != last) {
                each(name, kind);
            }
            last = name;
        }
        Ok(())
    }

    fn stat(&self, path: &Path) -> Result<Stat> {
        Ok(self.file(path)?.0)
    }

    fn read(&self, path: &Path, limit: usize, into: &mut Vec<u8>) -> Result<Stat> {
        let (stat, bytes) = self.file(path)?;
        into.clear();
        into.extend(&bytes[..bytes.len().min(limit)]);
        Ok(stat)
    }

    fn stream(&self, path: &Path, _: &mut [u8], each: &mut dyn FnMut(&[u8])) -> Result<Stat> {
        let (stat, bytes) = self.file(path)?;
        each(bytes);
        Ok(stat)
    }
}

/// Audits what an archive holds, every byte of it.
///
/// # Errors
/// When no thread can be started.
pub fn audit_archive(files: Files) -> std::io::Result<Audit> {
    let tree = Tree::from_folder("archive", Archive::new(files), SchedulerState::Absent, 1)?;
    let options = AuditOptions { content: true, ..AuditOptions::new(Timestamp::now()) };
    Ok(audit_tree(&tree, &options))
}

fn main() -> std::io::Result<()> {
    // A tag whose manifest is nowhere.
    let digest = format!("sha256:{}", "0".repeat(64));
    let link = "repositories/team/app/_manifests/tags/v1/current/link";
    let audit = audit_archive(Files::from([(link.into(), digest.into_bytes())]))?;
    for finding in &audit.findings {
        println!("{} {}: {}", finding.severity, finding.code, finding.message);
    }
    Ok(())
}
