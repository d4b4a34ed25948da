//! The command line. Other modules decide what it means.

mod policy;
mod source;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use registry_cli::args::{Jobs, Messages, Printing, parse_duration};
use registry_cli::connection::Connection;
use registry_cli::metrics::MetricsPlaces;

pub use policy::{PolicyArgs, RankByArg, UnneededArg};
pub use source::{Recorded, ServerArgs};

/// Delete old images from a registry so that everything kept still holds
#[derive(Debug, Parser)]
#[command(name = "registry-retention", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Environment, each beaten by its flag: FORGEJO_HOST, FORGEJO_OWNER, KEEP_LAST_N; and DRY_RUN, true by default, which when set \
to true disarms --apply and apply.

Credentials come from the first of these that is there: --user with --password-file; --authfile; of a Forgejo FORGEJO_USER \
with FORGEJO_TOKEN_FILE or FORGEJO_TOKEN, of a registry REGISTRY_USER with REGISTRY_PASSWORD_FILE or REGISTRY_PASSWORD (--user \
in place of either user; a Forgejo needs none); REGISTRY_AUTH_FILE; containers/auth.json in XDG_RUNTIME_DIR when it has any \
for this host; docker's config.json, with its helpers, in DOCKER_CONFIG or ~/.docker.

Exit status: 0 done, or nothing to do; 1 an operation failed; 2 usage or configuration refused; 3 changes pending \
(--detailed-exitcode); 4 packages were skipped; 5 something moved; 6 the token may not delete; 7 a guard refused; 130 \
(alone) interrupted.")]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Option<Verb>,

    #[command(flatten)]
    pub run: RunArgs,
}

impl Cli {
    /// Takes the server and the owner from the environment, unless the command line names a source.
    pub fn take_environment(&mut self) {
        let server = match &mut self.verb {
            None => &mut self.run.server,
            Some(Verb::Run(args)) => &mut args.server,
            Some(Verb::Plan(args)) => &mut args.server,
            Some(Verb::Apply(args)) => &mut args.server,
            Some(Verb::Explain(args)) => &mut args.server,
            Some(Verb::Undo(args)) => &mut args.server,
        };
        if server.registry.is_some() || server.layout.is_some() {
            return;
        }
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        if server.forgejo.is_none() {
            server.forgejo = variable("FORGEJO_HOST");
        }
        if server.owner.is_empty() {
            server.owner.extend(variable("FORGEJO_OWNER"));
        }
    }

    /// The options of standard error, and whether it is verbose.
    pub const fn messages(&self) -> (Messages, bool) {
        let common = match &self.verb {
            None => &self.run.common,
            Some(Verb::Run(args)) => &args.common,
            Some(Verb::Plan(args)) => &args.common,
            Some(Verb::Apply(args)) => &args.common,
            Some(Verb::Explain(args)) => &args.common,
            Some(Verb::Undo(args)) => return (args.messages, args.verbose > 0),
        };
        (common.messages, common.verbose > 0)
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List, plan, print; with --apply also delete (the default)
    Run(Box<RunArgs>),
    /// Write the plan to a file
    Plan(Box<PlanArgs>),
    /// Delete exactly what a plan file says, after checking that nothing moved
    Apply(Box<ApplyArgs>),
    /// Tell why a package, a tag or a digest stays or goes
    Explain(Box<ExplainArgs>),
    /// Put deleted tags back while the server still has what they need
    Undo(Box<UndoArgs>),
}

#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub connection: Connection,
    #[command(flatten)]
    pub jobs: Jobs,
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub policy: PolicyArgs,
    #[command(flatten)]
    pub answer: ExitOptions,
    #[command(flatten)]
    pub effects: Effects,

    /// Delete what the plan says
    #[arg(long)]
    pub apply: bool,

    #[command(flatten)]
    pub metrics: MetricsPlaces,
}

