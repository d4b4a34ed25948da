//! The budget of a run, and later runs that judge the remaining tags.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use registry_core::probe::{ProbeState, TagSelectionOptions};
use registry_core::registry::{Client, Credentials, Http, Settings};
use registry_fixtures::registry::{Fault, Profile, Server, World};

use crate::support::{NAME, RunOptions, registry, run_probe};

fn push_tags(world: &mut World, repositories: &[u8]) -> BTreeSet<(String, String)> {
    let mut all = BTreeSet::new();
    for (number, count) in repositories.iter().enumerate() {
        let name = format!("r{number}");
        for tag in 0..*count {
            let tag = format!("v{tag}");
            if (usize::from(*count) + number) % 3 == 0 {
                world.push_index(&name, &[&tag], &[&format!("{name}{tag}a"), &format!("{name}{tag}b")]);
            } else {
                world.push_image(&name, Some(&tag), &format!("{name}{tag}"));
            }
            all.insert((name.clone(), tag));
        }
    }
    all
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Runs until every tag was judged; returns the number of runs.
async fn runs_until_all_judged(
    server: &Server,
    all: &BTreeSet<(String, String)>,
    options: &RunOptions,
    most: usize,
) -> usize {
    let (mut past, mut met) = (ProbeState::new(NAME), BTreeSet::new());
    for number in 1..=most {
        let result = run_probe(server, &mut past, &options.later(900 * i64::try_from(number).unwrap())).await;
        assert!(options.most.is_none_or(|most| result.sent <= most), "{} requests", result.sent);
        assert_eq!(result.summary_lines(), Vec::<String>::new());
        met.extend(result.judgement.judged);
        if met == *all {
            return number;
        }
    }
    panic!("after {most} runs these were never judged: {:?}", all.difference(&met).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn runs_with_small_budgets_judge_every_tag_in_the_end(
        repositories in proptest::collection::vec(1_u8..7, 1..5), spare in 12_u64..80, newest in proptest::option::of(1_usize..3),
        sample in proptest::option::of(5.0..100.0_f64),
    ) {
        let mut world = World::new(Profile::V2_8);
        let all = push_tags(&mut world, &repositories);
        let server = Server::start(world);
        let sample = if newest.is_some() { Some(sample.unwrap_or(50.0)) } else { sample };
        // Every run reads the lists.
        let lists = 1 + repositories.len() as u64;
        // Every run spends requests on the newest tags of each repository first.
        let always = newest.unwrap_or(0) as u64 * repositories.len() as u64 * 9;
        let options = RunOptions { choosing: TagSelectionOptions { newest, sample }, most: Some(lists + always + spare), ..RunOptions::default() };
        run(runs_until_all_judged(&server, &all, &options, 4 * all.len() + 25));
    }

    #[test]
    fn samples_judge_every_tag_within_the_promised_number_of_runs(
        repositories in proptest::collection::vec(1_u8..9, 1..4), sample in 5.0..100.0_f64,
    ) {
        let mut world = World::new(Profile::V3);
        let all = push_tags(&mut world, &repositories);
        let server = Server::start(world);
        let options = RunOptions { choosing: TagSelectionOptions { newest: None, sample: Some(sample) }, ..RunOptions::default() };
        let promised = all.len().div_ceil((all.len() as f64 * sample / 100.0).ceil() as usize);
        prop_assert_eq!(run(runs_until_all_judged(&server, &all, &options, promised)), promised);
    }
}

#[tokio::test]
async fn bug_budget_limits_all_requests_including_retries() {
    for most in [1, 2, 5, 9, 17, 40] {
        let server = registry(Profile::V2_8, |world| drop(push_tags(world, &[6, 6, 6])));
        server.set_hook(|_, ask, number| {
            (number % 3 == 0 && ask.path != "/v2/_catalog").then_some(Fault::Status(503))
        });
        let options = RunOptions { most: Some(most), retries: 5, ..RunOptions::default() };
        let result = run_probe(&server, &mut ProbeState::new(NAME), &options).await;
        assert_eq!(result.sent, server.log().len() as u64);
        assert!(result.sent <= most);
        assert!(result.judgement.audit.findings.is_empty(), "{:?}", result.summary_lines());
    }
}

#[tokio::test]
async fn bug_damage_is_reported_when_the_budget_ends_before_the_last_tag() {
    // The second look at apparent damage came after the budget was spent, so the damage was never reported.
    let server = registry(Profile::V2_8, |world| {
        push_tags(world, &[8]);
        let digest = world.digest_of_tag("r0", "v0").unwrap().to_owned();
        world.unlink_manifest("r0", &digest);
    });
    let result = run_probe(
        &server,
        &mut ProbeState::new(NAME),
        &RunOptions { most: Some(24), ..RunOptions::default() },
    )
    .await;
    assert_eq!(result.broken(), ["r0:v0"]);
    assert!(result.judgement.judged.len() < 8);
}

#[tokio::test]
async fn bug_tag_above_the_budget_does_not_block_other_tags() {
    let server = registry(Profile::V2_8, |world| {
        let children: Vec<String> =
            (0..40).map(|number| world.push_image("a", None, &format!("child {number}"))).collect();
        world.push_index_of("a", &["huge"], &children);
        world.push_image("b", Some("v1"), "one");
    });
    let (mut past, options) = (ProbeState::new(NAME), RunOptions { most: Some(20), ..RunOptions::default() });
    let mut met = BTreeSet::new();
    for number in 0..4 {
        met.extend(run_probe(&server, &mut past, &options.later(number * 900)).await.judgement.judged);
    }
    assert_eq!(met, BTreeSet::from([("b".to_owned(), "v1".to_owned())]));
}

#[tokio::test]
async fn only_the_newest_tags_are_judged_without_a_sample() {
    let server = registry(Profile::V2_8, |world| drop(push_tags(world, &[7, 2])));
    let options = RunOptions {
        choosing: TagSelectionOptions { newest: Some(2), sample: None },
        ..RunOptions::default()
    };
    let result = run_probe(&server, &mut ProbeState::new(NAME), &options).await;
    let judged: BTreeSet<String> =
        result.judgement.judged.iter().map(|(name, tag)| format!("{name}:{tag}")).collect();
    assert_eq!(judged, ["r0:v5", "r0:v6", "r1:v0", "r1:v1"].map(str::to_owned).into());
    assert_eq!(result.choice.never, 5);
    assert_eq!(result.judgement.audit.source.tags, 9);
}

#[tokio::test]
async fn bug_requests_in_flight_end_with_the_time_of_a_run() {
    let server = registry(Profile::V2_8, |world| drop(push_tags(world, &[3])));
    server.set_hook(|_, ask, _| ask.path.contains("/blobs/").then_some(Fault::Slow(Duration::from_secs(60))));
    let until = Some(tokio::time::Instant::now() + Duration::from_millis(500));
    let http = Http::new(Settings { until, proxies: false, ..Settings::default() }).unwrap();
    let client = Client::new(&http, &server.url, Credentials::Anonymous).unwrap();
    let mut past = ProbeState::new(NAME);
    let options = registry_core::probe::WalkOptions {
        depth: registry_core::probe::Depth::Blobs,
        recheck_after: jiff::SignedDuration::from_hours(1),
        last_byte: false,
        platforms: false,
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    let mut walk = registry_core::probe::ProbeWalk::new(&client, &options, &mut past);
    let tags: Vec<_> = (0..3).map(|tag| ("r0".to_owned(), format!("v{tag}"))).collect();
    let walked = tokio::time::timeout(Duration::from_secs(30), walk.ask_tags(&tags)).await;
    assert!(walked.is_ok(), "it waits for answers that come too late");
    let judgement = registry_core::probe::judge(
        walk.responses(),
        NAME,
        &registry_core::probe::JudgeOptions { blobs: true, ..Default::default() },
    );
    assert!(judgement.judged.is_empty() && judgement.audit.findings.is_empty());
    assert!(judgement.audit.unknown_tags.is_empty(), "unrequested tags are not unknown");
}
