//! The verb `run`, and `plan` and `explain` for servers. All owners are planned first, one after the other, and then acted on. A
//! failed plan of one owner does not stop the others, but counts for the exit status.

use anyhow::anyhow;
use registry_cli::connection::new_runtime;
use registry_cli::log;
use registry_cli::metrics::MetricsPlaces;
use registry_cli::progress::ProgressLine;
use registry_core::Stop;
use registry_core::retention::{ApplyResult, Cache, Plan, VerifiedPlan};

use crate::args::{Common, ExplainArgs, PlanArgs, RunArgs, ServerArgs};
use crate::connect::{Connector, OpenSource};
use crate::exit::{Failure, Tally};
use crate::journal::FileJournal;
use crate::layout::refuse_layout_options;
use crate::planning::{DryRun, Planned, Planning, output_plan};
use crate::verify::verify_plan;
use crate::{exit, interrupt, metrics, render};

/// How many seconds `--at` may lie in the future in an armed run.
const MAX_SECONDS_AHEAD: i64 = 300;

/// Plans and prints; deletes in an armed run.
///
/// # Errors
/// When an argument cannot be used.
pub fn run(args: &RunArgs) -> Result<u8, Failure> {
    let dry_run = DryRun::from_environment()?;
    let is_armed = dry_run != DryRun::Yes && (args.apply || dry_run == DryRun::No);
    if args.apply && dry_run == DryRun::Yes {
        tracing::warn!("DRY_RUN=true disarms --apply: nothing is deleted");
    }
    if let Some(at) = args.common.at.filter(|_| is_armed)
        && at.as_second() - jiff::Timestamp::now().as_second() > MAX_SECONDS_AHEAD
    {
        return Err(Failure::Usage(anyhow!(
            "--at {at} is in the future, where everything is older; nothing is deleted by it"
        )));
    }
    refuse_layout_options(&args.effects.apply, &args.server)?;
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
    new_runtime().map_err(Failure::Io)?.block_on(async {
        let mut planned = Vec::new();
        for name in &run.sources {
            let plan_one = async {
                let one = run.plan_source(*name).await?;
                render::plan(&args.common, &one.plan, Some(is_armed))?;
                tally.add_plan(&one.plan, &args.answer, is_armed);
                totals.add_plan(&one.plan, is_armed);
                let effects = &args.effects.apply;
                let quarantine = effects.quarantine.as_deref();
                let permission = one.source.preflight(effects.preflight, &one.plan, quarantine).await;
                planned.push((one, permission.is_ok()));
                permission
            };
            match stop.unless_stopped(Box::pin(plan_one)).await {
                Some(Ok(())) => {}
                Some(Err(failure)) => run.add_failure(name, &failure, &mut tally),
                None => break,
            }
        }
        if stop.is_stopped() {
            tracing::warn!("interrupted before anything was deleted");
            return;
        }
        if run.has_given_up(&mut tally) {
            return;
        }
        if run.is_too_much(&planned.iter().map(|(one, _)| &one.plan).collect::<Vec<_>>()) {
            tally.add_guard();
            return;
        }
        let mut stopped_at = None;
        for (number, (Planned { name, mut source, plan }, is_permitted)) in planned.into_iter().enumerate() {
            if !is_armed || !is_permitted || plan.summary.versions_deleted == 0 {
                continue;
            }
            if let Some(owner) = stopped_at {
                let why = anyhow!("nothing was tried, because the run stopped at owner {owner}");
                run.add_failure(&name, &Failure::Io(why), &mut tally);
                continue;
            }
            let apply_one = async {
                source.check_clock(&plan.policy)?;
                let plan = verify_plan(&plan, u64::MAX).map_err(Failure::Usage)?;
                source.arm(&args.effects.apply)?;
                let journal =
                    FileJournal::create(args.effects.apply.journal.as_deref(), run.owner_if_several(&name))?;
                let (cache, output) = (run.cache.as_ref(), (&args.common, &stop));
                Ok(apply_plan(&run.connector, source, plan, cache, journal, output, &mut tally).await)
            };
            match apply_one.await {
                Ok(applied) => {
                    totals.add_applied(number, &applied);
                    stopped_at = applied.stopped.and(name.owner());
                }
                Err(failure) => run.add_failure(&name, &failure, &mut tally),
            }
        }
    });
    run.log_end();
    Ok(finish(tally, &args.metrics, &args.server, &totals))
}

/// Plans from a server, prints, and writes the plan file.
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
    run.refuse_several_owners(args.plan_file.as_deref(), "a plan file holds the plan")?;
    let mut tally = Tally::default();
    new_runtime().map_err(Failure::Io)?.block_on(async {
        let mut plans = Vec::new();
        for name in &run.sources {
            let plan_one = async {
                let planned = run.plan_source(*name).await?;
                planned.source.preflight(args.preflight, &planned.plan, None).await?;
                output_plan(args, &planned.plan, &mut tally)?;
                plans.push(planned.plan);
                Ok(())
            };
            if let Err(failure) = plan_one.await {
                run.add_failure(name, &failure, &mut tally);
            }
        }
        if run.is_too_much(&plans.iter().collect::<Vec<_>>()) {
            tally.add_guard();
        }
        run.has_given_up(&mut tally);
    });
    run.log_end();
    Ok(tally.status())
}

/// Plans from a server, for `explain`. Failures are logged and counted.
///
/// # Errors
/// As [`run`].
pub fn explain(args: &ExplainArgs) -> Result<(Vec<Plan>, Tally), Failure> {
    let run = Planning::new((&args.connection, args.jobs), &args.server, &args.policy, &args.common, false)?;
    let (mut plans, mut tally) = (Vec::new(), Tally::default());
    new_runtime().map_err(Failure::Io)?.block_on(async {
        for name in &run.sources {
            match run.plan_source(*name).await {
                Ok(planned) => plans.push(planned.plan),
                Err(failure) => run.add_failure(name, &failure, &mut tally),
            }
        }
        run.has_given_up(&mut tally);
    });
    run.log_end();
    Ok((plans, tally))
}

/// Deletes what a plan lists, then counts and prints the result.
pub async fn apply_plan(
    connector: &Connector,
    source: OpenSource,
    plan: VerifiedPlan<'_>,
    cache: Option<&Cache>,
    mut journal: FileJournal,
    (common, stop): (&Common, &Stop),
    tally: &mut Tally,
) -> ApplyResult {
    let aside = source.aside();
    let message = connector.progress("moving things aside");
    let line = ProgressLine::show(common.messages.progress, common.quiet, message);
    let applied = render::add_hints(connector.apply(source, plan, cache, &mut journal, stop).await);
    drop(line);
    let aside = aside.filter(|aside| aside.is_dir());
    tally.add_applied(&applied);
    if let Err(error) = render::applied(common, &applied, journal.path(), aside.as_deref()) {
        let failure = Failure::Io(anyhow::Error::new(error).context("cannot print the result"));
        log::log_error(failure.error());
        tally.add_failure(&failure);
    }
    applied
}

/// Writes the metrics of a run, after a failure too, and returns the exit status. Metrics that cannot be written make the run
/// fail, unless something more serious did.
pub fn finish(mut tally: Tally, places: &MetricsPlaces, server: &ServerArgs, totals: &metrics::Totals) -> u8 {
    let status = |tally: &Tally| if interrupt::was_stopped() { exit::INTERRUPTED } else { tally.status() };
    if places.are_wanted() {
        for error in places.publish(&metrics::run_metrics(places, server, totals, status(&tally))) {
            log::log_error(&error);
            tally.add_failure(&Failure::Io(error));
        }
    }
    status(&tally)
}
