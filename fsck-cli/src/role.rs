//! Whether a tree is the home of its images or a pull-through cache, as far as the command line and configurations say. What its
//! files say is registry-core's matter.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use registry_cli::args::RoleArg;
use registry_cli::file;
use registry_core::audit::RegistryRole;
use registry_core::storage::{Located, is_cache, serves_cache};
use registry_core::text::escape_os;

use crate::args::JudgingArgs;
use crate::exit::Failure;

/// Most bytes of a registry's configuration.
const CONFIG_MAX: u64 = 1 << 20;

/// What decides over the role of every tree of a run.
#[derive(Debug, Clone, Copy)]
pub enum RoleRule {
    /// The command line says it.
    Said(RegistryRole),
    /// The configuration that was named makes it a cache.
    Configured,
    /// Servers at work and the tree's own files tell.
    Auto,
}

impl RoleRule {
    /// What the command line says; the configuration that it names is read.
    ///
    /// # Errors
    /// When that cannot be read, or is no configuration.
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

    /// The role of one registry; `None` leaves it to its files.
    pub fn role(self, located: &Located) -> Option<RegistryRole> {
        let told = |why: &str| {
            tracing::info!("{}: {why}: a pull-through cache", escape_os(located.name.as_os_str()));
        };
        match self {
            Self::Said(role) => Some(role),
            Self::Configured => {
                told("its configuration has proxy:");
                Some(RegistryRole::Cache)
            }
            Self::Auto if serves_cache(&located.v2) => {
                told("the configuration of the server that runs on it has proxy:");
                Some(RegistryRole::Cache)
            }
            Self::Auto => None,
        }
    }
}

/// Refuses one configuration for several registries.
///
/// # Errors
/// When it would be.
pub fn refuse_several(args: &JudgingArgs, registries: &[Located]) -> Result<(), Failure> {
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

/// Says that a tree looks like a cache, and what settles it.
pub fn hint(name: &str) {
    tracing::warn!(
        "{name} looks like a pull-through cache: platforms of its indexes are absent without a trace. --role cache, or the \
         registry's configuration as --registry-config, says so if it is one, --role primary if it is not; if children are left \
         out on purpose, --sparse names their repositories"
    );
}
