//! Repository names and tags, checked by the grammar of a registry
//! (`vendor/…/distribution/reference/regexp.go @ v3.1.1`).

use std::fmt;

use super::{Algorithm, Digest};

/// Longest repository name in characters, the slashes included.
const NAME_MAX: usize = 255;
/// Longest tag in characters.
const TAG_MAX: usize = 128;

/// Why a text is no repository name, or no tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The text is empty.
    #[error("the name is empty")]
    Empty,
    /// Over 255 (repository) or 128 (tag) characters.
    #[error("the name is longer than {0} characters")]
    TooLong(usize),
    /// A character or a sequence that the grammar refuses.
    #[error("the name holds characters that a registry refuses")]
    Grammar,
}

/// A legal repository name, such as `team/app`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName(Box<str>);

impl RepositoryName {
    /// Checks a name.
    ///
    /// Components are runs of `a-z0-9` joined by one `.`, one or two `_`, or any run of `-`. The first of several
    /// may also be a host name, which may hold upper case: `Foo/bar` is legal, `FOO` and `foo/Bar` are not.
    ///
    /// # Errors
    /// When a registry would refuse it.
    pub fn new(name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > NAME_MAX {
            return Err(NameError::TooLong(NAME_MAX));
        }
        let rest = name.split_once('/').filter(|(first, _)| is_host(first)).map_or(name, |(_, rest)| rest);
        if rest.split('/').all(is_component) { Ok(Self(name.into())) } else { Err(NameError::Grammar) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0)
    }
}

/// A legal tag, such as `v1.2`. `_layers` and `current` are legal too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Box<str>);

impl Tag {
    /// Checks a tag: a letter, digit or `_`, then up to 127 of these, `.` and `-`.
    ///
    /// # Errors
    /// When a registry would refuse it.
    pub fn new(tag: &str) -> Result<Self, NameError> {
        let mut bytes = tag.bytes();
        let Some(first) = bytes.next() else { return Err(NameError::Empty) };
        if tag.len() > TAG_MAX {
            return Err(NameError::TooLong(TAG_MAX));
        }
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if is_word(first) && bytes.all(|byte| is_word(byte) || byte == b'.' || byte == b'-') {
            Ok(Self(tag.into()))
        } else {
            Err(NameError::Grammar)
        }
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is a fallback or signature tag: `sha256-<64 hex>`, with or without `.sig`, `.att`, `.sbom`.
    pub(crate) fn is_named_after_digest(&self) -> bool {
        let stem =
            [".sig", ".att", ".sbom"].iter().find_map(|end| self.0.strip_suffix(end)).unwrap_or(&self.0);
        stem.strip_prefix("sha256-").is_some_and(|hex| Digest::from_hex(Algorithm::Sha256, hex).is_ok())
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0)
    }
}

/// Whether a text is one or more runs of `[A-Za-z0-9-]` that neither start nor end with `-`, joined by dots. A port is not
/// allowed: servers answer 500 to one in a repository name.
fn is_host(text: &str) -> bool {
    text.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

fn is_component(text: &str) -> bool {
    let is_alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_separator =
        |run: &[u8]| matches!(run, b"." | b"_" | b"__") || run.iter().all(|byte| *byte == b'-');
    let bytes = text.as_bytes();
    bytes.first().is_some_and(is_alphanumeric)
        && bytes.last().is_some_and(is_alphanumeric)
        && bytes
            .chunk_by(|a, b| is_alphanumeric(a) == is_alphanumeric(b))
            .all(|run| is_alphanumeric(&run[0]) || is_separator(run))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Observed with registry 2.8.2 and 3.1.1.
    #[test]
    fn repository_names_are_judged_as_servers_judge_them() {
        let component_of_255 = "a".repeat(255);
        let components_101 = ["a"; 101].join("/");
        for good in [
            "a",
            "0",
            "a/b/c",
            "Foo/bar",
            "my.host/x",
            "a__b",
            "a--b",
            "a.b",
            &component_of_255,
            &components_101,
        ] {
            assert!(RepositoryName::new(good).is_ok(), "{good} was refused");
        }
        let too_long = "a".repeat(256);
        for bad in [
            "",
            "FOO",
            "foo/Bar",
            "a___b",
            "a..b",
            "_x",
            "x_",
            "a/_layers",
            "a//b",
            "/a",
            "a/",
            "localhost:5000/x",
            "a b",
            "a\n",
            "ä",
            &too_long,
        ] {
            assert!(RepositoryName::new(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn tags_are_judged_as_servers_judge_them() {
        let longest = "t".repeat(128);
        for good in ["v1", "_", "_layers", "_manifests", "current", "1.0-rc.1", "A", &longest] {
            assert!(Tag::new(good).is_ok(), "{good} was refused");
        }
        let too_long = "t".repeat(129);
        for bad in ["", ".hidden", "-x", "a b", "a/b", "a\u{1b}[0m", &too_long] {
            assert!(Tag::new(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn fallback_and_signature_tags_are_recognised() {
        let stem = format!("sha256-{}", "0".repeat(64));
        let is_derived = |text: &str| Tag::new(text).unwrap().is_named_after_digest();
        assert!(
            is_derived(&stem) && is_derived(&format!("{stem}.sig")) && is_derived(&format!("{stem}.sbom"))
        );
        assert!(!is_derived("sha256-0") && !is_derived(&format!("{stem}.zip")) && !is_derived("latest"));
    }
}
