//! The command line. The commands decide what it means.

mod gc_preview;
mod online;
mod repair;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use globset::{Glob, GlobBuilder};
use registry_cli::args::{Jobs, Messages, Printing, RoleArg, parse_duration};
use registry_cli::metrics::MetricsPlaces;
use registry_cli::progress::ProgressLine;
use registry_core::oci::Platform;

pub use gc_preview::{EngineArg, GcPreviewArgs};
pub use online::{DepthArg, ProbeArgs, VerifyArgs};
pub use repair::{RepairArgs, UndoArgs};

/// Audit registry:2 and registry:3 storage as the graph it is.
#[derive(Debug, Parser)]
#[command(name = "registry-fsck", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// The options that every command has.
    pub const fn common(&self) -> &Common {
        match &self.command {
            Command::Scan(args) => &args.common,
            Command::GcPreview(args) => &args.common,
            Command::Repair(args) => &args.common,
            Command::Undo(args) => &args.common,
            Command::Probe(args) => &args.common,
            Command::Verify(args) => &args.common,
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Audit registry trees on disk
    Scan(Box<ScanArgs>),
    /// Forecast `registry garbage-collect`: what it would delete, break and make final
    GcPreview(Box<GcPreviewArgs>),
    /// Mend what can be mended from the bytes on disk; a dry run unless --apply is given
    Repair(Box<RepairArgs>),
    /// Take a repair back
    Undo(Box<UndoArgs>),
    /// Audit a live registry over HTTP, every 15 minutes: tags, manifests, children, configs and layers
    Probe(Box<ProbeArgs>),
    /// Check one image completely, for CI right after a push
    Verify(Box<VerifyArgs>),
}

/// Options of `scan`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status, OR-ed: 0 nothing wrong; 4 errors remain; 8 not everything could be looked at; 16 usage; \
130 (alone) interrupted. Warnings and garbage alone exit 0.")]
pub struct ScanArgs {
    /// A rootdirectory, its docker/registry/v2, or a folder of several registries
    #[arg(required = true, value_name = "ROOT")]
    pub roots: Vec<PathBuf>,

    /// Hash every byte of every blob
    #[arg(long)]
    pub content: bool,

    /// Open leaf folders too and report everything that has no place there
    #[arg(long)]
    pub strict: bool,

    /// A platform that every image must have, such as linux/arm64 (repeatable)
    #[arg(long, value_name = "PLATFORM")]
    pub require_platform: Vec<Platform>,

    #[command(flatten)]
    pub judging: JudgingArgs,

    /// Follow symbolic links to folders; never those in the place of link and data files
    #[arg(long)]
    pub follow_symlinks: bool,

    /// Write every piece of garbage to this file, as JSON Lines
    #[arg(long, value_name = "FILE")]
    pub list_garbage: Option<PathBuf>,

    #[command(flatten)]
    pub compare: Compare,

    #[command(flatten)]
    pub common: Common,
}

/// How a tree is judged.
#[derive(Debug, Args)]
pub struct JudgingArgs {
    /// Whether images are pushed here, or this is a pull-through cache; auto looks for scheduler-state.json, and for `proxy:` in
    /// the configuration of a server that runs on this tree
    #[arg(long, value_enum, default_value_t = RoleArg::Auto)]
    pub role: RoleArg,

    /// The configuration that the registry runs with, for --role auto: `proxy:` in it makes a pull-through cache
    #[arg(long, value_name = "FILE")]
    pub registry_config: Option<PathBuf>,

    /// Repositories whose index children may be absent on purpose (repeatable)
    #[arg(long, value_name = "GLOB", value_parser = parse_glob)]
    pub sparse: Vec<Glob>,

    /// Younger than this, what no tag reaches is a push under way
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_duration::<u32>)]
    pub min_age: u32,
}

/// What findings are held against.
#[derive(Debug, Args)]
pub struct Compare {
    /// An earlier JSON report: findings are marked new or known, resolved ones listed
    #[arg(long, value_name = "REPORT")]
    pub baseline: Option<PathBuf>,

    /// Findings to live with: a TOML file of `ignore` tables with code, repository, reason, expires
    #[arg(long, value_name = "FILE")]
    pub ignore: Option<PathBuf>,

    /// What makes the exit status 4: errors, warnings too, or only errors that --baseline lacks
    #[arg(long, value_enum, default_value_t = FailOn::Error)]
    pub fail_on: FailOn,
}

/// Options that every command has.
#[derive(Debug, Args)]
pub struct Common {
    #[command(flatten)]
    pub printing: Printing,

    #[command(flatten)]
    pub jobs: Jobs,

    /// Only repositories that match (repeatable); garbage cannot be known then
    #[arg(long, value_name = "GLOB", value_parser = parse_glob)]
    pub repository: Vec<Glob>,

    #[command(flatten)]
    pub metrics: MetricsPlaces,

    #[command(flatten)]
    pub messages: Messages,

    /// Log errors only, print the summary only
    #[arg(long, short, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Say more: nothing in the report is shortened
    #[arg(long, short, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl Common {
    /// Shows a progress line with this message, if one is wanted.
    pub fn progress_line(&self, message: impl Fn(Duration) -> String + Send + 'static) -> ProgressLine {
        ProgressLine::show(self.messages.progress, self.quiet, message)
    }
}

/// What makes a run fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    Error,
    Warning,
    New,
}

/// A glob over repository names; `*` matches `/` too.
fn parse_glob(text: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(text).literal_separator(false).build()
}

/// A percentage, with or without the sign.
fn parse_percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    let percent = number.parse::<f64>().ok().filter(|percent| *percent > 0.0 && *percent <= 100.0);
    percent.ok_or_else(|| "write it as 10%, more than 0 and at most 100".to_owned())
}
