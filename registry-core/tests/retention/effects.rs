//! Acting on plans: laws L1, L2, L4 and L8 on a server in memory, and what stops an apply.

use futures::executor::block_on;
use jiff::ToSpan as _;
use proptest::prelude::*;
use registry_core::retention::{
    Action, Applied, Collecting, DeletionHistory, Plan, Policy, RowOutcome, RowUndoState, Source, SourceKind,
    Stopped, apply, collect, plan, undo,
};

use crate::laws::{build, policy, push};
use crate::model::{Lines, Model, ModelRow, Server};
use crate::support::{Maker, keep, now};
use crate::verified::verified;

pub fn how() -> Collecting<'static> {
    Collecting { in_flight: 4, cache: None, built_at: false, only: &[] }
}

pub fn source() -> Source {
    let (url, owner) = ("https://git.example.org".to_owned(), Some("team".to_owned()));
    Source { kind: SourceKind::Forgejo, url, owner, version: None }
}

pub fn planned(model: &Model, policy: &Policy) -> Plan {
    let server = Server::new(model.clone(), now(), None);
    let record = block_on(collect(&server, source(), &how(), now())).unwrap();
    plan(record.source.clone(), record.packages(), policy, now(), "0.1.0")
}

pub fn run(server: &Server, plan: &Plan) -> (Applied, Lines) {
    let mut lines = Lines::default();
    let applied = block_on(apply(server, verified(plan), &how(), &mut lines, now()));
    (applied, lines)
}

