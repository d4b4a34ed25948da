//! Undo: what is restored, and what is lost.

use registry_core::retention::{self as core, DeletionHistory, RankBy, RowUndoState};
use registry_fixtures::Digest;
use registry_fixtures::registry::{Profile, Quirks, Server, image_of};

use super::{BOTH, MemoryJournal, applied, assert_whole, block_on, builds, planned_by, source};

#[test]
fn law_8_undo_restores_everything() {
    for profile in BOTH {
        let server = Server::start(builds(profile));
        let tags = |server: &Server| {
            let world = server.world();
            let named = |tag: String| (world.digest_of_tag("app", &tag).map(str::to_owned), tag);
            world.tags_of("app").into_iter().map(named).collect::<Vec<_>>()
        };
        let before = tags(&server);
        let plan = block_on(planned_by(&source(&server), 1, RankBy::Semver)).expect("a plan");
        assert!(plan.packages.iter().flat_map(|one| &one.versions).all(|row| row.undoable != Some(false)));
        let mut journal = MemoryJournal::default();
        let done = block_on(applied(source(&server), &plan, &mut journal));
        assert_eq!(done.stopped, None);
        let history = DeletionHistory::read(journal.text()).expect("a journal");
        let undone = block_on(core::undo(&source(&server).arm(), &history));
        assert!(undone.iter().all(|row| row.state == RowUndoState::Restored), "{undone:?}");
        assert_eq!(tags(&server), before, "{profile:?}");
        assert_whole(&server);
        let again = block_on(core::undo(&source(&server).arm(), &history));
        assert!(again.iter().all(|row| row.state == RowUndoState::Back), "{again:?}");
    }
}

// https://github.com/google/go-containerregistry/issues/1579: every row was called lost although the manifests were there,
// because the 404 of a HEAD was not believed.
#[test]
fn bug_undo_restores_rows_where_head_answers_less_than_get() {
    for quirks in [Quirks::CRANE, Quirks::of_head(404), Quirks::of_head(405), Quirks::of_head(501)] {
        let server = Server::start(builds(Profile::V3).answering(quirks));
        let before = server.world().tags_of("app");
        let plan = block_on(planned_by(&source(&server), 1, RankBy::Semver)).expect("a plan");
        let mut journal = MemoryJournal::default();
        let done = block_on(applied(source(&server), &plan, &mut journal));
        assert_eq!(
            (done.stopped.clone(), done.count(core::RowOutcome::Deleted)),
            (None, done.rows.len()),
            "{quirks:?}"
        );
        assert!(!done.rows.is_empty());
        let history = DeletionHistory::read(journal.text()).expect("a journal");
        let undone = block_on(core::undo(&source(&server).arm(), &history));
        assert!(undone.iter().all(|row| row.state == RowUndoState::Restored), "{quirks:?}: {undone:?}");
        assert_eq!(server.world().tags_of("app"), before, "{quirks:?}");
        assert_whole(&server);
    }
}

#[test]
fn undo_after_a_collection_reports_what_is_lost() {
    for profile in BOTH {
        let server = Server::start(builds(profile));
        let plan = block_on(planned_by(&source(&server), 1, RankBy::Semver)).expect("a plan");
        let mut journal = MemoryJournal::default();
        block_on(applied(source(&server), &plan, &mut journal));
        // The layer of one build is lost, and another tag was pushed again since.
        let (manifest, parts) = image_of("amd64 1", None);
        let layer = Digest::of(&parts[1]);
        let child = Digest::of(&manifest);
        {
            let mut world = server.world();
            world.remove_bytes(layer.as_str());
            if world.has_manifest("app", child.as_str()) {
                world.unlink_manifest("app", child.as_str());
            }
            world.push_image("app", Some("1.3.0"), "another");
        }
        let history = DeletionHistory::read(journal.text()).expect("a journal");
        let undone = block_on(core::undo(&source(&server).arm(), &history));
        let state = |version: &str| {
            let row = undone.iter().find(|row| row.version == version).expect("a row");
            row.state.clone()
        };
        let RowUndoState::Lost(why) = state("1.1.0") else { panic!("{undone:?}") };
        assert!(why.contains("MANIFEST_BLOB_UNKNOWN"), "{why}");
        assert_eq!(
            (state("1.3.0"), state("1.2.0")),
            (RowUndoState::Taken, RowUndoState::Restored),
            "{profile:?}"
        );
        assert!(server.world().is_pullable("app", "1.2.0"));
    }
}
