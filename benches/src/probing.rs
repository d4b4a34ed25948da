//! Times `probe` of a slow registry in memory, with one request at a time and with many, and measures its memory.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Result, ensure};
use registry_fixtures::registry::{Profile, Server, World};

use crate::measure::{self, TimedCommand};
use crate::peers::Peers;

/// The delay of each answer.
const DELAY: Duration = Duration::from_millis(20);
/// The number of repositories.
const REPOSITORIES: usize = 20;
/// The number of tags in each repository. Each is an index of two platforms, and each of these has a config and a layer.
const TAGS: usize = 27;

/// The measured figures.
#[derive(Debug)]
pub struct ProbeFigures {
    /// The number of requests of one probe.
    pub requests: usize,
    /// Seconds with one request at a time, and with many.
    pub seconds: [f64; 2],
    /// Bytes of the largest resident set with many requests at once.
    pub peak: u64,
}

impl ProbeFigures {
    /// How many times faster the probe is with many requests at once.
    pub fn ratio(&self) -> f64 {
        self.seconds[0] / self.seconds[1]
    }
}

fn make_world() -> World {
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
pub fn probe(peers: &Peers, jobs: u16) -> Result<ProbeFigures> {
    let server = Server::start_slow(make_world(), DELAY);
    let (mut asked, mut runs) = (Vec::new(), Vec::new());
    for jobs in [1, jobs] {
        server.clear_log();
        // With --role auto, the requests that find out the role would differ between runs.
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
    Ok(ProbeFigures { requests: asked[0].len(), seconds: [one.wall, many.wall], peak: many.peak })
}
