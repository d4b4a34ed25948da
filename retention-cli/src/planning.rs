//! Planning, for all verbs: what was read into a plan, and what of the policy matches nothing. For those that read servers also
//! what the environment says of dry runs, the cache, and a plan for each owner. Acts on nothing.

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

use crate::args::{Common, ServerArgs};
use crate::connect::{Connector, OpenSource, SourceName};
use crate::exit::{Failure, Tally};
use crate::file::{FILE_MAX, keep, text_of};
use crate::{policy, render};

/// What `DRY_RUN` says.
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
    /// When it says neither yes nor no.
    pub fn of_environment() -> Result<Self, Failure> {
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

/// The cache, if one was asked for and can be used: without it a run takes longer, and that is all.
pub fn cache(server: &ServerArgs) -> Option<Cache> {
    let path = server.cache_dir.as_deref()?;
    let opened = Cache::open(path);
    opened.inspect_err(|error| tracing::warn!("no cache: {} cannot be used: {error}", path.display())).ok()
}

/// The push times in a file; none when there is no such file.
///
/// # Errors
/// When it cannot be read, or holds something else.
pub fn push_times(path: &Path) -> Result<PushTimes, Failure> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(PushTimes::default()),
        _ => {}
    }
    let read = || Ok::<_, anyhow::Error>(PushTimes::read(&text_of(path, FILE_MAX)?)?);
    read().with_context(|| format!("cannot use the push times {}", path.display())).map_err(Failure::Usage)
}

/// Plans.
pub fn plan_of(record: &Record, policy: &core::Policy, at: Option<Timestamp>) -> Plan {
    let now = at.unwrap_or_else(Timestamp::now);
    core::plan(record.source.clone(), record.packages(), policy, now, env!("CARGO_PKG_VERSION"))
}

/// Says what of a policy matches nothing, and that there is nothing at all.
pub fn warn_of_unmatched(record: &Record, policy: &core::Policy) {
    if record.packages.is_empty() && policy.packages.is_empty() && record.source.kind == SourceKind::Forgejo {
        let owner = record.source.owner.as_deref().unwrap_or_default();
        tracing::warn!("owner {owner} has no container packages that these credentials may see");
    }
    let packages = record.packages.iter().filter(|package| policy.covers(&package.name));
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
            let by = rule.group_by.as_ref();
            let by = by.map_or_else(String::new, |by| format!(", group-by {:?}", by.as_str()));
            tracing::warn!("no tag matches rule {} (package {package:?}, tags {tags:?}{by})", number + 1);
        }
    }
    for lost in &policy.assume_lost {
        let is_it = |package: &&core::RecordedPackage| {
            let tag = lost.strip_prefix(package.name.as_str()).and_then(|rest| rest.strip_prefix(':'));
            package.versions.iter().any(|row| Some(row.version.as_str()) == tag)
        };
        if !packages.clone().any(|package| is_it(&package)) {
            tracing::warn!("no tag is called {lost:?}, as --assume-lost has it");
        }
    }
}

/// A source that was read, with what was planned from it.
pub struct Planned<'a> {
    pub place: SourceName<'a>,
    pub source: OpenSource,
    pub plan: Plan,
}

/// What all owners of a run have in common.
#[derive(Debug)]
pub struct Planning<'a> {
    pub connector: Connector,
    pub places: Vec<SourceName<'a>>,
    pub cache: Option<Cache>,
    /// Whether even what a cache knows of rows is asked for again: where the answer depends on every image, those that go
    /// too.
    pub asks_all: bool,
    server: &'a ServerArgs,
    policy: &'a crate::args::PolicyArgs,
    common: &'a Common,
    undo_window: bool,
}

impl<'a> Planning<'a> {
    /// Settles what is asked, and of whom; asks nobody yet.
    ///
    /// # Errors
    /// When something named cannot be used.
    pub fn new(
        (connection, jobs): (&Connection, Jobs),
        server: &'a ServerArgs,
        policy: &'a crate::args::PolicyArgs,
        common: &'a Common,
        undo_window: bool,
    ) -> Result<Self, Failure> {
        let places = SourceName::all(server)?;
        let connector = Connector::new(connection, jobs, server)?;
        let planning =
            Self { connector, places, cache: None, asks_all: false, server, policy, common, undo_window };
        planning.alone(server.save_inventory.as_deref(), "an inventory holds the packages")?;
        Ok(Self { cache: cache(server), ..planning })
    }

