//! The command `verify`: checks some images completely, until all is there or the waiting time is over.

pub mod checked;
mod findings;
mod in_use;
mod referrers;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use jiff::{SignedDuration, Timestamp};
use registry_cli::connection::{Budget, new_runtime};
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
use crate::reporting::{self, Extra, ReportRules, add_audit};
use crate::{connect, interrupt, log, render};
use checked::{CheckedRegistry, report_name};
use findings::{first_problem, named_digest, new_finding};
use in_use::RegistryImages;

/// The pause before the first repetition; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Verifies and prints; returns the exit status.
///
/// # Errors
/// When an argument cannot be used, or the report cannot be written.
pub fn run(args: &VerifyArgs) -> Result<u8, Failure> {
    let started = Instant::now();
    let rules = ReportRules::read(&Compare { baseline: None, ignore: None, fail_on: FailOn::Error })?;
    let in_use = match (&args.in_use, &args.host) {
        (Some(path), Some(host)) => in_use::read_list(path, host).map_err(Failure::Usage)?,
        _ => RegistryImages::default(),
    };
    for reference in args.references.iter().chain(&args.same_as) {
        if reference.tag.is_none() && reference.digest.is_none() {
            return Err(Failure::Usage(anyhow!("{reference} names neither tag nor digest")));
        }
    }
    let stop = Stop::default();
    // A registry that is about to start may not answer yet.
    let budget = Budget { patience: args.wait, stop: Some(stop.clone()), ..Default::default() };
    let http = connect::make_http(&args.connection, &args.common, budget).map_err(Failure::Usage)?;
    interrupt::watch_requests(&http, &stop);
    let mut report = reporting::empty_report("verify", Timestamp::now(), report_options(args));
    let until = started + Duration::from_secs(args.wait.into());
    let references = args.references.iter().chain(&in_use.images).chain(&args.same_as).cloned().collect();
    let verify = Verify { args, references, http, started, until, stop };
    let runtime = new_runtime().map_err(Failure::Io)?;
    let checked = runtime.block_on(verify.run(&mut report))?;
    report.coverage.requests = Some(verify.http.requests_sent());
    if args.in_use.is_some() {
        report.coverage.not_asked = Some(in_use.elsewhere + in_use.unaskable.len() as u64);
    }
    log::unread(&args.common, &report.unread);
    rules.finish_report(&mut report, started);
    for line in &in_use.unaskable {
        tracing::error!("no registry can be asked for {line:?}: it names no repository");
        report.exit_status |= exit::INCOMPLETE;
    }
    report.exit_status |= reporting::write_metrics(&args.common, &report, &Extra::default());
    if verify.stop.is_stopped() {
        report.exit_status = exit::INTERRUPTED;
    }
    render::verified(&args.common, &report, &checked)?;
    Ok(report.exit_status)
}

fn report_options(args: &VerifyArgs) -> ReportOptions {
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
    /// All images, including those in use.
    references: Vec<ImageReference>,
    http: Http,
    started: Instant,
    until: Instant,
    stop: Stop,
}

/// The pauses between repetitions, each longer than the one before.
#[derive(Debug, Default)]
struct Pauses {
    taken: u32,
}

impl Pauses {
    /// Logs what is missing, and pauses; false if the waiting time is over, or the run was asked to stop.
    async fn wait(&mut self, until: Instant, missing: &str, stop: &Stop) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || stop.is_stopped() {
            return false;
        }
        tracing::warn!("not yet: {missing}; asking again for {} s at most", left.as_secs());
        let pause = FIRST_PAUSE.saturating_mul(1 << self.taken.min(8)).min(LONGEST_PAUSE);
        self.taken += 1;
        stop.unless_stopped(tokio::time::sleep(pause.min(left))).await.is_some()
    }

    /// Seconds since `since`, if there was any pause.
    fn waited(&self, since: Instant) -> Option<u64> {
        (self.taken > 0).then(|| since.elapsed().as_secs())
    }
}

