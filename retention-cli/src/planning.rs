//! Makes plans for all verbs, and warns of parts of the policy that match nothing. For verbs that read servers, it also reads
//! `DRY_RUN`, opens the cache, and plans for each owner. Deletes nothing.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use registry_cli::args::Jobs;
use registry_cli::connection::Connection;
use registry_cli::hints::GAVE_UP;
use registry_cli::log;
use registry_cli::progress::ProgressLine;
use registry_core::retention::{
    self as core, Cache, CachedRows, Plan, PlannedRecord, PushTimes, Record, ServerPlanning, SourceKind,
};

use crate::args::{Common, PlanArgs, ServerArgs};
use crate::connect::{Connector, OpenSource, SourceName};
use crate::exit::{Failure, Tally};
use crate::file::{read_text, write_json};
use crate::{policy, render};

/// The value of `DRY_RUN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DryRun {
    Unset,
    Yes,
    No,
}

impl DryRun {
    /// Reads the environment.
    ///
    /// # Errors
    /// When the value means neither yes nor no.
    pub fn from_environment() -> Result<Self, Failure> {
        let Some(value) = std::env::var_os("DRY_RUN") else { return Ok(Self::Unset) };
        match value.to_str().map(str::trim) {
            Some("") => Ok(Self::Unset),
            Some("true" | "1") => Ok(Self::Yes),
            Some("false" | "0") => Ok(Self::No),
            _ => {
                let value = registry_core::text::escape(&value.to_string_lossy());
                Err(Failure::Usage(anyhow!("DRY_RUN is \"{value}\"; write true or 1, false or 0")))
            }
        }
    }
}

/// Opens the cache, if one was named. If it cannot be used, the run only takes longer.
pub fn open_cache(server: &ServerArgs) -> Option<Cache> {
    let path = server.cache_dir.as_deref()?;
    let opened = Cache::open(path);
    opened.inspect_err(|error| tracing::warn!("no cache: {} cannot be used: {error}", path.display())).ok()
}

/// Reads a file of push times; an absent file holds none.
///
/// # Errors
/// When it cannot be read, or is no file of push times.
pub fn read_push_times(path: &Path) -> Result<PushTimes, Failure> {
    if std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        return Ok(PushTimes::default());
    }
    let read = || Ok::<_, anyhow::Error>(PushTimes::read(&read_text(path)?)?);
    read().with_context(|| format!("cannot use the push times {}", path.display())).map_err(Failure::Usage)
}

/// Plans from a record.
pub fn make_plan(record: &Record, policy: &core::Policy, at: Option<Timestamp>) -> Plan {
    let now = at.unwrap_or_else(Timestamp::now);
    core::plan(record.source.clone(), record.packages(), policy, now, env!("CARGO_PKG_VERSION"))
}

/// Writes a plan to the file of `--plan-file`, prints it and counts it.
///
/// # Errors
/// When it cannot be written or printed.
pub fn output_plan(args: &PlanArgs, plan: &Plan, tally: &mut Tally) -> Result<(), Failure> {
    if let Some(path) = &args.plan_file {
        let context = || format!("cannot write the plan {}", path.display());
        write_json(path, plan).with_context(context).map_err(Failure::Io)?;
    }
    render::plan(&args.common, plan, None)?;
    tally.add_plan(plan, &args.answer, false);
    Ok(())
}

/// Warns of parts of a policy that match nothing, and of an owner without packages.
pub fn warn_of_unmatched(record: &Record, policy: &core::Policy) {
    if record.packages.is_empty() && policy.packages.is_empty() && record.source.kind == SourceKind::Forgejo {
        let owner = record.source.owner.as_deref().unwrap_or_default();
        tracing::warn!("owner {owner} has no container packages that these credentials may see");
    }
    let packages = record.packages.iter().filter(|package| policy.covers_package(&package.name));
    for pattern in &policy.packages {
        if !packages.clone().any(|package| pattern.is_match(&package.name)) {
            tracing::warn!("no package matches {:?}", pattern.as_str());
        }
    }
    for pattern in &policy.keep_tags {
        let mut tags = packages.clone().flat_map(|package| &package.versions);
        if pattern.as_str() != "latest" && !tags.any(|row| pattern.is_match(&row.version)) {
            tracing::warn!("no tag matches the keep pattern {:?}", pattern.as_str());
        }
    }
    for (number, rule) in policy.rules.iter().enumerate() {
        let matches = |package: &core::RecordedPackage| {
            let mut tags = package.versions.iter().filter(|row| !row.version.contains(':'));
            tags.any(|row| rule.is_match(&package.name, &row.version))
        };
        if !packages.clone().any(matches) {
            let (package, tags) = (rule.package.as_str(), rule.tags.as_str());
            let group_by = rule.group_by.as_ref();
            let group_by = group_by.map_or_else(String::new, |by| format!(", group-by {:?}", by.as_str()));
            tracing::warn!(
                "no tag matches rule {} (package {package:?}, tags {tags:?}{group_by})",
                number + 1
            );
        }
    }
    for lost in &policy.assume_lost {
        let has_tag = |package: &core::RecordedPackage| {
            let tag = lost.strip_prefix(package.name.as_str()).and_then(|rest| rest.strip_prefix(':'));
            package.versions.iter().any(|row| Some(row.version.as_str()) == tag)
        };
        if !packages.clone().any(has_tag) {
            tracing::warn!("no tag is called {lost:?}, as --assume-lost has it");
        }
    }
}

/// A source that was read, with its plan.
pub struct Planned<'a> {
    pub name: SourceName<'a>,
    pub source: OpenSource,
    pub plan: Plan,
}

