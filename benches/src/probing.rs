//! `probe` of a slow registry in memory: how much faster many requests at once are than one after the other, and how much
//! memory they take.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Result, ensure};
use registry_fixtures::registry::{Profile, Server, World};

use crate::measure::{self, TimedCommand};
use crate::peers::Peers;

/// Added to each answer.
const DELAY: Duration = Duration::from_millis(20);
/// Repositories, and tags of each: an index of two platforms, of which each has a config and a layer.
const REPOSITORIES: usize = 20;
const TAGS: usize = 27;

/// What was measured.
#[derive(Debug)]
pub struct Figures {
    /// Requests of one probe.
    pub requests: usize,
    /// Seconds with one request at a time, and with many.
    pub seconds: [f64; 2],
    /// Largest resident set with many, in bytes.
    pub peak: u64,
}

impl Figures {
    /// How many times faster many at once are.
    pub fn ratio(&self) -> f64 {
        self.seconds[0] / self.seconds[1]
    }
}

fn world() -> World {
    let mut world = World::new(Profile::V2_8);
    for repository in 0..REPOSITORIES {
        for tag in 0..TAGS {
            let seeds = ["amd64", "arm64"].map(|platform| format!("{repository} {tag} {platform}"));
            let seeds = [seeds[0].as_str(), seeds[1].as_str()];
            world.push_index(&format!("team/app-{repository}"), &[&format!("v{tag}")], &seeds);
        }
    }
    world
}

/// Probes a registry that answers 20 ms late with one request at a time, then with `jobs` at once.
///
/// # Errors
/// When a program is missing or fails, or the two probes do not ask the same.
pub fn probe(peers: &Peers, jobs: u16) -> Result<Figures> {
    let server = Server::start_slow(world(), DELAY);
    let (mut asked, mut runs) = (Vec::new(), Vec::new());
    for jobs in [1, jobs] {
        server.clear_log();
        // Found out by an upload, a role would cost requests that differ from run to run.
        let role = ["--role", "primary"];
        let arguments = ["probe", &server.url, "--quiet", "--jobs", &jobs.to_string()];
        let arguments = arguments.into_iter().chain(role).map(OsString::from);
        let command = std::iter::once(peers.fsck.clone().into_os_string()).chain(arguments).collect();
        let job =
            TimedCommand { name: format!("registry-fsck probe --jobs {jobs}"), commands: vec![command] };
        runs.push(measure::run(peers.time(), &job)?);
        let lines = server.lines();
        let distinct: BTreeSet<String> = lines.iter().cloned().collect();
        ensure!(distinct.len() == lines.len(), "{} requests were made twice", lines.len() - distinct.len());
        asked.push(distinct);
    }
    ensure!(asked[0] == asked[1], "the two probes asked for different things");
    let [one, many] = [runs[0], runs[1]];
    Ok(Figures { requests: asked[0].len(), seconds: [one.wall, many.wall], peak: many.peak })
}
