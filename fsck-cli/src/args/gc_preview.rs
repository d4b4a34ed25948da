//! The command line of `gc-preview`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Common, JudgingArgs};

/// Options of `gc-preview`.
#[derive(Debug, Args)]
#[command(after_help = "\
For a line in cron: registry-fsck gc-preview --quiet ROOT && registry garbage-collect CONFIG

Exit status, OR-ed: 0 running the collector costs nothing that is reachable or can be mended; 4 it does, or it would stop in \
the middle; 8 not everything could be looked at; 16 usage; 130 (alone) interrupted.")]
pub struct GcPreviewArgs {
    /// A rootdirectory, its docker/registry/v2, or a folder of several registries
    #[arg(required = true, value_name = "ROOT")]
    pub roots: Vec<PathBuf>,

    /// The release of the registry whose collector is to run
    #[arg(long, value_enum, default_value_t = EngineArg::V2_8)]
    pub engine: EngineArg,

    /// As the collector's option of that name (-m)
    #[arg(long)]
    pub delete_untagged: bool,

    /// Open leaf folders too: data and link files in odd places stop a collector
    #[arg(long)]
    pub strict: bool,

    /// Follow symbolic links to folders; never those in the place of link and data files
    #[arg(long)]
    pub follow_symlinks: bool,

    #[command(flatten)]
    pub judging: JudgingArgs,

    #[command(flatten)]
    pub common: Common,
}

/// The release of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineArg {
    /// 2.7 and 2.8, the images registry:2
    #[value(name = "2.8", alias = "2")]
    V2_8,
    /// 3.0 and 3.1, the images registry:3
    #[value(name = "3")]
    V3,
}
