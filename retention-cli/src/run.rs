//! The verbs that read servers: `run`, and `plan` and `explain` of a server. Several owners are planned one after another,
//! and only then acted on; one that fails stops no other, and is not forgotten.

use anyhow::{Context as _, anyhow};
use registry_cli::connection::runtime;
use registry_cli::log;
use registry_cli::metrics::MetricsPlaces;
use registry_cli::progress::ProgressLine;
use registry_core::Stop;
use registry_core::retention::{Applied, Cache, Plan, VerifiedPlan};

use crate::args::{Common, ExplainArgs, PlanArgs, RunArgs, ServerArgs};
use crate::connect::{Connector, OpenSource};
use crate::exit::{Failure, Tally};
use crate::file::keep;
use crate::journal::FileJournal;
use crate::layout::refuse_elsewhere;
use crate::planning::{DryRun, Planning};
use crate::verify::verify;
use crate::{exit, interrupt, metrics, render};

/// How far a time given with `--at` may lie in the future of an armed run, in seconds.
const AHEAD: i64 = 300;

/// Lists, plans, prints; deletes when it was told to.
///
/// # Errors
/// When something asked for cannot be used.
pub fn run(args: &RunArgs) -> Result<u8, Failure> {
    let dry_run = DryRun::of_environment()?;
    let is_armed = dry_run != DryRun::Yes && (args.apply || dry_run == DryRun::No);
    if args.apply && dry_run == DryRun::Yes {
        tracing::warn!("DRY_RUN=true disarms --apply: nothing is deleted");
    }
    if let Some(at) = args.common.at.filter(|_| is_armed)
        && at.as_second() - jiff::Timestamp::now().as_second() > AHEAD
    {
        return Err(Failure::Usage(anyhow!(
            "--at {at} is in the future, where everything is older; nothing is deleted by it"
        )));
    }
    refuse_elsewhere(&args.effects.apply, &args.server)?;
    let mut run = Planning::new(
        (&args.connection, args.jobs),
        &args.server,
        &args.policy,
        &args.common,
        args.effects.undo_window,
    )?;
    run.asks_all = args.answer.fail_on.is_some();
    let stop = if args.server.layout.is_none() { interrupt::watch_servers() } else { Stop::default() };
    let (mut tally, mut totals) = (Tally::default(), metrics::Totals::default());
    runtime().map_err(Failure::Io)?.block_on(async {
        let mut planned = Vec::new();
        for place in &run.places {
            let done = async {
                let one = run.plan_source(*place).await?;
                run.print(&one.plan, Some(is_armed))?;
                tally.plan(&one.plan, &args.answer, is_armed);
                totals.plan(&one.plan, is_armed);
                let effects = &args.effects.apply;
                let aside = effects.quarantine.as_deref();
                let permission = one.source.preflight(effects.preflight, &one.plan, aside).await;
                let number = planned.len();
                planned.push((number, one.place, one.source, one.plan, permission.is_ok()));
                permission
            };
            match stop.unless_stopped(Box::pin(done)).await {
                Some(Ok(())) => {}
                Some(Err(failure)) => run.failed(place, &failure, &mut tally),
                None => break,
            }
        }
        if stop.is_stopped() {
            tracing::warn!("interrupted before anything was deleted");
            return;
        }
        if run.gave_up(&mut tally) {
            return;
        }
        if run.is_too_much(&planned.iter().map(|(_, _, _, plan, _)| plan).collect::<Vec<_>>()) {
            tally.refused();
            return;
        }
        let mut stopped = None;
        for (number, place, mut source, plan, is_permitted) in planned {
            if !is_armed || !is_permitted || plan.summary.versions_deleted == 0 {
                continue;
            }
            if let Some(stopped) = stopped {
                let why = anyhow!("nothing was tried, because the run stopped at owner {stopped}");
                run.failed(&place, &Failure::Io(why), &mut tally);
                continue;
            }
            let done = async {
                source.check_clock(&plan.policy)?;
                let plan = verify(&plan, u64::MAX).map_err(Failure::Usage)?;
                source.arm(&args.effects.apply)?;
                let journal = FileJournal::open(args.effects.apply.journal.as_deref(), run.named(&place))?;
                let cache = run.cache.as_ref();
                let how = (&args.common, &stop);
                Ok(act(&run.connector, source, plan, cache, journal, how, &mut tally).await)
            };
            match done.await {
                Ok(applied) => {
                    totals.applied(number, &applied);
                    stopped = applied.stopped.and(place.owner());
                }
                Err(failure) => run.failed(&place, &failure, &mut tally),
            }
        }
    });
    run.close();
    Ok(ended(tally, &args.metrics, &args.server, &totals))
}

