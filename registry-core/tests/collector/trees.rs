//! Forecasts for trees from real servers.

use registry_core::collector::Engine;
use registry_fixtures::trees::{self, PRISTINE, PULL_THROUGH, SHA512_ALIAS, SPARSE_INDEX};

use crate::support::{expected_files, files, forecast_tree};

/// The numbers of deleted revision files, history entries and blobs. The expected values come from runs of the real programs.
fn counts(name: &str, engine: Engine, delete_untagged: bool) -> (usize, usize, usize) {
    let tree = trees::unpack(name);
    let seen = forecast_tree(tree.path(), engine, delete_untagged);
    assert_eq!(seen.forecast.would_abort, None, "{name}");
    let gone = expected_files(&seen, &files(tree.path())).sure;
    let count = |part: &str| gone.iter().filter(|path| path.contains(part)).count();
    (count("/revisions/"), count("/index/"), count("blobs/"))
}

#[test]
fn forecast_of_the_pristine_tree_matches_real_runs() {
    assert_eq!(counts(PRISTINE, Engine::V2_8, false), (0, 0, 1));
    assert_eq!(counts(PRISTINE, Engine::V2_8, true), (16, 1, 34));
    assert_eq!(counts(PRISTINE, Engine::V3, false), (0, 0, 1));
    let tree = trees::unpack(PRISTINE);
    let seen = forecast_tree(tree.path(), Engine::V3, true);
    assert_eq!(expected_files(&seen, &files(tree.path())).sure.len(), 18);
    // 2.8 deletes the children of tagged indexes.
    let broken = forecast_tree(tree.path(), Engine::V2_8, true).cost.breaks.len();
    assert!(broken > 3, "{broken}");
}

#[test]
fn every_collector_deletes_a_layer_referenced_by_sha512() {
    for engine in [Engine::V2_8, Engine::V3] {
        for delete_untagged in [false, true] {
            let tree = trees::unpack(SHA512_ALIAS);
            let seen = forecast_tree(tree.path(), engine, delete_untagged);
            assert_eq!(seen.forecast.blobs.len(), 1, "{engine:?} {delete_untagged}");
            assert_eq!(seen.cost.breaks.len(), 1, "{engine:?} {delete_untagged}");
        }
    }
}

#[test]
fn collector_of_2_8_empties_a_cache_and_that_of_3_stops() {
    let tree = trees::unpack(PULL_THROUGH);
    let emptied = forecast_tree(tree.path(), Engine::V2_8, false);
    assert!(!emptied.forecast.blobs.is_empty());
    let stopped = forecast_tree(tree.path(), Engine::V3, false).forecast.would_abort.unwrap();
    assert!(stopped.path.ends_with("/_layers"), "{stopped:?}");
}

#[test]
fn sparse_index_stops_no_collector_and_costs_no_tag() {
    let tree = trees::unpack(SPARSE_INDEX);
    for engine in [Engine::V2_8, Engine::V3] {
        let seen = forecast_tree(tree.path(), engine, false);
        assert!(seen.cost.breaks.is_empty(), "{engine:?}: {:?}", seen.cost);
    }
}
