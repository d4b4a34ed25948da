//! Trees that came out of real servers.

use registry_core::collector::Engine;
use registry_fixtures::trees::{self, PRISTINE, PULL_THROUGH, SHA512_ALIAS, SPARSE_INDEX};

use crate::support::{expected, files, look};

/// Counts that were taken from runs of the real programs.
fn counts(name: &str, engine: Engine, delete_untagged: bool) -> (usize, usize, usize) {
    let tree = trees::unpack(name);
    let seen = look(tree.path(), engine, delete_untagged);
    assert_eq!(seen.forecast.would_abort, None, "{name}");
    let gone = expected(&seen, &files(tree.path())).sure;
    let of = |part: &str| gone.iter().filter(|path| path.contains(part)).count();
    (of("/revisions/"), of("/index/"), of("blobs/"))
}

#[test]
fn the_pristine_tree() {
    assert_eq!(counts(PRISTINE, Engine::V2_8, false), (0, 0, 1));
    assert_eq!(counts(PRISTINE, Engine::V2_8, true), (16, 1, 34));
    assert_eq!(counts(PRISTINE, Engine::V3, false), (0, 0, 1));
    let tree = trees::unpack(PRISTINE);
    let seen = look(tree.path(), Engine::V3, true);
    assert_eq!(expected(&seen, &files(tree.path())).sure.len(), 18);
    // The children of tagged indexes.
    let broken = look(tree.path(), Engine::V2_8, true).cost.breaks.len();
    assert!(broken > 3, "{broken}");
}

#[test]
fn a_layer_by_sha512_goes_with_every_collector() {
    for engine in [Engine::V2_8, Engine::V3] {
        for delete_untagged in [false, true] {
            let tree = trees::unpack(SHA512_ALIAS);
            let seen = look(tree.path(), engine, delete_untagged);
            assert_eq!(seen.forecast.blobs.len(), 1, "{engine:?} {delete_untagged}");
            assert_eq!(seen.cost.breaks.len(), 1, "{engine:?} {delete_untagged}");
        }
    }
}

#[test]
fn a_cache_is_eaten_by_one_and_stops_the_other() {
    let tree = trees::unpack(PULL_THROUGH);
    let eaten = look(tree.path(), Engine::V2_8, false);
    assert!(!eaten.forecast.blobs.is_empty());
    let stopped = look(tree.path(), Engine::V3, false).forecast.would_abort.unwrap();
    assert!(stopped.path.ends_with("/_layers"), "{stopped:?}");
}

#[test]
fn a_sparse_index_stops_only_where_there_is_no_layers_folder() {
    let tree = trees::unpack(SPARSE_INDEX);
    for engine in [Engine::V2_8, Engine::V3] {
        let seen = look(tree.path(), engine, false);
        assert!(seen.cost.breaks.is_empty(), "{engine:?}: {:?}", seen.cost);
    }
}
