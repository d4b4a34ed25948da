//! Bytes to manifest: bounds first, then Go's JSON, then what it is.

use super::{MAX_BYTES, Manifest, classify, json};

impl Manifest {
    /// Reads a manifest. Never fails: what is no manifest at all is [`Kind::Opaque`](super::Kind::Opaque) with a refused problem.
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
