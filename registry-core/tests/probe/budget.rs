//! What a run may spend, and that the rest is made up for by later runs.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use registry_core::probe::{Choosing, ProbeState};
use registry_core::registry::{Client, Credentials, Http, Settings};
use registry_fixtures::registry::{Fault, Profile, Server, World};

use crate::support::{How, NAME, look, registry};

fn tags(world: &mut World, repositories: &[u8]) -> BTreeSet<(String, String)> {
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

/// Runs until everything was judged, and gives how many runs that took.
async fn runs(server: &Server, all: &BTreeSet<(String, String)>, how: &How, most: usize) -> usize {
    let (mut past, mut met) = (ProbeState::new(NAME), BTreeSet::new());
    for number in 1..=most {
        let looked = look(server, &mut past, &how.later(900 * i64::try_from(number).unwrap())).await;
        assert!(how.most.is_none_or(|most| looked.sent <= most), "{} requests", looked.sent);
        assert_eq!(looked.story(), Vec::<String>::new());
        met.extend(looked.judgement.judged);
        if met == *all {
            return number;
        }
    }
    panic!("after {most} runs these were never judged: {:?}", all.difference(&met).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn runs_of_few_requests_judge_everything_in_the_end(
        repositories in proptest::collection::vec(1_u8..7, 1..5), spare in 12_u64..80, newest in proptest::option::of(1_usize..3),
        sample in proptest::option::of(5.0..100.0_f64),
    ) {
        let mut world = World::new(Profile::V2_8);
        let all = tags(&mut world, &repositories);
        let server = Server::start(world);
        let sample = if newest.is_some() { Some(sample.unwrap_or(50.0)) } else { sample };
        // The lists have to be read in every run.
        let lists = 1 + repositories.len() as u64;
        // The newest of each repository come first in every run, and leave what is left.
        let always = newest.unwrap_or(0) as u64 * repositories.len() as u64 * 9;
        let how = How { choosing: Choosing { newest, sample }, most: Some(lists + always + spare), ..How::default() };
        run(runs(&server, &all, &how, 4 * all.len() + 25));
    }

    #[test]
    fn samples_judge_everything_within_the_runs_that_they_promise(
        repositories in proptest::collection::vec(1_u8..9, 1..4), sample in 5.0..100.0_f64,
    ) {
        let mut world = World::new(Profile::V3);
        let all = tags(&mut world, &repositories);
        let server = Server::start(world);
        let how = How { choosing: Choosing { newest: None, sample: Some(sample) }, ..How::default() };
        let promised = all.len().div_ceil((all.len() as f64 * sample / 100.0).ceil() as usize);
        prop_assert_eq!(run(runs(&server, &all, &how, promised)), promised);
    }
}

#[tokio::test]
async fn bug_a_budget_is_the_most_that_is_sent_repetitions_included() {
    for most in [1, 2, 5, 9, 17, 40] {
        let server = registry(Profile::V2_8, |world| drop(tags(world, &[6, 6, 6])));
        server.set_hook(|_, ask, number| {
            (number % 3 == 0 && ask.path != "/v2/_catalog").then_some(Fault::Status(503))
        });
        let how = How { most: Some(most), retries: 5, ..How::default() };
        let looked = look(&server, &mut ProbeState::new(NAME), &how).await;
        assert_eq!(looked.sent, server.log().len() as u64);
        assert!(looked.sent <= most);
        assert!(looked.judgement.audit.findings.is_empty(), "{:?}", looked.story());
    }
}

#[tokio::test]
async fn bug_damage_is_told_though_the_budget_ends_before_the_last_tag() {
    // The second look at what seemed damaged came after the budget was spent, so the damage was never told.
    let server = registry(Profile::V2_8, |world| {
        tags(world, &[8]);
        let digest = world.tagged("r0", "v0").unwrap().to_owned();
        world.unlink_manifest("r0", &digest);
    });
    let looked = look(&server, &mut ProbeState::new(NAME), &How { most: Some(24), ..How::default() }).await;
    assert_eq!(looked.broken(), ["r0:v0"]);
    assert!(looked.judgement.judged.len() < 8);
}

#[tokio::test]
async fn bug_a_tag_that_fits_into_no_budget_does_not_keep_others_out() {
    let server = registry(Profile::V2_8, |world| {
        let children: Vec<String> =
            (0..40).map(|number| world.push_image("a", None, &format!("child {number}"))).collect();
        world.push_index_of("a", &["huge"], &children);
        world.push_image("b", Some("v1"), "one");
    });
    let (mut past, how) = (ProbeState::new(NAME), How { most: Some(20), ..How::default() });
    let mut met = BTreeSet::new();
    for number in 0..4 {
        met.extend(look(&server, &mut past, &how.later(number * 900)).await.judgement.judged);
    }
    assert_eq!(met, BTreeSet::from([("b".to_owned(), "v1".to_owned())]));
}

#[tokio::test]
async fn the_newest_alone_are_looked_at_where_nothing_else_is_chosen() {
    let server = registry(Profile::V2_8, |world| drop(tags(world, &[7, 2])));
    let how = How { choosing: Choosing { newest: Some(2), sample: None }, ..How::default() };
    let looked = look(&server, &mut ProbeState::new(NAME), &how).await;
    let judged: BTreeSet<String> =
        looked.judgement.judged.iter().map(|(name, tag)| format!("{name}:{tag}")).collect();
    assert_eq!(judged, ["r0:v5", "r0:v6", "r1:v0", "r1:v1"].map(str::to_owned).into());
    assert_eq!(looked.choice.never, 5);
    assert_eq!(looked.judgement.audit.source.tags, 9);
}

#[tokio::test]
async fn bug_what_is_under_way_ends_with_the_time_that_a_run_may_take() {
    let server = registry(Profile::V2_8, |world| drop(tags(world, &[3])));
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
    let walked = tokio::time::timeout(Duration::from_secs(30), walk.tags(&tags)).await;
    assert!(walked.is_ok(), "it waits for answers that come too late");
    let judgement = registry_core::probe::judge(
        walk.seen(),
        NAME,
        &registry_core::probe::JudgeOptions { blobs: true, ..Default::default() },
    );
    assert!(judgement.judged.is_empty() && judgement.audit.findings.is_empty());
    assert!(judgement.audit.unknown_tags.is_empty(), "what was not asked for is not unknown");
}
