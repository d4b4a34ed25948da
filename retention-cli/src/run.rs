//! The verbs that talk to servers: `run`, `plan` of a server, `apply`, `undo`.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use registry_core::retention::{
    Applied, Cache, Entry, Plan, PushTimes, Record, SCHEMA, Stopped, Told, UndoState,
};

use crate::args::{ApplyArgs, Common, ExplainArgs, PlanArgs, RunArgs, Server, UndoArgs};
use crate::connect::{Connector, Source};
use crate::exit::{self, Failure, Tally};
use crate::journal::FileJournal;
use crate::plan::{keep, make, text_of};
use crate::{metrics, policy, render};

/// Most bytes of a plan, a journal or a file of push times.
const FILE_MAX: u64 = 1 << 30;

/// What `DRY_RUN` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DryRun {
    Unset,
    Yes,
    No,
}

impl DryRun {
    fn of_environment() -> Result<Self, Failure> {
        let Some(value) = std::env::var_os("DRY_RUN") else { return Ok(Self::Unset) };
        match value.to_str().map(str::trim) {
            Some("") => Ok(Self::Unset),
            Some("true" | "1") => Ok(Self::Yes),
            Some("false" | "0") => Ok(Self::No),
            _ => {
                let value = registry_core::text::escape(&value.to_string_lossy());
                Err(Failure::Usage(anyhow!("DRY_RUN is {value:?}; write true or false")))
            }
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.context("cannot start").map_err(Failure::Io)
}

fn cache(server: &Server) -> Result<Option<Cache>, Failure> {
    let open =
        |path: &Path| Cache::open(path).with_context(|| format!("cannot use the cache {}", path.display()));
    server.cache_dir.as_deref().map(open).transpose().map_err(Failure::Io)
}

/// A source that was read, with what was planned from it.
struct Planned {
    source: Source,
    record: Record,
    plan: Plan,
}

async fn planned(
    connector: &Connector,
    source: Source,
    args: &crate::args::Policy,
    server: &Server,
    common: &Common,
    undo_window: bool,
    cache: Option<&Cache>,
) -> Result<Planned, Failure> {
    let policy = policy::settle(args, source.kind(), undo_window).map_err(Failure::Usage)?;
    let mut record = connector.collect(&source, cache, &policy).await.map_err(Failure::of_server)?;
    if let Some(path) = &server.push_times {
        let text = text_of(path, FILE_MAX).map_err(Failure::Usage)?;
        let times: PushTimes = serde_json::from_str(&text)
            .with_context(|| format!("{} holds no push times", path.display()))
            .map_err(Failure::Usage)?;
        times.restore(&mut record);
    }
    let plan = make(&record, &policy, common.at);
    Ok(Planned { source, record, plan })
}

/// Lists, plans, prints; deletes when it was told to.
///
/// # Errors
/// When something asked for cannot be used, a server does not answer, or the token may not delete.
pub fn run(args: &RunArgs) -> Result<u8, Failure> {
    let dry_run = DryRun::of_environment()?;
    let is_armed = dry_run != DryRun::Yes && (args.apply || dry_run == DryRun::No);
    if args.apply && dry_run == DryRun::Yes {
        render::warn("DRY_RUN=true disarms --apply: nothing is deleted");
    }
    let connector = Connector::new(&args.connection, args.common.verbose > 0)?;
    let cache = cache(&args.server)?;
    let mut tally = Tally::default();
    let mut told = metrics::Told::default();
    let done = runtime()?.block_on(async {
        let sources = connector.open(&args.server).await?;
        let several = sources.len() > 1;
        for source in sources {
            let undo_window = args.effects.undo_window;
            let one = planned(
                &connector,
                source,
                &args.policy,
                &args.server,
                &args.common,
                undo_window,
                cache.as_ref(),
            );
            let one = one.await?;
            save(&args.server, &one.record, several)?;
            render::plan(&args.common, &one.plan, Some(is_armed))
                .context("cannot print the plan")
                .map_err(Failure::Io)?;
            tally.plan(&one.plan, &args.answer, is_armed);
            told.plan(&one.plan);
            one.source.preflight(args.effects.apply.preflight, &one.plan).await?;
            if is_armed && one.plan.summary.versions_deleted > 0 {
                let suffix = one.plan.source.owner.clone().filter(|_| several);
                let journal = FileJournal::open(args.effects.apply.journal.as_deref(), suffix.as_deref())?;
                let applied =
                    act(&connector, one.source, &one.plan, cache.as_ref(), journal, &args.common).await?;
                tally.applied(&applied);
                told.applied(&applied);
            }
        }
        Ok::<_, Failure>(())
    });
    if args.common.verbose > 0 {
        eprintln!("{} requests were made", connector.sent());
    }
    ended(done, &tally, args.metrics_file.as_deref(), &told)
}

/// Plans from a server, prints, keeps the plan.
///
/// # Errors
/// As [`run`].
pub fn plan(args: &PlanArgs) -> Result<u8, Failure> {
    let connector = Connector::new(&args.connection, args.common.verbose > 0)?;
    let cache = cache(&args.server)?;
    let mut tally = Tally::default();
    runtime()?.block_on(async {
        let sources = connector.open(&args.server).await?;
        let several = sources.len() > 1;
        if several && args.plan_file.is_some() {
            return Err(Failure::Usage(anyhow!("a plan file holds the plan of one owner; name one --owner")));
        }
        for source in sources {
            let one = planned(
                &connector,
                source,
                &args.policy,
                &args.server,
                &args.common,
                args.undo_window,
                cache.as_ref(),
            );
            let one = one.await?;
            save(&args.server, &one.record, several)?;
            one.source.preflight(args.preflight, &one.plan).await?;
            if let Some(path) = &args.plan_file {
                let context = || format!("cannot write the plan {}", path.display());
                keep(path, &one.plan).with_context(context).map_err(Failure::Io)?;
            }
            render::plan(&args.common, &one.plan, None)
                .context("cannot print the plan")
                .map_err(Failure::Io)?;
            tally.plan(&one.plan, &args.answer, false);
        }
        Ok(())
    })?;
    Ok(tally.status())
}

/// Plans from a server and explains.
///
/// # Errors
/// As [`run`].
pub fn explain(args: &ExplainArgs) -> Result<Vec<Plan>, Failure> {
    let connector = Connector::new(&args.connection, args.common.verbose > 0)?;
    let cache = cache(&args.server)?;
    runtime()?.block_on(async {
        let mut plans = Vec::new();
        for source in connector.open(&args.server).await? {
            let one =
                planned(&connector, source, &args.policy, &args.server, &args.common, false, cache.as_ref());
            plans.push(one.await?.plan);
        }
        Ok(plans)
    })
}

/// Deletes what a plan file says.
///
/// # Errors
/// When the plan cannot be used, or a server does not answer.
pub fn apply(args: &ApplyArgs) -> Result<u8, Failure> {
    let text = text_of(&args.plan, FILE_MAX).map_err(Failure::Usage)?;
    let plan =
        check_plan(&text, args).with_context(|| format!("cannot use the plan {}", args.plan.display()));
    let plan = plan.map_err(Failure::Usage)?;
    let is_armed = DryRun::of_environment()? != DryRun::Yes;
    let connector = Connector::new(&args.connection, args.common.verbose > 0)?;
    let cache = cache(&args.server)?;
    let (mut tally, mut told) = (Tally::default(), metrics::Told::default());
    told.plan(&plan);
    let done = runtime()?.block_on(async {
        let source = reopen(&connector, &args.server, &plan.source).await?;
        let version = source.told().version;
        if version != plan.source.version {
            let (now, then) = (version.unwrap_or_default(), plan.source.version.clone().unwrap_or_default());
            return Err(Failure::Usage(anyhow!(
                "the server is {now} now and was {then} when this was planned; plan anew"
            )));
        }
        source.preflight(args.effects.preflight, &plan).await?;
        if !is_armed {
            render::warn("DRY_RUN=true disarms apply: nothing is deleted");
            return render::plan(&args.common, &plan, Some(false))
                .context("cannot print the plan")
                .map_err(Failure::Io);
        }
        if plan.summary.versions_deleted > 0 {
            let journal = FileJournal::open(args.effects.journal.as_deref(), None)?;
            let applied = act(&connector, source, &plan, cache.as_ref(), journal, &args.common).await?;
            tally.applied(&applied);
            told.applied(&applied);
        }
        Ok(())
    });
    ended(done, &tally, args.metrics_file.as_deref(), &told)
}

fn check_plan(text: &str, args: &ApplyArgs) -> anyhow::Result<Plan> {
    let plan: Plan = serde_json::from_str(text).context("it is no plan")?;
    if plan.schema != SCHEMA {
        return Err(anyhow!(
            "its schema is {:?}, and {SCHEMA:?} is the only one known",
            registry_core::text::escape(&plan.schema)
        ));
    }
    if plan.own_digest().to_string() != plan.plan_digest {
        return Err(anyhow!("it was changed after it was planned; plan anew"));
    }
    if plan.tool_version != env!("CARGO_PKG_VERSION") {
        return Err(anyhow!(
            "version {} of this program planned it, and this is {}; plan anew",
            registry_core::text::escape(&plan.tool_version),
            env!("CARGO_PKG_VERSION")
        ));
    }
    let age = jiff::Timestamp::now().as_second() - plan.planned_at.as_second();
    let most = i64::try_from(args.max_plan_age).unwrap_or(i64::MAX);
    if age > most || age < -300 {
        return Err(anyhow!("it was made {age} s ago, and {most} s is the most (--max-plan-age); plan anew"));
    }
    Ok(plan)
}

/// Opens the server that a file was made for, which must be the one that the command line names: credentials do not go
/// where a file sends them.
async fn reopen(
    connector: &Connector,
    server: &Server,
    wanted: &registry_core::retention::Source,
) -> Result<Source, Failure> {
    let mut sources = connector.open(server).await?;
    let is_it = |source: &Source| {
        let told = source.told();
        let same = |a: &Option<String>, b: &Option<String>| {
            a.as_deref().map(str::to_lowercase) == b.as_deref().map(str::to_lowercase)
        };
        told.kind == wanted.kind && told.url == wanted.url && same(&told.owner, &wanted.owner)
    };
    match sources.iter().position(is_it) {
        Some(at) => Ok(sources.swap_remove(at)),
        None => {
            let owner = wanted.owner.clone().unwrap_or_default();
            Err(Failure::Usage(anyhow!(
                "it was made for {} {owner}, and the command line names another server or owner",
                wanted.url
            )))
        }
    }
}

fn save(server: &Server, record: &Record, several: bool) -> Result<(), Failure> {
    let Some(path) = &server.save_inventory else { return Ok(()) };
    if several {
        return Err(Failure::Usage(anyhow!(
            "an inventory holds the packages of one owner; name one --owner"
        )));
    }
    keep(path, record)
        .with_context(|| format!("cannot write the inventory {}", path.display()))
        .map_err(Failure::Io)
}

/// Deletes what a plan says, and prints what became of it.
async fn act(
    connector: &Connector,
    source: Source,
    plan: &Plan,
    cache: Option<&Cache>,
    mut journal: FileJournal,
    common: &Common,
) -> Result<Applied, Failure> {
    let applied = connector.apply(source, plan, cache, &mut journal).await;
    render::applied(common, &applied, &journal.path)
        .context("cannot print the result")
        .map_err(Failure::Io)?;
    if let Some(Stopped::Forbidden(why)) = &applied.stopped {
        render::warn(&format!("the server refuses deletions, so nothing else was tried: {why}"));
    }
    Ok(applied)
}

/// Ends a run: its status, and its metrics, which a failure leaves too.
fn ended(
    done: Result<(), Failure>,
    tally: &Tally,
    metrics_file: Option<&Path>,
    told: &metrics::Told,
) -> Result<u8, Failure> {
    let status = done.as_ref().map_or_else(Failure::status, |()| tally.status());
    if let Some(path) = metrics_file {
        let write = metrics::write(path, told, status);
        write.with_context(|| format!("cannot write {}", path.display())).map_err(Failure::Io)?;
    }
    done.map(|()| status)
}

/// Puts back what a journal says was deleted.
///
/// # Errors
/// When the journal cannot be used, or the server does not answer.
pub fn undo(args: &UndoArgs) -> Result<u8, Failure> {
    let text = text_of(&args.journal, FILE_MAX).map_err(Failure::Usage)?;
    let context = || format!("cannot use the journal {}", args.journal.display());
    let told = Told::read(&text).with_context(context).map_err(Failure::Usage)?;
    let Some(Entry::Begin { source: wanted, .. }) = told.entries.first() else {
        return Err(Failure::Usage(anyhow!("the journal does not tell of which server it is")));
    };
    if DryRun::of_environment()? == DryRun::Yes {
        return Err(Failure::Usage(anyhow!("DRY_RUN=true: nothing is put back; unset it to undo")));
    }
    let connector = Connector::new(&args.connection, args.verbose > 0)?;
    let undone = runtime()?.block_on(async {
        let source = reopen(&connector, &args.server, wanted).await?;
        Ok::<_, Failure>(connector.undo(source, &told).await)
    })?;
    if let Some(path) = &args.server.push_times {
        let times = PushTimes::of(&undone);
        keep(path, &times)
            .with_context(|| format!("cannot write {}", path.display()))
            .map_err(Failure::Io)?;
    }
    let mut out = std::io::stdout().lock();
    let mut lost = 0;
    for row in &undone {
        let state = match &row.state {
            UndoState::Restored => "is back".to_owned(),
            UndoState::There => "was never gone".to_owned(),
            UndoState::Taken => "names something else now, and is left alone".to_owned(),
            UndoState::Lost(why) => format!("cannot be put back: {why}"),
        };
        lost += u32::from(matches!(row.state, UndoState::Lost(_)));
        let line = registry_core::text::without_controls(&format!("{}:{} {state}", row.package, row.version));
        writeln!(out, "{line}").context("cannot print").map_err(Failure::Io)?;
    }
    writeln!(out, "registry-retention undo: rows={} lost={lost}", undone.len())
        .context("cannot print")
        .map_err(Failure::Io)?;
    Ok(if lost > 0 { exit::FAILED } else { exit::DONE })
}
