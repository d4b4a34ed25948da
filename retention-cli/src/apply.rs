//! The verb `apply`: a plan file, checked and acted on. Also opens the server that a file was made for.

use anyhow::{Context as _, anyhow};
use registry_cli::connection::runtime;
use registry_cli::log;
use registry_core::Stop;
use registry_core::retention::{Plan, Source as Told};

use crate::args::{ApplyArgs, ServerArgs};
use crate::connect::{Connector, OpenSource, SourceName};
use crate::exit::{Failure, Tally};
use crate::file::{FILE_MAX, text_of};
use crate::journal::FileJournal;
use crate::layout::refuse_elsewhere;
use crate::planning::{DryRun, cache};
use crate::run::{act, ended};
use crate::verify::verify;
use crate::{interrupt, metrics, render};

/// Deletes what a plan file says.
///
/// # Errors
/// When the plan cannot be used, or a server does not answer.
pub fn run(args: &ApplyArgs) -> Result<u8, Failure> {
    refuse_elsewhere(&args.effects, &args.server)?;
    let text = text_of(&args.plan, FILE_MAX).map_err(Failure::Usage)?;
    let cannot = || format!("cannot use the plan {}", args.plan.display());
    let plan: Plan =
        serde_json::from_str(&text).context("it is no plan").with_context(cannot).map_err(Failure::Usage)?;
    let plan = verify(&plan, args.max_plan_age).with_context(cannot).map_err(Failure::Usage)?;
    let is_armed = DryRun::of_environment()? != DryRun::Yes;
    let connector = Connector::new(&args.connection, args.jobs, &args.server)?;
    let cache = cache(&args.server);
    let (mut tally, mut totals) = (Tally::default(), metrics::Totals::default());
    totals.plan(&plan, is_armed);
    let stop = if args.server.layout.is_none() { interrupt::watch_servers() } else { Stop::default() };
    let opening = async {
        let source = reopen(&connector, &args.server, &plan.source).await?;
        let version = source.plan_source().version;
        if version != plan.source.version {
            let (now, then) = (version.unwrap_or_default(), plan.source.version.clone().unwrap_or_default());
            return Err(Failure::Usage(anyhow!(
                "the server is {now} now and was {then} when this was planned; plan anew"
            )));
        }
        source.preflight(args.effects.preflight, &plan, args.effects.quarantine.as_deref()).await?;
        Ok(source)
    };
    let done = runtime().map_err(Failure::Io)?.block_on(async {
        let Some(source) = stop.unless_stopped(Box::pin(opening)).await else {
            tracing::warn!("interrupted before anything was deleted");
            return Ok(());
        };
        let mut source = source?;
        if !is_armed {
            tracing::warn!("DRY_RUN=true disarms apply: nothing is deleted");
            return render::plan(&args.common, &plan, Some(false))
                .context("cannot print the plan")
                .map_err(Failure::Io);
        }
        source.check_clock(&plan.policy)?;
        if plan.summary.versions_deleted > 0 {
            source.arm(&args.effects)?;
            let journal = FileJournal::open(args.effects.journal.as_deref(), None)?;
            let cache = cache.as_ref();
            let how = (&args.common, &stop);
            let applied = act(&connector, source, plan, cache, journal, how, &mut tally).await;
            totals.applied(0, &applied);
        }
        Ok(())
    });
    if let Err(failure) = done.map_err(Failure::of_operation) {
        log::error(failure.error());
        tally.failed(&failure);
    }
    Ok(ended(tally, &args.metrics, &args.server, &totals))
}

/// Opens the server that a file was made for, which must be the one that the command line names: credentials do not go
/// where a file sends them.
///
/// # Errors
/// When the command line names another, or it does not answer.
pub async fn reopen(
    connector: &Connector,
    server: &ServerArgs,
    wanted: &Told,
) -> Result<OpenSource, Failure> {
    let same = |a: Option<&str>, b: Option<&str>| a.map(str::to_lowercase) == b.map(str::to_lowercase);
    for place in SourceName::all(server)?.iter().filter(|place| same(place.owner(), wanted.owner.as_deref()))
    {
        let source = connector.open(place).await?;
        let told = source.plan_source();
        if told.kind == wanted.kind && told.url == wanted.url {
            return Ok(source);
        }
    }
    let owner = wanted.owner.as_deref().map_or_else(String::new, |owner| format!(", owner {owner}"));
    Err(Failure::Usage(anyhow!(
        "it was made for {}{owner}, and the command line names another server or owner",
        wanted.url
    )))
}