impl Verify<'_> {
    async fn run(&self, report: &mut Report) -> Result<Vec<CheckedRegistry>, Failure> {
        let mut groups: BTreeMap<String, Vec<(ImageReference, String)>> = BTreeMap::new();
        let host_scheme =
            self.args.host.as_deref().and_then(|host| host.split_once("://")).map(|(scheme, _)| scheme);
        for reference in &self.references {
            let mut address = reference.address();
            if let Some(scheme) = host_scheme.filter(|_| reference.scheme.is_none()) {
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
        if groups.len() > 1 && credentials::has_credentials_without_host(&self.args.connection) {
            return Err(Failure::Usage(anyhow!(
                "these images are on {} registries, and --user and REGISTRY_PASSWORD are credentials of one: give those \
                 of each in a file (--authfile, or docker's config.json)",
                groups.len()
            )));
        }
        let mut pauses = Pauses::default();
        let (all, differences) = loop {
            let mut all = Vec::new();
            for (address, images) in &groups {
                all.push(self.check_registry(address, images, pauses.taken == 0).await?);
            }
            let checked: Vec<&CheckedRegistry> = all.iter().map(|(checked, ..)| checked).collect();
            let differences = findings::differences(self.args, &checked);
            // The other registry of a dual push may still get the new image.
            let is_over = differences.is_empty() || self.http.gave_up().is_some();
            if is_over || !pauses.wait(self.until, &differences[0].message, &self.stop).await {
                break (all, differences);
            }
        };
        let mut checked = Vec::new();
        for (mut registry, audit, findings) in all {
            registry.waited = registry.waited.or_else(|| pauses.waited(self.started));
            add_audit(report, audit, &mut Extra::default());
            findings.into_iter().for_each(|finding| report.add_finding(finding));
            checked.push(registry);
        }
        report.garbage = None;
        differences.into_iter().for_each(|finding| report.add_finding(finding));
        Ok(checked)
    }

    async fn check_registry(
        &self,
        address: &str,
        images: &[(ImageReference, String)],
        is_first_try: bool,
    ) -> Result<(CheckedRegistry, Audit, Vec<Finding>), Failure> {
        let client =
            connect::make_client(&self.http, &self.args.connection, address).map_err(Failure::Usage)?;
        if let Some(warning) = client.warning().filter(|_| is_first_try) {
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
        let mut state = ProbeState::new(address);
        let mut walk = ProbeWalk::new(&client, &options, &mut state);
        let by_tag = images.iter().filter(|(image, _)| image.tag.is_some());
        let by_tag: Vec<_> =
            by_tag.map(|(image, name)| (image.repository.to_string(), name.clone())).collect();
        let by_digest = images.iter().filter(|(image, _)| image.tag.is_none());
        let by_digest: Vec<_> = by_digest
            .filter_map(|(image, name)| Some((image.repository.to_string(), name.clone(), image.digest?)))
            .collect();
        walk.ask_tags(&by_tag).await;
        walk.ask_digests(&by_digest).await;
        let mut pauses = Pauses::default();
        let (mut audit, findings, referrers, unread) = loop {
            let audit = judge(walk.responses(), address, &judging).audit;
            let (findings, referrers, unread) =
                self.find_mismatches(&client, address, walk.responses(), images).await;
            let is_complete = findings.is_empty()
                && unread.is_empty()
                && audit.unread.is_empty()
                && audit.unknown_tags.is_empty()
                && audit.broken_tags.is_empty()
                && audit.findings.iter().all(|finding| finding.severity != Severity::Error);
            if is_complete
                || self.http.gave_up().is_some()
                || !pauses.wait(self.until, &first_problem(&audit, &findings, &unread), &self.stop).await
            {
                break (audit, findings, referrers, unread);
            }
            walk.ask_again().await;
            // A tag that names the wrong digest may still be moved.
            walk.ask_tags(&by_tag).await;
        };
        audit.source.tags = images.len() as u64;
        audit.source.complete &= unread.is_empty();
        audit.unread.extend(unread);
        let checked = CheckedRegistry {
            address: address.to_owned(),
            images: images.to_vec(),
            responses: walk.into_responses(),
            referrers,
            waited: pauses.waited(self.started),
        };
        Ok((checked, audit, findings))
    }

    /// Finds what only `verify` checks: unexpected digests and missing referrers.
    async fn find_mismatches(
        &self,
        client: &Client,
        address: &str,
        responses: &Responses,
        images: &[(ImageReference, String)],
    ) -> (Vec<Finding>, BTreeMap<ImageReference, Vec<Digest>>, Vec<UnreadPath>) {
        let (mut findings, mut all, mut unread) = (Vec::new(), BTreeMap::new(), Vec::new());
        for (image, name) in images {
            let Some(digest) = named_digest(responses, image, name) else { continue };
            let mut add =
                |code, message| findings.push(new_finding(address, image, name, code, digest, message));
            for expected in [self.args.expect_digest, image.digest].into_iter().flatten() {
                if expected != digest {
                    add(Code::ReferenceMismatch, format!("it names {digest}, and {expected} was expected"));
                }
            }
            if self.args.referrers.is_empty() {
                continue;
            }
            let found = match referrers::list_referrers(client, image.repository.as_str(), &digest).await {
                Ok(found) => found,
                Err(error) => {
                    let path = format!("/v2/{}/referrers/{digest}", image.repository);
                    unread.push(UnreadPath { source: address.into(), path, error: error.to_string() });
                    continue;
                }
            };
            for wanted in &self.args.referrers {
                if found.iter().any(|referrer| referrer.has_type(wanted)) {
                    continue;
                }
                let what = if wanted.is_empty() { String::new() } else { format!(" of type {wanted}") };
                let types: Vec<_> = found.iter().map(|referrer| escape(&referrer.artifact_type)).collect();
                let only =
                    if types.is_empty() { String::new() } else { format!(", only {}", types.join(", ")) };
                add(Code::ReferrerMissing, format!("it has no referrer{what}{only}"));
            }
            all.insert(image.clone(), found.into_iter().map(|referrer| referrer.digest).collect());
        }
        (findings, all, unread)
    }
}
