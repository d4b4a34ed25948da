//! Parses the bytes of link files.

use crate::oci::Digest;

/// Why a link file names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LinkFault {
    /// 0 bytes: an interrupted write.
    Empty,
    /// A digest with other bytes around it, such as a newline.
    Padded,
    /// Other bytes, or more than [`LINK_MAX`].
    NoDigest,
    /// A folder is in the place of the file, or a file in the place of its folder.
    NoFile,
}

impl LinkFault {
    /// The fault as a lower-case fragment that follows "the link".
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Empty => "is empty (0 bytes)",
            Self::Padded => "has bytes beside the digest",
            Self::NoDigest => "holds no digest",
            Self::NoFile => "is no file",
        }
    }
}

/// The content of a link file. `K` is a digest, or its number in a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link<K> {
    /// There is no such file.
    Absent,
    /// It names this digest.
    Names(K),
    /// It names nothing: the server answers 500.
    Invalid(LinkFault),
    /// It could not be read, so its content is unknown.
    Unread,
}

impl<K: Copy> Link<K> {
    /// The digest that it names.
    pub const fn target(self) -> Option<K> {
        if let Self::Names(digest) = self { Some(digest) } else { None }
    }

    /// Why a file that was read names nothing.
    pub const fn fault(self) -> Option<LinkFault> {
        if let Self::Invalid(fault) = self { Some(fault) } else { None }
    }
}

/// Most bytes of a link: a longer file is none. The longest digest has 135.
pub const LINK_MAX: usize = 256;

/// Parses a link file. `bytes` is the whole file, or at least its first [`LINK_MAX`] + 1 bytes.
///
/// # Errors
/// When the file is not exactly a digest, as the server requires (`registry/storage/linkedblobstore.go @ v2.8.3`).
pub fn read_link(bytes: &[u8]) -> Result<Digest, LinkFault> {
    if bytes.is_empty() {
        return Err(LinkFault::Empty);
    }
    if bytes.len() > LINK_MAX {
        return Err(LinkFault::NoDigest);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| LinkFault::NoDigest)?;
    text.parse().map_err(|_| {
        if text.trim().parse::<Digest>().is_ok() { LinkFault::Padded } else { LinkFault::NoDigest }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;
    use proptest::prelude::*;

    #[test]
    fn only_the_bare_digest_is_a_link() {
        let digest = Digest::hash(Algorithm::Sha256, b"");
        assert_eq!(read_link(digest.to_string().as_bytes()), Ok(digest));
        assert_eq!(read_link(b""), Err(LinkFault::Empty));
        assert_eq!(read_link(format!("{digest}\n").as_bytes()), Err(LinkFault::Padded));
        assert_eq!(read_link(b"latest"), Err(LinkFault::NoDigest));
        assert_eq!(read_link(&[0xFF; 71]), Err(LinkFault::NoDigest));
        assert_eq!(read_link(&[b' '; LINK_MAX + 1]), Err(LinkFault::NoDigest));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_link_or_a_fault(bytes: Vec<u8>) {
            if let Ok(digest) = read_link(&bytes) {
                prop_assert_eq!(digest.to_string().into_bytes(), bytes);
            }
        }
    }
}
