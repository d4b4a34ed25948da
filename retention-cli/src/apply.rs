//! The verb `apply`: checks a plan file and acts on it. Also opens the server for which a plan or journal was made.

use anyhow::{Context as _, anyhow};
use registry_cli::connection::new_runtime;
use registry_cli::log;
use registry_core::Stop;
use registry_core::retention::{Plan, Source as PlanSource};

use crate::args::{ApplyArgs, ServerArgs};
use crate::connect::{Connector, OpenSource, SourceName};
use crate::exit::{Failure, Tally};
use crate::file::read_text;
use crate::journal::FileJournal;
use crate::layout::refuse_layout_options;
use crate::planning::{DryRun, open_cache};
use crate::run::{apply_plan, finish};
use crate::verify::verify_plan;
use crate::{interrupt, metrics, render};

/// Deletes what a plan file lists.
///
/// # Errors
/// When the plan cannot be used, or a server does not answer.
pub fn run(args: &ApplyArgs) -> Result<u8, Failure> {
    refuse_layout_options(&args.effects, &args.server)?;
    let text = read_text(&args.plan).map_err(Failure::Usage)?;
    let cannot = || format!("cannot use the plan {}", args.plan.display());
    let plan: Plan =
        serde_json::from_str(&text).context("it is no plan").with_context(cannot).map_err(Failure::Usage)?;
    let plan = verify_plan(&plan, args.max_plan_age).with_context(cannot).map_err(Failure::Usage)?;
    let is_armed = DryRun::from_environment()? != DryRun::Yes;
    let connector = Connector::new(&args.connection, args.jobs, &args.server)?;
    let cache = open_cache(&args.server);
    let (mut tally, mut totals) = (Tally::default(), metrics::Totals::default());
    totals.add_plan(&plan, is_armed);
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
    let result = new_runtime().map_err(Failure::Io)?.block_on(async {
        let Some(source) = stop.unless_stopped(Box::pin(opening)).await else {
            tracing::warn!("interrupted before anything was deleted");
            return Ok(());
        };
        let mut source = source?;
        if !is_armed {
            tracing::warn!("DRY_RUN=true disarms apply: nothing is deleted");
            return render::plan(&args.common, &plan, Some(false));
        }
        source.check_clock(&plan.policy)?;
        if plan.summary.versions_deleted > 0 {
            source.arm(&args.effects)?;
            let journal = FileJournal::create(args.effects.journal.as_deref(), None)?;
            let (cache, output) = (cache.as_ref(), (&args.common, &stop));
            let applied = apply_plan(&connector, source, plan, cache, journal, output, &mut tally).await;
            totals.add_applied(0, &applied);
        }
        Ok(())
    });
    if let Err(failure) = result.map_err(Failure::without_plan) {
        log::log_error(failure.error());
        tally.add_failure(&failure);
    }
    Ok(finish(tally, &args.metrics, &args.server, &totals))
}

/// Opens the server for which a plan or journal was made. The command line must name the same server: a file cannot choose where
/// credentials are sent.
///
/// # Errors
/// When the command line names another server, or the server does not answer.
pub async fn reopen(
    connector: &Connector,
    server: &ServerArgs,
    wanted: &PlanSource,
) -> Result<OpenSource, Failure> {
    let is_same = |a: Option<&str>, b: Option<&str>| a.map(str::to_lowercase) == b.map(str::to_lowercase);
    for name in SourceName::from_args(server)? {
        if !is_same(name.owner(), wanted.owner.as_deref()) {
            continue;
        }
        let source = connector.open(&name).await?;
        let opened = source.plan_source();
        if opened.kind == wanted.kind && opened.url == wanted.url {
            return Ok(source);
        }
    }
    let owner = wanted.owner.as_deref().map_or_else(String::new, |owner| format!(", owner {owner}"));
    Err(Failure::Usage(anyhow!(
        "it was made for {}{owner}, and the command line names another server or owner",
        wanted.url
    )))
}
