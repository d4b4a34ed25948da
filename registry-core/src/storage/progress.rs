//! Progress of a scan: counters that another thread may read. The programs draw them.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// What a scan is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Reading tags and links.
    Repositories,
    /// Listing blobs.
    Blobs,
    /// Reading manifests.
    Manifests,
    /// Hashing the content of blobs.
    Content,
    /// Reading again what looks damaged.
    SecondLook,
}

impl Phase {
    const ALL: [Self; 5] =
        [Self::Repositories, Self::Blobs, Self::Manifests, Self::Content, Self::SecondLook];

    /// The phase as a lower-case fragment.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Repositories => "reading tags and links",
            Self::Blobs => "listing blobs",
            Self::Manifests => "reading manifests",
            Self::Content => "hashing content",
            Self::SecondLook => "looking again at damage",
        }
    }
}

/// Counters of a scan under way.
#[derive(Debug, Default)]
pub struct ScanProgress {
    files: AtomicU64,
    bytes: AtomicU64,
    bytes_total: AtomicU64,
    phase: AtomicU8,
}

impl ScanProgress {
    /// Files seen so far: links read and blobs found.
    pub fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    /// Bytes hashed so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes to hash in all; 0 while unknown.
    pub fn bytes_total(&self) -> u64 {
        self.bytes_total.load(Ordering::Relaxed)
    }

    /// The current phase.
    pub fn phase(&self) -> Phase {
        Phase::ALL.get(usize::from(self.phase.load(Ordering::Relaxed))).copied().unwrap_or(Phase::SecondLook)
    }

    pub(super) fn add_files(&self, count: usize) {
        self.files.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn add_bytes(&self, count: usize) {
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn expect_bytes(&self, count: u64) {
        self.bytes_total.store(count, Ordering::Relaxed);
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }
}
