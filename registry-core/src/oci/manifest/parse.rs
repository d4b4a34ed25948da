//! Parses the bytes of a manifest: checks their size, reads Go's JSON, then classifies the fields.

use super::{MAX_BYTES, Manifest, classify, json};

impl Manifest {
    /// Parses a manifest. Never fails: bytes that are no manifest give [`Kind::Opaque`](super::Kind::Opaque) and a
    /// [`Defect::Refused`](super::Defect::Refused).
    pub fn parse(bytes: &[u8]) -> Self {
        if bytes.len() as u64 > MAX_BYTES {
            return Self::refused(format!("larger than 4 MiB ({} bytes)", bytes.len()));
        }
        if bytes.is_empty() {
            return Self::refused("the file is empty (0 bytes)".into());
        }
        match json::read(bytes) {
            Ok((envelope, faults)) => classify::classify(envelope, faults),
            Err(message) => Self::refused(message),
        }
    }
}
