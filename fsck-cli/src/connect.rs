//! The transport of the commands that ask servers.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use registry_core::Stop;
use registry_core::registry::{Http, Sent, Settings};
use registry_core::text::without_controls as safe;

use crate::args::{Common, Connection};
use crate::credentials::small_file;

/// What a run may spend, and what may stop it.
#[derive(Debug, Clone, Default)]
pub struct Budget {
    /// Most requests.
    pub requests: Option<u64>,
    /// Most seconds from now on.
    pub seconds: Option<u32>,
    /// So many seconds a registry that does not answer is asked at least.
    pub patience: u32,
    /// Asked to stop, it asks nothing more.
    pub stop: Option<Stop>,
}

/// Makes the transport that the command line asks for.
///
/// # Errors
/// When the certificate authorities cannot be used.
pub fn http(args: &Connection, common: &Common, budget: Budget) -> anyhow::Result<Http> {
    let mut settings = Settings {
        deadline: Duration::from_secs(u64::from(args.timeout.max(1))),
        retries: args.retries,
        token_services: args.token_service.clone(),
        most: budget.requests,
        stop: budget.stop,
        until: budget
            .seconds
            .map(|seconds| tokio::time::Instant::now() + Duration::from_secs(seconds.into())),
        give_up_after: (args.give_up_after > 0)
            .then(|| Duration::from_secs(args.give_up_after.max(budget.patience).into())),
        user_agent: concat!("registry-fsck/", env!("CARGO_PKG_VERSION")).into(),
        observer: Some(Arc::new(|sent: &Sent<'_>| {
            let status = sent.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
            tracing::info!("{} {}: {status}, {} ms", sent.method, safe(sent.target), sent.took.as_millis());
        })),
        ..Settings::default()
    };
    if let Some(jobs) = common.jobs {
        settings.in_flight = jobs.into();
    }
    if let Some(path) = &args.ca_file {
        settings.authorities = Some(small_file(path)?);
    }
    Http::new(settings).context("cannot start")
}

/// A runtime for one command.
///
/// # Errors
/// When the system gives no threads.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.context("cannot start")
}
