//! What a tag or a link that is moved aside, or back, leads to: the bytes, and for a tag everything that a pull of it asks for.
//! Looked at when it is moved aside, and again before it comes back: a collector may have run in between.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::change::Change;
use super::step::{Act, RepairStep};
use super::undo::why::WhyLost;
use crate::graph::walk;
use crate::oci::manifest::{MAX_BYTES, ReferenceRole};
use crate::oci::{Algorithm, Digest, Manifest, RepositoryName, Tag};
use crate::path::Place;
use crate::serve::{Content, LINK_MAX, LayerAnswer, Link, Linked, Presence, Shelf, read_link};
use crate::storage::edit::{Editor, WritableFolder};
use crate::storage::{EntryKind, FolderError};

/// Most digests without bytes that a journal tells of one tag: a line of it has a bound.
const TOLD_MAX: usize = 1000;

/// What is lacking, and how: it has no bytes, or, bytes or not, no link in the repository.
#[derive(Debug, Default, PartialEq, Eq)]
struct Lacking(BTreeMap<Digest, Lack>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Lack {
    Bytes,
    Link,
    Unknown(String),
}

impl Lacking {
    /// The digests, for the journal.
    fn digests(&self) -> Vec<Digest> {
        self.0.keys().take(TOLD_MAX).copied().collect()
    }

    /// Why what needs them would be worse than it was, when that lacked no more than these; `None` when it would not.
    fn beyond(&self, before: &[Digest]) -> Option<WhyLost> {
        let before: HashSet<&Digest> = before.iter().collect();
        let new = || self.0.iter().filter(|(digest, _)| !before.contains(digest));
        let having = |lack: &Lack| -> Vec<Digest> {
            new().filter(|(_, own)| *own == lack).map(|(digest, _)| *digest).collect()
        };
        let (bytes, links) = (having(&Lack::Bytes), having(&Lack::Link));
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

    fn note(&mut self, digest: Digest, lack: Result<Option<Lack>, FolderError>) {
        match lack {
            Ok(None) => {}
            Ok(Some(lack)) => drop(self.0.insert(digest, lack)),
            Err(error) => drop(self.0.insert(digest, Lack::Unknown(error.to_string()))),
        }
    }
}

/// Adds to a move what the tag or link that is moved lacks already: an undo then knows what it need not look for.
pub(super) fn with_known_lacks(editor: &dyn Editor, change: Change, step: &RepairStep) -> Change {
    match (change, step.digest) {
        (Change::Move { path, to, made, .. }, Some(digest))
            if matches!(step.action, Act::Retire | Act::Drop) =>
        {
            let lacking = Moved::at(&path).map(|moved| moved.lacking(editor, digest));
            let lacked = lacking.map_or_else(Vec::new, |lacking| lacking.digests());
            Change::Move { path, to, made, lacked }
        }
        (change, _) => change,
    }
}

/// Whether a change moves what only retention does: a legal tag, or a manifest's revision link.
pub(super) fn retires(change: &Change) -> bool {
    let Change::Move { path, .. } = change else { return false };
    Moved::at(path).is_some_and(|moved| moved != Moved::Layer)
}

/// Why what was moved must not come back: what it leads to was collected since. Layer links only of retention: a repair
/// moves those that nothing needs, with or without bytes.
pub(super) fn gone_since(
    editor: &dyn Editor,
    change: &Change,
    is_retention: bool,
) -> Result<Option<WhyLost>, FolderError> {
    let Change::Move { path, to, lacked, .. } = change else { return Ok(None) };
    let Some(moved) = Moved::at(path).filter(|moved| is_retention || *moved != Moved::Layer) else {
        return Ok(None);
    };
    let digest = link_text(editor, WritableFolder::Aside, &format!("{to}/{}", moved.link()))?;
    Ok(digest.and_then(|digest| moved.lacking(editor, digest).beyond(lacked)))
}

/// A folder with a link that retention may have moved aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved<'p> {
    Tag(&'p str),
    Revision,
    Layer,
}

impl<'p> Moved<'p> {
    /// What lies at a path, if a registry serves it.
    fn at(path: &'p str) -> Option<Self> {
        let place = Place::parse(path)?;
        let moved = match place {
            Place::TagFolder(repository, tag) if Tag::new(tag).is_ok() => Self::Tag(repository),
            Place::RevisionFolder(..) => Self::Revision,
            Place::LayerFolder(..) => Self::Layer,
            _ => return None,
        };
        RepositoryName::new(place.repository()?).is_ok().then_some(moved)
    }

    /// Its link, below its folder.
    const fn link(self) -> &'static str {
        match self {
            Self::Tag(_) => "current/link",
            Self::Revision | Self::Layer => "link",
        }
    }

    /// What it leads to, as its link says, that is not there.
    fn lacking(self, editor: &dyn Editor, digest: Digest) -> Lacking {
        let mut lacking = Lacking::default();
        match self {
            Self::Tag(repository) => pulled(editor, repository, digest, &mut lacking),
            Self::Revision | Self::Layer => lacking.note(digest, missing_bytes(editor, digest)),
        }
        lacking
    }
}

/// What a link says; `None` when it is none, or there is none.
fn link_text(editor: &dyn Editor, room: WritableFolder, link: &str) -> Result<Option<Digest>, FolderError> {
    match editor.read(room, Path::new(link), LINK_MAX + 1) {
        Ok(bytes) => Ok(read_link(&bytes).ok()),
        Err(FolderError::NotFound | FolderError::NotAFolder) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Everything that a client which pulls this manifest whole is not given. Each digest is looked at once.
fn pulled(editor: &dyn Editor, repository: &str, root: Digest, lacking: &mut Lacking) {
    let mut parts = HashSet::new();
    let children = |digest| {
        let mut children = Vec::new();
        let references = match manifest(editor, repository, digest) {
            Ok(Ok(manifest)) => manifest.references,
            Ok(Err(lack)) => {
                lacking.note(digest, Ok(Some(lack)));
                return children;
            }
            Err(error) => {
                lacking.note(digest, Err(error));
                return children;
            }
        };
        for reference in references.into_iter().filter(|reference| !reference.descriptor.has_urls) {
            let Some(digest) = reference.descriptor.digest else { continue };
            if reference.role == ReferenceRole::Child {
                children.push(digest);
            } else if parts.insert(digest) {
                lacking.note(digest, layer(editor, repository, digest));
            }
        }
        children
    };
    walk::mark(HashSet::new(), [root], children);
}

/// A manifest that is served.
fn manifest(
    editor: &dyn Editor,
    repository: &str,
    digest: Digest,
) -> Result<Result<Manifest, Lack>, FolderError> {
    if let Some(lack) = missing_bytes(editor, digest)? {
        return Ok(Err(lack));
    }
    let shelf = OnDisk::new(editor, repository);
    match shelf.manifest_link(digest).answer(digest) {
        Linked::Itself { .. } => {}
        Linked::Another(_) | Linked::Invalid(_) | Linked::Absent => return Ok(Err(Lack::Link)),
        Linked::Unread(_) => return Ok(Err(shelf.unknown())),
    }
    let most = usize::try_from(MAX_BYTES).unwrap_or(usize::MAX);
    let data = Place::BlobData(digest).to_string();
    let bytes = editor.read(WritableFolder::Tree, Path::new(&data), most.saturating_add(1))?;
    if bytes.len() <= most && Digest::of(digest.algorithm(), &bytes) != digest {
        return Ok(Err(Lack::Unknown("they do not hash to it".into())));
    }
    Ok(Ok(Manifest::parse(&bytes)))
}

/// What a config or layer lacks.
fn layer(editor: &dyn Editor, repository: &str, digest: Digest) -> Result<Option<Lack>, FolderError> {
    let shelf = OnDisk::new(editor, repository);
    match shelf.layer(digest) {
        LayerAnswer::Served(_) => Ok(None),
        LayerAnswer::NoBytes(_) => Ok(Some(Lack::Bytes)),
        LayerAnswer::NoFolder
        | LayerAnswer::Unlinked(_)
        | LayerAnswer::Invalid(..)
        | LayerAnswer::Mismatch(..)
        | LayerAnswer::WrongAlias(..) => Ok(missing_bytes(editor, digest)?.or(Some(Lack::Link))),
        LayerAnswer::Unread(_) => Ok(Some(shelf.unknown())),
    }
}

/// Whether nothing is lacking of a manifest itself.
#[cfg(test)]
pub(crate) fn serves_manifest(editor: &dyn Editor, repository: &str, digest: Digest) -> bool {
    matches!(manifest(editor, repository, digest), Ok(Ok(_)))
}

/// Whether nothing is lacking of a config or layer.
#[cfg(test)]
pub(crate) fn serves_layer(editor: &dyn Editor, repository: &str, digest: Digest) -> bool {
    matches!(layer(editor, repository, digest), Ok(None))
}

/// One repository as it is on the disk now. Nothing is hashed.
struct OnDisk<'e> {
    editor: &'e dyn Editor,
    repository: &'e str,
    /// What kept something from being read.
    error: RefCell<Option<FolderError>>,
}

impl<'e> OnDisk<'e> {
    const fn new(editor: &'e dyn Editor, repository: &'e str) -> Self {
        Self { editor, repository, error: RefCell::new(None) }
    }

    fn link(&self, place: &Place<'_>) -> Link<Digest> {
        match self.editor.read(WritableFolder::Tree, Path::new(&place.to_string()), LINK_MAX + 1) {
            Ok(bytes) => read_link(&bytes).map_or_else(Link::Invalid, Link::Names),
            Err(FolderError::NotFound | FolderError::NotAFolder) => Link::Absent,
            Err(error) => {
                *self.error.borrow_mut() = Some(error);
                Link::Unread
            }
        }
    }

    /// What is not known because of an error.
    fn unknown(&self) -> Lack {
        let error = self.error.borrow();
        Lack::Unknown(error.as_ref().map_or_else(|| "it could not be read".into(), ToString::to_string))
    }
}

impl Shelf for OnDisk<'_> {
    type Key = Digest;

    fn revision(&self, digest: Digest) -> Link<Digest> {
        self.link(&Place::RevisionLink(self.repository, digest))
    }

    fn layer_link(&self, digest: Digest) -> Link<Digest> {
        self.link(&Place::LayerLink(self.repository, digest))
    }

    /// Where the folder is missing every link in it is.
    fn lacks_layers_folder(&self) -> bool {
        false
    }

    fn presence(&self, digest: Digest) -> Presence {
        match missing_bytes(self.editor, digest) {
            Ok(None) => Presence::Present,
            Ok(Some(_)) => Presence::Absent,
            Err(error) => {
                *self.error.borrow_mut() = Some(error);
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

/// Whether there are no bytes under a digest.
fn missing_bytes(editor: &dyn Editor, digest: Digest) -> Result<Option<Lack>, FolderError> {
    let data = Place::BlobData(digest).to_string();
    match editor.look(WritableFolder::Tree, Path::new(&data)) {
        Ok(Some(look)) if look.kind == EntryKind::File => Ok(None),
        Ok(_) | Err(FolderError::NotFound | FolderError::NotAFolder) => Ok(Some(Lack::Bytes)),
        Err(error) => Err(error),
    }
}
