//! Shared by the tests: a probe run as the program makes it (lists, choice, walk, second look, judgement, state).

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use registry_core::oci::Platform;
use registry_core::probe::{
    Depth, JudgeOptions, ListedRepositories, ListedTag, ProbeJudgement, ProbeRun, ProbeState, ProbeWalk,
    Responses, TagSelection, TagSelectionOptions, WalkOptions, judge, select_tags,
};
use registry_core::registry::{Client, Credentials, Http, Settings};
use registry_fixtures::registry::{Profile, Server, World};

pub const BOTH: [Profile; 2] = [Profile::V2_8, Profile::V3];
/// The name of the registry in judgements.
pub const NAME: &str = "https://registry.example";

/// RunOptions a run is made.
#[derive(Debug, Clone)]
pub struct RunOptions {
    pub depth: Depth,
    pub platforms: Vec<Platform>,
    pub choosing: TagSelectionOptions,
    pub recheck_after: SignedDuration,
    /// Seconds since 1970.
    pub now: i64,
    pub most: Option<u64>,
    pub retries: u32,
    pub deadline: Duration,
    pub give_up_after: Option<Duration>,
    pub last_byte: bool,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            depth: Depth::Blobs,
            platforms: Vec::new(),
            choosing: TagSelectionOptions::default(),
            recheck_after: SignedDuration::from_hours(24),
            now: 1_790_000_000,
            most: None,
            retries: 1,
            deadline: Duration::from_secs(10),
            give_up_after: None,
            last_byte: false,
        }
    }
}

impl RunOptions {
    pub fn later(&self, seconds: i64) -> Self {
        Self { now: self.now + seconds, ..self.clone() }
    }

    pub fn deep() -> Self {
        Self { depth: Depth::Content, ..Self::default() }
    }
}

/// The result of a run.
#[derive(Debug)]
pub struct RunResult {
    pub seen: Responses,
    pub judgement: ProbeJudgement,
    pub choice: TagSelection,
    pub sent: u64,
}

impl RunResult {
    /// The findings with code, tags and message, then unknown tags, then unread paths.
    pub fn summary_lines(&self) -> Vec<String> {
        summary_lines(&self.judgement)
    }

    /// The broken tags, as `repository:tag`.
    pub fn broken(&self) -> Vec<String> {
        let broken = &self.judgement.audit.broken_tags;
        broken.iter().map(|tag| format!("{}:{}", tag.repository, tag.tag)).collect()
    }
}

pub fn summary_lines(judgement: &ProbeJudgement) -> Vec<String> {
    let audit = &judgement.audit;
    let findings = audit.findings.iter().map(|finding| {
        let tags: Vec<&str> = finding.tags.iter().map(|tag| &**tag).collect();
        let of = finding.repository.as_deref().unwrap_or("-");
        format!("{} {of}:{} {}", finding.code, tags.join(","), finding.message)
    });
    let unknown = audit.unknown_tags.iter();
    let unknown = unknown.map(|tag| format!("unknown {}:{} {}", tag.repository, tag.tag, tag.reason));
    let unread = audit.unread.iter().map(|one| format!("unread {} {}", one.path, one.error));
    findings.chain(unknown).chain(unread).collect()
}

pub fn client(server: &Server, options: &RunOptions) -> (Http, Client) {
    let settings = Settings {
        retries: options.retries,
        deadline: options.deadline,
        backoff: Duration::from_millis(1),
        proxies: false,
        max_requests: options.most,
        give_up_after: options.give_up_after,
        ..Settings::default()
    };
    let http = Http::new(settings).expect("a transport");
    let client = Client::new(&http, &server.url, Credentials::Anonymous).expect("a client");
    (http, client)
}

/// Makes one run.
pub async fn run_probe(server: &Server, past: &mut ProbeState, options: &RunOptions) -> RunResult {
    let (http, client) = client(server, options);
    let mut lists: BTreeMap<String, Vec<ListedTag>> = BTreeMap::new();
    let mut unread = Vec::new();
    for name in client.catalog().await.expect("a catalog") {
        match client.tags(&name).await {
            Ok(tags) => {
                let tags = tags.unwrap_or_default().into_iter();
                lists.insert(name, tags.map(|tag| ListedTag { tag, pushed_at: None }).collect());
            }
            Err(error) => unread.push((format!("/v2/{name}/tags/list"), error.to_string())),
        }
    }
    let choice = select_tags(&lists, past, &options.choosing);
    let now = Timestamp::from_second(options.now).expect("a time");
    let walk_options = WalkOptions {
        depth: options.depth,
        recheck_after: options.recheck_after,
        last_byte: options.last_byte,
        platforms: !options.platforms.is_empty(),
        now,
    };
    let mut walk = ProbeWalk::new(&client, &walk_options, past);
    walk.ask_tags(&choice.tags).await;
    walk.run_second_look().await;
    let mut seen = walk.into_responses();
    seen.unread.append(&mut unread);
    for (name, tags) in &lists {
        seen.repositories.entry(name.clone()).or_default().listed = tags.len() as u64;
    }
    let judging = JudgeOptions {
        blobs: options.depth > Depth::Manifests,
        require_platforms: options.platforms.clone(),
    };
    let judgement = judge(&seen, NAME, &judging);
    past.note_tags(&seen, &judgement.judged, now);
    let listed = lists.into_iter().map(|(name, tags)| (name, tags.into_iter().map(|one| one.tag).collect()));
    past.finish_run(
        ProbeRun { at: now, tags_checked: judgement.judged.len() as u64 },
        &listed.collect(),
        ListedRepositories::All,
    );
    RunResult { seen, judgement, choice, sent: http.requests_sent() }
}

/// Makes one run without state of an earlier run.
pub async fn run_once(server: &Server, options: &RunOptions) -> RunResult {
    run_probe(server, &mut ProbeState::new(NAME), options).await
}

/// Starts a registry to which `push` has pushed.
pub fn registry(profile: Profile, push: impl FnOnce(&mut World)) -> Server {
    let mut world = World::new(profile);
    push(&mut world);
    Server::start(world)
}

/// While the returned guard lives, snapshots show only the first 12 digits of a digest, and no port.
pub fn mask_digests() -> insta::internals::SettingsBindDropGuard {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", "$1…");
    settings.add_filter(r"127\.0\.0\.1:\d+", "HOST");
    settings.bind_to_scope()
}

/// The requests whose line contains `part`, sorted.
pub fn requests_for(server: &Server, part: &str) -> Vec<String> {
    let mut lines: Vec<String> = server.lines().into_iter().filter(|line| line.contains(part)).collect();
    lines.sort();
    lines
}
