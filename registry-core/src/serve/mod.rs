//! How a `registry` serves what is on its disk: what a link file says, which link answers for a digest, and whose bytes are
//! sent then. The rules alone: they read nothing, and say nothing of what a client needs.

mod link;
mod resolve;
#[cfg(all(test, target_os = "linux", feature = "storage"))]
mod tests;

pub use link::{LINK_MAX, Link, LinkFault, read_link};
pub use resolve::{Content, Presence};
pub(crate) use resolve::{LayerAnswer, Linked, Shelf, UnreadPart};
