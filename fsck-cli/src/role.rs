//! Finds out from the command line and from configurations whether a tree belongs to a home registry or a pull-through cache.
//! What the files of the tree show is in registry-core.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use registry_cli::args::RoleArg;
use registry_cli::file;
use registry_core::audit::RegistryRole;
use registry_core::storage::{LocatedRegistry, is_cache, is_served_as_cache};
use registry_core::text::escape_os;

use crate::args::JudgingArgs;
use crate::exit::Failure;

/// Most bytes of a registry's configuration.
const CONFIG_MAX: u64 = 1 << 20;

/// How the role of each tree of a run is decided.
#[derive(Debug, Clone, Copy)]
pub enum RoleRule {
    /// By `--role`.
    Said(RegistryRole),
    /// Cache, by the configuration of `--registry-config`.
    Configured,
    /// By the servers that run on the tree, and by its files.
    Auto,
}

impl RoleRule {
    /// Takes the rule from the command line, and reads the configuration that it names.
    ///
    /// # Errors
    /// When the configuration cannot be read, or is none.
    pub fn from_args(args: &JudgingArgs) -> Result<Self, Failure> {
        let is_cache = match &args.registry_config {
            Some(path) => configures_cache(path)
                .with_context(|| format!("cannot use the configuration {}", escape_os(path.as_os_str())))
                .map_err(Failure::Usage)?,
            None => false,
        };
        Ok(match args.role {
            RoleArg::Primary => Self::Said(RegistryRole::Primary),
            RoleArg::Cache => Self::Said(RegistryRole::Cache),
            RoleArg::Auto if is_cache => Self::Configured,
            RoleArg::Auto => Self::Auto,
        })
    }

    /// The role of one registry; `None` means that its files decide.
    pub fn role(self, located: &LocatedRegistry) -> Option<RegistryRole> {
        let why = match self {
            Self::Said(role) => return Some(role),
            Self::Configured => "its configuration has proxy:",
            Self::Auto if is_served_as_cache(&located.v2) => {
                "the configuration of the server that runs on it has proxy:"
            }
            Self::Auto => return None,
        };
        tracing::info!("{}: {why}: a pull-through cache", escape_os(located.name.as_os_str()));
        Some(RegistryRole::Cache)
    }
}

/// Refuses `--registry-config` together with several registries.
///
/// # Errors
/// When several registries would share one configuration.
pub fn refuse_several(args: &JudgingArgs, registries: &[LocatedRegistry]) -> Result<(), Failure> {
    if args.registry_config.is_some() && registries.len() > 1 {
        let count = registries.len();
        return Err(Failure::Usage(anyhow!(
            "--registry-config is of one registry, and here are {count}: name one of them"
        )));
    }
    Ok(())
}

fn configures_cache(path: &Path) -> anyhow::Result<bool> {
    is_cache(&file::read_text(path, CONFIG_MAX)?).map_err(|why| anyhow!(why))
}

/// Warns that a tree looks like a cache, and names the options that decide it.
pub fn warn_of_cache(name: &str) {
    tracing::warn!(
        "{name} looks like a pull-through cache: platforms of its indexes are absent without a trace. --role cache, or the \
         registry's configuration as --registry-config, says so if it is one, --role primary if it is not; if children are left \
         out on purpose, --sparse names their repositories"
    );
}
