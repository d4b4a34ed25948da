//! The options for reaching servers, and the HTTP transport that is made from them. Credentials are in
//! [`credentials`](crate::credentials).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use registry_core::Stop;
use registry_core::registry::{Http, SentRequest, Settings, TokenService};

use crate::args::{Jobs, parse_duration};
use crate::file::read_small;

/// How a server is reached. Passwords come from files or the environment, never from an argument.
#[derive(Debug, Args)]
pub struct Connection {
    /// The user
    #[arg(long, value_name = "NAME", help_heading = "Connection")]
    pub user: Option<String>,

    /// A file that holds the password or token
    #[arg(long, visible_alias = "token-file", value_name = "FILE", help_heading = "Connection")]
    pub password_file: Option<PathBuf>,

    /// A file of credentials by host, as docker and podman write it
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub authfile: Option<PathBuf>,

    /// A token service on another host that the credentials may go to; scheme, host and port count (repeatable)
    #[arg(long, value_name = "URL", help_heading = "Connection")]
    pub token_service: Vec<TokenService>,

    /// Certificate authorities trusted beside those of the system (PEM)
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub ca_file: Option<PathBuf>,

    /// How often a request that is safe to repeat is repeated
    #[arg(long, value_name = "N", default_value_t = 4, help_heading = "Connection")]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=10))]
    pub retries: u32,

    /// End early when no request succeeded for this long; 0s never does. A request to wait (429) is not counted as a failure
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration::<u64>, help_heading = "Connection")]
    pub give_up_after: u64,

    /// Longest time for one answer, all of it
    #[arg(long, value_name = "DURATION", default_value = "90s", value_parser = parse_duration::<u64>, help_heading = "Connection")]
    pub timeout: u64,
}

/// The limits of a run, and what may stop it.
#[derive(Debug, Clone, Default)]
pub struct Budget {
    /// Most requests.
    pub requests: Option<u64>,
    /// Longest duration in seconds, from now on.
    pub seconds: Option<u32>,
    /// For this many seconds the run does not give up on a silent server, even if `--give-up-after` is shorter.
    pub patience: u32,
    /// Once this asks to stop, no further request is sent.
    pub stop: Option<Stop>,
}

impl Connection {
    /// Makes the HTTP transport of `program`, which logs each request. `jobs` limits the requests under way at once.
    ///
    /// # Errors
    /// When `--timeout` is 0, or the certificate authorities cannot be used.
    pub fn new_http(&self, program: &str, jobs: Jobs, budget: Budget) -> anyhow::Result<Http> {
        if self.timeout == 0 {
            bail!("--timeout is 0, and no answer comes that soon");
        }
        let mut settings = Settings {
            deadline: Duration::from_secs(self.timeout),
            retries: self.retries,
            token_services: self.token_service.clone(),
            max_requests: budget.requests,
            stop: budget.stop,
            until: budget
                .seconds
                .map(|seconds| tokio::time::Instant::now() + Duration::from_secs(seconds.into())),
            give_up_after: (self.give_up_after > 0)
                .then(|| Duration::from_secs(self.give_up_after.max(budget.patience.into()))),
            user_agent: format!("{program}/{}", env!("CARGO_PKG_VERSION")),
            observer: Some(Arc::new(|sent: &SentRequest<'_>| {
                let status = sent.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
                tracing::info!("{} {}: {status}, {} ms", sent.method, sent.target, sent.took.as_millis());
            })),
            ..Settings::default()
        };
        if let Some(jobs) = jobs.jobs {
            settings.in_flight = jobs.into();
        }
        if let Some(path) = &self.ca_file {
            settings.authorities = Some(read_small(path)?);
        }
        Http::new(settings).context("cannot start")
    }
}

/// The runtime on which a command sends its requests.
///
/// # Errors
/// When the system cannot start its threads.
pub fn new_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.context("cannot start")
}
