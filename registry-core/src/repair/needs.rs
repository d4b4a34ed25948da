//! What a tag or link needs that is moved aside, or back: its bytes, and for a tag everything that a pull of it asks for. This is
//! looked up when the entry is moved aside, and again before it is moved back: a collector may have run in between.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::change::Change;
use super::step::{RepairStep, StepAction};
use super::undo::why::WhyLost;
use crate::graph::walk;
use crate::oci::manifest::{MAX_BYTES, ReferenceRole};
use crate::oci::{Algorithm, Digest, Manifest, RepositoryName, Tag};
use crate::path::Place;
use crate::serve::{
    Content, LINK_MAX, LayerAnswer, Link, ManifestAnswer, Presence, RepositoryLinks, read_link,
};
use crate::storage::edit::{Editor, WritableFolder};
use crate::storage::{EntryKind, FolderError};

/// Most missing digests that the journal notes of one tag: the length of its lines is limited.
const LACKED_MAX: usize = 1000;

/// What a tag or link needs and does not have.
#[derive(Debug, Default, PartialEq, Eq)]
struct Lacks(BTreeMap<Digest, Lack>);

/// Why a digest does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Lack {
    Bytes,
    /// It has no link in the repository. It may lack its bytes too.
    Link,
    Unknown(String),
}

impl Lacks {
    /// The digests, for the journal.
    fn digests(&self) -> Vec<Digest> {
        self.0.keys().take(LACKED_MAX).copied().collect()
    }

    /// What is lacking beyond the digests that were lacking `before`.
    fn new_since(&self, before: &[Digest]) -> Option<WhyLost> {
        let before: HashSet<&Digest> = before.iter().collect();
        let new = || self.0.iter().filter(|(digest, _)| !before.contains(digest));
        let digests_with = |lack: &Lack| -> Vec<Digest> {
            new().filter(|(_, other)| *other == lack).map(|(digest, _)| *digest).collect()
        };
        let (bytes, links) = (digests_with(&Lack::Bytes), digests_with(&Lack::Link));
        if !bytes.is_empty() {
            return Some(WhyLost::Collected(bytes));
        }
        if !links.is_empty() {
            return Some(WhyLost::Unlinked(links));
        }
        new().find_map(|(digest, lack)| match lack {
            Lack::Unknown(why) => Some(WhyLost::Unknown { digest: *digest, why: why.clone() }),
            Lack::Bytes | Lack::Link => None,
        })
    }

    fn record(&mut self, digest: Digest, served: Result<(), Lack>) {
        if let Err(lack) = served {
            self.0.insert(digest, lack);
        }
    }
}

impl From<FolderError> for Lack {
    fn from(error: FolderError) -> Self {
        Self::Unknown(error.to_string())
    }
}

/// Adds to a move what the moved tag or link lacks already, so that an undo does not miss it.
pub(super) fn with_known_lacks(editor: &dyn Editor, change: Change, step: &RepairStep) -> Change {
    match (change, step.digest) {
        (Change::Move { path, to, made, .. }, Some(digest))
            if matches!(step.action, StepAction::Retire | StepAction::Drop) =>
        {
            let moved = MovedFolder::from_path(&path);
            let lacked = moved.map_or_else(Vec::new, |moved| moved.find_lacks(editor, digest).digests());
            Change::Move { path, to, made, lacked }
        }
        (change, _) => change,
    }
}

/// Whether a change moves what only retention moves: a legal tag, or a manifest's revision link.
pub(super) fn is_retention_move(change: &Change) -> bool {
    let Change::Move { path, .. } = change else { return false };
    MovedFolder::from_path(path).is_some_and(|moved| moved != MovedFolder::Layer)
}

