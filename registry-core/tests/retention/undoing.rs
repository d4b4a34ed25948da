//! Undo: what can be restored, what cannot, and in which order.

use registry_core::retention::{Action, Plan, Policy, RowUndoState, UnneededAction};

use crate::effects::{outcomes, planned, run, undo_run};
use crate::model::{Model, Server};
use crate::support::{PackageBuilder, keep};

fn policy_with_undo_window() -> Policy {
    let mut policy = keep(1);
    (policy.untagged, policy.undo_window) = (UnneededAction::Prune, true);
    policy
}

/// The rows that a plan deletes, with whether each is undoable.
fn deleted_rows(builder: &PackageBuilder, plan: &Plan) -> String {
    let rows = plan.packages[0].versions.iter().filter(|row| row.action == Action::Delete);
    let line = |row: &registry_core::retention::PlannedRow| format!("{} {:?}", row.version, row.undoable);
    builder.name_digests(&rows.map(line).collect::<Vec<_>>().join("\n"))
}

/// The undo window puts children under their digests again. Such a row does not count as moved, and is not pruned.
#[test]
fn undo_window_holds_children_that_would_be_pruned() {
    let mut builder = PackageBuilder::new();
    builder.push_index("v1", 300);
    builder.push_index("v2", 200);
    let loose = builder.image("loose");
    builder.digest_row(loose, 300);
    let model = Model::from_builder(&builder);
    let plan = planned(&model, &policy_with_undo_window());
    insta::assert_snapshot!(deleted_rows(&builder, &plan), @"
    <loose> Some(false)
    v1 Some(true)
    ");
    let server = Server::new(model.clone());
    let (applied, lines) = run(&server, &plan);
    insta::assert_snapshot!(builder.name_digests(&outcomes(&applied)), @"
    Deleted v1
    Deleted <loose>
    ");
    undo_run(&server, &lines);
    assert_eq!(server.model.into_inner().unwrap().tags(), model.tags());
}

#[test]
fn broken_image_does_not_stop_the_undo_window() {
    let mut builder = PackageBuilder::new();
    builder.push_index("v0", 400);
    let lost = builder.image("v0/arm64");
    builder.lose(lost);
    builder.push_image("v1", 300);
    builder.push_image("v2", 200);
    let model = Model::from_builder(&builder);
    let plan = planned(&model, &policy_with_undo_window());
    insta::assert_snapshot!(deleted_rows(&builder, &plan), @"
    v1 Some(true)
    v0 Some(false)
    ");
    let (applied, _) = run(&Server::new(model), &plan);
    insta::assert_snapshot!(builder.name_digests(&outcomes(&applied)), @"
    Deleted v0
    Deleted v1
    ");
}

#[test]
fn undo_restores_tags_of_one_second_in_push_order() {
    let mut builder = PackageBuilder::new();
    for tag in ["b", "a", "d", "c"] {
        builder.push_index(tag, 300);
    }
    builder.push_index("e", 200);
    let plan = planned(&Model::from_builder(&builder), &keep(1));
    let server = Server::new(Model::from_builder(&builder));
    let (_, lines) = run(&server, &plan);
    let undone = undo_run(&server, &lines);
    assert!(undone.iter().all(|one| one.state == RowUndoState::Restored), "{undone:?}");
    assert_eq!(undone.iter().map(|one| &*one.version).collect::<Vec<_>>(), ["b", "a", "d", "c"]);
}

/// The indexes name a leaf both directly and through another index; whatever is restored first must find its children.
#[test]
fn undo_restores_shared_children_before_their_indexes() {
    let mut builder = PackageBuilder::new();
    let leaf = builder.image("leaf");
    builder.digest_row(leaf, 300);
    for (tag, turned) in [("v1", false), ("v2", true)] {
        let inner = builder.index(&format!("{tag}/inner"), &[leaf]);
        builder.digest_row(inner, 300);
        let mut children = [inner, leaf];
        if turned {
            children.reverse();
        }
        let outer = builder.index(&format!("{tag}/outer"), &children);
        builder.tag(tag, outer, 290);
    }
    builder.push_image("v3", 100);
    let mut policy = keep(1);
    policy.untagged = UnneededAction::Leave;
    let before = Model::from_builder(&builder);
    let plan = planned(&before, &policy);
    let server = Server::new(before.clone());
    let (_, lines) = run(&server, &plan);
    // The collector deletes the inner indexes, which no tagged index names any more.
    server.model.lock().unwrap().rows.retain(|version, row| !version.contains(':') || row.digest == leaf);
    let undone = undo_run(&server, &lines);
    assert!(undone.iter().all(|one| one.state == RowUndoState::Restored), "{undone:?}");
    assert_eq!(server.model.into_inner().unwrap().tags(), before.tags());
}

#[test]
fn undo_requests_shared_children_once() {
    let mut builder = PackageBuilder::new();
    let children: Vec<_> = (0..30).map(|number| builder.image(&format!("child {number}"))).collect();
    children.iter().for_each(|child| builder.digest_row(*child, 500));
    for number in 0..30 {
        let own = builder.image(&format!("own {number}"));
        builder.digest_row(own, 400);
        let all: Vec<_> = children.iter().copied().chain([own]).collect();
        let index = builder.index(&format!("index {number}"), &all);
        builder.tag(&format!("v{number}"), index, 400 - number);
    }
    let plan = planned(&Model::from_builder(&builder), &keep(1));
    let server = Server::new(Model::from_builder(&builder));
    let (_, lines) = run(&server, &plan);
    let before = server.asked.lock().unwrap().0;
    let undone = undo_run(&server, &lines);
    assert!(undone.iter().all(|one| one.state == RowUndoState::Restored), "{undone:?}");
    // For each tag four requests: its row, its own child, its PUT, its new row.
    assert_eq!(server.asked.lock().unwrap().0 - before, 4 * undone.len() + children.len());
}
