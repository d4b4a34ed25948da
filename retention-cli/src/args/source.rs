//! Where the images are, and how their server is asked.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use registry_core::registry::TokenService;

use super::duration;

/// Where the images are.
#[derive(Debug, Args)]
pub struct Server {
    /// A Forgejo server [env: FORGEJO_HOST]
    // The environment is read elsewhere: here it would count as typed, and forbid every other source.
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
    #[arg(long, value_enum, default_value_t = Role::Auto, help_heading = "Source")]
    pub role: Role,

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

/// What a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    Primary,
    Cache,
    Auto,
}

/// How servers are asked. The token comes from a file or from FORGEJO_TOKEN, never from an argument.
#[derive(Debug, Args)]
pub struct Connection {
    /// The user of the token [env: FORGEJO_USER, with --registry REGISTRY_USER]
    #[arg(long, value_name = "NAME", help_heading = "Connection")]
    pub user: Option<String>,

    /// A file that holds the token [env: FORGEJO_TOKEN_FILE, with --registry REGISTRY_PASSWORD_FILE]
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub token_file: Option<PathBuf>,

    /// A token service on another host that the credentials may go to; scheme, host and port count (repeatable)
    #[arg(long, value_name = "URL", help_heading = "Connection")]
    pub token_service: Vec<TokenService>,

    /// Certificate authorities trusted beside those of the system (PEM)
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub ca_file: Option<PathBuf>,

    /// Longest time for one answer, all of it
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "90s", help_heading = "Connection")]
    pub timeout: u64,

    /// End early when no request succeeded for this long; 0s never does. Being told to wait (429) is no failure
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "30s", help_heading = "Connection")]
    pub give_up_after: u64,

    /// Requests under way at once
    #[arg(long, value_name = "N", default_value_t = 8, help_heading = "Connection")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
}

/// A source for verbs that delete nothing.
#[derive(Debug, Args)]
pub struct Recorded {
    /// A recorded listing
    #[arg(long, value_name = "FILE", help_heading = "Source")]
    #[arg(conflicts_with_all = ["forgejo", "owner", "registry", "layout"])]
    pub inventory: Option<PathBuf>,
}
