//! The Forgejo package API as a source of retention, for the container packages of one owner.
//!
//! Listing and deletion use the REST API, one named row at a time. Manifests use `/v2`, with tokens of its own service:
//! a personal token as HTTP Basic costs the server a database write for each request. Nothing is ever deleted by digest
//! through `/v2`, because that deletes every tag of the digest (`services/packages/container/manifest.go @ v15.0.3`).

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
