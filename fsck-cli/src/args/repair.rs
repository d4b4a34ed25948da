//! The command lines of the commands that change a tree: `repair` and `undo`.

use std::path::PathBuf;

use clap::Args;
use registry_cli::connection::Connection;
use registry_core::audit::Code;
use registry_core::repair::DeletedTags;

use super::{Common, JudgingArgs};

/// Options of `repair`.
#[derive(Debug, Args)]
#[command(after_help = "\
A dry run unless --apply is given. Every change is written to the journal before it is made, and `registry-fsck undo JOURNAL` \
takes it back. Nothing is deleted, but by --purge.

Exit status, OR-ed: 0 nothing wrong; 1 errors were repaired; 4 errors remain; 8 not everything could be looked at or written; \
16 usage; 130 (alone) interrupted.")]
pub struct RepairArgs {
    /// A rootdirectory, or its docker/registry/v2
    #[arg(required_unless_present = "purge", value_name = "ROOT")]
    pub root: Option<PathBuf>,

    /// Do it; without this the steps are only listed
    #[arg(long)]
    pub apply: bool,

    /// Only findings of this code (repeatable)
    #[arg(long, value_name = "CODE", value_parser = parse_code)]
    pub only: Vec<Code>,

    /// Where missing bytes come from: the path of another registry's tree, or the URL of a registry
    #[arg(long, value_name = "ROOT2|URL")]
    pub from: Option<String>,

    /// Where things are moved aside to, on the same file system [default: ROOT/.registry-fsck/TIME]
    #[arg(long, value_name = "DIR")]
    pub quarantine: Option<PathBuf>,

    /// Every change, before it is made [default: ./registry-fsck-TIME.journal]
    #[arg(long, value_name = "PATH")]
    pub journal: Option<PathBuf>,

    /// Bring back tags whose manifests were probably deleted through the API
    #[arg(long, conflicts_with = "drop_deleted_tags")]
    pub restore_deleted_tags: bool,

    /// Move tags aside whose manifests were probably deleted through the API
    #[arg(long)]
    pub drop_deleted_tags: bool,

    /// Move things aside although a server runs on this tree
    #[arg(long)]
    pub online: bool,

    /// Go on where the file system keeps no locks: nothing else repairs this registry now
    #[arg(long)]
    pub no_lock: bool,

    /// Hash every byte of every blob, and move aside what hashes wrong
    #[arg(long)]
    pub content: bool,

    /// Open leaf folders too: temporary files and strays beside links and data
    #[arg(long)]
    pub strict: bool,

    /// Delete a quarantine for good; with --apply, else only say what is in it
    #[arg(long, value_name = "QUARANTINE", conflicts_with_all = [
        "root", "only", "from", "restore_deleted_tags", "drop_deleted_tags", "quarantine", "journal", "online", "no_lock", "content",
        "strict", "role", "registry_config", "sparse", "min_age",
        "user", "password_file", "authfile", "token_service", "ca_file", "retries", "give_up_after", "timeout",
    ])]
    pub purge: Option<PathBuf>,

    #[command(flatten)]
    pub judging: JudgingArgs,

    #[command(flatten)]
    pub connection: Connection,

    #[command(flatten)]
    pub common: Common,
}

impl RepairArgs {
    /// What to do with tags whose manifests were probably deleted through the API.
    pub const fn deleted_tags(&self) -> Option<DeletedTags> {
        match (self.restore_deleted_tags, self.drop_deleted_tags) {
            (true, _) => Some(DeletedTags::Restore),
            (false, true) => Some(DeletedTags::Drop),
            (false, false) => None,
        }
    }
}

/// Options of `undo`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status, OR-ed: 0 all is as it was; 4 something was done there since and stays; 8 something could not be read or written; \
16 usage.")]
pub struct UndoArgs {
    /// The journal of a repair
    #[arg(value_name = "JOURNAL")]
    pub journal: PathBuf,

    /// Go on although a server runs on this tree
    #[arg(long)]
    pub online: bool,

    /// Go on where the file system keeps no locks: nothing else repairs this registry now
    #[arg(long)]
    pub no_lock: bool,

    #[command(flatten)]
    pub common: Common,
}

fn parse_code(text: &str) -> Result<Code, String> {
    text.parse().map_err(|error: registry_core::audit::UnknownCode| error.to_string())
}