/// Plans for all sources of a run.
#[derive(Debug)]
pub struct Planning<'a> {
    pub connector: Connector,
    pub sources: Vec<SourceName<'a>>,
    pub cache: Option<Cache>,
    /// Whether rows that the cache knows are asked for again, because the answer depends on every image.
    pub asks_all: bool,
    server: &'a ServerArgs,
    policy: &'a crate::args::PolicyArgs,
    common: &'a Common,
    undo_window: bool,
}

impl<'a> Planning<'a> {
    /// Sets up the sources and the connection. Sends no request.
    ///
    /// # Errors
    /// When an option cannot be used.
    pub fn new(
        (connection, jobs): (&Connection, Jobs),
        server: &'a ServerArgs,
        policy: &'a crate::args::PolicyArgs,
        common: &'a Common,
        undo_window: bool,
    ) -> Result<Self, Failure> {
        let sources = SourceName::from_args(server)?;
        let connector = Connector::new(connection, jobs, server)?;
        let planning =
            Self { connector, sources, cache: None, asks_all: false, server, policy, common, undo_window };
        planning
            .refuse_several_owners(server.save_inventory.as_deref(), "an inventory holds the packages")?;
        Ok(Self { cache: open_cache(server), ..planning })
    }

    /// The owner of a source, if there are several.
    pub fn owner_if_several(&self, source: &SourceName<'a>) -> Option<&'a str> {
        source.owner().filter(|_| self.sources.len() > 1)
    }

    /// Refuses a file for the result of one owner when several are named. Sends no request.
    ///
    /// # Errors
    /// When a file and several owners are named.
    pub fn refuse_several_owners(&self, file: Option<&Path>, what: &str) -> Result<(), Failure> {
        if file.is_some() && self.sources.len() > 1 {
            return Err(Failure::Usage(anyhow!("{what} of one owner; name one --owner")));
        }
        Ok(())
    }

    /// Reads one source and plans.
    ///
    /// # Errors
    /// When the source cannot be read, or a file on the command line cannot be used.
    pub async fn plan_source(&self, name: SourceName<'a>) -> Result<Planned<'a>, Failure> {
        let (messages, quiet) = (self.common.messages, self.common.quiet);
        let line = ProgressLine::show(messages.progress, quiet, self.connector.progress("reading the tree"));
        let source = self.connector.open(&name).await?;
        let policy =
            policy::from_args(self.policy, source.kind(), self.undo_window).map_err(Failure::Usage)?;
        let push_times = self.server.push_times.as_deref().map(read_push_times).transpose()?;
        let now = Timestamp::now();
        // An inventory holds only what was asked for, so nothing may come from the cache.
        let asks_all = self.asks_all || self.server.save_inventory.is_some();
        let options = ServerPlanning {
            cache: self.cache.as_ref(),
            cached_rows: if asks_all { CachedRows::AskedAgain } else { CachedRows::Confirmed },
            push_times: push_times.as_ref(),
            plan_at: self.common.at,
            ..ServerPlanning::new(&policy, now, env!("CARGO_PKG_VERSION"))
        };
        let PlannedRecord { record, plan } = self.connector.plan(&source, &options).await?;
        drop(line);
        warn_of_unmatched(&record, &policy);
        if let Some(path) = &self.server.save_inventory {
            let context = || format!("cannot write the inventory {}", path.display());
            write_json(path, &record).with_context(context).map_err(Failure::Io)?;
        }
        Ok(Planned { name, source, plan })
    }

    /// Logs and counts a failure of one source.
    pub fn add_failure(&self, source: &SourceName<'a>, failure: &Failure, tally: &mut Tally) {
        let error = log::with_causes(failure.error());
        match self.owner_if_several(source) {
            Some(owner) => tracing::error!("owner {owner}: {error}"),
            None => tracing::error!("{error}"),
        }
        tally.add_failure(failure);
    }

    /// Whether more images go than `--max-delete` allows, in the plans of several owners together or in one of them.
    pub fn is_too_much(&self, plans: &[&Plan]) -> bool {
        let most = plans.first().and_then(|plan| plan.policy.max_delete);
        let (Some(most), true) = (most, self.sources.len() > 1) else { return false };
        let images: u64 = plans.iter().map(|plan| plan.summary.images_deleted).sum();
        let is_capped = plans.iter().any(|plan| plan.is_capped());
        if images > most {
            let why = format!("{images} images of all owners would go, more than --max-delete {most}");
            tracing::error!("{why}; nothing goes");
        } else if is_capped && images > 0 {
            tracing::error!("one owner alone is over --max-delete {most}; nothing goes of the others either");
        }
        images > most || (is_capped && images > 0)
    }

    /// Logs and counts that the run gave up on its servers. If it did, nothing may be deleted, whatever was planned.
    pub fn has_given_up(&self, tally: &mut Tally) -> bool {
        let Some(why) = self.connector.http.gave_up() else { return false };
        let failure = Failure::GaveUp(anyhow!("{why}; the run ends here, and nothing is deleted{GAVE_UP}"));
        log::log_error(failure.error());
        tally.add_failure(&failure);
        true
    }

    /// Logs the closing messages of a run.
    pub fn log_end(&self) {
        if let Some(why) = self.cache.as_ref().and_then(Cache::failure) {
            tracing::warn!("the cache was not written: {why}");
        }
        if self.common.verbose > 0 && self.server.layout.is_none() {
            tracing::info!("{} requests were made", self.connector.http.requests_sent());
        }
    }
}
