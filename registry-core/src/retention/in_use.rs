//! Images that run somewhere: image references, one a line. A reference only ever protects images, so it is matched generously:
//! the host is not compared, and a digest is protected in every package.

use std::collections::{BTreeMap, BTreeSet};

use crate::oci::Digest;

/// References of images in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImagesInUse {
    /// Tags by repository path, both in lower case.
    tags: BTreeMap<String, BTreeSet<String>>,
    digests: BTreeSet<Digest>,
}

/// A list of references that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InUseError {
    /// It holds no reference. Probably the command that should have listed them failed.
    #[error("it names no image; a cluster that runs nothing is more likely a command that failed")]
    Empty,
    /// A line is no reference.
    #[error("line {0}: {1:?} is no image reference (host/owner/name:tag or …@sha256:…)")]
    Line(usize, String),
}

impl ImagesInUse {
    /// Reads a list with one reference a line. `#` begins a comment line.
    ///
    /// # Errors
    /// When the list holds no reference, or a line is none.
    pub fn parse(text: &str) -> Result<Self, InUseError> {
        let mut all = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            all.add(line).ok_or_else(|| {
                InUseError::Line(number + 1, crate::text::escape(&line.chars().take(200).collect::<String>()))
            })?;
        }
        if all.is_empty() { Err(InUseError::Empty) } else { Ok(all) }
    }

    /// Adds one reference; `None` when the line is none.
    fn add(&mut self, line: &str) -> Option<()> {
        // A container runtime writes `docker-pullable://host/name@sha256:…`.
        let line = line.split_once("://").map_or(line, |(_, rest)| rest);
        if let Ok(digest) = line.parse() {
            self.digests.insert(digest);
            return Some(());
        }
        let (rest, digest) = match line.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>().ok()?)),
            None => (line, None),
        };
        if rest.is_empty() || rest.contains(char::is_whitespace) || rest.contains("//") {
            return None;
        }
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        if path.is_empty() || tag == Some("") {
            return None;
        }
        self.digests.extend(digest);
        let tag = match (tag, digest) {
            (None, None) => Some("latest"),
            (tag, _) => tag,
        };
        if let Some(tag) = tag {
            self.tags.entry(path.to_lowercase()).or_default().insert(tag.to_lowercase());
        }
        Some(())
    }

    /// Whether no reference is known.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.digests.is_empty()
    }

    /// A summary for the text of a policy: how many references there are, and a hash of all of them.
    pub fn summary(&self) -> String {
        let mut hasher = crate::oci::Hasher::new(crate::oci::Algorithm::Sha256);
        for (path, tag) in self.tags.iter().flat_map(|(path, tags)| tags.iter().map(move |tag| (path, tag))) {
            hasher.update(format!("{path}:{tag}\n").as_bytes());
        }
        for digest in &self.digests {
            hasher.update(format!("{digest}\n").as_bytes());
        }
        let tags: usize = self.tags.values().map(BTreeSet::len).sum();
        format!("{tags} tags and {} digests, {}", self.digests.len(), hasher.finish())
    }

    /// Digests in use, in any repository.
    pub fn digests(&self) -> impl Iterator<Item = &Digest> {
        self.digests.iter()
    }

    /// Tags in use, in lower case, of repositories whose path ends with the given one, such as `owner/name`.
    pub fn tags(&self, repository: &str) -> BTreeSet<&str> {
        let wanted = repository.to_lowercase();
        let is_wanted = |path: &str| {
            path.strip_suffix(&wanted).is_some_and(|before| before.is_empty() || before.ends_with('/'))
        };
        let found = self.tags.iter().filter(|(path, _)| is_wanted(path));
        found.flat_map(|(_, tags)| tags.iter().map(String::as_str)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_people_and_runtimes_write_them() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let text = format!(
            "# pods\ngit.example.org/Team/App:V1\n\ndocker-pullable://git.example.org:3000/team/web@{digest}\nteam/tool"
        );
        let all = ImagesInUse::parse(&text).unwrap();
        assert_eq!(all.tags("team/app"), BTreeSet::from(["v1"]));
        assert_eq!(all.tags("team/tool"), BTreeSet::from(["latest"]));
        assert_eq!(all.tags("team/web"), BTreeSet::new());
        assert_eq!(all.digests().count(), 1);
    }

    #[test]
    fn list_with_a_wrong_line_or_without_references_is_refused() {
        let error = |text: &str| ImagesInUse::parse(text).unwrap_err().to_string();
        insta::assert_snapshot!(error("# nothing\n"), @"it names no image; a cluster that runs nothing is more likely a command that failed");
        insta::assert_snapshot!(error("team/app:v1\nNo resources found in default namespace."), @r#"line 2: "No resources found in default namespace." is no image reference (host/owner/name:tag or …@sha256:…)"#);
        insta::assert_snapshot!(error("team/app@sha256:123"), @r#"line 1: "team/app@sha256:123" is no image reference (host/owner/name:tag or …@sha256:…)"#);
    }
}