/// Why a moved entry must not come back: what it needs was collected since. Layer links are looked at for retention only: a repair
/// moves those that no manifest needs, with or without bytes.
pub(super) fn lost_since_move(
    editor: &dyn Editor,
    change: &Change,
    is_retention: bool,
) -> Result<Option<WhyLost>, FolderError> {
    let Change::Move { path, to, lacked, .. } = change else { return Ok(None) };
    let moved = MovedFolder::from_path(path);
    let Some(moved) = moved.filter(|moved| is_retention || *moved != MovedFolder::Layer) else {
        return Ok(None);
    };
    let link = format!("{to}/{}", moved.link_path());
    let digest = match editor.read(WritableFolder::Aside, Path::new(&link), LINK_MAX + 1) {
        Ok(bytes) => read_link(&bytes).ok(),
        Err(FolderError::NotFound | FolderError::NotAFolder) => None,
        Err(error) => return Err(error),
    };
    Ok(digest.and_then(|digest| moved.find_lacks(editor, digest).new_since(lacked)))
}

/// A folder with a link that retention may have moved aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MovedFolder<'p> {
    /// A tag, with its repository.
    Tag(&'p str),
    Revision,
    Layer,
}

impl<'p> MovedFolder<'p> {
    /// The folder at a path, if a registry serves it.
    fn from_path(path: &'p str) -> Option<Self> {
        let place = Place::parse(path)?;
        let moved = match place {
            Place::TagFolder(repository, tag) if Tag::new(tag).is_ok() => Self::Tag(repository),
            Place::RevisionFolder(..) => Self::Revision,
            Place::LayerFolder(..) => Self::Layer,
            _ => return None,
        };
        RepositoryName::new(place.repository()?).is_ok().then_some(moved)
    }

    /// The path of its link, below the folder.
    const fn link_path(self) -> &'static str {
        match self {
            Self::Tag(_) => "current/link",
            Self::Revision | Self::Layer => "link",
        }
    }

    /// What is lacking of all that its link needs, which names `digest`.
    fn find_lacks(self, editor: &dyn Editor, digest: Digest) -> Lacks {
        let mut lacks = Lacks::default();
        match self {
            Self::Tag(repository) => record_lacks_of_pull(editor, repository, digest, &mut lacks),
            Self::Revision | Self::Layer => lacks.record(digest, check_bytes(editor, digest)),
        }
        lacks
    }
}

/// Records everything that a client does not get when it pulls this manifest whole. Each digest is looked up once.
fn record_lacks_of_pull(editor: &dyn Editor, repository: &str, root: Digest, lacks: &mut Lacks) {
    let mut parts = HashSet::new();
    let children = |digest| {
        let mut children = Vec::new();
        let manifest = match read_served_manifest(editor, repository, digest) {
            Ok(manifest) => manifest,
            Err(lack) => {
                lacks.record(digest, Err(lack));
                return children;
            }
        };
        for reference in manifest.references.iter().filter(|reference| !reference.descriptor.has_urls) {
            let Some(digest) = reference.descriptor.digest else { continue };
            if reference.role == ReferenceRole::Child {
                children.push(digest);
            } else if parts.insert(digest) {
                lacks.record(digest, check_layer(editor, repository, digest));
            }
        }
        children
    };
    walk::mark(HashSet::new(), [root], children);
}

/// Reads a manifest as the repository serves it, or tells what keeps it from being served.
fn read_served_manifest(editor: &dyn Editor, repository: &str, digest: Digest) -> Result<Manifest, Lack> {
    check_bytes(editor, digest)?;
    let shelf = RepositoryOnDisk::new(editor, repository);
    match shelf.manifest_link(digest).answer(digest) {
        ManifestAnswer::Itself { .. } => {}
        ManifestAnswer::Another(_) | ManifestAnswer::Invalid(_) | ManifestAnswer::Absent => {
            return Err(Lack::Link);
        }
        ManifestAnswer::Unread(_) => return Err(shelf.unknown_lack()),
    }
    let limit = usize::try_from(MAX_BYTES).unwrap_or(usize::MAX);
    let data = Place::BlobData(digest).to_string();
    let bytes = editor.read(WritableFolder::Tree, Path::new(&data), limit.saturating_add(1))?;
    if bytes.len() <= limit && Digest::hash(digest.algorithm(), &bytes) != digest {
        return Err(Lack::Unknown("they do not hash to it".into()));
    }
    Ok(Manifest::parse(&bytes))
}

