//! The path grammar of registry:2 and registry:3: converts a path to the [`Place`] that it is, and back
//! (`registry/storage/paths.go @ v2.8.3`, same at v3.1.1). Paths are relative to `docker/registry/v2`.

use std::fmt;

use crate::oci::{Algorithm, Digest};

/// The `scheduler-state.json` of a pull-through cache. It lies in the rootdirectory, and is the one file outside of
/// `docker/registry/v2` that a server reads when it starts.
pub(crate) const SCHEDULER_STATE: &str = "../../../scheduler-state.json";

/// The meaning of a path in the layout of a registry.
///
/// Repository names and tags are as written and may be illegal: [`RepositoryName`](crate::oci::RepositoryName) and
/// [`Tag`](crate::oci::Tag) check them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place<'a> {
    /// `blobs`
    Blobs,
    /// `blobs/<algorithm>`
    BlobAlgorithm(Algorithm),
    /// `blobs/<algorithm>/<first byte of the hash>`
    BlobShard(Algorithm, u8),
    /// `blobs/<algorithm>/<xx>/<hex>`
    BlobFolder(Digest),
    /// `blobs/<algorithm>/<xx>/<hex>/data`
    BlobData(Digest),
    /// `repositories`
    Repositories,
    /// `repositories/<name>`
    Repository(&'a str),
    /// `…/_layers`
    Layers(&'a str),
    /// `…/_layers/<algorithm>`
    LayersAlgorithm(&'a str, Algorithm),
    /// `…/_layers/<algorithm>/<hex>`
    LayerFolder(&'a str, Digest),
    /// `…/_layers/<algorithm>/<hex>/link`
    LayerLink(&'a str, Digest),
    /// `…/_manifests`
    Manifests(&'a str),
    /// `…/_manifests/revisions`
    Revisions(&'a str),
    /// `…/_manifests/revisions/<algorithm>`
    RevisionsAlgorithm(&'a str, Algorithm),
    /// `…/_manifests/revisions/<algorithm>/<hex>`
    RevisionFolder(&'a str, Digest),
    /// `…/_manifests/revisions/<algorithm>/<hex>/link`
    RevisionLink(&'a str, Digest),
    /// Anything at or below `…/revisions/<algorithm>/<hex>/signatures`: written by servers before v2.5.0, not read since.
    Signature(&'a str, Digest),
    /// `…/_manifests/tags`
    Tags(&'a str),
    /// `…/_manifests/tags/<tag>`
    TagFolder(&'a str, &'a str),
    /// `…/_manifests/tags/<tag>/current`
    TagCurrent(&'a str, &'a str),
    /// `…/_manifests/tags/<tag>/current/link`
    TagLink(&'a str, &'a str),
    /// `…/_manifests/tags/<tag>/index`
    TagIndex(&'a str, &'a str),
    /// `…/_manifests/tags/<tag>/index/<algorithm>`
    TagIndexAlgorithm(&'a str, &'a str, Algorithm),
    /// `…/_manifests/tags/<tag>/index/<algorithm>/<hex>`
    TagIndexFolder(&'a str, &'a str, Digest),
    /// `…/_manifests/tags/<tag>/index/<algorithm>/<hex>/link`
    TagIndexLink(&'a str, &'a str, Digest),
    /// `…/_uploads`
    Uploads(&'a str),
    /// `…/_uploads/<id>`
    UploadFolder(&'a str, &'a str),
    /// `…/_uploads/<id>/data`
    UploadData(&'a str, &'a str),
    /// `…/_uploads/<id>/startedat`
    UploadStartedAt(&'a str, &'a str),
    /// Anything at or below `…/_uploads/<id>/hashstates`.
    UploadHashStates(&'a str, &'a str),
}

impl<'a> Place<'a> {
    /// Parses a path. `None` when the layout has no such path.
    pub fn parse(path: &'a str) -> Option<Self> {
        if let Some(rest) = below(path, "blobs") {
            return parse_blob_path(rest);
        }
        let rest = below(path, "repositories")?;
        if rest.is_empty() {
            return Some(Self::Repositories);
        }
        // The name ends before the first reserved folder. Any other component that starts with `_` belongs to the name, and
        // makes it illegal.
        let mut parts =
            rest.split('/').scan(0, |at, part| Some((std::mem::replace(at, *at + part.len() + 1), part)));
        let Some((at, _)) = parts.find(|(_, part)| RESERVED.contains(part)) else {
            return rest.split('/').all(|part| !part.is_empty()).then_some(Self::Repository(rest));
        };
        let name = rest.get(..at.checked_sub(1)?)?;
        if name.split('/').any(str::is_empty) {
            return None;
        }
        let inner = rest.get(at..)?;
        if let Some(layers) = below(inner, "_layers") {
            parse_layer_path(name, layers)
        } else if let Some(uploads) = below(inner, "_uploads") {
            parse_upload_path(name, uploads)
        } else {
            parse_manifest_path(name, below(inner, "_manifests")?)
        }
    }

    /// Whether the layout has a file here. False for `hashstates` and `signatures`, which stand for files and folders.
    pub const fn is_file(&self) -> bool {
        matches!(
            self,
            Self::BlobData(_)
                | Self::LayerLink(..)
                | Self::RevisionLink(..)
                | Self::TagLink(..)
                | Self::TagIndexLink(..)
                | Self::UploadData(..)
                | Self::UploadStartedAt(..)
        )
    }

    /// The repository that the place belongs to.
    pub const fn repository(&self) -> Option<&'a str> {
        match self {
            Self::Blobs
            | Self::BlobAlgorithm(_)
            | Self::BlobShard(..)
            | Self::BlobFolder(_)
            | Self::BlobData(_)
            | Self::Repositories => None,
            Self::Repository(name)
            | Self::Layers(name)
            | Self::LayersAlgorithm(name, _)
            | Self::LayerFolder(name, _)
            | Self::LayerLink(name, _)
            | Self::Manifests(name)
            | Self::Revisions(name)
            | Self::RevisionsAlgorithm(name, _)
            | Self::RevisionFolder(name, _)
            | Self::RevisionLink(name, _)
            | Self::Signature(name, _)
            | Self::Tags(name)
            | Self::TagFolder(name, _)
            | Self::TagCurrent(name, _)
            | Self::TagLink(name, _)
            | Self::TagIndex(name, _)
            | Self::TagIndexAlgorithm(name, ..)
            | Self::TagIndexFolder(name, ..)
            | Self::TagIndexLink(name, ..)
            | Self::Uploads(name)
            | Self::UploadFolder(name, _)
            | Self::UploadData(name, _)
            | Self::UploadStartedAt(name, _)
            | Self::UploadHashStates(name, _) => Some(name),
        }
    }
}

/// The reserved folders: a folder that holds one of them is a repository.
const RESERVED: [&str; 3] = ["_layers", "_manifests", "_uploads"];

/// The path relative to `folder`: empty for the folder itself, `None` outside of it.
fn below<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(folder)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/').filter(|rest| !rest.is_empty()) }
}

fn parse_digest(algorithm: &str, hex: &str) -> Option<Digest> {
    Digest::from_hex(Algorithm::from_name(algorithm)?, hex).ok()
}

/// The components of a path. From the sixth on they stay unsplit, as no place needs more than five.
fn components(path: &str) -> Vec<&str> {
    if path.is_empty() { Vec::new() } else { path.splitn(6, '/').collect() }
}

fn parse_blob_path(rest: &str) -> Option<Place<'_>> {
    let digest_in_shard = |algorithm, xx, hex| {
        let digest = parse_digest(algorithm, hex)?;
        (u8::from_str_radix(xx, 16).ok()? == digest.as_bytes()[0]).then_some(digest)
    };
    Some(match components(rest)[..] {
        [] => Place::Blobs,
        [algorithm] => Place::BlobAlgorithm(Algorithm::from_name(algorithm)?),
        [algorithm, xx] => Place::BlobShard(Algorithm::from_name(algorithm)?, shard_byte(xx)?),
        [algorithm, xx, hex] => Place::BlobFolder(digest_in_shard(algorithm, xx, hex)?),
        [algorithm, xx, hex, "data"] => Place::BlobData(digest_in_shard(algorithm, xx, hex)?),
        _ => return None,
    })
}

/// Parses the name of a shard folder: two lower-case hexadecimal characters.
pub(crate) fn shard_byte(name: &str) -> Option<u8> {
    let is_shard = name.len() == 2 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_shard { u8::from_str_radix(name, 16).ok() } else { None }
}

fn parse_layer_path<'a>(name: &'a str, rest: &'a str) -> Option<Place<'a>> {
    Some(match components(rest)[..] {
        [] => Place::Layers(name),
        [algorithm] => Place::LayersAlgorithm(name, Algorithm::from_name(algorithm)?),
        [algorithm, hex] => Place::LayerFolder(name, parse_digest(algorithm, hex)?),
        [algorithm, hex, "link"] => Place::LayerLink(name, parse_digest(algorithm, hex)?),
        _ => return None,
    })
}

fn parse_upload_path<'a>(name: &'a str, rest: &'a str) -> Option<Place<'a>> {
    Some(match components(rest)[..] {
        [] => Place::Uploads(name),
        [id] => Place::UploadFolder(name, id),
        [id, "data"] => Place::UploadData(name, id),
        [id, "startedat"] => Place::UploadStartedAt(name, id),
        [id, "hashstates"] | [id, "hashstates", _] | [id, "hashstates", _, _] => {
            Place::UploadHashStates(name, id)
        }
        _ => return None,
    })
}

fn parse_manifest_path<'a>(name: &'a str, rest: &'a str) -> Option<Place<'a>> {
    if let Some(revisions) = below(rest, "revisions") {
        return Some(match components(revisions)[..] {
            [] => Place::Revisions(name),
            [algorithm] => Place::RevisionsAlgorithm(name, Algorithm::from_name(algorithm)?),
            [algorithm, hex] => Place::RevisionFolder(name, parse_digest(algorithm, hex)?),
            [algorithm, hex, "link"] => Place::RevisionLink(name, parse_digest(algorithm, hex)?),
            [algorithm, hex, "signatures", ..] => Place::Signature(name, parse_digest(algorithm, hex)?),
            _ => return None,
        });
    }
    if rest.is_empty() {
        return Some(Place::Manifests(name));
    }
    Some(match components(below(rest, "tags")?)[..] {
        [] => Place::Tags(name),
        [tag] => Place::TagFolder(name, tag),
        [tag, "current"] => Place::TagCurrent(name, tag),
        [tag, "current", "link"] => Place::TagLink(name, tag),
        [tag, "index"] => Place::TagIndex(name, tag),
        [tag, "index", algorithm] => Place::TagIndexAlgorithm(name, tag, Algorithm::from_name(algorithm)?),
        [tag, "index", algorithm, hex] => Place::TagIndexFolder(name, tag, parse_digest(algorithm, hex)?),
        [tag, "index", algorithm, hex, "link"] => {
            Place::TagIndexLink(name, tag, parse_digest(algorithm, hex)?)
        }
        _ => return None,
    })
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Blobs => write!(out, "blobs"),
            Self::BlobAlgorithm(algorithm) => write!(out, "blobs/{}", algorithm.name()),
            Self::BlobShard(algorithm, byte) => write!(out, "blobs/{}/{byte:02x}", algorithm.name()),
            Self::BlobFolder(digest) => {
                let hex = digest.hex();
                write!(out, "blobs/{}/{}/{hex}", digest.algorithm().name(), &hex[..2])
            }
            Self::BlobData(digest) => write!(out, "{}/data", Self::BlobFolder(digest)),
            Self::Repositories => write!(out, "repositories"),
            Self::Repository(name) => write!(out, "repositories/{name}"),
            Self::Layers(name) => write!(out, "repositories/{name}/_layers"),
            Self::LayersAlgorithm(name, algorithm) => {
                write!(out, "{}/{}", Self::Layers(name), algorithm.name())
            }
            Self::LayerFolder(name, digest) => {
                write!(out, "{}/{}", Self::LayersAlgorithm(name, digest.algorithm()), digest.hex())
            }
            Self::LayerLink(name, digest) => write!(out, "{}/link", Self::LayerFolder(name, digest)),
            Self::Manifests(name) => write!(out, "repositories/{name}/_manifests"),
            Self::Revisions(name) => write!(out, "{}/revisions", Self::Manifests(name)),
            Self::RevisionsAlgorithm(name, algorithm) => {
                write!(out, "{}/revisions/{}", Self::Manifests(name), algorithm.name())
            }
            Self::RevisionFolder(name, digest) => {
                write!(out, "{}/{}", Self::RevisionsAlgorithm(name, digest.algorithm()), digest.hex())
            }
            Self::RevisionLink(name, digest) => write!(out, "{}/link", Self::RevisionFolder(name, digest)),
            Self::Signature(name, digest) => write!(out, "{}/signatures", Self::RevisionFolder(name, digest)),
            Self::Tags(name) => write!(out, "{}/tags", Self::Manifests(name)),
            Self::TagFolder(name, tag) => write!(out, "{}/tags/{tag}", Self::Manifests(name)),
            Self::TagCurrent(name, tag) => write!(out, "{}/current", Self::TagFolder(name, tag)),
            Self::TagLink(name, tag) => write!(out, "{}/current/link", Self::TagFolder(name, tag)),
            Self::TagIndex(name, tag) => write!(out, "{}/index", Self::TagFolder(name, tag)),
            Self::TagIndexAlgorithm(name, tag, algorithm) => {
                write!(out, "{}/{}", Self::TagIndex(name, tag), algorithm.name())
            }
            Self::TagIndexFolder(name, tag, digest) => {
                write!(out, "{}/{}", Self::TagIndexAlgorithm(name, tag, digest.algorithm()), digest.hex())
            }
            Self::TagIndexLink(name, tag, digest) => {
                write!(out, "{}/link", Self::TagIndexFolder(name, tag, digest))
            }
            Self::Uploads(name) => write!(out, "repositories/{name}/_uploads"),
            Self::UploadFolder(name, id) => write!(out, "{}/{id}", Self::Uploads(name)),
            Self::UploadData(name, id) => write!(out, "{}/data", Self::UploadFolder(name, id)),
            Self::UploadStartedAt(name, id) => write!(out, "{}/startedat", Self::UploadFolder(name, id)),
            Self::UploadHashStates(name, id) => write!(out, "{}/hashstates", Self::UploadFolder(name, id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn every_place<'a>(name: &'a str, tag: &'a str, digest: Digest) -> Vec<Place<'a>> {
        let algorithm = digest.algorithm();
        vec![
            Place::Blobs,
            Place::BlobAlgorithm(algorithm),
            Place::BlobShard(algorithm, digest.as_bytes()[0]),
            Place::BlobFolder(digest),
            Place::BlobData(digest),
            Place::Repositories,
            Place::Repository(name),
            Place::Layers(name),
            Place::LayersAlgorithm(name, algorithm),
            Place::LayerFolder(name, digest),
            Place::LayerLink(name, digest),
            Place::Manifests(name),
            Place::Revisions(name),
            Place::RevisionsAlgorithm(name, algorithm),
            Place::RevisionFolder(name, digest),
            Place::RevisionLink(name, digest),
            Place::Signature(name, digest),
            Place::Tags(name),
            Place::TagFolder(name, tag),
            Place::TagCurrent(name, tag),
            Place::TagLink(name, tag),
            Place::TagIndex(name, tag),
            Place::TagIndexAlgorithm(name, tag, algorithm),
            Place::TagIndexFolder(name, tag, digest),
            Place::TagIndexLink(name, tag, digest),
            Place::Uploads(name),
            Place::UploadFolder(name, tag),
            Place::UploadData(name, tag),
            Place::UploadStartedAt(name, tag),
            Place::UploadHashStates(name, tag),
        ]
    }

    proptest! {
        #[test]
        fn place_and_path_round_trip(
            name in "[a-z0-9]{1,8}(/[a-z0-9]{1,8}){0,3}",
            tag in "[A-Za-z0-9_][A-Za-z0-9_.-]{0,12}",
            content: u64,
            which in 0_usize..3,
        ) {
            let digest = Digest::hash(Algorithm::ALL[which], &content.to_le_bytes());
            for place in every_place(&name, &tag, digest) {
                let path = place.to_string();
                prop_assert_eq!(Place::parse(&path), Some(place), "{}", path);
            }
        }

        #[test]
        fn parsed_place_prints_its_path(path in "[a-z_/0-9.]{0,80}") {
            if let Some(place) = Place::parse(&path)
                && !matches!(place, Place::Signature(..) | Place::UploadHashStates(..))
            {
                prop_assert_eq!(place.to_string(), path);
            }
        }
    }

    #[test]
    fn path_outside_the_grammar_is_no_place() {
        let hex = "ab".repeat(32);
        for path in [
            String::new(),
            "blob".into(),
            "blobs/".into(),
            "blobs/data".into(),
            "blobs/md5".into(),
            "blobs/sha256/AB".into(),
            "blobs/sha256/+a".into(),
            format!("blobs/sha256/cd/{hex}"),
            format!("blobs/sha256/ab/{}", hex.to_uppercase()),
            format!("blobs/sha256/{hex}/data"),
            format!("blobs/sha256/ab/{hex}/data/x"),
            format!("blobs/sha256/ab/{hex}/link"),
            "repositories//_layers".into(),
            "repositories/_layers".into(),
            "repositories/_uploads/x".into(),
            format!("repositories/a/_layers/sha256/{hex}/data"),
            "repositories/a/_manifests/tags/v1/next".into(),
        ] {
            assert_eq!(Place::parse(&path), None, "{path}");
        }
    }

    /// A repository shelved by renaming its folder: https://github.com/distribution/distribution/issues/225
    #[test]
    fn repository_name_may_start_with_an_underscore() {
        assert_eq!(Place::parse("repositories/a/_odd"), Some(Place::Repository("a/_odd")));
        assert_eq!(Place::parse("repositories/_odd/a/_manifests/tags"), Some(Place::Tags("_odd/a")));
    }

    #[test]
    fn tag_may_have_the_name_of_a_reserved_folder() {
        let path = "repositories/a/b/_manifests/tags/_layers/current/link";
        assert_eq!(Place::parse(path), Some(Place::TagLink("a/b", "_layers")));
    }
}
