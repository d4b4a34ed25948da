//! Finds out whether a live registry is a pull-through cache: a cache fetches and keeps what it is asked for.

use std::collections::BTreeSet;

use jiff::Timestamp;
use registry_cli::args::RoleArg;
use registry_core::audit::RegistryRole;
use registry_core::probe::{ProbeState, RememberedRole};
use registry_core::registry::{Client, PushSupport};

/// How many repositories of a file are asked, to find one that exists.
const MAX_TRIED: usize = 3;

/// What is known about the role of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KnownRole {
    /// The role on the command line.
    Said(RegistryRole),
    /// The role that the registry's answer showed, in this run or an earlier one.
    Found(RegistryRole),
    /// Not known.
    Undecided,
}

impl KnownRole {
    /// Whether the registry is a cache. A registry that is read-only for maintenance looks the same.
    pub(super) const fn is_cache(self) -> bool {
        matches!(self, Self::Said(RegistryRole::Cache) | Self::Found(RegistryRole::Cache))
    }
}

/// Repositories of a registry; the question for its role is asked in one of them.
pub(super) struct RepositoryNames<'n> {
    pub(super) names: &'n BTreeSet<String>,
    /// Whether the registry listed them itself, so that they exist.
    pub(super) are_listed: bool,
}

/// Finds the role of a registry: on the command line, in the state of an earlier run, or by asking the registry.
pub(super) async fn find_role(
    argument: RoleArg,
    client: &Client,
    names: RepositoryNames<'_>,
    state: &mut ProbeState,
    now: Timestamp,
) -> KnownRole {
    match argument {
        RoleArg::Primary => return KnownRole::Said(RegistryRole::Primary),
        RoleArg::Cache => return KnownRole::Said(RegistryRole::Cache),
        RoleArg::Auto => {}
    }
    if let Some(role) = state.known_role(now) {
        return KnownRole::Found(role);
    }
    let Some(repository) = find_existing(client, names).await else {
        return KnownRole::Undecided;
    };
    let role = match client.push_support(repository).await {
        Ok(PushSupport::Taken) => RegistryRole::Primary,
        Ok(PushSupport::Unsupported) => RegistryRole::Cache,
        Ok(PushSupport::Unknown) | Err(_) => return KnownRole::Undecided,
    };
    state.role = Some(RememberedRole { role, asked_at: now });
    KnownRole::Found(role)
}

/// Finds a repository that exists: beginning an upload in another one would create it.
async fn find_existing<'n>(
    client: &Client,
    RepositoryNames { names, are_listed }: RepositoryNames<'n>,
) -> Option<&'n str> {
    if are_listed {
        return names.first().map(String::as_str);
    }
    for name in names.iter().take(MAX_TRIED) {
        if client.tags(name).await.is_ok_and(|tags| tags.is_some_and(|tags| !tags.is_empty())) {
            return Some(name);
        }
    }
    None
}