    /// The owner, for messages, where there are several.
    pub fn named(&self, place: &SourceName<'a>) -> Option<&'a str> {
        place.owner().filter(|_| self.places.len() > 1)
    }

    /// Refuses a file that holds what belongs to one owner when several are named; asks nobody.
    ///
    /// # Errors
    /// When it would.
    pub fn alone(&self, file: Option<&Path>, what: &str) -> Result<(), Failure> {
        if file.is_some() && self.places.len() > 1 {
            return Err(Failure::Usage(anyhow!("{what} of one owner; name one --owner")));
        }
        Ok(())
    }

    /// Reads one place and plans.
    ///
    /// # Errors
    /// When it cannot be read, or a file that was asked for cannot be used.
    pub async fn plan_source(&self, place: SourceName<'a>) -> Result<Planned<'a>, Failure> {
        let (messages, quiet) = (self.common.messages, self.common.quiet);
        let line = ProgressLine::show(messages.progress, quiet, self.connector.progress("reading the tree"));
        let source = self.connector.open(&place).await?;
        let policy = policy::settle(self.policy, source.kind(), self.undo_window).map_err(Failure::Usage)?;
        let times = self.server.push_times.as_deref().map(push_times).transpose()?;
        let now = Timestamp::now();
        // An inventory holds what was asked for, and nothing else.
        let asks_all = self.asks_all || self.server.save_inventory.is_some();
        let how = ServerPlanning {
            cache: self.cache.as_ref(),
            cached_rows: if asks_all { CachedRows::AskedAgain } else { CachedRows::Confirmed },
            push_times: times.as_ref(),
            plan_at: self.common.at,
            ..ServerPlanning::new(&policy, now, env!("CARGO_PKG_VERSION"))
        };
        let PlannedRecord { record, plan } = self.connector.plan(&source, &how).await?;
        drop(line);
        warn_of_unmatched(&record, &policy);
        if let Some(path) = &self.server.save_inventory {
            let context = || format!("cannot write the inventory {}", path.display());
            keep(path, &record).with_context(context).map_err(Failure::Io)?;
        }
        Ok(Planned { place, source, plan })
    }

    /// Says what failed for one place, and counts it.
    pub fn failed(&self, place: &SourceName<'a>, failure: &Failure, tally: &mut Tally) {
        let error = log::with_causes(failure.error());
        match self.named(place) {
            Some(owner) => tracing::error!("owner {owner}: {error}"),
            None => tracing::error!("{error}"),
        }
        tally.failed(failure);
    }

    /// Prints a plan.
    ///
    /// # Errors
    /// When that fails.
    pub fn print(&self, plan: &Plan, is_armed: Option<bool>) -> Result<(), Failure> {
        render::plan(self.common, plan, is_armed).context("cannot print the plan").map_err(Failure::Io)
    }

    /// Whether the plans of several owners together let more go than a run may, or one of them alone would have.
    pub fn is_too_much(&self, plans: &[&Plan]) -> bool {
        let most = plans.first().and_then(|plan| plan.policy.max_delete);
        let (Some(most), true) = (most, self.places.len() > 1) else { return false };
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

    /// Says that the run gave up on its servers, and counts it: nothing is acted on then, whatever was planned before.
    pub fn gave_up(&self, tally: &mut Tally) -> bool {
        let Some(why) = self.connector.gave_up() else { return false };
        let failure = Failure::GaveUp(anyhow!("{why}; the run ends here, and nothing is deleted{GAVE_UP}"));
        log::error(failure.error());
        tally.failed(&failure);
        true
    }

    /// What is told at the end.
    pub fn close(&self) {
        if let Some(why) = self.cache.as_ref().and_then(Cache::failure) {
            tracing::warn!("the cache was not written: {why}");
        }
        if self.common.verbose > 0 && self.server.layout.is_none() {
            tracing::info!("{} requests were made", self.connector.sent());
        }
    }
}
