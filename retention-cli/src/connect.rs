//! A server named on the command line, opened: credentials from a file or the environment, never from an argument.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use registry_core::forgejo::{Account, Forgejo};
use registry_core::registry::{Client, Credentials, Http, RegistrySource, Sent, Settings};
use registry_core::retention::{self as core, Cache, Collecting, Permission, Record, SourceKind};
use registry_core::text::without_controls as safe;

use crate::args::{Connection, Preflight, Server};
use crate::exit::Failure;
use crate::render;

/// Most bytes of a file with a token or with certificates.
const SMALL_FILE: u64 = 4 << 20;

/// A server that answers. Has no way to delete.
#[derive(Debug)]
pub enum Source {
    Forgejo(Forgejo),
    Registry(RegistrySource),
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

/// The token: `--token-file` (or `FORGEJO_TOKEN_FILE`) before `FORGEJO_TOKEN`.
fn token(args: &Connection) -> anyhow::Result<Option<secrecy::SecretString>> {
    let text = match &args.token_file {
        Some(path) => {
            let bytes =
                file(path).with_context(|| format!("cannot read the token file {}", path.display()))?;
            String::from_utf8(bytes).map_err(|_| anyhow!("the token file {} is no text", path.display()))?
        }
        None => std::env::var("FORGEJO_TOKEN").unwrap_or_default(),
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
    pub fn new(args: &Connection, verbose: bool) -> Result<Self, Failure> {
        let settle = || -> anyhow::Result<Self> {
            let mut settings = Settings { in_flight: args.jobs.into(), ..Settings::default() };
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
            Ok(Self { http: Http::new(settings)?, user: args.user.clone(), token: token(args)? })
        };
        settle().map_err(Failure::Usage)
    }

    /// Requests sent so far.
    pub fn sent(&self) -> u64 {
        self.http.sent()
    }

    fn in_flight(&self) -> usize {
        self.http.in_flight()
    }

    /// Opens a Forgejo server for one owner.
    ///
    /// # Errors
    /// When it does not answer, or is none.
    pub async fn forgejo(&self, url: &str, owner: &str) -> anyhow::Result<Source> {
        let account = Account { owner: owner.into(), user: self.user.clone(), token: self.token.clone() };
        let forgejo = Forgejo::connect(&self.http, url, &account).await?;
        forgejo.warnings().iter().for_each(|text| render::warn(text));
        Ok(Source::Forgejo(forgejo))
    }

    /// Opens an OCI registry.
    ///
    /// # Errors
    /// When it does not answer, is none, or a token was given without its user.
    pub async fn registry(&self, url: &str) -> Result<Source, Failure> {
        let credentials = match (&self.user, &self.token) {
            (Some(name), Some(secret)) => Credentials::User { name: name.clone(), secret: secret.clone() },
            (None, Some(_)) => {
                let why = "a registry takes a token together with its user: --user NAME, or FORGEJO_USER";
                return Err(Failure::Usage(anyhow!(why)));
            }
            (_, None) => Credentials::Anonymous,
        };
        let client =
            Client::new(&self.http, url, credentials).map_err(|error| Failure::of_server(error.into()))?;
        client.warning().iter().for_each(|text| render::warn(text));
        client.ping().await.map_err(|error| Failure::of_server(error.into()))?;
        Ok(Source::Registry(RegistrySource::new(client)))
    }

    /// Opens what is named on the command line: one source for each owner.
    ///
    /// # Errors
    /// When nothing is named, or something does not answer.
    pub async fn open(&self, server: &Server) -> Result<Vec<Source>, Failure> {
        if server.layout.is_some() {
            return Err(Failure::Usage(anyhow!(
                "--layout comes later: this version reads servers and inventories"
            )));
        }
        if let Some(url) = &server.registry {
            return Ok(vec![self.registry(url).await?]);
        }
        let from_environment = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let Some(url) = server.forgejo.clone().or_else(|| from_environment("FORGEJO_HOST")) else {
            return Err(Failure::Usage(anyhow!(
                "name a server: --forgejo URL --owner NAME, or --registry URL"
            )));
        };
        let mut owners = server.owner.clone();
        if owners.is_empty() {
            owners.extend(from_environment("FORGEJO_OWNER"));
        }
        if owners.is_empty() {
            return Err(Failure::Usage(anyhow!("name whose packages: --owner NAME, or FORGEJO_OWNER")));
        }
        let mut sources = Vec::new();
        for owner in &owners {
            sources.push(self.forgejo(&url, owner).await.map_err(Failure::of_server)?);
        }
        Ok(sources)
    }

    /// Reads a source whole.
    ///
    /// # Errors
    /// When its list cannot be read.
    pub async fn collect(
        &self,
        source: &Source,
        cache: Option<&Cache>,
        policy: &core::Policy,
    ) -> anyhow::Result<Record> {
        let how = Collecting {
            in_flight: self.in_flight(),
            cache,
            built_at: policy.rank_by == core::RankBy::Created,
            only: &policy.packages,
        };
        let now = jiff::Timestamp::now();
        let record = match source {
            Source::Forgejo(forgejo) => core::collect(forgejo, source.told(), &how, now).await,
            Source::Registry(registry) => core::collect(registry, source.told(), &how, now).await,
        };
        record.map_err(|why| anyhow!("{why}"))
    }

    /// Deletes what a plan says.
    pub async fn apply(
        &self,
        source: Source,
        plan: &core::Plan,
        cache: Option<&Cache>,
        journal: &mut impl core::Journal,
    ) -> core::Applied {
        let how = Collecting { in_flight: self.in_flight(), cache, built_at: false, only: &[] };
        let now = jiff::Timestamp::now();
        match source {
            Source::Forgejo(forgejo) => core::apply(&forgejo.arm(), plan, &how, journal, now).await,
            Source::Registry(registry) => core::apply(&registry.arm(), plan, &how, journal, now).await,
        }
    }

    /// Puts back what a journal tells.
    pub async fn undo(&self, source: Source, told: &core::Told) -> Vec<core::Undone> {
        match source {
            Source::Forgejo(forgejo) => core::undo(&forgejo.arm(), told).await,
            Source::Registry(registry) => core::undo(&registry.arm(), told).await,
        }
    }
}

impl Source {
    /// What kind of source this is.
    pub const fn kind(&self) -> SourceKind {
        match self {
            Self::Forgejo(_) => SourceKind::Forgejo,
            Self::Registry(_) => SourceKind::Registry,
        }
    }

    /// Where it is, as plans tell it.
    pub fn told(&self) -> core::Source {
        match self {
            Self::Forgejo(forgejo) => forgejo.source(),
            Self::Registry(registry) => core::Source {
                kind: SourceKind::Registry,
                url: registry.client().address(),
                owner: None,
                version: None,
            },
        }
    }

    /// Asks whether the credentials may delete what a plan says; what that means for the run. A registry may allow it in one
    /// repository and not in another: the first where something goes is asked about.
    ///
    /// # Errors
    /// When it is required and not granted.
    pub async fn preflight(&self, how: Preflight, plan: &core::Plan) -> Result<(), Failure> {
        if matches!(how, Preflight::Off) {
            return Ok(());
        }
        let permission = match self {
            Self::Forgejo(forgejo) => forgejo.preflight().await,
            Self::Registry(registry) => {
                let goes = |package: &&core::PackagePlan| {
                    package.versions.iter().any(|row| row.action == core::Action::Delete)
                };
                let first = plan.packages.iter().find(goes).or_else(|| plan.packages.first());
                // Where there is nothing, nothing can be asked about, and nothing goes.
                let Some(package) = first else { return Ok(()) };
                registry.preflight(&package.name).await
            }
        };
        let (said, failure): (_, fn(anyhow::Error) -> Failure) = match permission {
            Permission::Granted => return Ok(()),
            Permission::Denied(why) => {
                (format!("these credentials may not delete: {why}"), Failure::Forbidden)
            }
            Permission::Unknown(why) => {
                (format!("whether these credentials may delete could not be found out: {why}"), Failure::Io)
            }
        };
        if matches!(how, Preflight::Require) {
            return Err(failure(anyhow!(said)));
        }
        render::warn(&said);
        Ok(())
    }
}