/// Whether a config or layer is served, or what it lacks.
fn check_layer(editor: &dyn Editor, repository: &str, digest: Digest) -> Result<(), Lack> {
    let shelf = RepositoryOnDisk::new(editor, repository);
    match shelf.layer(digest) {
        LayerAnswer::Served(_) => Ok(()),
        LayerAnswer::NoBytes(_) => Err(Lack::Bytes),
        LayerAnswer::NoFolder
        | LayerAnswer::Unlinked(_)
        | LayerAnswer::Invalid(..)
        | LayerAnswer::Mismatch(..)
        | LayerAnswer::WrongAlias(..) => check_bytes(editor, digest).and(Err(Lack::Link)),
        LayerAnswer::Unread(_) => Err(shelf.unknown_lack()),
    }
}

/// Whether the manifest itself is served.
#[cfg(test)]
pub(crate) fn serves_manifest(editor: &dyn Editor, repository: &str, digest: Digest) -> bool {
    read_served_manifest(editor, repository, digest).is_ok()
}

/// Whether a config or layer is served.
#[cfg(test)]
pub(crate) fn serves_layer(editor: &dyn Editor, repository: &str, digest: Digest) -> bool {
    check_layer(editor, repository, digest).is_ok()
}

/// One repository, read from the disk at each call. Nothing is hashed.
struct RepositoryOnDisk<'e> {
    editor: &'e dyn Editor,
    repository: &'e str,
    /// Why the last read failed.
    unread: RefCell<Option<Lack>>,
}

impl<'e> RepositoryOnDisk<'e> {
    const fn new(editor: &'e dyn Editor, repository: &'e str) -> Self {
        Self { editor, repository, unread: RefCell::new(None) }
    }

    fn read_link_at(&self, place: &Place<'_>) -> Link<Digest> {
        match self.editor.read(WritableFolder::Tree, Path::new(&place.to_string()), LINK_MAX + 1) {
            Ok(bytes) => read_link(&bytes).map_or_else(Link::Invalid, Link::Names),
            Err(FolderError::NotFound | FolderError::NotAFolder) => Link::Absent,
            Err(error) => {
                *self.unread.borrow_mut() = Some(error.into());
                Link::Unread
            }
        }
    }

    /// The lack of something that could not be read.
    fn unknown_lack(&self) -> Lack {
        self.unread.borrow().clone().unwrap_or_else(|| Lack::Unknown("it could not be read".into()))
    }
}

impl RepositoryLinks for RepositoryOnDisk<'_> {
    type Key = Digest;

    fn revision(&self, digest: Digest) -> Link<Digest> {
        self.read_link_at(&Place::RevisionLink(self.repository, digest))
    }

    fn layer_link(&self, digest: Digest) -> Link<Digest> {
        self.read_link_at(&Place::LayerLink(self.repository, digest))
    }

    /// Not looked up: without the folder every layer link is absent too.
    fn lacks_layers_folder(&self) -> bool {
        false
    }

    fn presence(&self, digest: Digest) -> Presence {
        match check_bytes(self.editor, digest) {
            Ok(()) => Presence::Present,
            Err(Lack::Bytes | Lack::Link) => Presence::Absent,
            Err(unknown) => {
                *self.unread.borrow_mut() = Some(unknown);
                Presence::Unread
            }
        }
    }

    fn content(&self, _: Digest) -> Content {
        Content::Unhashed
    }

    fn is_sha256(&self, digest: Digest) -> bool {
        digest.algorithm() == Algorithm::Sha256
    }
}

/// Whether a file holds the bytes of a digest.
fn check_bytes(editor: &dyn Editor, digest: Digest) -> Result<(), Lack> {
    let data = Place::BlobData(digest).to_string();
    match editor.look(WritableFolder::Tree, Path::new(&data)) {
        Ok(Some(found)) if found.kind == EntryKind::File => Ok(()),
        Ok(_) | Err(FolderError::NotFound | FolderError::NotAFolder) => Err(Lack::Bytes),
        Err(error) => Err(error.into()),
    }
}
