//! Law L7: a forecast equals what the real collector does, on random trees, damaged and sound.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use registry_core::collector::{During, Engine};
use registry_fixtures::TreeBuilder;
use registry_fixtures::random::{random_tree, sound_tree};
use registry_fixtures::real::collect;
use registry_fixtures::registry::Profile;

use crate::odd::odd_tree;
use crate::support::{TreeForecast, expected_files, files, forecast_tree_strictly};

const fn profile(engine: Engine) -> Profile {
    match engine {
        Engine::V2_8 => Profile::V2_8,
        Engine::V3 => Profile::V3,
    }
}

/// Compares the forecast of a tree with what the real collector deletes.
pub fn compare(
    root: &Path,
    engine: Engine,
    delete_untagged: bool,
    strict: bool,
) -> Result<TreeForecast, String> {
    let seen = forecast_tree_strictly(root, engine, delete_untagged, strict);
    let before = files(root);
    let expected = expected_files(&seen, &before);
    let done = collect(profile(engine), root, delete_untagged);
    let after = files(root);
    let gone: std::collections::BTreeSet<String> = before.difference(&after).cloned().collect();
    let mut wrong = Vec::new();
    match (&seen.forecast.would_abort, done.is_ok) {
        (None, true) | (Some(_), false) => {}
        (abort, _) => {
            let last: Vec<&str> = done.said.lines().rev().take(3).collect();
            wrong.push(format!("abort forecast: {abort:?}; it ended well: {}: {last:?}", done.is_ok));
        }
    }
    if seen.forecast.would_abort.as_ref().is_some_and(|abort| abort.during == During::Mark)
        && !gone.is_empty()
    {
        wrong.push(format!("deleted although it was to stop before: {gone:?}"));
    }
    for file in expected.sure.difference(&gone) {
        wrong.push(format!("was to go and stays: {file}"));
    }
    for file in gone.iter().filter(|file| !expected.sure.contains(*file) && !expected.perhaps.contains(*file))
    {
        wrong.push(format!("was to stay and is gone: {file}"));
    }
    if wrong.is_empty() { Ok(seen) } else { Err(wrong.join("\n  ")) }
}

#[expect(clippy::disallowed_methods, reason = "the number of trees, for running the tests by hand")]
fn number_from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Compares many trees, two at a time. Returns how many forecasts have the collector stop, and how many have a cost.
fn on_random_trees(cases: u64, engine: Engine, delete_untagged: bool) -> (u64, u64) {
    // Every fifth tree is sound.
    let make = |seed: u64| if seed.is_multiple_of(5) { sound_tree(seed) } else { random_tree(seed) };
    on_trees(cases, engine, delete_untagged, make, |_| false)
}

/// As [`on_random_trees`], on trees with odd entries; every other tree is read strictly.
fn on_odd_trees(cases: u64, engine: Engine, delete_untagged: bool) -> (u64, u64) {
    let is_strict = |seed: u64| seed.is_multiple_of(2);
    on_trees(cases, engine, delete_untagged, |seed| odd_tree(seed, is_strict(seed)), is_strict)
}

fn on_trees(
    cases: u64,
    engine: Engine,
    delete_untagged: bool,
    make: impl Fn(u64) -> (TreeBuilder, Vec<String>) + Sync,
    is_strict: impl Fn(u64) -> bool + Sync,
) -> (u64, u64) {
    let (cases, first) =
        (number_from_env("REGISTRY_FSCK_CASES", cases), number_from_env("REGISTRY_FSCK_SEED", 1));
    let (next, stops, costs) = (AtomicU64::new(first), AtomicU64::new(0), AtomicU64::new(0));
    let work = || {
        let mut failures = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + cases {
                return failures;
            }
            let (tree, story) = make(seed);
            match compare(tree.root(), engine, delete_untagged, is_strict(seed)) {
                Ok(seen) => {
                    stops.fetch_add(u64::from(seen.forecast.would_abort.is_some()), Ordering::Relaxed);
                    let is_costly = !seen.cost.breaks.is_empty() || !seen.cost.loses.is_empty();
                    costs.fetch_add(u64::from(is_costly), Ordering::Relaxed);
                }
                Err(why) => {
                    failures.push(format!("seed {seed}:\n  {why}\n  tree: {}", story.join("\n        ")));
                }
            }
        }
    };
    let failures: Vec<String> = std::thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(failures.is_empty(), "{} forecasts were wrong:\n{}", failures.len(), failures.join("\n"));
    (stops.into_inner(), costs.into_inner())
}

#[test]
#[ignore = "needs the real docker-registry 2.8.2"]
fn plain_collector_of_2_8_matches_the_forecast() {
    let (stops, costs) = on_random_trees(400, Engine::V2_8, false);
    assert!(stops > 50 && costs > 50, "{stops} stops, {costs} costly");
}

#[test]
#[ignore = "needs the real docker-registry 2.8.2"]
fn untagged_collector_of_2_8_matches_the_forecast() {
    let (stops, costs) = on_random_trees(400, Engine::V2_8, true);
    assert!(stops > 50 && costs > 50, "{stops} stops, {costs} costly");
}

#[test]
#[ignore = "needs the real registry 3.1.1"]
fn plain_collector_of_3_matches_the_forecast() {
    let (stops, costs) = on_random_trees(200, Engine::V3, false);
    assert!(stops > 30 && costs > 20, "{stops} stops, {costs} costly");
}

#[test]
#[ignore = "needs the real registry 3.1.1"]
fn untagged_collector_of_3_matches_the_forecast() {
    let (stops, costs) = on_random_trees(200, Engine::V3, true);
    assert!(stops > 30 && costs > 20, "{stops} stops, {costs} costly");
}

#[test]
#[ignore = "needs the real docker-registry 2.8.2"]
fn collectors_of_2_8_match_the_forecast_on_odd_trees() {
    let (stops, _) = on_odd_trees(200, Engine::V2_8, false);
    let (untagged_stops, _) = on_odd_trees(200, Engine::V2_8, true);
    assert!(stops > 30 && untagged_stops > 60, "{stops} and {untagged_stops} stops");
}

#[test]
#[ignore = "needs the real registry 3.1.1"]
fn collectors_of_3_match_the_forecast_on_odd_trees() {
    let (stops, _) = on_odd_trees(150, Engine::V3, false);
    let (untagged_stops, _) = on_odd_trees(150, Engine::V3, true);
    assert!(stops > 30 && untagged_stops > 40, "{stops} and {untagged_stops} stops");
}
