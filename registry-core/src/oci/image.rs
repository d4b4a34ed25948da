//! References of images as people write them: `host/owner/name:tag@sha256:…`, with or without a scheme in front. What a
//! reference leaves out is filled in as docker does.

use std::fmt;
use std::str::FromStr;

use super::{Digest, RepositoryName, Tag};

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
pub enum ParseImageError {
    /// Of another transport than a registry.
    #[error("{0:?} is no transport of a registry; write host/owner/name:tag")]
    Transport(String),
    /// The part before tag and digest.
    #[error("{0:?} is no repository: {1}")]
    Repository(String, super::NameError),
    /// The tag.
    #[error("{0:?} is no tag: {1}")]
    Tag(String, super::NameError),
    /// The digest.
    #[error("{0:?} is no digest: {1}")]
    Digest(String, super::ParseDigestError),
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
        let (rest, digest) = match rest.split_once('@') {
            None => (rest, None),
            Some((rest, digest)) => {
                let parsed = digest.parse().map_err(|error| ParseImageError::Digest(short(digest), error))?;
                (rest, Some(parsed))
            }
        };
        // A colon before the last slash belongs to a port.
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => {
                (path, Some(Tag::new(tag).map_err(|error| ParseImageError::Tag(short(tag), error))?))
            }
            _ => (rest, None),
        };
        let (host, repository) = match path.split_once('/') {
            Some((host, repository)) if scheme.is_some() || is_host(host) => {
                (host.to_owned(), repository.to_owned())
            }
            Some(_) => (HUB.to_owned(), path.to_owned()),
            None => (HUB.to_owned(), format!("library/{path}")),
        };
        let host = if matches!(&*host, "docker.io" | "index.docker.io") { HUB.to_owned() } else { host };
        let repository = RepositoryName::new(&repository)
            .map_err(|error| ParseImageError::Repository(short(&repository), error))?;
        let tag = match (tag, digest) {
            (None, None) => Tag::new("latest").ok(),
            (tag, _) => tag,
        };
        Ok(Self { host, scheme, repository, tag, digest })
    }
}

/// Whether the first part of a path is a host: it has a dot or a port, or is `localhost`.
fn is_host(part: &str) -> bool {
    part.contains(['.', ':']) || part == "localhost"
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
        insta::assert_snapshot!(read("localhost/app"), @"http://localhost localhost/app:latest");
        insta::assert_snapshot!(read("http://registry/app"), @"http://registry registry/app:latest");
        insta::assert_snapshot!(read("alpine"), @"https://registry-1.docker.io registry-1.docker.io/library/alpine:latest");
        insta::assert_snapshot!(read("docker.io/grafana/loki:3"), @"https://registry-1.docker.io registry-1.docker.io/grafana/loki:3");
    }

    #[test]
    fn what_is_no_reference_is_told() {
        let error = |text: &str| text.parse::<ImageReference>().unwrap_err().to_string();
        insta::assert_snapshot!(error("dir://x/y"), @r#""dir" is no transport of a registry; write host/owner/name:tag"#);
        insta::assert_snapshot!(error("h.example/Team/App:v1"), @r#""Team/App" is no repository: the name holds characters that a registry refuses"#);
        insta::assert_snapshot!(error("h.example/app:-v"), @r#""-v" is no tag: the name holds characters that a registry refuses"#);
        insta::assert_snapshot!(error("h.example/app@sha256:12"), @r#""sha256:12" is no digest: the hash is not exactly 64 lower-case hexadecimal characters"#);
        insta::assert_snapshot!(error(""), @r#""library/" is no repository: the name holds characters that a registry refuses"#);
    }
}
