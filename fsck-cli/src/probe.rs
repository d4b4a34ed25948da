//! The command `probe`: asks a live registry for a part of its images, and reports. Listing the tags is in `lists`.

mod lists;
mod role;

use std::collections::BTreeSet;
use std::time::Instant;

use globset::GlobSet;
use indicatif::HumanCount;
use jiff::{SignedDuration, Timestamp};
use registry_cli::connection::{Budget, new_runtime};
use registry_cli::credentials;
use registry_cli::log::with_causes;
use registry_core::Stop;
use registry_core::audit::{Coverage, OnlineOptions, RegistryRole, Report, ReportOptions};
use registry_core::forgejo::Forgejo;
use registry_core::probe::{
    Depth, JudgeOptions, ListedRepositories, ProbeState, Responses, TagLists, TagSelection,
    TagSelectionOptions, WalkOptions, ask_for_tags, judge,
};
use registry_core::registry::{Client, Credentials, Error, HostCredentials, Http};

use self::role::{KnownRole, RepositoryNames};
use crate::args::{DepthArg, ProbeArgs};
use crate::connect;
use crate::exit::{self, Failure};
use crate::reporting::{self, Extra, ReportRules, add_audit, glob_texts, repository_filter};
use crate::{interrupt, log, render, settings, state as state_file};

/// Probes and prints; returns the exit status.
///
/// # Errors
/// When an argument cannot be used, or the report cannot be written.
pub fn run(args: &ProbeArgs) -> Result<u8, Failure> {
    let started = Instant::now();
    let started_at = Timestamp::now();
    let rules = ReportRules::read(&args.compare)?;
    let stop = Stop::default();
    let budget = Budget {
        requests: args.budget_requests,
        seconds: args.budget_time,
        stop: Some(stop.clone()),
        ..Default::default()
    };
    let http = connect::make_http(&args.connection, &args.common, budget).map_err(Failure::Usage)?;
    interrupt::watch_requests(&http, &stop);
    let sender = http.clone();
    let line = args
        .common
        .progress_line(move |_| format!("asking: {} requests", HumanCount(sender.requests_sent())));

    let probe = Probe::new(args, http, started_at).map_err(Failure::Usage)?;
    let state = args.state.as_deref().map(|path| state_file::read(path, &probe.name)).transpose();
    let mut state = state.map_err(Failure::Usage)?.unwrap_or_else(|| ProbeState::new(&probe.name));
    let runtime = new_runtime().map_err(Failure::Io)?;
    let mut report = reporting::empty_report("probe", started_at, options(args));
    runtime.block_on(probe.run(&mut state, &mut report))?;
    drop(line);

    log::unread(&args.common, &report.unread);
    rules.finish_report(&mut report, started);
    if !args.common.repository.is_empty() && report.unread.is_empty() && report.coverage.tags_total == 0 {
        tracing::error!("no repository with tags matches --repository");
        report.exit_status |= exit::USAGE;
    }
    if let Some(path) = &args.state
        && let Err(error) = state_file::write(path, &state)
    {
        tracing::error!("{}", with_causes(&error));
        report.exit_status |= exit::INCOMPLETE;
    }
    report.exit_status |= reporting::write_metrics(&args.common, &report, &Extra::default());
    if stop.is_stopped() {
        report.exit_status = exit::INTERRUPTED;
    }
    render::audited(&args.common, &report)?;
    Ok(report.exit_status)
}

fn options(args: &ProbeArgs) -> ReportOptions {
    ReportOptions {
        content: args.depth == DepthArg::Content,
        strict: false,
        min_age_seconds: 0,
        repositories: glob_texts(&args.common.repository),
        sparse: Vec::new(),
        require_platforms: args.require_platform.iter().map(ToString::to_string).collect(),
        online: Some(OnlineOptions {
            depth: depth_name(args.depth).into(),
            newest: args.newest.map(u64::from),
            sample_percent: args.sample,
            budget_requests: args.budget_requests,
            budget_seconds: args.budget_time.map(u64::from),
            recheck_after_seconds: args.recheck_after.into(),
        }),
    }
}

/// The name of a depth in reports.
const fn depth_name(depth: DepthArg) -> &'static str {
    match depth {
        DepthArg::Manifests => "manifests",
        DepthArg::Blobs => "blobs",
        DepthArg::Content => "content",
    }
}

/// Why no repository of a cache is looked at.
const CACHE_NEEDS_NAMES: &str = "it takes no pushes, so it is a pull-through cache, or read-only for maintenance: a cache fetches and keeps what it \
                       is asked for, so only what --repositories-file names is looked at; --through-cache looks at everything, \
                       --role primary says that images are pushed there";
/// The warning when it is not known whether a registry is a cache.
const ROLE_UNKNOWN: &str = "whether this is a pull-through cache could not be found out; if it is one, it fetches and keeps what it is asked \
                    for: --role cache or --role primary says so";

struct Probe<'a> {
    args: &'a ProbeArgs,
    http: Http,
    /// The address, as in reports and state files.
    name: String,
    credentials: HostCredentials,
    only: Option<GlobSet>,
    /// The repositories of `--repositories-file`, instead of the catalog.
    repositories: Option<Vec<String>>,
    now: Timestamp,
}

/// What is probed: a registry, or the packages of some owners on a Forgejo server.
enum Target {
    Registry(Box<Client>),
    Forgejo(Vec<Forgejo>),
}

