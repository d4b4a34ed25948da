//! What can be put back, what cannot, and in which order.

use futures::executor::block_on;
use registry_core::retention::{Action, DeletionHistory, Plan, Policy, RowUndoState, Unneeded, undo};

use crate::effects::{outcomes, planned, run};
use crate::model::{Model, Server};
use crate::support::{Maker, keep, now};

fn window() -> Policy {
    let mut policy = keep(1);
    (policy.untagged, policy.undo_window) = (Unneeded::Prune, true);
    policy
}

fn doomed(maker: &Maker, plan: &Plan) -> String {
    let rows = plan.packages[0].versions.iter().filter(|row| row.action == Action::Delete);
    let line = |row: &registry_core::retention::PlannedRow| format!("{} {:?}", row.version, row.undoable);
    maker.named(&rows.map(line).collect::<Vec<_>>().join("\n"))
}

/// The window puts children under their digests anew: a row that it made is not one that moved, and is not pruned.
#[test]
fn the_undo_window_holds_children_that_would_be_pruned() {
    let mut maker = Maker::new();
    maker.multi("v1", 300);
    maker.multi("v2", 200);
    let loose = maker.image("loose");
    maker.digest_row(loose, 300);
    let model = Model::of(&maker);
    let plan = planned(&model, &window());
    insta::assert_snapshot!(doomed(&maker, &plan), @"
    <loose> Some(false)
    v1 Some(true)
    ");
    let server = Server::new(model.clone(), now(), None);
    let (applied, lines) = run(&server, &plan);
    insta::assert_snapshot!(maker.named(&outcomes(&applied)), @"
    Deleted v1
    Deleted <loose>
    ");
    block_on(undo(&server, &DeletionHistory::read(&lines.text).unwrap()));
    assert_eq!(server.model.into_inner().unwrap().tags(), model.tags());
}

#[test]
fn a_broken_image_does_not_stop_the_undo_window() {
    let mut maker = Maker::new();
    maker.multi("v0", 400);
    let lost = maker.image("v0/arm64");
    maker.lose(lost);
    maker.single("v1", 300);
    maker.single("v2", 200);
    let model = Model::of(&maker);
    let plan = planned(&model, &window());
    insta::assert_snapshot!(doomed(&maker, &plan), @"
    v1 Some(true)
    v0 Some(false)
    ");
    let (applied, _) = run(&Server::new(model, now(), None), &plan);
    insta::assert_snapshot!(maker.named(&outcomes(&applied)), @"
    Deleted v0
    Deleted v1
    ");
}

#[test]
fn tags_of_one_second_are_put_back_in_the_order_they_were_pushed() {
    let mut maker = Maker::new();
    for tag in ["b", "a", "d", "c"] {
        maker.multi(tag, 300);
    }
    maker.multi("e", 200);
    let plan = planned(&Model::of(&maker), &keep(1));
    let server = Server::new(Model::of(&maker), now(), None);
    let (_, lines) = run(&server, &plan);
    let undone = block_on(undo(&server, &DeletionHistory::read(&lines.text).unwrap()));
    assert!(undone.iter().all(|one| one.state == RowUndoState::Restored), "{undone:?}");
    assert_eq!(undone.iter().map(|one| &*one.version).collect::<Vec<_>>(), ["b", "a", "d", "c"]);
}

/// An index that names a leaf both itself and through another index: whatever is put back first must find its children.
#[test]
fn what_two_indexes_share_is_put_back_before_both() {
    let mut maker = Maker::new();
    let leaf = maker.image("leaf");
    maker.digest_row(leaf, 300);
    for (tag, turned) in [("v1", false), ("v2", true)] {
        let inner = maker.index(&format!("{tag}/inner"), &[leaf]);
        maker.digest_row(inner, 300);
        let mut children = [inner, leaf];
        if turned {
            children.reverse();
        }
        let outer = maker.index(&format!("{tag}/outer"), &children);
        maker.tag(tag, outer, 290);
    }
    maker.single("v3", 100);
    let mut policy = keep(1);
    policy.untagged = Unneeded::Leave;
    let before = Model::of(&maker);
    let plan = planned(&before, &policy);
    let server = Server::new(before.clone(), now(), None);
    let (_, lines) = run(&server, &plan);
    // The collector takes inner indexes, which nothing tagged names any more.
    server.model.lock().unwrap().rows.retain(|version, row| !version.contains(':') || row.digest == leaf);
    let undone = block_on(undo(&server, &DeletionHistory::read(&lines.text).unwrap()));
    assert!(undone.iter().all(|one| one.state == RowUndoState::Restored), "{undone:?}");
    assert_eq!(server.model.into_inner().unwrap().tags(), before.tags());
}

/// A child that many tags share is asked for once, not once for each of them.
#[test]
fn an_undo_asks_for_shared_children_once() {
    let mut maker = Maker::new();
    let children: Vec<_> = (0..30).map(|number| maker.image(&format!("child {number}"))).collect();
    children.iter().for_each(|child| maker.digest_row(*child, 500));
    for number in 0..30 {
        let own = maker.image(&format!("own {number}"));
        maker.digest_row(own, 400);
        let all: Vec<_> = children.iter().copied().chain([own]).collect();
        let index = maker.index(&format!("index {number}"), &all);
        maker.tag(&format!("v{number}"), index, 400 - number);
    }
    let plan = planned(&Model::of(&maker), &keep(1));
    let server = Server::new(Model::of(&maker), now(), None);
    let (_, lines) = run(&server, &plan);
    let before = server.asked.lock().unwrap().0;
    let undone = block_on(undo(&server, &DeletionHistory::read(&lines.text).unwrap()));
    assert!(undone.iter().all(|one| one.state == RowUndoState::Restored), "{undone:?}");
    // For each tag: its row, its own child, its PUT, its new row.
    assert_eq!(server.asked.lock().unwrap().0 - before, 4 * undone.len() + children.len());
}
