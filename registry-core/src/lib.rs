//! What a container registry holds, what names what in it, and what is wrong with it.
//!
//! A registry is a graph: tags name manifests, an index names child manifests, a manifest names a config and layers.
//! [`storage`] reads a registry:2 tree from disk, [`graph`] holds what it found, [`audit`] answers which references
//! do not hold. The library prints nothing, reads no environment, never exits and never panics on input.

pub mod audit;
#[cfg(any(feature = "storage", feature = "remote"))]
mod cause;
pub mod collector;
#[cfg(feature = "remote")]
pub mod forgejo;
pub mod graph;
pub mod oci;
pub mod path;
pub mod printable;
pub mod probe;
#[cfg(feature = "remote")]
pub mod registry;
#[cfg(feature = "storage")]
pub mod repair;
pub mod retention;
#[cfg(feature = "schema")]
pub mod schema;
pub mod serve;
#[cfg(feature = "remote")]
mod stop;
#[cfg(feature = "storage")]
pub mod storage;
pub mod text;
#[cfg(feature = "storage")]
pub mod tree_writer;

#[cfg(feature = "remote")]
pub use stop::Stop;
