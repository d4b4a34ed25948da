//! Whether a live registry is a pull-through cache: what is asked of a cache, it fetches and keeps.

use std::collections::BTreeSet;

use jiff::Timestamp;
use registry_cli::args::RoleArg;
use registry_core::audit::RegistryRole;
use registry_core::probe::{ProbeState, RememberedRole};
use registry_core::registry::{Client, Pushing};

/// How many names of a file are tried for a repository that is there.
const TRIED: usize = 3;

/// What is known of a registry's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KnownRole {
    /// The command line says it.
    Said(RegistryRole),
    /// The registry was asked, in this run or an earlier one.
    Found(RegistryRole),
    /// Nobody knows.
    Undecided,
}

impl KnownRole {
    /// Whether it is a cache, or may only be read-only, which looks the same.
    pub(super) const fn is_cache(self) -> bool {
        matches!(self, Self::Said(RegistryRole::Cache) | Self::Found(RegistryRole::Cache))
    }
}

/// The repositories of a registry, in one of which it may be asked.
pub(super) struct RepositoryNames<'n> {
    pub(super) names: &'n BTreeSet<String>,
    /// Whether the registry listed them itself, so that they are there.
    pub(super) are_listed: bool,
}

/// Finds out what a registry is, unless the command line says it or an earlier run found it out.
pub(super) async fn find(
    said: RoleArg,
    client: &Client,
    names: RepositoryNames<'_>,
    past: &mut ProbeState,
    now: Timestamp,
) -> KnownRole {
    match said {
        RoleArg::Primary => return KnownRole::Said(RegistryRole::Primary),
        RoleArg::Cache => return KnownRole::Said(RegistryRole::Cache),
        RoleArg::Auto => {}
    }
    if let Some(role) = past.known_role(now) {
        return KnownRole::Found(role);
    }
    let Some(repository) = existing(client, names).await else { return KnownRole::Undecided };
    let role = match client.pushing(repository).await {
        Ok(Pushing::Taken) => RegistryRole::Primary,
        Ok(Pushing::Unsupported) => RegistryRole::Cache,
        Ok(Pushing::Unknown) | Err(_) => return KnownRole::Undecided,
    };
    past.role = Some(RememberedRole { role, asked_at: now });
    KnownRole::Found(role)
}

/// A repository that is there: to begin an upload in another would make it.
async fn existing<'n>(
    client: &Client,
    RepositoryNames { names, are_listed }: RepositoryNames<'n>,
) -> Option<&'n str> {
    if are_listed {
        return names.first().map(String::as_str);
    }
    for name in names.iter().take(TRIED) {
        if client.tags(name).await.is_ok_and(|tags| tags.is_some_and(|tags| !tags.is_empty())) {
            return Some(name);
        }
    }
    None
}