impl<'a> Probe<'a> {
    fn new(args: &'a ProbeArgs, http: Http, now: Timestamp) -> anyhow::Result<Self> {
        let anonymous = Client::new(&http, &args.url, Credentials::Anonymous)?;
        let name = anonymous.address();
        let places = if args.forgejo { connect::FORGEJO_PLACES } else { connect::REGISTRY_PLACES };
        let credentials =
            credentials::find_credentials(&args.connection, &credentials::credential_host(&name), places)?;
        let only = repository_filter(&args.common)?;
        let repositories = args.repositories_file.as_deref().map(settings::read_repositories).transpose()?;
        Ok(Self { args, http, name, credentials, only, repositories, now })
    }

    async fn run(&self, state: &mut ProbeState, report: &mut Report) -> Result<(), Failure> {
        let mut responses = Responses::default();
        let before = state.clone();
        let (mut asked, mut depth, mut role) = (None, self.args.depth, KnownRole::Undecided);
        match self.connect().await {
            Ok(target) => {
                let mut repositories = BTreeSet::new();
                if let Target::Registry(client) = &target {
                    repositories = self.list_repositories(client, &mut responses).await.unwrap_or_default();
                    let are_listed = self.repositories.is_none();
                    let names = RepositoryNames { names: &repositories, are_listed };
                    role = role::find_role(self.args.role, client, names, state, self.now).await;
                    if role.is_cache() && !self.args.through_cache {
                        depth = DepthArg::Manifests;
                        if self.repositories.is_none() {
                            repositories.clear();
                            responses.unread.push((".".into(), CACHE_NEEDS_NAMES.into()));
                        }
                    }
                    if role == KnownRole::Undecided && !repositories.is_empty() && !self.args.through_cache {
                        tracing::warn!("{}: {ROLE_UNKNOWN}", self.name);
                    }
                }
                let lists = self.list_tags(&target, repositories, &mut responses).await;
                let client = match &target {
                    Target::Registry(client) => Some(&**client),
                    Target::Forgejo(owners) => owners.first().map(Forgejo::oci_client),
                };
                if let Some(client) = client {
                    let choice = self.walk_tags(client, &lists, depth, state, &mut responses).await;
                    asked = Some((lists, choice));
                }
            }
            Err(error) => match error.downcast_ref::<Error>() {
                Some(Error::Address { .. } | Error::Name(_)) => return Err(Failure::Usage(error)),
                _ => responses.unread.push((".".into(), with_causes(&error))),
            },
        }
        let judging = JudgeOptions {
            blobs: depth != DepthArg::Manifests,
            require_platforms: self.args.require_platform.clone(),
        };
        let mut judgement = judge(&responses, &self.name, &judging);
        if role.is_cache() {
            judgement.audit.source.role = RegistryRole::Cache;
        }
        report.options.content = depth == DepthArg::Content;
        if let Some(online) = &mut report.options.online {
            online.depth = depth_name(depth).into();
        }
        if responses.is_out_of_order() {
            // The registry answered nothing useful, so the state stays as it was.
            *state = before;
        } else if let Some((lists, _)) = &asked {
            let listed = if self.only.is_none() { ListedRepositories::All } else { ListedRepositories::Some };
            state.end_run(lists, &responses, &judgement, listed, self.now);
        }
        if let Some((lists, choice)) = &asked {
            let (oldest, never) = oldest_check(lists, state);
            report.coverage = Coverage {
                not_chosen: Some(choice.never).filter(|never| *never > 0),
                complete_by: choice.complete_by(&judgement.judged, state, self.now),
                never_checked: Some(never),
                oldest_check: oldest.filter(|_| never == 0),
                ..report.coverage
            };
        }
        add_audit(report, judgement.audit, &mut Extra::default());
        report.coverage.requests = Some(self.http.requests_sent());
        Ok(())
    }

    async fn connect(&self) -> anyhow::Result<Target> {
        if !self.args.forgejo {
            let client = Client::new(&self.http, &self.args.url, self.credentials.clone())?;
            if let Some(warning) = client.warning() {
                tracing::warn!("{warning}");
            }
            client.ping().await?;
            return Ok(Target::Registry(Box::new(client)));
        }
        let mut owners = Vec::new();
        for owner in &self.args.owner {
            let account = credentials::forgejo_account(&self.credentials, owner)?;
            let forgejo = Forgejo::connect(&self.http, &self.args.url, &account).await?;
            forgejo.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
            owners.push(forgejo);
        }
        Ok(Target::Forgejo(owners))
    }

    /// Asks for the tags that this run chooses.
    async fn walk_tags(
        &self,
        client: &Client,
        lists: &TagLists,
        depth: DepthArg,
        state: &mut ProbeState,
        responses: &mut Responses,
    ) -> TagSelection {
        let choosing = TagSelectionOptions {
            newest: self.args.newest.map(|newest| newest as usize),
            sample: self.args.sample,
        };
        let options = WalkOptions {
            depth: match depth {
                DepthArg::Manifests => Depth::Manifests,
                DepthArg::Blobs => Depth::Blobs,
                DepthArg::Content => Depth::Content,
            },
            recheck_after: SignedDuration::from_secs(self.args.recheck_after.into()),
            last_byte: self.args.forgejo,
            // Of a cache, only manifests are asked for, so its configs are not read for their platforms.
            platforms: !self.args.require_platform.is_empty() && depth == self.args.depth,
            now: self.now,
        };
        ask_for_tags(client, lists, &choosing, &options, state, responses).await
    }
}

/// When the tag whose last check is the oldest was checked, and how many tags were never checked.
fn oldest_check(lists: &TagLists, state: &ProbeState) -> (Option<Timestamp>, u64) {
    let checks = lists.iter().flat_map(|(name, tags)| {
        let repository = state.repositories.get(name);
        tags.iter().map(move |tag| repository.and_then(|known| known.tags.get(&tag.tag)).copied())
    });
    let never = checks.clone().filter(Option::is_none).count() as u64;
    (checks.flatten().min(), never)
}