/// Every tag that was to stay is there, and as pullable as it was.
fn assert_kept(plan: &Plan, before: &Model, after: &Model) -> Result<(), TestCaseError> {
    let (before, after) = (before.tags(), after.tags());
    for row in plan.packages.iter().flat_map(|package| &package.versions) {
        if row.action != Action::Delete && !row.version.contains(':') {
            prop_assert_eq!(after.get(&row.version), before.get(&row.version), "{}", row.version);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// L1: whatever request is the last one answered, kept tags are as they were; also after the collector ran.
    #[test]
    fn every_prefix_of_an_apply_keeps_what_is_kept(pushes in prop::collection::vec(push(), 0..25), policy in policy()) {
        let model = Model::of(&build(&pushes));
        let plan = planned(&model, &policy);
        if plan.summary.versions_deleted == 0 {
            return Ok(());
        }
        let whole = Server::new(model.clone(), now(), None);
        let (applied, _) = run(&whole, &plan);
        prop_assert_eq!(&applied.stopped, &None);
        let requests = whole.asked.lock().unwrap().0;
        // What the collector takes of its own accord is not held against the run.
        // Nested indexes are left out: Forgejo refuses them (`services/packages/container/manifest.go @ v15.0.3`), and its
        // collector does not look below the first level.
        let has_nested = model.has_nested();
        let later = now() + 25.hours();
        let mut untouched = model.clone();
        untouched.collect(later);
        for last in 0..=requests {
            let server = Server::new(model.clone(), now(), Some(last));
            run(&server, &plan);
            let mut after = server.model.into_inner().unwrap();
            assert_kept(&plan, &model, &after)?;
            if has_nested {
                continue;
            }
            after.collect(later);
            assert_kept(&plan, &untouched, &after)?;
        }
    }

    /// Deletions that fail hold back all that they need.
    #[test]
    fn what_cannot_be_deleted_keeps_its_children(pushes in prop::collection::vec(push(), 0..25), policy in policy(), which in any::<prop::sample::Index>()) {
        let model = Model::of(&build(&pushes));
        let plan = planned(&model, &policy);
        let rows = plan.packages.iter().flat_map(|package| &package.versions);
        let doomed: Vec<_> = rows.filter(|row| row.action == Action::Delete).collect();
        if doomed.is_empty() {
            return Ok(());
        }
        let stubborn = which.get(&doomed);
        let mut server = Server::new(model.clone(), now(), None);
        server.stubborn.insert(stubborn.version.clone());
        run(&server, &plan);
        let after = server.model.into_inner().unwrap();
        let digest = stubborn.digest.unwrap();
        prop_assert!(after.is_pullable(&digest) || !model.is_pullable(&digest));
    }

    /// L8: after an undo right after, what was called undoable is back, and as pullable as before.
    #[test]
    fn what_is_called_undoable_can_be_put_back(pushes in prop::collection::vec(push(), 0..25), policy in policy(), window in any::<bool>()) {
        let mut policy = policy;
        policy.undo_window = window;
        let model = Model::of(&build(&pushes));
        let plan = planned(&model, &policy);
        let server = Server::new(model.clone(), now(), None);
        let (_, lines) = run(&server, &plan);
        block_on(undo(&server, &DeletionHistory::read(&lines.text).unwrap()));
        let (before, after) = (model.tags(), server.model.into_inner().unwrap().tags());
        for row in plan.packages.iter().flat_map(|package| &package.versions) {
            if !row.version.contains(':') && row.undoable != Some(false) {
                let (was, is) = (before.get(&row.version), after.get(&row.version));
                prop_assert_eq!(was, is, "{}", row.version);
            }
        }
    }

    /// L4: a plan does not depend on how many questions were asked at once.
    #[test]
    fn a_plan_does_not_depend_on_how_it_was_read(pushes in prop::collection::vec(push(), 0..25), policy in policy(), in_flight in 1_usize..9) {
        let model = Model::of(&build(&pushes));
        let one = planned(&model, &policy);
        let server = Server::new(model, now(), None);
        let how = Collecting { in_flight, ..how() };
        let record = block_on(collect(&server, source(), &how, now())).unwrap();
        prop_assert_eq!(plan(record.source.clone(), record.packages(), &policy, now(), "0.1.0"), one);
        prop_assert_eq!(server.asked.lock().unwrap().1, 0);
    }

    /// L2: whatever questions get no answer, nothing goes where the picture is not whole.
    #[test]
    fn what_could_not_be_read_is_never_deleted(pushes in prop::collection::vec(push(), 0..25), policy in policy(), last in 0_usize..60) {
        let model = Model::of(&build(&pushes));
        let server = Server::new(model.clone(), now(), Some(last));
        let whole = planned(&model, &policy);
        let Ok(record) = block_on(collect(&server, source(), &how(), now())) else { return Ok(()) };
        let partial = plan(record.source.clone(), record.packages(), &policy, now(), "0.1.0");
        if partial != whole {
            prop_assert_eq!(partial.summary.versions_deleted, 0);
        }
    }
}

pub fn outcomes(applied: &Applied) -> String {
    let lines = applied.rows.iter().map(|row| {
        let why = row.reason.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        format!("{:?} {}{why}", row.outcome, row.version)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_tag_pushed_again_after_the_plan_stops_its_package() {
    let maker = Maker::multis(3);
    let model = Model::of(&maker);
    let plan = planned(&model, &keep(1));
    let server = Server::new(model, now(), None);
    server.model.lock().unwrap().rows.get_mut("v1").unwrap().id = 777;
    let (applied, _) = run(&server, &plan);
    insta::assert_snapshot!(maker.named(&outcomes(&applied)), @"
    Stopped v2: v1 is new and needs <v1/index>
    Stopped v1: v1 is new and needs <v1/index>
    ");
    assert!(server.model.into_inner().unwrap().rows.contains_key("v1"));
}

#[test]
fn a_tag_moved_after_the_plan_is_spared_alone() {
    let mut maker = Maker::multis(3);
    let model = Model::of(&maker);
    let plan = planned(&model, &keep(1));
    let other = maker.single("other", 0);
    let mut model = Model::of(&maker);
    model.rows.remove("other");
    model.rows.insert("v1".into(), ModelRow { id: 777, at: now(), digest: other });
    let server = Server::new(model, now(), None);
    let (applied, _) = run(&server, &plan);
    insta::assert_snapshot!(maker.named(&outcomes(&applied)), @"
    Spared v1: v1 was pushed again since it was planned
    Deleted v2
    ");
}

#[test]
fn a_new_index_that_needs_what_goes_stops_the_package() {
    let mut maker = Maker::new();
    let old = maker.single("v1", 300);
    maker.single("v2", 200);
    let plan = planned(&Model::of(&maker), &keep(1));
    let index = maker.index("new", &[old]);
    maker.tag("v3", index, 0);
    let (applied, _) = run(&Server::new(Model::of(&maker), now(), None), &plan);
    insta::assert_snapshot!(maker.named(&outcomes(&applied)), @"Stopped v1: v3 is new and needs <v1/image>");
}

#[test]
fn a_full_disk_under_the_journal_stops_before_the_delete() {
    let model = Model::of(&Maker::multis(3));
    let plan = planned(&model, &keep(1));
    for room in 0..12 {
        let server = Server::new(model.clone(), now(), None);
        let mut lines = Lines { room: Some(room), ..Lines::default() };
        let applied = block_on(apply(&server, verified(&plan), &how(), &mut lines, now()));
        let after = server.model.into_inner().unwrap();
        for row in applied.rows.iter().filter(|row| row.outcome == RowOutcome::Stopped) {
            assert!(after.rows.contains_key(&row.version), "{} went with room for {room} lines", row.version);
        }
        for version in model.rows.keys().filter(|version| !after.rows.contains_key(*version)) {
            assert!(lines.text.contains(&format!("\"version\":\"{version}\"")), "{version} went unwritten");
        }
    }
}

#[test]
fn a_single_image_is_final_and_said_to_be_so() {
    let mut maker = Maker::new();
    maker.single("v1", 300);
    maker.single("v2", 200);
    let plan = planned(&Model::of(&maker), &keep(1));
    assert_eq!(plan.packages[0].versions[1].undoable, Some(false));
    let server = Server::new(Model::of(&maker), now(), None);
    let (_, lines) = run(&server, &plan);
    let undone = block_on(undo(&server, &DeletionHistory::read(&lines.text).unwrap()));
    assert_eq!(undone[0].state, RowUndoState::Lost("404 BLOB_UNKNOWN".into()));
}

#[test]
fn an_undo_leaves_alone_what_was_pushed_meanwhile() {
    let mut maker = Maker::multis(2);
    let plan = planned(&Model::of(&maker), &keep(1));
    let server = Server::new(Model::of(&maker), now(), None);
    let (_, lines) = run(&server, &plan);
    let row = ModelRow { id: 777, at: now(), digest: maker.image("v2/arm64") };
    server.model.lock().unwrap().rows.insert("v1".into(), row);
    let undone = block_on(undo(&server, &DeletionHistory::read(&lines.text).unwrap()));
    assert_eq!(undone[0].state, RowUndoState::Taken);
}

#[test]
fn a_torn_last_line_of_a_journal_is_understood() {
    let model = Model::of(&Maker::multis(2));
    let plan = planned(&model, &keep(1));
    let (_, lines) = run(&Server::new(model, now(), None), &plan);
    let whole = DeletionHistory::read(&lines.text).unwrap();
    for cut in 1..lines.text.lines().last().unwrap().len() {
        let told = DeletionHistory::read(&lines.text[..lines.text.len() - 1 - cut]).unwrap();
        assert!(told.is_torn && told.entries.len() + 1 == whole.entries.len());
    }
    insta::assert_snapshot!(DeletionHistory::read("{}").unwrap_err(), @r#"it does not begin as a journal of schema "registry-retention/journal/1""#);
    insta::assert_snapshot!(DeletionHistory::read("{\"x\":1}\n{}\n").unwrap_err(), @"line 1 is no entry of a journal");
}

#[test]
fn credentials_that_may_not_delete_stop_the_run_at_once() {
    let model = Model::of(&Maker::multis(4));
    let plan = planned(&model, &keep(1));
    let mut server = Server::new(model, now(), None);
    server.is_forbidden = true;
    let (applied, _) = run(&server, &plan);
    assert_eq!(applied.stopped, Some(Stopped::Forbidden("403: you must change your password".into())));
    assert_eq!(server.asked.lock().unwrap().1, 1, "one DELETE, and no other");
}
