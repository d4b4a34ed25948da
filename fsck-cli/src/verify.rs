//! The command `verify`: some images, each completely, until they are there or the wait is over.

pub mod checked;
mod findings;
mod in_use;
mod referrers;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use jiff::{SignedDuration, Timestamp};
use registry_cli::connection::{Budget, runtime};
use registry_cli::credentials;
use registry_core::Stop;
use registry_core::audit::{
    Audit, Code, Finding, OnlineOptions, Report, ReportOptions, Severity, UnreadPath,
};
use registry_core::oci::{Digest, ImageReference};
use registry_core::probe::{Depth, JudgeOptions, ProbeState, ProbeWalk, Responses, WalkOptions, judge};
use registry_core::registry::{Client, Http};
use registry_core::text::escape;

use crate::args::{Compare, FailOn, VerifyArgs};
use crate::exit::{self, Failure};
use crate::reporting::{self, EarlierReport, Extra, merge};
use crate::{connect, interrupt, log, render};
use checked::{Checked, report_name};
use findings::{finding, first, named};
use in_use::Running;

/// First pause before what is missing is asked for again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Verifies, prints, and gives the exit status.
///
/// # Errors
/// When what was asked cannot be used, or the answer cannot be written.
pub fn run(args: &VerifyArgs) -> Result<u8, Failure> {
    let started = Instant::now();
    let earlier = EarlierReport::read(&Compare { baseline: None, ignore: None, fail_on: FailOn::Error })?;
    let running = match (&args.in_use, &args.host) {
        (Some(path), Some(host)) => in_use::read(path, host).map_err(Failure::Usage)?,
        _ => Running::default(),
    };
    for reference in args.references.iter().chain(&args.same_as) {
        if reference.tag.is_none() && reference.digest.is_none() {
            return Err(Failure::Usage(anyhow!("{reference} names neither tag nor digest")));
        }
    }
    let stop = Stop::default();
    // A registry that is waited for may not answer at first.
    let budget = Budget { patience: args.wait, stop: Some(stop.clone()), ..Default::default() };
    let http = connect::http(&args.connection, &args.common, budget).map_err(Failure::Usage)?;
    let far = http.clone();
    interrupt::watch_questions(move || format!("asking, after {} requests", far.sent()), &stop);
    let mut report = reporting::empty("verify", Timestamp::now(), options(args));
    let until = started + Duration::from_secs(args.wait.into());
    let references = args.references.iter().chain(&running.images).chain(&args.same_as).cloned().collect();
    let verify = Verify { args, references, http, started, until, stop };
    let runtime = runtime().map_err(Failure::Io)?;
    let checked = runtime.block_on(verify.run(&mut report))?;
    report.coverage.requests = Some(verify.http.sent());
    if args.in_use.is_some() {
        report.coverage.not_asked = Some(running.elsewhere + running.unaskable.len() as u64);
    }
    log::unread(&args.common, &report.unread);
    earlier.settle(&mut report, started);
    if report.summary.unknown_tags > 0 {
        report.exit_status |= exit::INCOMPLETE;
    }
    for line in &running.unaskable {
        tracing::error!("no registry can be asked for {line:?}: it names no repository");
        report.exit_status |= exit::INCOMPLETE;
    }
    if !reporting::write_metrics(&args.common, &report, &Extra::default()) {
        report.exit_status |= exit::INCOMPLETE;
    }
    if verify.stop.is_stopped() {
        report.exit_status = exit::INTERRUPTED;
    }
    render::verified(&args.common, &report, &checked)
        .context("cannot write the report")
        .map_err(Failure::Io)?;
    Ok(report.exit_status)
}

fn options(args: &VerifyArgs) -> ReportOptions {
    ReportOptions {
        content: args.content,
        strict: false,
        min_age_seconds: 0,
        repositories: Vec::new(),
        sparse: Vec::new(),
        require_platforms: args.require_platform.iter().map(ToString::to_string).collect(),
        online: Some(OnlineOptions {
            depth: if args.content { "content" } else { "blobs" }.into(),
            ..OnlineOptions::default()
        }),
    }
}

