//! Manifests: their kind, their references, and their defects.
//!
//! Parsing is lenient: it reads everything that can be read, then turns each defect into a [`Problem`] with a JSON pointer, so
//! that one bad descriptor does not hide the others. Manifests are never written.

mod classify;
mod json;
mod lenient;
mod parse;
mod raw;

use super::{Descriptor, Digest, MediaType};

/// Most bytes of a manifest that `registry` 2.8 serves; one more is an error (`registry/storage/io.go @ v2.8.3`).
pub const MAX_BYTES: u64 = 4 << 20;

/// The kind of a manifest, decided as in `registry` 2.8 (`registry/storage/manifeststore.go @ v2.8.3`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An image or an artifact: config and layers (OCI, Docker schema 2, or without media type).
    Image,
    /// An image index or manifest list.
    Index,
    /// A Docker schema 1 manifest: layers without sizes; served re-signed, so its bytes differ at each GET.
    Schema1,
    /// Anything else. `registry` 2.8 does not serve it; what it seems to reference is still listed.
    Opaque,
}

/// The role of a reference in its manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReferenceRole {
    /// The configuration of an image.
    Config,
    /// A layer of an image, or a blob that an index lists (a BuildKit cache).
    Layer,
    /// A manifest that an index lists.
    Child,
}

/// A reference, which a pull of the manifest requests from the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Its role.
    pub role: ReferenceRole,
    /// What is referenced.
    pub descriptor: Descriptor,
}

/// How bad a defect of a manifest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// `registry` 2.8 answers an error to a GET of this manifest.
    Refused,
    /// The manifest is served, but a client cannot request the part at the pointer.
    Part,
}

/// One defect of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub defect: Defect,
    /// Where: a JSON pointer (RFC 6901) into the manifest; empty for the whole.
    pub pointer: String,
    /// What is wrong, as a lower-case fragment.
    pub message: String,
}

/// A manifest as far as it could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Its kind.
    pub kind: Kind,
    /// The media type in its `mediaType` field; `None` when absent or empty.
    pub media_type: Option<MediaType>,
    /// Config and layers, or children, in the order of the manifest.
    pub references: Vec<Reference>,
    /// The manifest (`subject`) of which this one is a signature, an SBOM or the like.
    pub subject: Option<Digest>,
    /// All defects found.
    pub problems: Vec<Problem>,
}

impl Manifest {
    /// The first defect for which `registry` 2.8 answers an error, if there is one.
    pub fn refusal(&self) -> Option<&Problem> {
        self.problems.iter().find(|problem| problem.defect == Defect::Refused)
    }

    /// A manifest of which nothing can be read, for the given reason.
    pub(crate) fn refused(message: String) -> Self {
        Self {
            kind: Kind::Opaque,
            media_type: None,
            references: Vec::new(),
            subject: None,
            problems: vec![Problem { defect: Defect::Refused, pointer: String::new(), message }],
        }
    }
}

#[cfg(test)]
mod tests;
