//! A server named on the command line, opened: credentials from a file or the environment, never from an argument.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use registry_core::Stop;
use registry_core::forgejo::{Account, Forgejo};
use registry_core::registry::{Client, Credentials, Error, GaveUp, Http, Sent, Settings};
use registry_core::retention::{
    self as core, Cache, Collected, Collecting, Permission, Record, RegistrySource, SourceKind,
};
use registry_core::text::without_controls as safe;

use crate::args::{ApplyEffects, Connection, Preflight, Role, Server};
use crate::exit::Failure;
use crate::journal::FileJournal;
use crate::layout::Layout;
use crate::render;

/// Most bytes of a file with a token or with certificates.
const SMALL_FILE: u64 = 4 << 20;

/// A server that answers. Has no way to delete.
#[derive(Debug)]
pub enum Source {
    Forgejo(Box<Forgejo>),
    Registry(Box<RegistrySource>),
    Layout(Box<Layout>),
}

/// What the command line names as a source: a registry, or one owner on a Forgejo server.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    Registry(&'a str),
    Layout(&'a Path, Role),
    Forgejo { url: &'a str, owner: &'a str },
}

impl<'a> Place<'a> {
    /// What is named on the command line, one place for each owner. Asks nobody.
    ///
    /// # Errors
    /// When nothing is named, or an owner twice.
    pub fn all(server: &'a Server) -> Result<Vec<Self>, Failure> {
        let usage = |why: String| Err(Failure::Usage(anyhow!(why)));
        if let Some(root) = &server.layout {
            if server.push_times.is_some() {
                return usage("--push-times is for servers: an undo on a tree brings the times back".into());
            }
            return Ok(vec![Self::Layout(root, server.role)]);
        }
        if server.role != Role::Auto {
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
    user: Option<String>,
    token: Option<secrecy::SecretString>,
}

fn file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(SMALL_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SMALL_FILE {
        bail!("it is larger than 4 MiB");
    }
    Ok(bytes)
}

/// The variables of one kind of server: user, secret. What is meant for one kind is never sent to the other.
const fn variables(is_registry: bool) -> (&'static str, &'static str) {
    if is_registry { ("REGISTRY_USER", "REGISTRY_PASSWORD") } else { ("FORGEJO_USER", "FORGEJO_TOKEN") }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The token: `--token-file` before the variable that ends in `_FILE`, before the variable itself.
fn token(args: &Connection, variable: &str) -> anyhow::Result<Option<secrecy::SecretString>> {
    let named = environment(&format!("{variable}_FILE")).map(PathBuf::from);
    let text = match args.token_file.clone().or(named) {
        Some(path) => {
            let bytes =
                file(&path).with_context(|| format!("cannot read the token file {}", path.display()))?;
            String::from_utf8(bytes).map_err(|_| anyhow!("the token file {} is no text", path.display()))?
        }
        None => environment(variable).unwrap_or_default(),
    };
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!("the token holds characters that no token has");
    }
    Ok(Some(text.to_owned().into()))
}

impl Connector {
    /// Settles how servers are asked.
    ///
    /// # Errors
    /// When the token or the certificates cannot be read.
    pub fn new(args: &Connection, server: &Server, verbose: bool) -> Result<Self, Failure> {
        let settle = || -> anyhow::Result<Self> {
            let (user, secret) = variables(server.registry.is_some());
            if args.timeout == 0 {
                bail!("--timeout is 0, and no answer comes that soon");
            }
            let deadline = Duration::from_secs(args.timeout);
            let mut settings = Settings { in_flight: args.jobs.into(), deadline, ..Settings::default() };
            settings.token_services.clone_from(&args.token_service);
            settings.give_up_after =
                (args.give_up_after > 0).then(|| Duration::from_secs(args.give_up_after));
            settings.user_agent = concat!("registry-retention/", env!("CARGO_PKG_VERSION")).into();
            if let Some(path) = &args.ca_file {
                let bytes = file(path).with_context(|| format!("cannot read {}", path.display()))?;
                settings.authorities = Some(bytes);
            }
            if verbose {
                settings.observer = Some(Arc::new(|sent: &Sent<'_>| {
                    let status =
                        sent.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
                    let (target, milliseconds) = (safe(sent.target), sent.took.as_millis());
                    eprintln!("{} {target}: {status}, {milliseconds} ms", sent.method);
                }));
            }
            let user = args.user.clone().or_else(|| environment(user));
            Ok(Self { http: Http::new(settings)?, user, token: token(args, secret)? })
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

    fn in_flight(&self) -> usize {
        self.http.in_flight()
    }

    async fn forgejo(&self, url: &str, owner: &str) -> Result<Source, Error> {
        let account = Account { owner: owner.into(), user: self.user.clone(), token: self.token.clone() };
        let forgejo = Forgejo::connect(&self.http, url, &account).await?;
        forgejo.warnings().iter().for_each(|text| render::warn(text));
        Ok(Source::Forgejo(Box::new(forgejo)))
    }

    async fn registry(&self, url: &str) -> Result<Source, Failure> {
        let credentials = match (&self.user, &self.token) {
            (Some(name), Some(secret)) => Credentials::User { name: name.clone(), secret: secret.clone() },
            (None, Some(_)) => {
                let why = "a registry takes a token together with its user: --user NAME, or REGISTRY_USER";
                return Err(Failure::Usage(anyhow!(why)));
            }
            (_, None) => Credentials::Anonymous,
        };
        let client = Client::new(&self.http, url, credentials).map_err(Failure::of_server)?;
        client.warning().iter().for_each(|text| render::warn(text));
        client.ping().await.map_err(Failure::of_server)?;
        Ok(Source::Registry(Box::new(RegistrySource::new(client))))
    }

    /// Opens a place.
    ///
    /// # Errors
    /// When it does not answer, or is not what it was called.
    pub async fn open(&self, place: &Place<'_>) -> Result<Source, Failure> {
        match place {
            Place::Registry(url) => self.registry(url).await,
            Place::Layout(root, role) => Ok(Source::Layout(Box::new(Layout::open(root, *role)?))),
            Place::Forgejo { url, owner } => self.forgejo(url, owner).await.map_err(Failure::of_server),
        }
    }

    /// Reads a source whole; what the cache knows of its rows is not asked for, unless everything is to be.
    ///
    /// # Errors
    /// When its list cannot be read.
    pub async fn collect(
        &self,
        source: &Source,
        cache: Option<&Cache>,
        policy: &core::Policy,
        asks_all: bool,
    ) -> Result<Collected, Failure> {
        let how = Collecting {
            in_flight: self.in_flight(),
            cache,
            built_at: policy.rank_by == core::RankBy::Created,
            only: &policy.packages,
        };
        let now = jiff::Timestamp::now();
        let all = |record: Record| Collected { record, assumed: core::Assumed::default() };
        let collected = match source {
            Source::Forgejo(forgejo) if asks_all => {
                core::collect(&**forgejo, source.told(), &how, now).await.map(all)
            }
            Source::Forgejo(forgejo) => core::collect_known(&**forgejo, source.told(), &how, now).await,
            Source::Registry(registry) => core::collect(&**registry, source.told(), &how, now).await.map(all),
            Source::Layout(layout) => return layout.collect(policy).map(all),
        };
        collected.map_err(Failure::of_list)
    }

    /// Whether everything that a plan rests on, and that was not asked for, is there.
    pub async fn confirm(&self, source: &Source, needed: &[core::Unconfirmed]) -> bool {
        match source {
            Source::Forgejo(forgejo) => core::confirm(&**forgejo, needed, self.in_flight()).await,
            Source::Registry(registry) => core::confirm(&**registry, needed, self.in_flight()).await,
            Source::Layout(_) => needed.is_empty(),
        }
    }

    /// Adds when images were built, where a plan depends on it. What a server does not tell stays unknown.
    pub async fn add_dates(
        &self,
        source: &Source,
        cache: Option<&Cache>,
        record: &mut Record,
        undated: &[core::Undated],
    ) {
        let how = Collecting { in_flight: self.in_flight(), cache, built_at: true, only: &[] };
        match source {
            Source::Forgejo(forgejo) => core::add_dates(&**forgejo, record, undated, &how).await,
            Source::Registry(registry) => core::add_dates(&**registry, record, undated, &how).await,
            Source::Layout(_) => {}
        }
    }

    /// Deletes what a plan says, until it is asked to stop.
    pub async fn apply(
        &self,
        source: Source,
        plan: core::VerifiedPlan<'_>,
        cache: Option<&Cache>,
        journal: &mut FileJournal,
        stop: &Stop,
    ) -> core::Applied {
        let how = Collecting { in_flight: self.in_flight(), cache, built_at: false, only: &[] };
        let (now, stop) = (jiff::Timestamp::now(), stop.clone());
        match source {
            Source::Forgejo(forgejo) => {
                core::apply(&forgejo.arm().stopped_by(stop), plan, &how, journal, now).await
            }
            Source::Registry(registry) => {
                core::apply(&registry.arm().stopped_by(stop), plan, &how, journal, now).await
            }
            Source::Layout(layout) => layout.apply(plan, journal),
        }
    }

    /// Puts back what a journal of a server tells, until it is asked to stop; that of a tree is another.
    pub async fn undo(&self, source: Source, told: &core::Told, stop: &Stop) -> Vec<core::Undone> {
        let stop = stop.clone();
        match source {
            Source::Forgejo(forgejo) => core::undo(&forgejo.arm().stopped_by(stop), told).await,
            Source::Registry(registry) => core::undo(&registry.arm().stopped_by(stop), told).await,
            Source::Layout(_) => Vec::new(),
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

impl Source {
    /// What kind of source this is.
    pub const fn kind(&self) -> SourceKind {
        match self {
            Self::Forgejo(_) => SourceKind::Forgejo,
            Self::Registry(_) => SourceKind::Registry,
            Self::Layout(_) => SourceKind::Layout,
        }
    }

    /// Where it is, as plans tell it.
    pub fn told(&self) -> core::Source {
        match self {
            Self::Forgejo(forgejo) => forgejo.source(),
            Self::Layout(layout) => layout.source(),
            Self::Registry(registry) => core::Source {
                kind: SourceKind::Registry,
                url: registry.client().address(),
                owner: None,
                version: None,
            },
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
        render::warn(&said);
        Ok(())
    }
}
