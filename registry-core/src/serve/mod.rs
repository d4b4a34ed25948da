//! The rules by which a `registry` serves what is on its disk: what a link file names, which link answers for a digest, and which
//! bytes are sent. Reads no files, and does not judge what a client needs.

mod link;
mod resolve;
#[cfg(all(test, target_os = "linux", feature = "storage"))]
mod tests;

pub use link::{LINK_MAX, Link, LinkFault, read_link};
pub use resolve::{Content, Presence};
pub(crate) use resolve::{LayerAnswer, ManifestAnswer, RepositoryLinks, UnreadPart};
