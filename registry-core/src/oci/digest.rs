//! Content digests: parsing, printing, computing. [`crate::path`] knows where a digest's blob lies on disk.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

/// A hash algorithm that a registry accepts in a digest (`algorithm.go` of opencontainers/go-digest v1.0.0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256: a registry stores every blob under this one.
    Sha256,
    /// SHA-384: legal in a reference, never used for storage.
    Sha384,
    /// SHA-512: legal in a reference, stored as an alias of a SHA-256 digest.
    Sha512,
}

impl Algorithm {
    /// Every algorithm, in the order of their names.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// The name before the colon.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// Length of the hash in bytes; its hexadecimal form has twice as many characters.
    pub(crate) const fn hash_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The algorithm of that name, if a registry knows it.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// The digest of some bytes: an algorithm and its hash.
///
/// Ordered as its text is ordered. 65 bytes; a graph interns digests instead of holding many of these.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    /// The hash, padded with zeros.
    bytes: [u8; 64],
}

/// Why a text is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseDigestError {
    /// No `algorithm:hex` shape.
    #[error("not of the form <algorithm>:<hex>")]
    Format,
    /// The algorithm is none that a registry knows.
    #[error("unknown digest algorithm (sha256, sha384 and sha512 are known)")]
    Algorithm,
    /// The hexadecimal part has the wrong length, or characters other than `0-9a-f`.
    #[error("the hash is not exactly {0} lower-case hexadecimal characters")]
    Hex(usize),
}

impl Digest {
    /// Computes the digest of `bytes`.
    pub fn hash(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// Makes a digest from a hash. `None` when the length is not the algorithm's.
    pub fn from_bytes(algorithm: Algorithm, hash: &[u8]) -> Option<Self> {
        if hash.len() != algorithm.hash_len() {
            return None;
        }
        let mut bytes = [0; 64];
        bytes[..hash.len()].copy_from_slice(hash);
        Some(Self { algorithm, bytes })
    }

    /// Makes a SHA-256 digest from its hash.
    pub const fn from_sha256(hash: [u8; 32]) -> Self {
        let mut bytes = [0; 64];
        let (head, _) = bytes.split_at_mut(32);
        head.copy_from_slice(&hash);
        Self { algorithm: Algorithm::Sha256, bytes }
    }

    /// Parses the part after the colon.
    ///
    /// # Errors
    /// When the text is not exactly the algorithm's number of lower-case hexadecimal characters.
    pub fn from_hex(algorithm: Algorithm, hex: &str) -> Result<Self, ParseDigestError> {
        let error = ParseDigestError::Hex(algorithm.hash_len() * 2);
        let hex = hex.as_bytes();
        if hex.len() != algorithm.hash_len() * 2 {
            return Err(error);
        }
        let mut bytes = [0; 64];
        // No early return, as a scan parses every folder name of a tree here and almost all are valid.
        let mut seen_bits = 0;
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            let (high, low) = (NIBBLES[usize::from(pair[0])], NIBBLES[usize::from(pair[1])]);
            seen_bits |= high | low;
            *byte = high << 4 | low & 15;
        }
        if seen_bits > 15 { Err(error) } else { Ok(Self { algorithm, bytes }) }
    }

    /// The algorithm before the colon.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hash: 32, 48 or 64 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.hash_len()]
    }

    /// The part after the colon.
    pub fn hex(&self) -> String {
        let mut text = String::with_capacity(self.algorithm.hash_len() * 2);
        self.push_hex(&mut text);
        text
    }

    /// Appends the part after the colon to `text`, without another allocation.
    pub(crate) fn push_hex(&self, text: &mut String) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for byte in self.as_bytes() {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

/// The value of each lower-case hexadecimal character; 255 for every other byte.
const NIBBLES: [u8; 256] = {
    let mut table = [255; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    table
};

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (algorithm, hex) = text.split_once(':').ok_or(ParseDigestError::Format)?;
        let algorithm = Algorithm::from_name(algorithm).ok_or(ParseDigestError::Algorithm)?;
        Self::from_hex(algorithm, hex)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(8 + self.algorithm.hash_len() * 2);
        text.push_str(self.algorithm.name());
        text.push(':');
        self.push_hex(&mut text);
        out.pad(&text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Computes a digest incrementally.
#[derive(Debug, Clone)]
pub(crate) struct Hasher(HashState);

#[derive(Debug, Clone)]
enum HashState {
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// Starts a hash.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => HashState::Sha256(sha2::Sha256::new()),
            Algorithm::Sha384 => HashState::Sha384(sha2::Sha384::new()),
            Algorithm::Sha512 => HashState::Sha512(sha2::Sha512::new()),
        })
    }

    /// Appends bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            HashState::Sha256(state) => state.update(bytes),
            HashState::Sha384(state) => state.update(bytes),
            HashState::Sha512(state) => state.update(bytes),
        }
    }

    /// Returns the digest of all bytes.
    pub fn finish(self) -> Digest {
        let digest = |algorithm, hash: &[u8]| {
            let mut bytes = [0; 64];
            bytes[..hash.len()].copy_from_slice(hash);
            Digest { algorithm, bytes }
        };
        match self.0 {
            HashState::Sha256(state) => digest(Algorithm::Sha256, &state.finalize()),
            HashState::Sha384(state) => digest(Algorithm::Sha384, &state.finalize()),
            HashState::Sha512(state) => digest(Algorithm::Sha512, &state.finalize()),
        }
    }
}

/// Hashes what is written; never fails.
impl std::io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn empty_bytes_have_the_known_digest() {
        let digest = Digest::hash(Algorithm::Sha256, b"");
        assert_eq!(
            digest.to_string(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn parser_refuses_what_is_almost_a_digest() {
        let good = Digest::hash(Algorithm::Sha256, b"x").to_string();
        for bad in [
            String::new(),
            "sha256".into(),
            "sha256:".into(),
            "md5:00".into(),
            good.to_uppercase(),
            good.replace("sha256", "SHA256"),
            good.to_ascii_uppercase().replace("SHA256", "sha256"),
            format!("{good}\n"),
            format!(" {good}"),
            format!("{good}0"),
            "sha256:../../../../etc/passwd".into(),
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad:?} was taken for a digest");
        }
    }

    #[test]
    fn errors_say_what_was_expected() {
        let render = |text: &str| text.parse::<Digest>().unwrap_err().to_string();
        insta::assert_snapshot!(render("latest"), @"not of the form <algorithm>:<hex>");
        insta::assert_snapshot!(render("md5:00"), @"unknown digest algorithm (sha256, sha384 and sha512 are known)");
        insta::assert_snapshot!(render("sha256:AB"), @"the hash is not exactly 64 lower-case hexadecimal characters");
    }

    proptest! {
        #[test]
        fn text_and_digest_round_trip(content: Vec<u8>, which in 0_usize..3) {
            let digest = Digest::hash(Algorithm::ALL[which], &content);
            prop_assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest));
            prop_assert_eq!(Digest::from_bytes(digest.algorithm(), digest.as_bytes()), Some(digest));
        }

        #[test]
        fn digests_are_ordered_as_their_text(a: Vec<u8>, b: Vec<u8>, x in 0_usize..3, y in 0_usize..3) {
            let (a, b) = (Digest::hash(Algorithm::ALL[x], &a), Digest::hash(Algorithm::ALL[y], &b));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn any_text_parses_or_is_refused(text: String) {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
            }
        }
    }
}
