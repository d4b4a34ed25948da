//! The command `probe`: what of a live registry is asked for in this run, one report. Which tags there are is in `lists`.

mod lists;
mod role;

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::Context as _;
use globset::GlobSet;
use indicatif::HumanCount;
use jiff::{SignedDuration, Timestamp};
use registry_cli::connection::{Budget, runtime};
use registry_cli::credentials;
use registry_cli::log::with_causes;
use registry_core::Stop;
use registry_core::audit::{Coverage, OnlineOptions, RegistryRole, Report, ReportOptions};
use registry_core::forgejo::Forgejo;
use registry_core::probe::{
    Choice, Choosing, Depth, JudgeOptions, ListedRepositories, ProbeState, Responses, TagLists, WalkOptions,
    ask_for_tags, judge,
};
use registry_core::registry::{Client, Credentials, Error, HostCredentials, Http};

use self::role::{KnownRole, RepositoryNames};
use crate::args::{DepthArg, ProbeArgs};
use crate::connect;
use crate::exit::{self, Failure};
use crate::reporting::{self, EarlierReport, Extra, merge, set, texts};
use crate::{interrupt, log, render, settings, state};

/// Probes, prints, and gives the exit status.
///
/// # Errors
/// When what was asked cannot be used, or the answer cannot be written.
pub fn run(args: &ProbeArgs) -> Result<u8, Failure> {
    let started = Instant::now();
    let started_at = Timestamp::now();
    let earlier = EarlierReport::read(&args.compare)?;
    let stop = Stop::default();
    let budget = Budget {
        requests: args.budget_requests,
        seconds: args.budget_time,
        stop: Some(stop.clone()),
        ..Default::default()
    };
    let http = connect::http(&args.connection, &args.common, budget).map_err(Failure::Usage)?;
    let far = http.clone();
    interrupt::watch_questions(move || format!("asking, after {} requests", far.sent()), &stop);
    let far = http.clone();
    let line = args.common.progress_line(move |_| format!("asking: {} requests", HumanCount(far.sent())));

    let probe = Probe::new(args, http, started_at).map_err(Failure::Usage)?;
    let past = args.state.as_deref().map(|path| state::read(path, &probe.name)).transpose();
    let mut past = past.map_err(Failure::Usage)?.unwrap_or_else(|| ProbeState::new(&probe.name));
    let runtime = runtime().map_err(Failure::Io)?;
    let mut report = reporting::empty("probe", started_at, options(args));
    runtime.block_on(probe.run(&mut past, &mut report))?;
    drop(line);

    log::unread(&args.common, &report.unread);
    earlier.settle(&mut report, started);
    if report.summary.unknown_tags > 0 {
        report.exit_status |= exit::INCOMPLETE;
    }
    if !args.common.repository.is_empty() && report.unread.is_empty() && report.coverage.tags_total == 0 {
        tracing::error!("no repository with tags matches --repository");
        report.exit_status |= exit::USAGE;
    }
    if let Some(path) = &args.state
        && let Err(error) = state::write(path, &past)
    {
        tracing::error!("{}", with_causes(&error));
        report.exit_status |= exit::INCOMPLETE;
    }
    if !reporting::write_metrics(&args.common, &report, &Extra::default()) {
        report.exit_status |= exit::INCOMPLETE;
    }
    if stop.is_stopped() {
        report.exit_status = exit::INTERRUPTED;
    }
    render::print(&args.common, &report).context("cannot write the report").map_err(Failure::Io)?;
    Ok(report.exit_status)
}

fn options(args: &ProbeArgs) -> ReportOptions {
    ReportOptions {
        content: args.depth == DepthArg::Content,
        strict: false,
        min_age_seconds: 0,
        repositories: texts(&args.common.repository),
        sparse: Vec::new(),
        require_platforms: args.require_platform.iter().map(ToString::to_string).collect(),
        online: Some(OnlineOptions {
            depth: name_of(args.depth).into(),
            newest: args.newest.map(u64::from),
            sample_percent: args.sample,
            budget_requests: args.budget_requests,
            budget_seconds: args.budget_time.map(u64::from),
            recheck_after_seconds: args.recheck_after.into(),
        }),
    }
}

/// A depth as reports name it.
const fn name_of(depth: DepthArg) -> &'static str {
    match depth {
        DepthArg::Manifests => "manifests",
        DepthArg::Blobs => "blobs",
        DepthArg::Content => "content",
    }
}

/// Why nothing of a cache is looked at.
const UNNAMED: &str = "it takes no pushes, so it is a pull-through cache, or read-only for maintenance: a cache fetches and keeps what it \
                       is asked for, so only what --repositories-file names is looked at; --through-cache looks at everything, \
                       --role primary says that images are pushed there";
/// What is said where nobody knows whether a registry is a cache.
const HINT: &str = "whether this is a pull-through cache could not be found out; if it is one, it fetches and keeps what it is asked \
                    for: --role cache or --role primary says so";

struct Probe<'a> {
    args: &'a ProbeArgs,
    http: Http,
    /// The address as reports and states name it.
    name: String,
    credentials: HostCredentials,
    only: Option<GlobSet>,
    /// Repositories to look at instead of the catalog.
    names: Option<Vec<String>>,
    now: Timestamp,
}

/// What answers: a registry, or the registries of some owners of a Forgejo.
enum Target {
    Registry(Box<Client>),
    Forgejo(Vec<Forgejo>),
}

