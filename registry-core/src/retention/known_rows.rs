//! The digests of rows that earlier runs read. A server that numbers its rows gives a row a new number at every push
//! (`services/packages/container/manifest.go @ v15.0.3`), so the digest of a row never changes; a restored database may use a
//! number a second time, with another push time. Whether the manifests still answer is not known here.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use jiff::Timestamp;

use super::health::{Health, healths};
use super::record::{RecordedPackage, RecordedVersion};
use super::source::Source;
use crate::oci::{Algorithm, Digest};

/// The schema, which is the first word of the file.
const SCHEMA: &str = "registry-retention/rows/1";

/// The rows of one owner with their digests, by the server's number.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct KnownRows(HashMap<u64, KnownRow>);

#[derive(Debug, PartialEq, Eq)]
struct KnownRow {
    package: String,
    version: String,
    created_at: Timestamp,
    digest: Digest,
}

/// Whether a name can be written to a line in which spaces separate the words.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The address and the owner of a source, as the second line of the file.
fn source_line(source: &Source) -> String {
    format!("{} {}", source.url, source.owner.as_deref().unwrap_or("-"))
}

impl KnownRows {
    /// The name of the file of a source.
    pub(super) fn file_name(source: &Source) -> String {
        Digest::hash(Algorithm::Sha256, source_line(source).as_bytes()).hex()
    }

    /// The digest of a row, if an earlier run read the same row.
    pub(super) fn digest(&self, package: &str, row: &RecordedVersion) -> Option<Digest> {
        let known = self.0.get(&row.id?)?;
        let is_same = known.package == package
            && known.version == row.version
            && Some(known.created_at) == row.created_at;
        is_same.then_some(known.digest)
    }

    /// Replaces the known rows of these packages by the rows that were read. Only whole images are kept: a broken one is asked
    /// for again in every run.
    pub(super) fn learn(&mut self, packages: &[RecordedPackage]) {
        let read: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
        self.0.retain(|_, known| !read.contains(known.package.as_str()));
        for recorded in packages {
            let package = recorded.package();
            let health = healths(&package);
            for row in recorded.versions.iter().filter(|row| !row.version.contains(':')) {
                let (Some(id), Some(created_at), Some(digest)) = (row.id, row.created_at, row.digest) else {
                    continue;
                };
                let is_whole =
                    package.find(&digest).is_some_and(|manifest| health[manifest.index()] == Health::Whole);
                if is_whole && is_word(&recorded.name) && is_word(&row.version) {
                    let (package, version) = (recorded.name.clone(), row.version.clone());
                    self.0.insert(id, KnownRow { package, version, created_at, digest });
                }
            }
        }
    }

    /// The text of the file: the schema with the hash of the rest, the source, and a line for each row.
    pub(super) fn text(&self, source: &Source) -> String {
        let mut lines: Vec<_> = self.0.iter().collect();
        lines.sort_unstable_by_key(|(id, _)| **id);
        let mut body = format!("{}\n", source_line(source));
        for (id, KnownRow { package, version, created_at, digest }) in lines {
            // Writing to a string cannot fail.
            let _ = writeln!(body, "{id} {created_at} {digest} {package} {version}");
        }
        format!("{SCHEMA} {}\n{body}", Digest::hash(Algorithm::Sha256, body.as_bytes()))
    }

    /// Reads the text of a file; `None` when it is damaged or belongs to another source.
    pub(super) fn read(text: &str, source: &Source) -> Option<Self> {
        let (head, body) = text.split_once('\n')?;
        if head != format!("{SCHEMA} {}", Digest::hash(Algorithm::Sha256, body.as_bytes())) {
            return None;
        }
        let (found_source, lines) = body.split_once('\n')?;
        if found_source != source_line(source) {
            return None;
        }
        let row = |line: &str| {
            let mut words = line.split(' ');
            let id = words.next()?.parse().ok()?;
            let (created_at, digest) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            let (package, version) = (words.next()?.to_owned(), words.next()?.to_owned());
            words.next().is_none().then_some((id, KnownRow { package, version, created_at, digest }))
        };
        lines.lines().map(row).collect::<Option<_>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retention::SourceKind;

    fn source(owner: &str) -> Source {
        let (url, owner) = ("https://forgejo.example".to_owned(), Some(owner.to_owned()));
        Source { kind: SourceKind::Forgejo, url, owner, version: None }
    }

    fn row(version: &str, id: u64, second: i64) -> RecordedVersion {
        let created_at = Timestamp::from_second(second).ok();
        RecordedVersion { version: version.into(), id: Some(id), created_at, digest: None }
    }

    fn known() -> KnownRows {
        let digest = Digest::hash(Algorithm::Sha256, b"one");
        let created_at = Timestamp::from_second(5).unwrap();
        let (package, version) = ("team/app".to_owned(), "v1".to_owned());
        KnownRows(HashMap::from([(7, KnownRow { package, version, created_at, digest })]))
    }

    #[test]
    fn row_is_known_only_with_the_same_number_time_and_names() {
        let digest = Some(Digest::hash(Algorithm::Sha256, b"one"));
        let known = known();
        assert_eq!(known.digest("team/app", &row("v1", 7, 5)), digest);
        assert_eq!(known.digest("team/app", &row("v1", 8, 5)), None, "pushed again");
        assert_eq!(
            known.digest("team/app", &row("v1", 7, 6)),
            None,
            "a number given again by a restored database"
        );
        assert_eq!(known.digest("team/app", &row("v2", 7, 5)), None);
        assert_eq!(known.digest("app", &row("v1", 7, 5)), None);
    }

    #[test]
    fn damaged_file_is_not_read() {
        let text = known().text(&source("team"));
        assert_eq!(KnownRows::read(&text, &source("team")), Some(known()));
        assert_eq!(KnownRows::read(&text, &source("other")), None);
        assert_eq!(KnownRows::read(&text.replace(" v1", " v2"), &source("team")), None);
        for end in 0..text.len() {
            assert_eq!(KnownRows::read(&text[..end], &source("team")), None, "{end}");
        }
        assert_ne!(KnownRows::file_name(&source("team")), KnownRows::file_name(&source("other")));
    }
}
