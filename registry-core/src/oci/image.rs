//! References of images as people write them: `host/owner/name:tag@sha256:…`, with or without a scheme in front. What a
//! reference leaves out is filled in as docker does. The grammar is that of `oci_spec::distribution::Reference`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use oci_spec::distribution::{ParseError, Reference};

use super::{Digest, ParseDigestError, RepositoryName, Tag};

/// An image: where it is, and what names it there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageReference {
    /// Host, with a port where one was given.
    pub host: String,
    /// Whether the text itself says `http://` or `https://`.
    pub scheme: Option<&'static str>,
    /// Repository on that host.
    pub repository: RepositoryName,
    /// The tag; `latest` where neither tag nor digest was given.
    pub tag: Option<Tag>,
    /// The digest.
    pub digest: Option<Digest>,
}

/// A text that is no reference of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseImageError {
    /// Of another transport than a registry.
    #[error("{0:?} is no transport of a registry; write host/owner/name:tag")]
    Transport(String),
    /// Not in the grammar of references, or without a name.
    #[error("{text:?} is no image: {why}; write host/owner/name:tag, the names in lower case")]
    Grammar {
        /// As given.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// A part is well formed, and this library takes no such.
    #[error("{text:?} is no image: {part:?} is not supported: {why}")]
    Part {
        /// As given.
        text: String,
        /// The repository, the tag or the digest.
        part: String,
        /// What is wrong with it.
        why: String,
    },
}

/// The registry that a reference without a host means.
const HUB: &str = "registry-1.docker.io";

impl FromStr for ImageReference {
    type Err = ParseImageError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let short = |text: &str| crate::text::escape(&text.chars().take(200).collect::<String>());
        let (scheme, rest) = match text.split_once("://") {
            None => (None, text),
            Some(("https", rest)) => (Some("https"), rest),
            Some(("http", rest)) => (Some("http"), rest),
            Some(("docker" | "docker-pullable" | "oci", rest)) => (None, rest),
            Some((other, _)) => return Err(ParseImageError::Transport(short(other))),
        };
        // Two hosts that the grammar does not take for one: what follows a scheme, and an IPv6 address.
        let (host, rest) = match rest.split_once('/') {
            Some((host, path)) if scheme.is_some() || host.starts_with('[') => {
                (Some(host), Cow::Owned(format!("localhost/{path}")))
            }
            None if scheme.is_some() => {
                return Err(ParseImageError::Grammar { text: short(text), why: "it has no name".into() });
            }
            _ => (None, Cow::Borrowed(rest)),
        };
        let reference: Reference = rest.parse().map_err(|error: ParseError| ParseImageError::Grammar {
            text: short(text),
            why: error.to_string(),
        })?;
        let bad = |part: &str, error: &dyn fmt::Display| ParseImageError::Part {
            text: short(text),
            part: short(part),
            why: error.to_string(),
        };
        let repository = reference.repository();
        let repository = RepositoryName::new(repository).map_err(|error| bad(repository, &error))?;
        let tag = reference.tag().map(|tag| Tag::new(tag).map_err(|error| bad(tag, &error))).transpose()?;
        let digest = reference.digest();
        let digest =
            digest.map(|digest| digest.parse().map_err(|error: ParseDigestError| bad(digest, &error)));
        let host = host.unwrap_or_else(|| reference.registry());
        let host = if matches!(host, "docker.io" | "index.docker.io") { HUB } else { host };
        Ok(Self { host: host.to_owned(), scheme, repository, tag, digest: digest.transpose()? })
    }
}

impl ImageReference {
    /// The address of its registry. Without a scheme of its own it is https, but on this very machine http.
    pub fn address(&self) -> String {
        let name = self.host.rsplit_once(':').map_or(&*self.host, |(name, _)| name);
        let is_here = name == "localhost" || name == "[::1]" || name.starts_with("127.");
        let scheme = self.scheme.unwrap_or(if is_here { "http" } else { "https" });
        format!("{scheme}://{}", self.host)
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(out, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(out, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_as_people_write_them() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let read = |text: &str| {
            let reference: ImageReference = text.parse().unwrap();
            format!("{} {reference}", reference.address()).replace(&digest, "sha256:ab…")
        };
        insta::assert_snapshot!(read("git.example.org/team/app:v1"), @"https://git.example.org git.example.org/team/app:v1");
        insta::assert_snapshot!(read(&format!("docker://git.example.org:3000/team/app:v1@{digest}")), @"https://git.example.org:3000 git.example.org:3000/team/app:v1@sha256:ab…");
        insta::assert_snapshot!(read(&format!("127.0.0.1:5000/app@{digest}")), @"http://127.0.0.1:5000 127.0.0.1:5000/app@sha256:ab…");
        insta::assert_snapshot!(read("[::1]:5000/app:v1"), @"http://[::1]:5000 [::1]:5000/app:v1");
        insta::assert_snapshot!(read("localhost/app"), @"http://localhost localhost/app:latest");
        insta::assert_snapshot!(read("http://registry/app"), @"http://registry registry/app:latest");
        insta::assert_snapshot!(read("alpine"), @"https://registry-1.docker.io registry-1.docker.io/library/alpine:latest");
        insta::assert_snapshot!(read("docker.io/grafana/loki:3"), @"https://registry-1.docker.io registry-1.docker.io/grafana/loki:3");
    }

    #[test]
    fn what_is_no_reference_is_told() {
        let error = |text: &str| text.parse::<ImageReference>().unwrap_err().to_string();
        insta::assert_snapshot!(error("dir://x/y"), @r#""dir" is no transport of a registry; write host/owner/name:tag"#);
        insta::assert_snapshot!(error("h.example/Team/App:v1"), @r#""h.example/Team/App:v1" is no image: invalid reference format; write host/owner/name:tag, the names in lower case"#);
        insta::assert_snapshot!(error("h.example/app:-v"), @r#""h.example/app:-v" is no image: invalid reference format; write host/owner/name:tag, the names in lower case"#);
        insta::assert_snapshot!(error("h.example/app@sha256:12"), @r#""h.example/app@sha256:12" is no image: invalid reference format; write host/owner/name:tag, the names in lower case"#);
        insta::assert_snapshot!(error(&format!("h.example/app@sha256:{}", "A".repeat(64))).replace(&"A".repeat(64), "A…"), @r#""h.example/app@sha256:A…" is no image: "sha256:A…" is not supported: the hash is not exactly 64 lower-case hexadecimal characters"#);
        insta::assert_snapshot!(error("http://registry"), @r#""http://registry" is no image: it has no name; write host/owner/name:tag, the names in lower case"#);
        insta::assert_snapshot!(error(""), @r#""" is no image: repository name must have at least one component; write host/owner/name:tag, the names in lower case"#);
    }
}
