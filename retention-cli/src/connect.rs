//! Opens the sources that the command line names. Credentials come from a file or the environment, never from an argument.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use indicatif::HumanCount;
use registry_cli::args::{Jobs, RoleArg};
use registry_cli::connection::{Budget, Connection};
use registry_cli::credentials::{
    CredentialPlaces, FORGEJO, REGISTRY, SecretWithoutUser, credential_host, find_credentials,
    forgejo_account,
};
use registry_core::Stop;
use registry_core::forgejo::{Forgejo, ForgejoAccount};
use registry_core::registry::{Client, Error, HostCredentials, Http};
use registry_core::retention::{
    self as core, Cache, CollectOptions, Permission, PlannedRecord, RegistrySource, ServerPlanning,
    SourceKind,
};

use crate::args::{ApplyEffects, Preflight, ServerArgs};
use crate::exit::Failure;
use crate::journal::FileJournal;
use crate::layout::OpenLayout;

/// A source that was opened for reading.
#[derive(Debug)]
pub enum OpenSource {
    Forgejo(Box<Forgejo>),
    Registry(Box<RegistrySource>),
    Layout(Box<OpenLayout>),
}

/// A source on the command line: a registry, a tree, or one owner on a Forgejo server.
#[derive(Debug, Clone, Copy)]
pub enum SourceName<'a> {
    Registry(&'a str),
    Layout(&'a Path, RoleArg),
    Forgejo { url: &'a str, owner: &'a str },
}

impl<'a> SourceName<'a> {
    /// The sources on the command line, one for each owner. Sends no request.
    ///
    /// # Errors
    /// When no source is named, an owner is named twice, or an option does not fit the source.
    pub fn from_args(server: &'a ServerArgs) -> Result<Vec<Self>, Failure> {
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

    /// The owner of the packages, on a Forgejo server.
    pub const fn owner(&self) -> Option<&'a str> {
        match self {
            Self::Registry(_) | Self::Layout(..) => None,
            Self::Forgejo { owner, .. } => Some(owner),
        }
    }
}

/// Opens and asks sources, with the options and credentials of a run.
#[derive(Debug)]
pub struct Connector {
    pub http: Http,
    registry: HostCredentials,
    /// The account for each owner on a Forgejo server.
    accounts: Vec<ForgejoAccount>,
    /// How many files of a tree are read at once; 0 means that the library chooses.
    files: usize,
    /// Whether the source is a tree, so that no request is sent.
    is_tree: bool,
}

impl Connector {
    /// Sets up the transport and finds the credentials. Credentials for one kind of server are never sent to another.
    ///
    /// # Errors
    /// When an option or the credentials cannot be used.
    pub fn new(connection: &Connection, jobs: Jobs, server: &ServerArgs) -> Result<Self, Failure> {
        let new = || -> anyhow::Result<Self> {
            let http = connection.new_http(env!("CARGO_PKG_NAME"), jobs, Budget::default())?;
            let registry = match &server.registry {
                Some(url) => {
                    let places =
                        CredentialPlaces { variables: &[REGISTRY], nameless: SecretWithoutUser::Refused };
                    find_credentials(connection, &credential_host(url), places)?
                }
                None => HostCredentials::default(),
            };
            let mut accounts = Vec::new();
            if let Some(url) = &server.forgejo {
                for owner in &server.owner {
                    let places =
                        CredentialPlaces { variables: &[FORGEJO], nameless: SecretWithoutUser::Token(owner) };
                    accounts.push(forgejo_account(
                        &find_credentials(connection, &credential_host(url), places)?,
                        owner,
                    )?);
                }
            }
            Ok(Self { http, registry, accounts, files: jobs.file_jobs(), is_tree: server.layout.is_some() })
        };
        new().map_err(Failure::Usage)
    }

    /// The message of a progress line; for a tree, it says `on_tree`.
    pub fn progress(&self, on_tree: &'static str) -> impl Fn(Duration) -> String + Send + 'static {
        let (http, is_tree) = (self.http.clone(), self.is_tree);
        move |elapsed| {
            if is_tree {
                return format!("{on_tree}: {} s", elapsed.as_secs());
            }
            format!("asking: {} requests", HumanCount(http.requests_sent()))
        }
    }

    async fn open_forgejo(&self, url: &str, owner: &str) -> Result<OpenSource, Error> {
        let anonymous = ForgejoAccount { owner: owner.into(), user: None, token: None };
        let account = self.accounts.iter().find(|account| account.owner == owner).unwrap_or(&anonymous);
        let forgejo = Forgejo::connect(&self.http, url, account).await?;
        forgejo.warnings().iter().for_each(|text| tracing::warn!("{text}"));
        Ok(OpenSource::Forgejo(Box::new(forgejo)))
    }

    async fn open_registry(&self, url: &str) -> Result<OpenSource, Failure> {
        let client = Client::new(&self.http, url, self.registry.clone()).map_err(Failure::from_server)?;
        client.warning().iter().for_each(|text| tracing::warn!("{text}"));
        client.ping().await.map_err(Failure::from_server)?;
        Ok(OpenSource::Registry(Box::new(RegistrySource::new(client))))
    }

    /// Opens a source.
    ///
    /// # Errors
    /// When it does not answer, or is not of the named kind.
    pub async fn open(&self, place: &SourceName<'_>) -> Result<OpenSource, Failure> {
        match place {
            SourceName::Registry(url) => self.open_registry(url).await,
            SourceName::Layout(root, role) => {
                Ok(OpenSource::Layout(Box::new(OpenLayout::open(root, *role, self.files)?)))
            }
            SourceName::Forgejo { url, owner } => {
                self.open_forgejo(url, owner).await.map_err(Failure::from_server)
            }
        }
    }

    /// Reads a source, and plans.
    ///
    /// # Errors
    /// When the list of packages cannot be read.
    pub async fn plan(
        &self,
        source: &OpenSource,
        options: &ServerPlanning<'_>,
    ) -> Result<PlannedRecord, Failure> {
        let options = &ServerPlanning { in_flight: self.http.in_flight(), ..*options };
        let planned = match source {
            OpenSource::Forgejo(forgejo) => {
                core::plan_server(&**forgejo, source.plan_source(), options).await
            }
            OpenSource::Registry(registry) => {
                core::plan_server(&**registry, source.plan_source(), options).await
            }
            OpenSource::Layout(layout) => {
                let record = layout.collect(options.policy)?;
                let at = options.plan_at.unwrap_or_else(jiff::Timestamp::now);
                let (source, packages) = (record.source.clone(), record.packages());
                let plan = core::plan(source, packages, options.policy, at, options.tool_version);
                return Ok(PlannedRecord { record, plan });
            }
        };
        planned.map_err(Failure::from_list)
    }

    /// Deletes what a plan lists, until `stop` asks to stop.
    pub async fn apply(
        &self,
        source: OpenSource,
        plan: core::VerifiedPlan<'_>,
        cache: Option<&Cache>,
        journal: &mut FileJournal,
        stop: &Stop,
    ) -> core::ApplyResult {
        let options = CollectOptions { in_flight: self.http.in_flight(), cache, built_at: false, only: &[] };
        let (now, stop) = (jiff::Timestamp::now(), stop.clone());
        match source {
            OpenSource::Forgejo(forgejo) => {
                core::apply(&forgejo.into_write_access().stopped_by(stop), plan, &options, journal, now).await
            }
            OpenSource::Registry(registry) => {
                core::apply(&registry.arm().stopped_by(stop), plan, &options, journal, now).await
            }
            OpenSource::Layout(layout) => layout.apply(plan, journal),
        }
    }

    /// Puts back what the journal of a server says was deleted, until `stop` asks to stop. `layout::undo` does so for a tree.
    pub async fn undo(
        &self,
        source: OpenSource,
        history: &core::DeletionHistory,
        stop: &Stop,
    ) -> Vec<core::UndoneRow> {
        let stop = stop.clone();
        match source {
            OpenSource::Forgejo(forgejo) => {
                core::undo(&forgejo.into_write_access().stopped_by(stop), history).await
            }
            OpenSource::Registry(registry) => core::undo(&registry.arm().stopped_by(stop), history).await,
            OpenSource::Layout(_) => Vec::new(),
        }
    }
}

/// A version of a package with a slash in its name, if the plan has one; preferably one that goes.
fn version_of_package_with_slash(plan: &core::Plan) -> Option<(&str, &str)> {
    let slashed = || plan.packages.iter().filter(|package| package.name.contains('/'));
    let goes = slashed().find_map(|package| {
        Some((package, package.versions.iter().find(|row| row.action == core::Action::Delete)?))
    });
    let first = || slashed().find_map(|package| Some((package, package.versions.first()?)));
    let (package, row) = goes.or_else(first)?;
    Some((&package.name, &row.version))
}

impl OpenSource {
    /// The kind of this source.
    pub const fn kind(&self) -> SourceKind {
        match self {
            Self::Forgejo(_) => SourceKind::Forgejo,
            Self::Registry(_) => SourceKind::Registry,
            Self::Layout(_) => SourceKind::Layout,
        }
    }

    /// This source as plans name it.
    pub fn plan_source(&self) -> core::Source {
        match self {
            Self::Forgejo(forgejo) => forgejo.source(),
            Self::Layout(layout) => layout.source(),
            Self::Registry(registry) => registry.source(),
        }
    }

    /// Whether the run gave up on this source.
    fn gave_up(&self) -> bool {
        match self {
            Self::Forgejo(forgejo) => core::Reader::why_gave_up(&**forgejo).is_some(),
            Self::Registry(registry) => registry.client().gave_up().is_some(),
            Self::Layout(_) => false,
        }
    }

    /// Prepares for deleting; a tree is locked until this is dropped.
    ///
    /// # Errors
    /// When a server or another run works on the tree, or nothing can be moved aside.
    pub fn arm(&mut self, effects: &ApplyEffects) -> Result<(), Failure> {
        if let Self::Layout(layout) = self { layout.arm(effects) } else { Ok(()) }
    }

    /// The folder to which a tree's files are moved.
    pub fn aside(&self) -> Option<PathBuf> {
        if let Self::Layout(layout) = self { layout.aside() } else { None }
    }

    /// Refuses to act on ages when the clocks of the server and of this machine differ.
    ///
    /// # Errors
    /// When a rule of the policy depends on age, and the clocks differ by minutes.
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

    /// Checks whether the credentials may delete what a plan lists. A registry may allow this in one repository only: the first
    /// one in which something goes is checked.
    ///
    /// # Errors
    /// When permission is required and not granted.
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
            Self::Forgejo(forgejo) => forgejo.preflight(version_of_package_with_slash(plan)).await,
            Self::Registry(registry) => {
                let goes = |package: &&core::PackagePlan| {
                    package.versions.iter().any(|row| row.action == core::Action::Delete)
                };
                let first = plan.packages.iter().find(goes).or_else(|| plan.packages.first());
                // Without packages nothing can be checked, and nothing goes.
                let Some(package) = first else { return Ok(()) };
                registry.preflight(&package.name).await
            }
            Self::Layout(layout) => layout.preflight(plan, quarantine),
        };
        let what = match self {
            Self::Forgejo(forgejo) => format!("packages of {}", forgejo.owner()),
            Self::Registry(_) | Self::Layout(_) => "here".into(),
        };
        let (message, failure): (_, fn(anyhow::Error) -> Failure) = match permission {
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
            return Err(failure(anyhow!(message)));
        }
        tracing::warn!("{message}");
        Ok(())
    }
}