#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub connection: Connection,
    #[command(flatten)]
    pub jobs: Jobs,
    #[command(flatten)]
    pub recorded: Recorded,
    #[command(flatten)]
    pub policy: PolicyArgs,
    #[command(flatten)]
    pub answer: ExitOptions,

    /// Where the plan goes, as JSON, for `apply`; the text is printed all the same
    #[arg(long, value_name = "FILE")]
    pub plan_file: Option<PathBuf>,

    #[command(flatten)]
    pub common: Common,

    /// Ask whether the token may delete
    #[arg(long, value_enum, default_value_t = Preflight::Warn)]
    pub preflight: Preflight,

    /// Plan for an apply that keeps what deleted images need for 24 hours more
    #[arg(long)]
    pub undo_window: bool,
}

#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// A plan written by `plan`
    #[arg(value_name = "FILE")]
    pub plan: PathBuf,

    /// Oldest plan that is acted on
    #[arg(long, value_name = "DURATION", value_parser = parse_duration::<u64>, default_value = "24h")]
    pub max_plan_age: u64,

    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub connection: Connection,
    #[command(flatten)]
    pub jobs: Jobs,
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub effects: ApplyEffects,

    #[command(flatten)]
    pub metrics: MetricsPlaces,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// What to explain
    #[arg(value_name = "PACKAGE[:TAG|@DIGEST]")]
    pub subject: String,

    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub connection: Connection,
    #[command(flatten)]
    pub jobs: Jobs,
    #[command(flatten)]
    pub recorded: Recorded,
    #[command(flatten)]
    pub policy: PolicyArgs,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, Args)]
pub struct UndoArgs {
    /// A journal written by `run` or `apply`
    #[arg(value_name = "JOURNAL")]
    pub journal: PathBuf,

    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub connection: Connection,
    #[command(flatten)]
    pub jobs: Jobs,

    /// Without --push-times: what is put back counts as pushed now, and later runs delete older pushes in its stead
    #[arg(long, conflicts_with = "push_times")]
    pub rank_as_new: bool,

    /// With the journal of a tree: take no lock, on a file system that keeps none
    #[arg(long)]
    pub no_lock: bool,

    #[command(flatten)]
    pub messages: Messages,

    /// Print the requests made
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// What every verb that answers takes.
#[derive(Debug, Clone, Args)]
pub struct Common {
    #[command(flatten)]
    pub printing: Printing,

    #[command(flatten)]
    pub messages: Messages,

    /// Print the last line only; errors and refusals still go to standard error
    #[arg(long, short)]
    pub quiet: bool,

    /// Tell what is protected, and why
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Time of the decision, instead of now (RFC 3339); for repeating a plan
    #[arg(long, value_name = "TIME")]
    pub at: Option<jiff::Timestamp>,
}

/// What the exit status tells beyond success and failure.
#[derive(Debug, Args)]
pub struct ExitOptions {
    /// Exit 3 when changes are pending
    #[arg(long)]
    pub detailed_exitcode: bool,

    /// Exit 4 when a broken image is met
    #[arg(long, value_enum)]
    pub fail_on: Option<FailOn>,
}

/// How the deletions of a plan file are done; what is kept for an undo is part of the plan.
#[derive(Debug, Args)]
pub struct ApplyEffects {
    /// Ask whether the token may delete
    #[arg(long, value_enum, default_value_t = Preflight::Require)]
    pub preflight: Preflight,

    /// Where the journal goes; `./registry-retention-<UTC time>.journal` by default
    #[arg(long, value_name = "PATH")]
    pub journal: Option<PathBuf>,

    /// With --layout: where what goes is moved to; `ROOT/.registry-fsck/<UTC time>` by default
    #[arg(long, value_name = "DIR")]
    pub quarantine: Option<PathBuf>,

    /// With --layout: take no lock, on a file system that keeps none
    #[arg(long)]
    pub no_lock: bool,
}

/// How deletions are done.
#[derive(Debug, Args)]
pub struct Effects {
    #[command(flatten)]
    pub apply: ApplyEffects,

    /// Keep what deleted images need for 24 hours more, so that undo can put them back
    #[arg(long)]
    pub undo_window: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Preflight {
    Require,
    Warn,
    Off,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum FailOn {
    Broken,
}

/// The value of `--keep-last`.
fn parse_keep_last(text: &str) -> Result<u32, String> {
    let number = text.trim().parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "write a number from 1 on; KEEP_LAST_N in the environment means the same".into())
}