impl<'a> Probe<'a> {
    fn new(args: &'a ProbeArgs, http: Http, now: Timestamp) -> anyhow::Result<Self> {
        let anonymous = Client::new(&http, &args.url, Credentials::Anonymous)?;
        let name = anonymous.address();
        let places = if args.forgejo { connect::OF_FORGEJO } else { connect::OF_REGISTRY };
        let credentials = credentials::find(&args.connection, &credentials::host(&name), places)?;
        let only = if args.common.repository.is_empty() { None } else { Some(set(&args.common.repository)?) };
        let names = args.repositories_file.as_deref().map(settings::repositories).transpose()?;
        Ok(Self { args, http, name, credentials, only, names, now })
    }

    async fn run(&self, past: &mut ProbeState, report: &mut Report) -> Result<(), Failure> {
        let mut seen = Responses::default();
        let before = past.clone();
        let (mut asked, mut depth, mut known) = (None, self.args.depth, KnownRole::Undecided);
        match self.open().await {
            Ok(target) => {
                let mut names = BTreeSet::new();
                if let Target::Registry(client) = &target {
                    names = self.names(client, &mut seen).await.unwrap_or_default();
                    let asked = RepositoryNames { names: &names, are_listed: self.names.is_none() };
                    known = role::find(self.args.role, client, asked, past, self.now).await;
                    if known.is_cache() && !self.args.through_cache {
                        depth = DepthArg::Manifests;
                        if self.names.is_none() {
                            names.clear();
                            seen.unread.push((".".into(), UNNAMED.into()));
                        }
                    }
                    if known == KnownRole::Undecided && !names.is_empty() && !self.args.through_cache {
                        tracing::warn!("{}: {HINT}", self.name);
                    }
                }
                let lists = self.lists(&target, names, &mut seen).await;
                let client = match &target {
                    Target::Registry(client) => Some(&**client),
                    Target::Forgejo(owners) => owners.first().map(Forgejo::client),
                };
                if let Some(client) = client {
                    let choice = self.look(client, &lists, depth, past, &mut seen).await;
                    asked = Some((lists, choice));
                }
            }
            Err(error) => match error.downcast_ref::<Error>() {
                Some(Error::Address { .. } | Error::Name(_)) => return Err(Failure::Usage(error)),
                _ => seen.unread.push((".".into(), with_causes(&error))),
            },
        }
        let judging = JudgeOptions {
            blobs: depth != DepthArg::Manifests,
            require_platforms: self.args.require_platform.clone(),
        };
        let mut judgement = judge(&seen, &self.name, &judging);
        if known.is_cache() {
            judgement.audit.source.role = RegistryRole::Cache;
        }
        report.options.content = depth == DepthArg::Content;
        if let Some(online) = &mut report.options.online {
            online.depth = name_of(depth).into();
        }
        if seen.is_out_of_order() {
            // Nothing was learned: what was known before stays.
            *past = before;
        } else if let Some((lists, _)) = &asked {
            let listed = if self.only.is_none() { ListedRepositories::All } else { ListedRepositories::Some };
            past.end_run(lists, &seen, &judgement, listed, self.now);
        }
        if let Some((lists, choice)) = &asked {
            let (oldest, never) = oldest(lists, past);
            report.coverage = Coverage {
                not_chosen: Some(choice.never).filter(|never| *never > 0),
                complete_by: choice.complete_by(&judgement.judged, past, self.now),
                never_checked: Some(never),
                oldest_check: oldest.filter(|_| never == 0),
                ..report.coverage
            };
        }
        merge(report, judgement.audit, &mut Extra::default());
        report.coverage.requests = Some(self.http.sent());
        Ok(())
    }

    async fn open(&self) -> anyhow::Result<Target> {
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
            let account = credentials::account(&self.credentials, owner)?;
            let forgejo = Forgejo::connect(&self.http, &self.args.url, &account).await?;
            forgejo.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
            owners.push(forgejo);
        }
        Ok(Target::Forgejo(owners))
    }

    /// Asks for what this run is to look at.
    async fn look(
        &self,
        client: &Client,
        lists: &TagLists,
        depth: DepthArg,
        past: &mut ProbeState,
        seen: &mut Responses,
    ) -> Choice {
        let choosing =
            Choosing { newest: self.args.newest.map(|newest| newest as usize), sample: self.args.sample };
        let options = WalkOptions {
            depth: match depth {
                DepthArg::Manifests => Depth::Manifests,
                DepthArg::Blobs => Depth::Blobs,
                DepthArg::Content => Depth::Content,
            },
            recheck_after: SignedDuration::from_secs(self.args.recheck_after.into()),
            last_byte: self.args.forgejo,
            // Where nothing but manifests is asked for of a cache, configs are not either.
            platforms: !self.args.require_platform.is_empty() && depth == self.args.depth,
            now: self.now,
        };
        ask_for_tags(client, lists, &choosing, &options, past, seen).await
    }
}

/// When the tag that was not judged longest was judged, and how many never were.
fn oldest(lists: &TagLists, past: &ProbeState) -> (Option<Timestamp>, u64) {
    let (mut oldest, mut never) = (None, 0);
    for (repository, tags) in lists {
        let known = past.repositories.get(repository);
        for tag in tags {
            match known.and_then(|known| known.tags.get(&tag.tag)) {
                Some(at) => oldest = Some(oldest.map_or(*at, |before: Timestamp| before.min(*at))),
                None => never += 1,
            }
        }
    }
    (oldest, never)
}
