//! References of images as people write them: `host/owner/name:tag@sha256:…`, with or without a scheme. Missing parts are filled
//! in as docker does. The grammar is that of `oci_spec::distribution::Reference`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use oci_spec::distribution::{ParseError, Reference};

use super::{Digest, ParseDigestError, RepositoryName, Tag};

/// An image: its registry, its repository, and a tag or digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageReference {
    /// Host, with the port if one was given.
    pub host: String,
    /// `http` or `https`, if the text names one.
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
    /// The transport is not that of a registry.
    #[error("{0:?} is no transport of a registry; write host/owner/name:tag")]
    Transport(String),
    /// It does not follow the grammar of references, or has no name.
    #[error("{text:?} is no image: {why}; write host/owner/name:tag, the names in lower case")]
    Grammar {
        /// As given.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// A part is well formed, but this library does not support it.
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

/// The host of Docker Hub, the registry of a reference without a host.
const DOCKER_HUB: &str = "registry-1.docker.io";

impl FromStr for ImageReference {
    type Err = ParseImageError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shorten = |text: &str| crate::text::escape(&text.chars().take(200).collect::<String>());
        let (scheme, rest) = match text.split_once("://") {
            None => (None, text),
            Some(("https", rest)) => (Some("https"), rest),
            Some(("http", rest)) => (Some("http"), rest),
            Some(("docker" | "docker-pullable" | "oci", rest)) => (None, rest),
            Some((other, _)) => return Err(ParseImageError::Transport(shorten(other))),
        };
        // The grammar does not recognise every host after a scheme, and no IPv6 address. Parse `localhost` in their place.
        let (host, rest) = match rest.split_once('/') {
            Some((host, path)) if scheme.is_some() || host.starts_with('[') => {
                (Some(host), Cow::Owned(format!("localhost/{path}")))
            }
            None if scheme.is_some() => {
                return Err(ParseImageError::Grammar { text: shorten(text), why: "it has no name".into() });
            }
            _ => (None, Cow::Borrowed(rest)),
        };
        let reference: Reference = rest.parse().map_err(|error: ParseError| ParseImageError::Grammar {
            text: shorten(text),
            why: error.to_string(),
        })?;
        let unsupported = |part: &str, error: &dyn fmt::Display| ParseImageError::Part {
            text: shorten(text),
            part: shorten(part),
            why: error.to_string(),
        };
        let repository = reference.repository();
        let repository = RepositoryName::new(repository).map_err(|error| unsupported(repository, &error))?;
        let tag =
            reference.tag().map(|tag| Tag::new(tag).map_err(|error| unsupported(tag, &error))).transpose()?;
        let digest = reference.digest();
        let digest = digest
            .map(|digest| digest.parse().map_err(|error: ParseDigestError| unsupported(digest, &error)));
        let host = host.unwrap_or_else(|| reference.registry());
        let host = if matches!(host, "docker.io" | "index.docker.io") { DOCKER_HUB } else { host };
        Ok(Self { host: host.to_owned(), scheme, repository, tag, digest: digest.transpose()? })
    }
}

impl ImageReference {
    /// The address of its registry. Without a given scheme it is https, or http for this machine (localhost).
    pub fn address(&self) -> String {
        let name = self.host.rsplit_once(':').map_or(&*self.host, |(name, _)| name);
        let is_this_machine = name == "localhost" || name == "[::1]" || name.starts_with("127.");
        let scheme = self.scheme.unwrap_or(if is_this_machine { "http" } else { "https" });
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
    fn missing_parts_of_a_reference_are_filled_in() {
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
    fn parse_error_says_what_is_wrong() {
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