struct Verify<'a> {
    args: &'a VerifyArgs,
    /// All images, those in use included.
    references: Vec<ImageReference>,
    http: Http,
    started: Instant,
    until: Instant,
    stop: Stop,
}

/// Pauses between questions, each longer than the one before.
#[derive(Debug, Default)]
struct Pause {
    taken: u32,
}

impl Pause {
    const fn is_first(&self) -> bool {
        self.taken == 0
    }

    /// Says what is not there yet, and pauses; false when the time is over, or there is no use in waiting.
    async fn until(&mut self, until: Instant, missing: &str, stop: &Stop) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || stop.is_stopped() {
            return false;
        }
        tracing::warn!("not yet: {missing}; asking again for {} s at most", left.as_secs());
        let pause = FIRST_PAUSE.saturating_mul(1 << self.taken.min(8)).min(LONGEST_PAUSE);
        self.taken += 1;
        stop.unless_stopped(tokio::time::sleep(pause.min(left))).await.is_some()
    }

    /// Seconds since then, if there was any pause.
    fn waited(&self, since: Instant) -> Option<u64> {
        (self.taken > 0).then(|| since.elapsed().as_secs())
    }
}

impl Verify<'_> {
    async fn run(&self, report: &mut Report) -> Result<Vec<Checked>, Failure> {
        let mut groups: BTreeMap<String, Vec<(ImageReference, String)>> = BTreeMap::new();
        let of_host =
            self.args.host.as_deref().and_then(|host| host.split_once("://")).map(|(scheme, _)| scheme);
        for reference in &self.references {
            let mut address = reference.address();
            if let Some(scheme) = of_host.filter(|_| reference.scheme.is_none()) {
                address = format!("{scheme}://{}", reference.host);
            } else if self.args.plain_http && reference.scheme.is_none() {
                address = format!("http://{}", reference.host);
            }
            let image = (reference.clone(), report_name(reference));
            let images = groups.entry(address).or_default();
            if !images.contains(&image) {
                images.push(image);
            }
        }
        if groups.len() > 1 && credentials::are_of_one_host(&self.args.connection) {
            return Err(Failure::Usage(anyhow!(
                "these images are on {} registries, and --user and REGISTRY_PASSWORD are credentials of one: give those \
                 of each in a file (--authfile, or docker's config.json)",
                groups.len()
            )));
        }
        let mut pause = Pause::default();
        let (mut all, differences) = loop {
            let mut all = Vec::new();
            for (address, images) in &groups {
                all.push(self.registry(address, images, pause.is_first()).await?);
            }
            let checked: Vec<&Checked> = all.iter().map(|(checked, ..)| checked).collect();
            let differences = findings::differences(self.args, &checked);
            // The other side of a dual push may be moved yet.
            let is_over = differences.is_empty() || self.http.gave_up().is_some();
            if is_over || !pause.until(self.until, &differences[0].message, &self.stop).await {
                break (all, differences);
            }
        };
        let mut checked = Vec::new();
        for (mut one, audit, findings) in all.drain(..) {
            one.waited = one.waited.or_else(|| pause.waited(self.started));
            merge(report, audit, &mut Extra::default());
            findings.into_iter().for_each(|finding| report.add(finding));
            checked.push(one);
        }
        report.garbage = None;
        differences.into_iter().for_each(|finding| report.add(finding));
        Ok(checked)
    }

    async fn registry(
        &self,
        address: &str,
        images: &[(ImageReference, String)],
        is_first: bool,
    ) -> Result<(Checked, Audit, Vec<Finding>), Failure> {
        let client = connect::client(&self.http, &self.args.connection, address).map_err(Failure::Usage)?;
        if let Some(warning) = client.warning().filter(|_| is_first) {
            tracing::warn!("{warning}");
        }
        let options = WalkOptions {
            depth: if self.args.content { Depth::Content } else { Depth::Blobs },
            recheck_after: SignedDuration::ZERO,
            last_byte: false,
            platforms: !self.args.require_platform.is_empty(),
            now: Timestamp::now(),
        };
        let judging = JudgeOptions { blobs: true, require_platforms: self.args.require_platform.clone() };
        let mut nothing = ProbeState::new(address);
        let mut walk = ProbeWalk::new(&client, &options, &mut nothing);
        let by_tag = images.iter().filter(|(image, _)| image.tag.is_some());
        let by_tag: Vec<_> =
            by_tag.map(|(image, name)| (image.repository.to_string(), name.clone())).collect();
        let by_digest = images.iter().filter(|(image, _)| image.tag.is_none());
        let by_digest: Vec<_> = by_digest
            .filter_map(|(image, name)| Some((image.repository.to_string(), name.clone(), image.digest?)))
            .collect();
        walk.tags(&by_tag).await;
        walk.digests(&by_digest).await;
        let mut pause = Pause::default();
        let (mut audit, findings, referrers, unread) = loop {
            let audit = judge(walk.seen(), address, &judging).audit;
            let (findings, referrers, unread) = self.findings(&client, address, walk.seen(), images).await;
            let is_bad = |finding: &&Finding| finding.severity == Severity::Error;
            let is_good = findings.is_empty()
                && unread.is_empty()
                && audit.unread.is_empty()
                && audit.unknown_tags.is_empty()
                && audit.broken_tags.is_empty()
                && !audit.findings.iter().any(|finding| is_bad(&finding));
            if is_good
                || self.http.gave_up().is_some()
                || !pause.until(self.until, &first(&audit, &findings, &unread), &self.stop).await
            {
                break (audit, findings, referrers, unread);
            }
            walk.ask_again().await;
            // A tag that names something else than it should may be moved yet.
            walk.tags(&by_tag).await;
        };
        audit.source.tags = images.len() as u64;
        audit.source.complete &= unread.is_empty();
        audit.unread.extend(unread);
        let seen = walk.into_seen();
        let (address, images, waited) = (address.to_owned(), images.to_vec(), pause.waited(self.started));
        Ok((Checked { address, images, seen, referrers, waited }, audit, findings))
    }

    /// What only `verify` looks for: digests that were expected, and referrers.
    async fn findings(
        &self,
        client: &Client,
        address: &str,
        seen: &Responses,
        images: &[(ImageReference, String)],
    ) -> (Vec<Finding>, BTreeMap<ImageReference, Vec<Digest>>, Vec<UnreadPath>) {
        let (mut findings, mut all, mut unread) = (Vec::new(), BTreeMap::new(), Vec::new());
        for (image, name) in images {
            let Some(digest) = named(seen, image, name) else { continue };
            let mut add = |code, message| findings.push(finding(address, image, name, code, digest, message));
            for expected in [self.args.expect_digest, image.digest].into_iter().flatten() {
                if expected != digest {
                    add(Code::ReferenceMismatch, format!("it names {digest}, and {expected} was expected"));
                }
            }
            if self.args.referrers.is_empty() {
                continue;
            }
            let found = match referrers::of(client, image.repository.as_str(), &digest).await {
                Ok(found) => found,
                Err(error) => {
                    let path = format!("/v2/{}/referrers/{digest}", image.repository);
                    unread.push(UnreadPath { source: address.into(), path, error: error.to_string() });
                    continue;
                }
            };
            for wanted in
                self.args.referrers.iter().filter(|wanted| !found.iter().any(|one| one.has_type(wanted)))
            {
                let what = if wanted.is_empty() { String::new() } else { format!(" of type {wanted}") };
                let types: Vec<_> = found.iter().map(|one| escape(&one.artifact_type)).collect();
                let only =
                    if types.is_empty() { String::new() } else { format!(", only {}", types.join(", ")) };
                add(Code::ReferrerMissing, format!("it has no referrer{what}{only}"));
            }
            all.insert(image.clone(), found.into_iter().map(|one| one.digest).collect());
        }
        (findings, all, unread)
    }
}
