//! What rows named in earlier runs. A server that numbers its rows gives a row a new number at every push
//! (`services/packages/container/manifest.go @ v15.0.3`), so what a row names never changes; a database that was restored may
//! give a number again, with another time. Whether any of it still answers is not known from here.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use jiff::Timestamp;

use super::health::{Health, healths};
use super::record::{RecordedPackage, RecordedVersion};
use super::source::Source;
use crate::oci::{Algorithm, Digest};

/// The first word of a file.
const SCHEMA: &str = "registry-retention/rows/1";

/// The digests of rows of one owner, by everything that tells a row from all others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct KnownRows(HashMap<u64, KnownRow>);

#[derive(Debug, PartialEq, Eq)]
struct KnownRow {
    package: String,
    version: String,
    created_at: Timestamp,
    digest: Digest,
}

/// Whether a name can stand in a line of words.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn place(source: &Source) -> String {
    format!("{} {}", source.url, source.owner.as_deref().unwrap_or("-"))
}

impl KnownRows {
    /// The name of the file of a source.
    pub(super) fn file_name(source: &Source) -> String {
        Digest::of(Algorithm::Sha256, place(source).as_bytes()).hex()
    }

    /// What a row names, if it is the one that was read.
    pub(super) fn digest(&self, package: &str, row: &RecordedVersion) -> Option<Digest> {
        let known = self.0.get(&row.id?)?;
        let is_it = known.package == package
            && known.version == row.version
            && Some(known.created_at) == row.created_at;
        is_it.then_some(known.digest)
    }

    /// Takes what these packages were read to be, in place of what was known of them. A row is kept only when all that it
    /// reaches was there: what is known to be broken is asked for again in every run.
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

    /// All of it as a text: what the rest hashes to, whose it is, and a line for each row.
    pub(super) fn text(&self, source: &Source) -> String {
        let mut lines: Vec<_> = self.0.iter().collect();
        lines.sort_unstable_by_key(|(id, _)| **id);
        let mut body = format!("{}\n", place(source));
        for (id, KnownRow { package, version, created_at, digest }) in lines {
            // Writing to a string cannot fail.
            let _ = writeln!(body, "{id} {created_at} {digest} {package} {version}");
        }
        format!("{SCHEMA} {}\n{body}", Digest::of(Algorithm::Sha256, body.as_bytes()))
    }

    /// Reads such a text; one that is not whole, or is another source's, tells nothing.
    pub(super) fn read(text: &str, source: &Source) -> Option<Self> {
        let (head, body) = text.split_once('\n')?;
        if head != format!("{SCHEMA} {}", Digest::of(Algorithm::Sha256, body.as_bytes())) {
            return None;
        }
        let (whose, lines) = body.split_once('\n')?;
        if whose != place(source) {
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
        let digest = Digest::of(Algorithm::Sha256, b"one");
        let created_at = Timestamp::from_second(5).unwrap();
        let (package, version) = ("team/app".to_owned(), "v1".to_owned());
        KnownRows(HashMap::from([(7, KnownRow { package, version, created_at, digest })]))
    }

    #[test]
    fn a_row_is_known_by_all_that_tells_it_from_others() {
        let digest = Some(Digest::of(Algorithm::Sha256, b"one"));
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
    fn a_file_is_read_back_whole_or_not_at_all() {
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
