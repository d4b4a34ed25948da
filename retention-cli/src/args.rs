//! The command line, as typed. Fields are read by nobody yet: what they ask for comes with the verbs.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Delete old images from a registry so that everything kept still holds
///
/// This version parses its command line only; it does not list, plan or delete anything.
#[derive(Debug, Parser)]
#[command(name = "registry-retention", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Environment, each beaten by its flag: FORGEJO_HOST, FORGEJO_OWNER, FORGEJO_USER, FORGEJO_TOKEN or FORGEJO_TOKEN_FILE, \
KEEP_LAST_N; and DRY_RUN, true by default, which when set to true disarms --apply and apply.

Exit status: 0 done, or nothing to do; 1 an operation failed; 2 usage or configuration refused; 3 changes pending \
(--detailed-exitcode); 4 packages were skipped; 5 something moved; 6 the token may not delete; 7 a guard refused. \
This version: 0 for help and version, else 2.")]
pub struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,

    #[command(flatten)]
    run: RunArgs,
}

impl Cli {
    /// The verb that was asked for; `run` when none was.
    pub const fn verb(&self) -> &'static str {
        match self.verb {
            None | Some(Verb::Run(_)) => "run",
            Some(Verb::Plan(_)) => "plan",
            Some(Verb::Apply(_)) => "apply",
            Some(Verb::Explain(_)) => "explain",
            Some(Verb::Undo(_)) => "undo",
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Verb {
    /// List, plan, print; with --apply also delete (the default)
    Run(Box<RunArgs>),
    /// Write the plan to a file
    Plan(Box<PlanArgs>),
    /// Delete exactly what a plan file says, after checking that nothing moved
    Apply(ApplyArgs),
    /// Tell why a package, a tag or a digest stays or goes
    Explain(Box<ExplainArgs>),
    /// Put deleted tags back while the server still has what they need
    Undo(UndoArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    policy: Policy,
    #[command(flatten)]
    answer: Answer,
    #[command(flatten)]
    effects: Effects,

    /// Delete what the plan says
    #[arg(long)]
    apply: bool,
}

#[derive(Debug, Args)]
struct PlanArgs {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    recorded: Recorded,
    #[command(flatten)]
    policy: Policy,
    #[command(flatten)]
    answer: Answer,

    /// Where the plan goes
    #[arg(long, value_name = "FILE")]
    plan_file: PathBuf,

    /// Ask whether the token may delete
    #[arg(long, value_enum, default_value_t = Preflight::Warn)]
    preflight: Preflight,
}

#[derive(Debug, Args)]
struct ApplyArgs {
    /// A plan written by `plan`
    #[arg(value_name = "FILE")]
    plan: PathBuf,

    #[command(flatten)]
    effects: Effects,
}

#[derive(Debug, Args)]
struct ExplainArgs {
    /// What to explain
    #[arg(value_name = "PACKAGE[:TAG|@DIGEST]")]
    subject: String,

    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    recorded: Recorded,
    #[command(flatten)]
    policy: Policy,
}

#[derive(Debug, Args)]
struct UndoArgs {
    /// A journal written by `run` or `apply`
    #[arg(value_name = "JOURNAL")]
    journal: PathBuf,

    /// Where the original push times go, for later runs
    #[arg(long, value_name = "FILE")]
    push_times: Option<PathBuf>,
}

/// Where the images are.
#[derive(Debug, Args)]
struct Source {
    /// A Forgejo server
    #[arg(long, value_name = "URL", env = "FORGEJO_HOST", help_heading = "Source")]
    forgejo: Option<String>,

    /// A user or organisation on it (repeatable)
    #[arg(long, value_name = "NAME", env = "FORGEJO_OWNER", help_heading = "Source")]
    owner: Vec<String>,

    /// Any OCI registry
    #[arg(long, value_name = "URL", conflicts_with = "layout", help_heading = "Source")]
    registry: Option<String>,

    /// A registry:2 tree whose server is stopped or read-only
    #[arg(long, value_name = "ROOT", help_heading = "Source")]
    layout: Option<PathBuf>,

    /// Record what was listed
    #[arg(long, value_name = "FILE", help_heading = "Source")]
    save_inventory: Option<PathBuf>,

    /// Original push times, as `undo` recorded them
    #[arg(long, value_name = "FILE", help_heading = "Source")]
    push_times: Option<PathBuf>,

    /// Where manifests that were read are kept between runs
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    cache_dir: Option<PathBuf>,
}

/// A source for verbs that delete nothing.
#[derive(Debug, Args)]
struct Recorded {
    /// A recorded listing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["registry", "layout"], help_heading = "Source")]
    inventory: Option<PathBuf>,
}

/// What stays.
#[derive(Debug, Args)]
struct Policy {
    /// Images of a package that stay by rank
    #[arg(long, value_name = "N", env = "KEEP_LAST_N", default_value_t = 10, help_heading = "Policy")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    keep_last: u32,

    /// Tags that always stay, with their images (repeatable)
    #[arg(long, value_name = "GLOB", help_heading = "Policy")]
    keep_tag: Vec<String>,

    /// Do not keep `latest` as a matter of course
    #[arg(long, help_heading = "Policy")]
    no_keep_latest: bool,

    /// Do not keep build caches as a matter of course
    #[arg(long, help_heading = "Policy")]
    no_keep_cache: bool,

    /// Images pushed within this time stay
    #[arg(long, value_name = "DURATION", help_heading = "Policy")]
    keep_within: Option<String>,

    /// Image references in use, one a line
    #[arg(long, value_name = "FILE", help_heading = "Policy")]
    in_use: Option<PathBuf>,

    /// Only packages that match
    #[arg(long, value_name = "GLOB", help_heading = "Policy")]
    package: Vec<String>,

    /// What ranks images
    #[arg(long, value_enum, default_value_t = RankBy::Pushed, help_heading = "Policy")]
    rank_by: RankBy,

    /// What becomes of manifests that no tag reaches
    #[arg(long, value_enum, default_value_t = Fate::Leave, help_heading = "Policy")]
    untagged: Fate,

    /// What becomes of signatures whose subject is gone
    #[arg(long, value_enum, default_value_t = Fate::Leave, help_heading = "Policy")]
    orphan_signatures: Fate,

    /// Younger than this, nothing untagged goes
    #[arg(long, value_name = "DURATION", default_value = "24h", help_heading = "Policy")]
    grace: String,

    /// Most images a run may delete
    #[arg(long, value_name = "N", help_heading = "Policy")]
    max_delete: Option<u32>,

    /// Most images of a package that may go, in percent
    #[arg(long, value_name = "P", help_heading = "Policy")]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
    max_delete_percent: Option<u8>,

    /// A package may lose its last image
    #[arg(long, help_heading = "Policy")]
    allow_empty: bool,

    /// This tag's manifest is lost for good (repeatable)
    #[arg(long, value_name = "PACKAGE:TAG", help_heading = "Policy")]
    assume_lost: Vec<String>,

    /// Rules by package and tag
    #[arg(long, value_name = "FILE", help_heading = "Policy")]
    config: Option<PathBuf>,
}

/// What the exit status tells beyond success and failure.
#[derive(Debug, Args)]
struct Answer {
    /// Exit 3 when changes are pending
    #[arg(long)]
    detailed_exitcode: bool,

    /// Exit 4 when a broken image is met
    #[arg(long, value_enum)]
    fail_on: Option<FailOn>,
}

/// How deletions are done.
#[derive(Debug, Args)]
struct Effects {
    /// Ask whether the token may delete
    #[arg(long, value_enum, default_value_t = Preflight::Require)]
    preflight: Preflight,

    /// Where the journal goes; `./registry-retention-<UTC time>.journal` by default
    #[arg(long, value_name = "PATH")]
    journal: Option<PathBuf>,

    /// Keep what deleted images need for 24 hours more, so that undo can put them back
    #[arg(long)]
    undo_window: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RankBy {
    Pushed,
    Semver,
    Created,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Fate {
    Leave,
    Prune,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Preflight {
    Require,
    Warn,
    Off,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FailOn {
    Broken,
}
