//! A slow Forgejo in memory, read by the retention of the library: how close that comes to the fewest requests, made one
//! after another where they must be and side by side where they can be.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use jiff::Timestamp;
use registry_core::forgejo::{Forgejo, ForgejoAccount};
use registry_core::registry::{Http, Settings};
use registry_core::retention::{
    Cache, Collecting, Collection, Plan, Policy, collect_known, confirm, plan, unconfirmed,
};
use registry_fixtures::forgejo::{OWNER, Profile, READ, Server, World};

/// Requests under way at once.
const IN_FLIGHT: usize = 8;
/// Added to each answer.
const DELAY: Duration = Duration::from_millis(20);
/// Tags of a package; each has an index and four children.
const TAGS: usize = 12;
/// Images of a package that stay.
const KEPT: u32 = 5;

/// What one run took.
#[derive(Debug)]
pub struct ServedRun {
    /// Wall time.
    pub took: Duration,
    /// Requests by kind: listing, HEAD, others.
    pub requests: [usize; 3],
    /// The fewest that these requests can take: the list page after page, the others side by side.
    pub ideal: Duration,
}

fn world(packages: usize) -> World {
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

/// Plans so many packages of 60 versions twice, the second time with what the first kept: the newest images are kept, and
/// of the others nothing is asked then.
///
/// # Errors
/// When the server does not answer, or something is asked twice.
pub fn read(packages: usize) -> Result<Vec<ServedRun>> {
    let server = Server::start_slow(world(packages), DELAY);
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut runs = Vec::new();
    for _ in 0..2 {
        server.clear_log();
        let start = Instant::now();
        let plan = runtime.block_on(once(&server.url, folder.path()))?;
        let took = start.elapsed();
        ensure!(plan.packages.len() == packages, "{} packages were planned", plan.packages.len());
        let lines = server.lines();
        let distinct: BTreeSet<&String> = lines.iter().collect();
        ensure!(distinct.len() == lines.len(), "{} requests were made twice", lines.len() - distinct.len());
        let listing = lines.iter().filter(|line| line.starts_with("GET /api/v1/packages/")).count();
        let heads = lines.iter().filter(|line| line.starts_with("HEAD ")).count();
        let others = lines.len() - listing - heads;
        let side_by_side = (heads + others).div_ceil(IN_FLIGHT);
        let ideal = DELAY * u32::try_from(listing + side_by_side)?;
        runs.push(ServedRun { took, requests: [listing, heads, others], ideal });
    }
    Ok(runs)
}

async fn once(url: &str, folder: &Path) -> Result<Plan> {
    let http = Http::new(Settings { in_flight: IN_FLIGHT, proxies: false, ..Settings::default() })?;
    let account = ForgejoAccount { owner: OWNER.into(), user: None, token: Some(READ.to_owned().into()) };
    let forgejo = Forgejo::connect(&http, url, &account).await?;
    let cache = Cache::open(folder)?;
    let how = Collecting { in_flight: IN_FLIGHT, cache: Some(&cache), built_at: false, only: &[] };
    let now = Timestamp::now();
    let collected = collect_known(&forgejo, forgejo.source(), &how, now).await;
    let Collection { record, assumed } = collected.map_err(|why| anyhow!("{why}"))?;
    let policy = Policy::keep_last(KEPT).map_err(|why| anyhow!("{why}"))?;
    let plan = plan(record.source.clone(), record.packages(), &policy, now, "bench");
    let needed = unconfirmed(&record, &assumed, &plan);
    ensure!(confirm(&forgejo, &needed, IN_FLIGHT).await, "what stays is not there");
    Ok(plan)
}
