//! The Forgejo package API as a source of retention, for the container packages of one owner.
//!
//! Listing and deletion go over REST, one named row at a time; manifests go over `/v2` with a token of its own service,
//! because a personal token as HTTP Basic costs the server a database write per request. Nothing is ever deleted by digest
//! through `/v2`, which would take every tag (`services/packages/container/manifest.go @ v15.0.3`).

mod attribution;
mod client;
mod list;
mod narrow;
mod page;
mod rest;
mod source;
mod version;
mod write_access;

pub use client::{Forgejo, ForgejoAccount};
pub use version::ForgejoVersion;
