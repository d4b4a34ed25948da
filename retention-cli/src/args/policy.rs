//! The options of the policy: what stays.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use registry_cli::args::parse_duration;

use super::parse_keep_last;

/// What stays.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    /// Images of a package that stay by rank
    /// [default: 10]
    #[arg(
        long,
        value_name = "N",
        env = "KEEP_LAST_N",
        allow_negative_numbers = true,
        help_heading = "Policy"
    )]
    #[arg(value_parser = parse_keep_last)]
    pub keep_last: Option<u32>,

    /// Tags that always stay, with their images (repeatable)
    #[arg(long, value_name = "GLOB", help_heading = "Policy")]
    pub keep_tag: Vec<String>,

    /// Do not keep `latest` as a matter of course
    #[arg(long, help_heading = "Policy")]
    pub no_keep_latest: bool,

    /// Do not keep build caches as a matter of course
    #[arg(long, help_heading = "Policy")]
    pub no_keep_cache: bool,

    /// Images pushed within this time stay
    #[arg(long, value_name = "DURATION", value_parser = parse_duration::<u64>, help_heading = "Policy")]
    pub keep_within: Option<u64>,

    /// Image references in use, one a line
    #[arg(long, value_name = "FILE", help_heading = "Policy")]
    pub in_use: Option<PathBuf>,

    /// Only packages that match
    #[arg(long, value_name = "GLOB", help_heading = "Policy")]
    pub package: Vec<String>,

    /// What ranks images
    /// [default: pushed]
    #[arg(long, value_enum, help_heading = "Policy")]
    pub rank_by: Option<RankByArg>,

    /// What becomes of manifests that no tag reaches
    /// [default: leave]
    #[arg(long, value_enum, help_heading = "Policy")]
    pub untagged: Option<UnneededArg>,

    /// What becomes of signatures whose subject is gone
    /// [default: leave]
    #[arg(long, value_enum, help_heading = "Policy")]
    pub orphan_signatures: Option<UnneededArg>,

    /// Younger than this, nothing untagged goes
    /// [default: 24h]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration::<u64>, help_heading = "Policy")]
    pub grace: Option<u64>,

    /// What an undo put back stays for this time (with --push-times)
    /// [default: 7d]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration::<u64>, help_heading = "Policy")]
    pub hold: Option<u64>,

    /// The order of pushes counts, also where it is the reverse of that of builds
    #[arg(long, help_heading = "Policy")]
    pub accept_push_order: bool,

    /// Most images a run may delete
    #[arg(long, value_name = "N", help_heading = "Policy")]
    pub max_delete: Option<u64>,

    /// Most images of a package that may go, in percent
    #[arg(long, value_name = "P", help_heading = "Policy")]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
    pub max_delete_percent: Option<u8>,

    /// A package may lose its last image
    #[arg(long, help_heading = "Policy")]
    pub allow_empty: bool,

    /// This tag's manifest is lost for good (repeatable)
    #[arg(long, value_name = "PACKAGE:TAG", help_heading = "Policy")]
    pub assume_lost: Vec<String>,

    /// Rules by package and tag
    #[arg(long, value_name = "FILE", help_heading = "Policy")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum, serde::Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RankByArg {
    Pushed,
    Semver,
    Created,
}

#[derive(Debug, Clone, Copy, ValueEnum, serde::Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum UnneededArg {
    Leave,
    Prune,
}
