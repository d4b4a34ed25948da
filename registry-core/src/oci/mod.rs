//! The words of the OCI image and distribution specifications: digests, names, media types, descriptors,
//! manifests. Pure parsing of text and bytes; nothing here reads a file or a socket.

mod descriptor;
mod digest;
mod image;
pub mod manifest;
mod media_type;
mod name;

pub use descriptor::{Descriptor, Platform};
pub(crate) use digest::Hasher;
pub use digest::{Algorithm, Digest, ParseDigestError};
pub use image::{ImageReference, ParseImageError};
pub use manifest::Manifest;
pub use media_type::MediaType;
pub use name::{NameError, RepositoryName, Tag};
