//! The verb `undo`: what a journal says was deleted is put back.

use std::io::Write as _;

use anyhow::{Context as _, anyhow};
use registry_core::retention::{Entry, PushTimes, Told, UndoState};

use crate::apply::{FILE_MAX, reopen};
use crate::args::UndoArgs;
use crate::connect::Connector;
use crate::exit::{self, Failure};
use crate::layout;
use crate::plan::{keep, text_of};
use crate::planning::{DryRun, runtime};

/// Puts back what a journal says was deleted.
///
/// # Errors
/// When the journal cannot be used, or the server does not answer.
pub fn run(args: &UndoArgs) -> Result<u8, Failure> {
    let text = text_of(&args.journal, FILE_MAX).map_err(Failure::Usage)?;
    if DryRun::of_environment()? == DryRun::Yes {
        return Err(Failure::Usage(anyhow!("DRY_RUN=true: nothing is put back; unset it to undo")));
    }
    if let Some(status) = layout::undo(&text, args)? {
        return Ok(status);
    }
    let context = || format!("cannot use the journal {}", args.journal.display());
    let told = Told::read(&text).with_context(context).map_err(Failure::Usage)?;
    let Some(Entry::Begin { source: wanted, .. }) = told.entries.first() else {
        return Err(Failure::Usage(anyhow!("the journal does not tell of which server it is")));
    };
    let connector = Connector::new(&args.connection, &args.server, args.verbose > 0)?;
    let undone = runtime()?.block_on(async {
        let opened = reopen(&connector, &args.server, wanted).await;
        let source = opened.map_err(Failure::of_operation)?;
        Ok::<_, Failure>(connector.undo(source, &told).await)
    })?;
    if let Some(path) = &args.server.push_times {
        let times = PushTimes::of(&undone);
        keep(path, &times)
            .with_context(|| format!("cannot write {}", path.display()))
            .map_err(Failure::Io)?;
    }
    let mut out = std::io::stdout().lock();
    let (mut lost, mut left) = (0, 0);
    for row in &undone {
        let state = match &row.state {
            UndoState::Restored => "is back".to_owned(),
            UndoState::There => "was never gone".to_owned(),
            UndoState::Taken => "names something else now, and is left alone".to_owned(),
            UndoState::Lost(why) => format!("cannot be put back: {why}"),
        };
        lost += u32::from(matches!(row.state, UndoState::Lost(_)));
        left += u32::from(row.state == UndoState::Taken);
        let line = registry_core::text::without_controls(&format!("{}:{} {state}", row.package, row.version));
        writeln!(out, "{line}").context("cannot print").map_err(Failure::Io)?;
    }
    writeln!(out, "registry-retention undo: rows={} left={left} lost={lost}", undone.len())
        .context("cannot print")
        .map_err(Failure::Io)?;
    Ok(if lost + left > 0 { exit::FAILED } else { exit::DONE })
}
