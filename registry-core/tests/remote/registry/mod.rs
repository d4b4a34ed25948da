//! `RegistrySource` with both registries in memory: what it lists, plans, deletes and restores.

mod deletion;
mod laws;
#[cfg(feature = "storage")]
mod layout;
mod reading;
mod real;
mod undo;

use std::io;
use std::time::Duration;

use registry_core::registry::{Client, Credentials, Http, Settings};
use registry_core::retention::{
    self as core, ApplyResult, CollectOptions, DeletionEntry, DeletionJournal, Plan, Policy, RankBy,
    RegistrySource, RowOutcome, Source, SourceKind,
};
use registry_fixtures::registry::{Profile, Server, World};

use crate::verified::verified;

pub const BOTH: [Profile; 2] = [Profile::V2_8, Profile::V3];
const NOW: i64 = 1_790_000_000;

pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::from_second(NOW).expect("a time")
}

fn http(retries: u32) -> Http {
    let settings =
        Settings { retries, backoff: Duration::from_millis(1), proxies: false, ..Settings::default() };
    Http::new(settings).expect("a transport")
}

fn source_as(server: &Server, credentials: Credentials, retries: u32) -> RegistrySource {
    RegistrySource::new(Client::new(&http(retries), &server.url, credentials).expect("a client"))
}

/// An anonymous source that repeats no request.
pub fn source(server: &Server) -> RegistrySource {
    source_at(&server.url)
}

fn source_at(url: &str) -> RegistrySource {
    RegistrySource::new(Client::new(&http(0), url, Credentials::Anonymous).expect("a client"))
}

fn credentials() -> Credentials {
    Credentials::User { name: "me".into(), secret: "secret".to_owned().into() }
}

pub fn reading_options(rank_by: RankBy) -> CollectOptions<'static> {
    CollectOptions { in_flight: 4, cache: None, built_at: rank_by == RankBy::Created, only: &[] }
}

/// Plans from a registry.
pub async fn planned_by(source: &RegistrySource, keep: u32, rank_by: RankBy) -> Result<Plan, String> {
    let source_info = Source { kind: SourceKind::Registry, url: "same".into(), owner: None, version: None };
    let record = core::collect(source, source_info, &reading_options(rank_by), now())
        .await
        .map_err(|why| why.to_string())?;
    let policy = Policy { rank_by, ..Policy::keep_last(keep).expect("a policy") };
    Ok(core::plan(record.source.clone(), record.packages(), &policy, now(), "test"))
}

/// A journal in memory.
#[derive(Default)]
pub struct MemoryJournal(String);

impl MemoryJournal {
    fn text(&self) -> &str {
        &self.0
    }
}

impl DeletionJournal for MemoryJournal {
    fn write(&mut self, entry: &DeletionEntry) -> io::Result<()> {
        self.0.push_str(&serde_json::to_string(entry)?);
        self.0.push('\n');
        Ok(())
    }
}

pub async fn applied(source: RegistrySource, plan: &Plan, journal: &mut MemoryJournal) -> ApplyResult {
    core::apply(&source.arm(), verified(plan), &reading_options(RankBy::Semver), journal, now()).await
}

/// Rows of a plan with this action, as `package:version`.
fn rows_with(plan: &Plan, action: core::Action) -> Vec<String> {
    let rows = plan.packages.iter().flat_map(|package| {
        let rows = package.versions.iter().filter(|row| row.action == action);
        rows.map(|row| format!("{}:{}", package.name, row.version))
    });
    rows.collect()
}

fn deletions(server: &Server) -> Vec<String> {
    server.lines().into_iter().filter(|line| line.starts_with("DELETE ")).collect()
}

fn outcomes(applied: &ApplyResult) -> Vec<(&str, RowOutcome)> {
    let mut rows: Vec<_> = applied.rows.iter().map(|row| (row.version.as_str(), row.outcome)).collect();
    rows.sort_unstable_by_key(|(version, _)| *version);
    rows
}

/// Four builds of two platforms with a tag of the first platform each, the second of them tagged twice.
fn builds(profile: Profile) -> World {
    let mut world = World::new(profile);
    for build in 1..=4 {
        let seeds = [format!("amd64 {build}"), format!("arm64 {build}")];
        let amd64 = world.push_image("app", Some(&format!("1.{build}.0-amd64")), &seeds[0]);
        let arm64 = world.push_image("app", None, &seeds[1]);
        world.push_index_of("app", &[&format!("1.{build}.0")], &[amd64.clone(), arm64.clone()]);
        if build == 2 {
            world.push_index_of("app", &["v1.2.0"], &[amd64, arm64]);
        }
    }
    world.push_image("api", Some("1.0.0"), "api");
    world
}

fn assert_whole(server: &Server) {
    let mut world = server.world();
    for name in ["app", "api"] {
        for tag in world.tags_of(name) {
            assert!(world.is_pullable(name, &tag), "{name}:{tag} is broken");
        }
    }
}

pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}
