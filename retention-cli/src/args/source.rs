//! The options of the source: where the images are.

use std::path::PathBuf;

use clap::Args;
use registry_cli::args::RoleArg;

/// Where the images are.
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// A Forgejo server [env: FORGEJO_HOST]
    // Not `env` of clap: a value from the environment would count as an option, and conflict with every other source.
    #[arg(long, value_name = "URL", help_heading = "Source")]
    pub forgejo: Option<String>,

    /// A user or organisation on it (repeatable) [env: FORGEJO_OWNER]
    #[arg(long, value_name = "NAME", help_heading = "Source")]
    pub owner: Vec<String>,

    /// Any OCI registry
    #[arg(long, value_name = "URL", conflicts_with_all = ["forgejo", "owner", "layout"], help_heading = "Source")]
    pub registry: Option<String>,

    /// A registry:2 tree whose server is stopped or read-only
    #[arg(long, value_name = "ROOT", conflicts_with_all = ["forgejo", "owner"], help_heading = "Source")]
    pub layout: Option<PathBuf>,

    /// With --layout: whether images are pushed there, or it is a pull-through cache; auto refuses what is one or looks like one
    #[arg(long, value_enum, default_value_t = RoleArg::Auto, help_heading = "Source")]
    pub role: RoleArg,

    /// Record what was listed
    #[arg(long, value_name = "FILE", help_heading = "Source")]
    pub save_inventory: Option<PathBuf>,

    /// Original push times of what was put back: `undo` adds to this file, the other verbs read it; absent, there are none
    #[arg(long, value_name = "FILE", help_heading = "Source")]
    pub push_times: Option<PathBuf>,

    /// Where manifests that were read are kept between runs
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    pub cache_dir: Option<PathBuf>,
}

/// A source for verbs that delete nothing.
#[derive(Debug, Args)]
pub struct Recorded {
    /// A recorded listing
    #[arg(long, value_name = "FILE", help_heading = "Source")]
    #[arg(conflicts_with_all = ["forgejo", "owner", "registry", "layout"])]
    pub inventory: Option<PathBuf>,
}
