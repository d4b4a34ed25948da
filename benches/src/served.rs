//! Times how the library reads a slow Forgejo in memory, compared with the ideal: each list page after the one before it, all
//! other requests in parallel.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use jiff::Timestamp;
use registry_core::forgejo::{Forgejo, ForgejoAccount};
use registry_core::registry::{Http, Settings};
use registry_core::retention::{
    Cache, CollectOptions, CollectedRecord, Plan, Policy, collect_with_cache, confirm, find_unconfirmed, plan,
};
use registry_fixtures::forgejo::{OWNER, Profile, READ, Server, World};

/// Requests under way at once.
const IN_FLIGHT: usize = 8;
/// The delay of each answer.
const DELAY: Duration = Duration::from_millis(20);
/// Tags of a package; each has an index and four children.
const TAGS: usize = 12;
/// Images of a package that are kept.
const KEPT: u32 = 5;

/// What one run took.
#[derive(Debug)]
pub struct ServedRun {
    /// Wall time.
    pub took: Duration,
    /// Numbers of requests: listing, HEAD, others.
    pub requests: [usize; 3],
    /// The shortest time for these requests: list pages one after the other, the others in parallel.
    pub ideal: Duration,
}

fn make_world(packages: usize) -> World {
    let now = Timestamp::now().as_second();
    let mut world = World::example(Profile::V15, now - 30 * 86400);
    for package in 0..packages {
        for tag in 0..TAGS {
            world.now += 1;
            let seeds: Vec<String> = (0..4).map(|child| format!("{package} {tag} {child}")).collect();
            let seeds: Vec<&str> = seeds.iter().map(String::as_str).collect();
            world.push_index(&format!("team/app-{package}"), &[&format!("v{tag}")], &seeds);
        }
    }
    world.now = now;
    world
}

/// Plans packages of 60 versions twice, the second time with the cache of the first. The second run asks only for the kept, newest
/// images.
///
/// # Errors
/// When the server does not answer, or a request is sent twice.
pub fn read_twice(packages: usize) -> Result<Vec<ServedRun>> {
    let server = Server::start_slow(make_world(packages), DELAY);
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut runs = Vec::new();
    for _ in 0..2 {
        server.clear_log();
        let start = Instant::now();
        let plan = runtime.block_on(plan_once(&server.url, folder.path()))?;
        let took = start.elapsed();
        ensure!(plan.packages.len() == packages, "{} packages were planned", plan.packages.len());
        let lines = server.lines();
        let distinct: BTreeSet<&String> = lines.iter().collect();
        ensure!(distinct.len() == lines.len(), "{} requests were made twice", lines.len() - distinct.len());
        let listing = lines.iter().filter(|line| line.starts_with("GET /api/v1/packages/")).count();
        let heads = lines.iter().filter(|line| line.starts_with("HEAD ")).count();
        let others = lines.len() - listing - heads;
        let parallel = (heads + others).div_ceil(IN_FLIGHT);
        let ideal = DELAY * u32::try_from(listing + parallel)?;
        runs.push(ServedRun { took, requests: [listing, heads, others], ideal });
    }
    Ok(runs)
}

async fn plan_once(url: &str, folder: &Path) -> Result<Plan> {
    let http = Http::new(Settings { in_flight: IN_FLIGHT, proxies: false, ..Settings::default() })?;
    let account = ForgejoAccount { owner: OWNER.into(), user: None, token: Some(READ.to_owned().into()) };
    let forgejo = Forgejo::connect(&http, url, &account).await?;
    let cache = Cache::open(folder)?;
    let options = CollectOptions { in_flight: IN_FLIGHT, cache: Some(&cache), built_at: false, only: &[] };
    let now = Timestamp::now();
    let collected = collect_with_cache(&forgejo, forgejo.source(), &options, now).await;
    let CollectedRecord { record, assumed } = collected.map_err(|why| anyhow!("{why}"))?;
    let policy = Policy::keep_last(KEPT).map_err(|why| anyhow!("{why}"))?;
    let plan = plan(record.source.clone(), record.packages(), &policy, now, "bench");
    let needed = find_unconfirmed(&record, &assumed, &plan);
    ensure!(confirm(&forgejo, &needed, IN_FLIGHT).await, "what stays is not there");
    Ok(plan)
}
