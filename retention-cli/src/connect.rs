//! A server named on the command line, opened: credentials from a file or the environment, never from an argument.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use indicatif::HumanCount;
use registry_cli::args::{Jobs, RoleArg};
use registry_cli::connection::{Budget, Connection};
use registry_cli::credentials::{FORGEJO, Nameless, Places, REGISTRY, account, find, host};
use registry_core::Stop;
use registry_core::forgejo::{Forgejo, ForgejoAccount};
use registry_core::registry::{Client, Error, GaveUp, HostCredentials, Http};
use registry_core::retention::{
    self as core, Cache, Collecting, Permission, PlannedRecord, RegistrySource, ServerPlanning, SourceKind,
};

use crate::args::{ApplyEffects, Preflight, ServerArgs};
use crate::exit::Failure;
use crate::journal::FileJournal;
use crate::layout::OpenLayout;

/// A server that answers. Has no way to delete.
#[derive(Debug)]
pub enum OpenSource {
    Forgejo(Box<Forgejo>),
    Registry(Box<RegistrySource>),
    Layout(Box<OpenLayout>),
}

/// What the command line names as a source: a registry, or one owner on a Forgejo server.
#[derive(Debug, Clone, Copy)]
pub enum SourceName<'a> {
    Registry(&'a str),
    Layout(&'a Path, RoleArg),
    Forgejo { url: &'a str, owner: &'a str },
}

impl<'a> SourceName<'a> {
    /// What is named on the command line, one place for each owner. Asks nobody.
    ///
    /// # Errors
    /// When nothing is named, or an owner twice.
    pub fn all(server: &'a ServerArgs) -> Result<Vec<Self>, Failure> {
        let usage = |why: String| Err(Failure::Usage(anyhow!(why)));
        if let Some(root) = &server.layout {
            if server.push_times.is_some() {
                return usage("--push-times is for servers: an undo on a tree brings the times back".into());
            }
            return Ok(vec![Self::Layout(root, server.role)]);
        }
        if server.role != RoleArg::Auto {
            return usage("--role goes with --layout ROOT".into());
        }
        if let Some(url) = &server.registry {
            return Ok(vec![Self::Registry(url)]);
        }
        let Some(url) = &server.forgejo else {
            return usage(
                "name a source: --forgejo URL --owner NAME, --registry URL, or --layout ROOT".into(),
            );
        };
        if server.owner.iter().all(|owner| owner.trim().is_empty()) {
            return usage("name whose packages: --owner NAME, or FORGEJO_OWNER".into());
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = server.owner.iter().find(|owner| !seen.insert(owner.to_lowercase())) {
            return usage(format!("owner {twice:?} is named twice"));
        }
        Ok(server.owner.iter().map(|owner| Self::Forgejo { url, owner }).collect())
    }

    /// Whose packages these are.
    pub const fn owner(&self) -> Option<&'a str> {
        match self {
            Self::Registry(_) | Self::Layout(..) => None,
            Self::Forgejo { owner, .. } => Some(owner),
        }
    }
}

/// How servers are asked, from flags and environment.
#[derive(Debug)]
pub struct Connector {
    http: Http,
    registry: HostCredentials,
    /// Of each owner on a Forgejo.
    accounts: Vec<ForgejoAccount>,
    /// How many files of a tree are read at once; 0 leaves it to the library.
    files: usize,
    /// Whether a tree is read, and nobody asked.
    is_tree: bool,
}

impl Connector {
    /// Settles how servers are asked, and with which credentials: what is meant for one kind of server is never sent to another.
    ///
    /// # Errors
    /// When something named cannot be used.
    pub fn new(connection: &Connection, jobs: Jobs, server: &ServerArgs) -> Result<Self, Failure> {
        let settle = || -> anyhow::Result<Self> {
            let http = connection.http(env!("CARGO_PKG_NAME"), jobs, Budget::default())?;
            let registry = match &server.registry {
                Some(url) => {
                    let places = Places { variables: &[REGISTRY], nameless: Nameless::Refused };
                    find(connection, &host(url), places)?
                }
                None => HostCredentials::default(),
            };
            let of_owner = |(url, owner): (&String, &String)| {
                let places = Places { variables: &[FORGEJO], nameless: Nameless::Token(owner) };
                account(&find(connection, &host(url), places)?, owner)
            };
            let owners = server.forgejo.iter().flat_map(|url| server.owner.iter().map(move |one| (url, one)));
            let accounts = owners.map(of_owner).collect::<anyhow::Result<_>>()?;
            Ok(Self { http, registry, accounts, files: jobs.of_files(), is_tree: server.layout.is_some() })
        };
        settle().map_err(Failure::Usage)
    }

    /// Requests sent so far.
    pub fn sent(&self) -> u64 {
        self.http.sent()
    }

    /// Whether the run gave up on its servers, and why.
    pub fn gave_up(&self) -> Option<GaveUp> {
        self.http.gave_up()
    }

    /// What a progress line says; of a tree `on_tree`.
    pub fn progress(&self, on_tree: &'static str) -> impl Fn(Duration) -> String + Send + 'static {
        let (http, is_tree) = (self.http.clone(), self.is_tree);
        move |elapsed| {
            if is_tree {
                return format!("{on_tree}: {} s", elapsed.as_secs());
            }
            format!("asking: {} requests", HumanCount(http.sent()))
        }
    }

    fn in_flight(&self) -> usize {
        self.http.in_flight()
    }

    async fn forgejo(&self, url: &str, owner: &str) -> Result<OpenSource, Error> {
        let nobody = ForgejoAccount { owner: owner.into(), user: None, token: None };
        let account = self.accounts.iter().find(|account| account.owner == owner).unwrap_or(&nobody);
        let forgejo = Forgejo::connect(&self.http, url, account).await?;
        forgejo.warnings().iter().for_each(|text| tracing::warn!("{text}"));
        Ok(OpenSource::Forgejo(Box::new(forgejo)))
    }

    async fn registry(&self, url: &str) -> Result<OpenSource, Failure> {
        let client = Client::new(&self.http, url, self.registry.clone()).map_err(Failure::of_server)?;
        client.warning().iter().for_each(|text| tracing::warn!("{text}"));
        client.ping().await.map_err(Failure::of_server)?;
        Ok(OpenSource::Registry(Box::new(RegistrySource::new(client))))
    }

    /// Opens a place.
    ///
    /// # Errors
    /// When it does not answer, or is not what it was called.
    pub async fn open(&self, place: &SourceName<'_>) -> Result<OpenSource, Failure> {
        match place {
            SourceName::Registry(url) => self.registry(url).await,
            SourceName::Layout(root, role) => {
                Ok(OpenSource::Layout(Box::new(OpenLayout::open(root, *role, self.files)?)))
            }
            SourceName::Forgejo { url, owner } => self.forgejo(url, owner).await.map_err(Failure::of_server),
        }
    }

    /// Reads a source and plans.
    ///
    /// # Errors
    /// When its list cannot be read.
    pub async fn plan(
        &self,
        source: &OpenSource,
        how: &ServerPlanning<'_>,
    ) -> Result<PlannedRecord, Failure> {
        let how = &ServerPlanning { in_flight: self.in_flight(), ..*how };
        let planned = match source {
            OpenSource::Forgejo(forgejo) => core::plan_server(&**forgejo, source.plan_source(), how).await,
            OpenSource::Registry(registry) => core::plan_server(&**registry, source.plan_source(), how).await,
            OpenSource::Layout(layout) => {
                let record = layout.collect(how.policy)?;
                let at = how.plan_at.unwrap_or_else(jiff::Timestamp::now);
                let (source, packages) = (record.source.clone(), record.packages());
                let plan = core::plan(source, packages, how.policy, at, how.tool_version);
                return Ok(PlannedRecord { record, plan });
            }
        };
        planned.map_err(Failure::of_list)
    }

    /// Deletes what a plan says, until it is asked to stop.
    pub async fn apply(
        &self,
        source: OpenSource,
        plan: core::VerifiedPlan<'_>,
        cache: Option<&Cache>,
        journal: &mut FileJournal,
        stop: &Stop,
    ) -> core::Applied {
        let how = Collecting { in_flight: self.in_flight(), cache, built_at: false, only: &[] };
        let (now, stop) = (jiff::Timestamp::now(), stop.clone());
        match source {
            OpenSource::Forgejo(forgejo) => {
                core::apply(&forgejo.arm().stopped_by(stop), plan, &how, journal, now).await
            }
            OpenSource::Registry(registry) => {
                core::apply(&registry.arm().stopped_by(stop), plan, &how, journal, now).await
            }
            OpenSource::Layout(layout) => layout.apply(plan, journal),
        }
    }

    /// Puts back what a journal of a server tells, until it is asked to stop; that of a tree is another.
    pub async fn undo(
        &self,
        source: OpenSource,
        told: &core::DeletionHistory,
        stop: &Stop,
    ) -> Vec<core::UndoneRow> {
        let stop = stop.clone();
        match source {
            OpenSource::Forgejo(forgejo) => core::undo(&forgejo.arm().stopped_by(stop), told).await,
            OpenSource::Registry(registry) => core::undo(&registry.arm().stopped_by(stop), told).await,
            OpenSource::Layout(_) => Vec::new(),
        }
    }
}

/// A version of a package with a slash in its name, where the plan has one; first of those in which something goes.
fn version_below_a_slash(plan: &core::Plan) -> Option<(&str, &str)> {
    let slashed = || plan.packages.iter().filter(|package| package.name.contains('/'));
    let goes = slashed().find_map(|package| {
        Some((package, package.versions.iter().find(|row| row.action == core::Action::Delete)?))
    });
    let first = || slashed().find_map(|package| Some((package, package.versions.first()?)));
    let (package, row) = goes.or_else(first)?;
    Some((&package.name, &row.version))
}

impl OpenSource {
    /// What kind of source this is.
    pub const fn kind(&self) -> SourceKind {
        match self {
            Self::Forgejo(_) => SourceKind::Forgejo,
            Self::Registry(_) => SourceKind::Registry,
            Self::Layout(_) => SourceKind::Layout,
        }
    }

    /// Where it is, as plans tell it.
    pub fn plan_source(&self) -> core::Source {
        match self {
            Self::Forgejo(forgejo) => forgejo.source(),
            Self::Layout(layout) => layout.source(),
            Self::Registry(registry) => registry.source(),
        }
    }

    /// Whether nothing is asked of it any more.
    fn gave_up(&self) -> bool {
        match self {
            Self::Forgejo(forgejo) => core::Reader::gave_up(&**forgejo).is_some(),
            Self::Registry(registry) => registry.client().gave_up().is_some(),
            Self::Layout(_) => false,
        }
    }

    /// Makes ready for deleting; a tree is locked until this is dropped.
    ///
    /// # Errors
    /// When somebody else is at work on it, or nothing can be moved aside.
    pub fn arm(&mut self, effects: &ApplyEffects) -> Result<(), Failure> {
        if let Self::Layout(layout) = self { layout.arm(effects) } else { Ok(()) }
    }

    /// Where what goes is moved to, on a tree.
    pub fn aside(&self) -> Option<PathBuf> {
        if let Self::Layout(layout) = self { layout.aside() } else { None }
    }

    /// Refuses to act on ages when the server's clock and ours tell different times.
    ///
    /// # Errors
    /// When a rule of the policy goes by age, and the clocks differ by minutes.
    pub fn check_clock(&self, policy: &core::PolicyText) -> Result<(), Failure> {
        let Self::Forgejo(forgejo) = self else { return Ok(()) };
        let by_age = policy.keep_within_seconds.is_some()
            || policy.untagged.is_some()
            || policy.orphan_signatures.is_some()
            || policy.rules.iter().any(|rule| rule.keep_within_seconds.is_some());
        match forgejo.clock_warning().filter(|_| by_age) {
            Some(why) => Err(Failure::Io(anyhow!("{why}; this policy goes by age, so nothing is deleted"))),
            None => Ok(()),
        }
    }

    /// Asks whether the credentials may delete what a plan says; what that means for the run. A registry may allow it in one
    /// repository and not in another: the first where something goes is asked about.
    ///
    /// # Errors
    /// When it is required and not granted.
    pub async fn preflight(
        &self,
        how: Preflight,
        plan: &core::Plan,
        quarantine: Option<&Path>,
    ) -> Result<(), Failure> {
        if matches!(how, Preflight::Off) {
            return Ok(());
        }
        let permission = match self {
            Self::Forgejo(forgejo) => forgejo.preflight(version_below_a_slash(plan)).await,
            Self::Registry(registry) => {
                let goes = |package: &&core::PackagePlan| {
                    package.versions.iter().any(|row| row.action == core::Action::Delete)
                };
                let first = plan.packages.iter().find(goes).or_else(|| plan.packages.first());
                // Where there is nothing, nothing can be asked about, and nothing goes.
                let Some(package) = first else { return Ok(()) };
                registry.preflight(&package.name).await
            }
            Self::Layout(layout) => layout.preflight(plan, quarantine),
        };
        let what = match self {
            Self::Forgejo(forgejo) => format!("packages of {}", forgejo.owner()),
            Self::Registry(_) | Self::Layout(_) => "here".into(),
        };
        let (said, failure): (_, fn(anyhow::Error) -> Failure) = match permission {
            Permission::Granted => return Ok(()),
            Permission::Denied(why) => {
                let who = if matches!(self, Self::Layout(_)) { "this user" } else { "these credentials" };
                (format!("{who} may not delete {what}: {why}"), Failure::Forbidden)
            }
            Permission::Unknown(why) => (
                format!("whether these credentials may delete {what} could not be found out: {why}"),
                if self.gave_up() { Failure::GaveUp } else { Failure::Io },
            ),
        };
        if matches!(how, Preflight::Require) {
            return Err(failure(anyhow!(said)));
        }
        tracing::warn!("{said}");
        Ok(())
    }
}
