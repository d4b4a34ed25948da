//! Types of the OCI image and distribution specifications: digests, names, media types, descriptors, manifests. They parse text
//! and bytes, and read no file or socket.

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
