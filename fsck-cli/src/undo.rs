//! The command `undo`: takes back what a journal tells.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use registry_cli::file;
use registry_core::repair::{self, Told, UNDO_SCHEMA, Undo, UndoReport, UndoState, Undone};
use registry_core::storage::{Job, Serving, serving};
use registry_core::text::escape_os;

use crate::args::UndoArgs;
use crate::exit::{self, Failure};
use crate::processes::{collecting, server};
use crate::{log, render, settings, unused};

/// Takes a repair back, prints, and gives the exit status.
///
/// # Errors
/// When the journal cannot be used, or the tree it tells of not be opened.
pub fn run(args: &UndoArgs) -> Result<u8, Failure> {
    let started_at = Timestamp::now();
    unused::refuse("undo", "a journal is taken back as a whole, the last change first", &args.common)?;
    let shown = escape_os(args.journal.as_os_str());
    let text = file::refuse_non_file(&args.journal)
        .and_then(|()| file::read_text(&args.journal, settings::MAX_BYTES))
        .with_context(|| format!("cannot read the journal {shown}"));
    let told = Told::read(&text.map_err(Failure::Usage)?)
        .map_err(|error| Failure::Usage(anyhow!("the journal {shown} cannot be used: {error}")))?;
    let tree = Path::new(&told.tree);
    let servers = serving(tree);
    if let Some(one) = servers.iter().find(|one| is_in_the_way(one, args.online)) {
        return Err(Failure::Io(match one.job {
            Job::Collector => collecting(one),
            Job::Server => anyhow!(
                "{} (process {}) is at work on this tree, and may be sent what relies on the repair: stop it, or say --online",
                one.program,
                one.pid
            ),
        }));
    }
    let lock = if args.no_lock {
        None
    } else {
        Some(repair::lock(tree).map_err(|error| Failure::Io(error.into()))?)
    };
    let editor = repair::open(&told).map_err(|error| Failure::Io(error.into()))?;
    let changes = Undo { editor: &editor }.all(&told);
    drop(lock);
    let report = UndoReport {
        schema: UNDO_SCHEMA.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        started_at,
        exit_status: status(&changes),
        journal: shown,
        tree: told.tree,
        is_torn: told.is_torn,
        servers: servers.iter().map(server).collect(),
        changes,
    };
    log::changes(&args.common, &report.changes);
    render::undone(&args.common, &report).context("cannot write the report").map_err(Failure::Io)?;
    Ok(report.exit_status)
}

/// Whether a process forbids the undo: a collector always, a server that writes unless that was allowed.
fn is_in_the_way(one: &Serving, is_online: bool) -> bool {
    match one.job {
        Job::Collector => true,
        Job::Server => !one.is_read_only && !is_online,
    }
}

fn status(changes: &[Undone]) -> u8 {
    let any = |is: fn(&UndoState) -> bool| changes.iter().any(|change| is(&change.state));
    let mut status = exit::NOTHING_WRONG;
    if any(|state| matches!(state, UndoState::Taken(_))) {
        status |= exit::ERRORS;
    }
    if any(|state| matches!(state, UndoState::Lost(_))) {
        status |= exit::INCOMPLETE;
    }
    status
}