/// Plans from a server, prints, keeps the plan.
///
/// # Errors
/// As [`run`].
pub fn plan(args: &PlanArgs) -> Result<u8, Failure> {
    let mut run = Planning::new(
        (&args.connection, args.jobs),
        &args.server,
        &args.policy,
        &args.common,
        args.undo_window,
    )?;
    run.asks_all = args.answer.fail_on.is_some();
    run.alone(args.plan_file.as_deref(), "a plan file holds the plan")?;
    let mut tally = Tally::default();
    runtime().map_err(Failure::Io)?.block_on(async {
        let mut plans = Vec::new();
        for place in &run.places {
            let done = async {
                let one = run.plan_source(*place).await?;
                one.source.preflight(args.preflight, &one.plan, None).await?;
                if let Some(path) = &args.plan_file {
                    let context = || format!("cannot write the plan {}", path.display());
                    keep(path, &one.plan).with_context(context).map_err(Failure::Io)?;
                }
                run.print(&one.plan, None)?;
                tally.plan(&one.plan, &args.answer, false);
                plans.push(one.plan);
                Ok(())
            };
            if let Err(failure) = done.await {
                run.failed(place, &failure, &mut tally);
            }
        }
        if run.is_too_much(&plans.iter().collect::<Vec<_>>()) {
            tally.refused();
        }
        run.gave_up(&mut tally);
    });
    run.close();
    Ok(tally.status())
}

/// Plans from a server for an explanation; what failed is told already, and counted.
///
/// # Errors
/// As [`run`].
pub fn explain(args: &ExplainArgs) -> Result<(Vec<Plan>, Tally), Failure> {
    let run = Planning::new((&args.connection, args.jobs), &args.server, &args.policy, &args.common, false)?;
    let (mut plans, mut tally) = (Vec::new(), Tally::default());
    runtime().map_err(Failure::Io)?.block_on(async {
        for place in &run.places {
            match run.plan_source(*place).await {
                Ok(one) => plans.push(one.plan),
                Err(failure) => run.failed(place, &failure, &mut tally),
            }
        }
        run.gave_up(&mut tally);
    });
    run.close();
    Ok((plans, tally))
}

/// Deletes what a plan says, counts what became of it, and prints it.
pub async fn act(
    connector: &Connector,
    source: OpenSource,
    plan: VerifiedPlan<'_>,
    cache: Option<&Cache>,
    mut journal: FileJournal,
    (common, stop): (&Common, &Stop),
    tally: &mut Tally,
) -> Applied {
    let aside = source.aside();
    let message = connector.progress("moving things aside");
    let line = ProgressLine::show(common.messages.progress, common.quiet, message);
    let applied = render::in_words(connector.apply(source, plan, cache, &mut journal, stop).await);
    drop(line);
    let aside = aside.filter(|aside| aside.is_dir());
    tally.applied(&applied);
    if let Err(error) = render::applied(common, &applied, journal.path(), aside.as_deref()) {
        let failure = Failure::Io(anyhow::Error::new(error).context("cannot print the result"));
        log::error(failure.error());
        tally.failed(&failure);
    }
    applied
}

/// Ends a run: its metrics, which a failure leaves too, and its status. Metrics that cannot be written fail it, and hide
/// nothing worse.
pub fn ended(mut tally: Tally, places: &MetricsPlaces, server: &ServerArgs, totals: &metrics::Totals) -> u8 {
    let status = |tally: &Tally| if interrupt::was_stopped() { exit::INTERRUPTED } else { tally.status() };
    if places.are_wanted() {
        for error in places.publish(&metrics::of_run(places, server, totals, status(&tally))) {
            log::error(&error);
            tally.failed(&Failure::Io(error));
        }
    }
    status(&tally)
}
