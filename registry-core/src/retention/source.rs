//! Where packages come from, as written in plans, inventories and journals.

use serde::{Deserialize, Serialize};

/// What kind of server or file the packages come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A Forgejo server, through its package API.
    Forgejo,
    /// Any OCI registry.
    Registry,
    /// A registry:2 tree on disk.
    Layout,
}

/// Where packages come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Source {
    /// What kind.
    pub kind: SourceKind,
    /// Its address, without credentials.
    pub url: String,
    /// The user or organisation that owns the packages.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<String>,
    /// Version of the server, as the server reports it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
}

impl Source {
    /// The repository path of a package, as image references have it after the host.
    pub fn repository_path(&self, package: &str) -> String {
        match &self.owner {
            Some(owner) => format!("{owner}/{package}"),
            None => package.to_owned(),
        }
    }
}
