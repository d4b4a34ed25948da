//! The command `undo`: takes back the changes in a journal.

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use registry_cli::file;
use registry_core::repair::{ChangeUndoState, RepairHistory, UNDO_SCHEMA, Undo, UndoReport, UndoneChange};
use registry_core::text::escape_os;
use registry_core::tree_writer::{Access, Locking, RunningServers};

use crate::args::UndoArgs;
use crate::exit::{self, Failure};
use crate::{hints, log, render, settings, unused};

/// Takes a repair back and prints; returns the exit status.
///
/// # Errors
/// When the journal cannot be used, or its tree cannot be opened.
pub fn run(args: &UndoArgs) -> Result<u8, Failure> {
    let started_at = Timestamp::now();
    unused::refuse_unused("undo", "a journal is taken back as a whole, the last change first", &args.common)?;
    let shown = escape_os(args.journal.as_os_str());
    let text = file::refuse_non_file(&args.journal)
        .and_then(|()| file::read_text(&args.journal, settings::MAX_BYTES))
        .with_context(|| format!("cannot read the journal {shown}"));
    let history = RepairHistory::read(&text.map_err(Failure::Usage)?)
        .map_err(|error| Failure::Usage(anyhow!("the journal {shown} cannot be used: {error}")))?;
    let access = Access {
        locking: if args.no_lock { Locking::ByCaller } else { Locking::Required },
        servers: if args.online { RunningServers::Accept } else { RunningServers::Refuse },
    };
    let undo = Undo::open(&history, access).map_err(hints::write_refused)?;
    let changes = undo.undo_all();
    let servers = undo.processes().iter().map(Into::into).collect();
    drop(undo);
    let report = UndoReport {
        schema: UNDO_SCHEMA.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        started_at,
        exit_status: exit_status(&changes),
        journal: shown,
        tree: history.tree,
        is_torn: history.is_torn,
        servers,
        changes,
    };
    log::changes(&args.common, &report.changes);
    render::undone(&args.common, &report)?;
    Ok(report.exit_status)
}

fn exit_status(changes: &[UndoneChange]) -> u8 {
    let is_taken = changes.iter().any(|change| matches!(change.state, ChangeUndoState::Taken(_)));
    let is_lost = changes.iter().any(|change| matches!(change.state, ChangeUndoState::Lost(_)));
    exit::errors_or_incomplete(is_taken, is_lost)
}
