//! Manifests: what kind they are, what they reference, and what is wrong with them.
//!
//! Lenient first, validated second: everything that can be read is read, and each defect becomes a [`Problem`]
//! with a JSON pointer, so that one bad descriptor does not hide the others. The bytes are never written back.

mod classify;
mod json;
mod lenient;
mod parse;
mod raw;

use super::{Descriptor, Digest, MediaType};

/// Most bytes of a manifest that `registry` 2.8 serves; one more is an error (`registry/storage/io.go @ v2.8.3`).
pub const MAX_BYTES: u64 = 4 << 20;

/// What a manifest is, decided as `registry` 2.8 decides it (`registry/storage/manifeststore.go @ v2.8.3`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An image or an artifact: config and layers (OCI, Docker schema 2, or without media type).
    Image,
    /// An image index or manifest list.
    Index,
    /// A Docker schema 1 manifest: layers without sizes; served re-signed, so its bytes differ at each GET.
    Schema1,
    /// Anything else. No registry 2.8 serves it; what it seems to reference is listed all the same.
    Opaque,
}

/// The part that a reference plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReferenceRole {
    /// The configuration of an image.
    Config,
    /// A layer of an image, or a blob that an index lists (a BuildKit cache).
    Layer,
    /// A manifest that an index lists.
    Child,
}

/// A reference that the registry is asked for when the manifest is pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The part it plays.
    pub role: ReferenceRole,
    /// What is referenced.
    pub descriptor: Descriptor,
}

/// How bad a defect of a manifest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// `registry` 2.8 answers an error to a GET of this manifest.
    Refused,
    /// The manifest is served, but the part at the pointer cannot be asked for.
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
    /// What it is.
    pub kind: Kind,
    /// The media type it gives itself; `None` when absent or empty.
    pub media_type: Option<MediaType>,
    /// Config and layers, or children, in the order of the manifest.
    pub references: Vec<Reference>,
    /// The manifest that this one refers to (`subject`), which it is a signature, SBOM or the like of.
    pub subject: Option<Digest>,
    /// All defects found.
    pub problems: Vec<Problem>,
}

impl Manifest {
    /// The first reason for which `registry` 2.8 answers an error, if it does.
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
