//! Applying plans: laws L1, L2, L4 and L8 on a server in memory, and what stops an apply.

use futures::executor::block_on;
use jiff::ToSpan as _;
use proptest::prelude::*;
use registry_core::retention::{
    Action, ApplyResult, CollectOptions, DeletionHistory, Plan, Policy, RowOutcome, RowUndoState, Source,
    SourceKind, Stopped, UndoneRow, apply, collect, plan, undo,
};

use crate::laws::{build, policy, push};
use crate::model::{MemoryJournal, Model, ModelRow, Server};
use crate::support::{PackageBuilder, keep, now};
use crate::verified::verified;

pub fn reading_options() -> CollectOptions<'static> {
    CollectOptions { in_flight: 4, cache: None, built_at: false, only: &[] }
}

pub fn source() -> Source {
    let (url, owner) = ("https://git.example.org".to_owned(), Some("team".to_owned()));
    Source { kind: SourceKind::Forgejo, url, owner, version: None }
}

pub fn planned(model: &Model, policy: &Policy) -> Plan {
    let server = Server::new(model.clone());
    let record = block_on(collect(&server, source(), &reading_options(), now())).unwrap();
    plan(record.source.clone(), record.packages(), policy, now(), "0.1.0")
}

/// Undoes a run by its journal.
pub fn undo_run(server: &Server, lines: &MemoryJournal) -> Vec<UndoneRow> {
    block_on(undo(server, &DeletionHistory::read(&lines.text).unwrap()))
}

/// Applies a plan.
pub fn run(server: &Server, plan: &Plan) -> (ApplyResult, MemoryJournal) {
    let mut lines = MemoryJournal::default();
    let applied = block_on(apply(server, verified(plan), &reading_options(), &mut lines, now()));
    (applied, lines)
}

/// Asserts that every tag that was to stay is there, and is pullable if it was before.
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

    /// L1: whichever request is the last that is answered, kept tags are as they were, also after the collector ran.
    #[test]
    fn apply_stopped_anywhere_leaves_kept_tags_intact(pushes in prop::collection::vec(push(), 0..25), policy in policy()) {
        let model = Model::from_builder(&build(&pushes));
        let plan = planned(&model, &policy);
        if plan.summary.versions_deleted == 0 {
            return Ok(());
        }
        let whole = Server::new(model.clone());
        let (applied, _) = run(&whole, &plan);
        prop_assert_eq!(&applied.stopped, &None);
        let requests = whole.asked.lock().unwrap().0;
        // What the collector would have taken without the run is not counted against the run.
        // Nested indexes are left out: Forgejo refuses them (`services/packages/container/manifest.go @ v15.0.3`), and its
        // collector does not look below the first level.
        let has_nested = model.has_nested_index();
        let later = now() + 25.hours();
        let mut untouched = model.clone();
        untouched.collect(later);
        for last in 0..=requests {
            let server = Server::with_requests(model.clone(), Some(last));
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

    /// A row whose deletion fails keeps everything that it needs.
    #[test]
    fn row_that_cannot_be_deleted_keeps_its_children(pushes in prop::collection::vec(push(), 0..25), policy in policy(), which in any::<prop::sample::Index>()) {
        let model = Model::from_builder(&build(&pushes));
        let plan = planned(&model, &policy);
        let rows = plan.packages.iter().flat_map(|package| &package.versions);
        let deleted: Vec<_> = rows.filter(|row| row.action == Action::Delete).collect();
        if deleted.is_empty() {
            return Ok(());
        }
        let failing_row = which.get(&deleted);
        let mut server = Server::new(model.clone());
        server.undeletable.insert(failing_row.version.clone());
        run(&server, &plan);
        let after = server.model.into_inner().unwrap();
        let digest = failing_row.digest.unwrap();
        prop_assert!(after.is_pullable(&digest) || !model.is_pullable(&digest));
    }

    /// L8: an undo right after the run restores every tag that was called undoable, as pullable as before.
    #[test]
    fn undo_restores_everything_called_undoable(pushes in prop::collection::vec(push(), 0..25), policy in policy(), window in any::<bool>()) {
        let mut policy = policy;
        policy.undo_window = window;
        let model = Model::from_builder(&build(&pushes));
        let plan = planned(&model, &policy);
        let server = Server::new(model.clone());
        let (_, lines) = run(&server, &plan);
        undo_run(&server, &lines);
        let (before, after) = (model.tags(), server.model.into_inner().unwrap().tags());
        for row in plan.packages.iter().flat_map(|package| &package.versions) {
            if !row.version.contains(':') && row.undoable != Some(false) {
                let (was, is) = (before.get(&row.version), after.get(&row.version));
                prop_assert_eq!(was, is, "{}", row.version);
            }
        }
    }

    /// L4: a plan does not depend on how many requests were in flight at once.
    #[test]
    fn plan_does_not_depend_on_the_concurrency_of_reading(pushes in prop::collection::vec(push(), 0..25), policy in policy(), in_flight in 1_usize..9) {
        let model = Model::from_builder(&build(&pushes));
        let one = planned(&model, &policy);
        let server = Server::new(model);
        let options = CollectOptions { in_flight, ..reading_options() };
        let record = block_on(collect(&server, source(), &options, now())).unwrap();
        prop_assert_eq!(plan(record.source.clone(), record.packages(), &policy, now(), "0.1.0"), one);
        prop_assert_eq!(server.asked.lock().unwrap().1, 0);
    }

    /// L2: whichever requests get no answer, an incomplete reading deletes nothing.
    #[test]
    fn incomplete_reading_deletes_nothing(pushes in prop::collection::vec(push(), 0..25), policy in policy(), last in 0_usize..60) {
        let model = Model::from_builder(&build(&pushes));
        let server = Server::with_requests(model.clone(), Some(last));
        let whole = planned(&model, &policy);
        let Ok(record) = block_on(collect(&server, source(), &reading_options(), now())) else { return Ok(()) };
        let partial = plan(record.source.clone(), record.packages(), &policy, now(), "0.1.0");
        if partial != whole {
            prop_assert_eq!(partial.summary.versions_deleted, 0);
        }
    }
}

/// The outcome of each row, one per line.
pub fn outcomes(applied: &ApplyResult) -> String {
    let lines = applied.rows.iter().map(|row| {
        let why = row.reason.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        format!("{:?} {}{why}", row.outcome, row.version)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn tag_pushed_again_after_the_plan_stops_its_package() {
    let builder = PackageBuilder::with_indexes(3);
    let model = Model::from_builder(&builder);
    let plan = planned(&model, &keep(1));
    let server = Server::new(model);
    server.model.lock().unwrap().rows.get_mut("v1").unwrap().id = 777;
    let (applied, _) = run(&server, &plan);
    insta::assert_snapshot!(builder.name_digests(&outcomes(&applied)), @"
    Stopped v2: v1 is new and needs <v1/index>
    Stopped v1: v1 is new and needs <v1/index>
    ");
    assert!(server.model.into_inner().unwrap().rows.contains_key("v1"));
}

#[test]
fn tag_moved_after_the_plan_is_spared_alone() {
    let mut builder = PackageBuilder::with_indexes(3);
    let model = Model::from_builder(&builder);
    let plan = planned(&model, &keep(1));
    let other = builder.push_image("other", 0);
    let mut model = Model::from_builder(&builder);
    model.rows.remove("other");
    model.rows.insert("v1".into(), ModelRow { id: 777, at: now(), digest: other });
    let server = Server::new(model);
    let (applied, _) = run(&server, &plan);
    insta::assert_snapshot!(builder.name_digests(&outcomes(&applied)), @"
    Spared v1: v1 was pushed again since it was planned
    Deleted v2
    ");
}

#[test]
fn new_index_over_a_doomed_manifest_stops_the_package() {
    let mut builder = PackageBuilder::new();
    let old = builder.push_image("v1", 300);
    builder.push_image("v2", 200);
    let plan = planned(&Model::from_builder(&builder), &keep(1));
    let index = builder.index("new", &[old]);
    builder.tag("v3", index, 0);
    let (applied, _) = run(&Server::new(Model::from_builder(&builder)), &plan);
    insta::assert_snapshot!(builder.name_digests(&outcomes(&applied)), @"Stopped v1: v3 is new and needs <v1/image>");
}

#[test]
fn full_disk_under_the_journal_stops_before_the_delete() {
    let model = Model::from_builder(&PackageBuilder::with_indexes(3));
    let plan = planned(&model, &keep(1));
    for room in 0..12 {
        let server = Server::new(model.clone());
        let mut lines = MemoryJournal { room: Some(room), ..MemoryJournal::default() };
        let applied = block_on(apply(&server, verified(&plan), &reading_options(), &mut lines, now()));
        let after = server.model.into_inner().unwrap();
        for row in applied.rows.iter().filter(|row| row.outcome == RowOutcome::Stopped) {
            assert!(
                after.rows.contains_key(&row.version),
                "{} was deleted with room for {room} lines",
                row.version
            );
        }
        for version in model.rows.keys().filter(|version| !after.rows.contains_key(*version)) {
            assert!(
                lines.text.contains(&format!("\"version\":\"{version}\"")),
                "{version} was deleted and is not in the journal"
            );
        }
    }
}

#[test]
fn image_without_undo_window_is_planned_as_not_undoable_and_is_lost() {
    let mut builder = PackageBuilder::new();
    builder.push_image("v1", 300);
    builder.push_image("v2", 200);
    let plan = planned(&Model::from_builder(&builder), &keep(1));
    assert_eq!(plan.packages[0].versions[1].undoable, Some(false));
    let server = Server::new(Model::from_builder(&builder));
    let (_, lines) = run(&server, &plan);
    let undone = undo_run(&server, &lines);
    assert_eq!(undone[0].state, RowUndoState::Lost("404 BLOB_UNKNOWN".into()));
}

#[test]
fn undo_leaves_a_tag_pushed_meanwhile() {
    let mut builder = PackageBuilder::with_indexes(2);
    let plan = planned(&Model::from_builder(&builder), &keep(1));
    let server = Server::new(Model::from_builder(&builder));
    let (_, lines) = run(&server, &plan);
    let row = ModelRow { id: 777, at: now(), digest: builder.image("v2/arm64") };
    server.model.lock().unwrap().rows.insert("v1".into(), row);
    let undone = undo_run(&server, &lines);
    assert_eq!(undone[0].state, RowUndoState::Taken);
}

#[test]
fn journal_with_torn_last_line_is_read() {
    let model = Model::from_builder(&PackageBuilder::with_indexes(2));
    let plan = planned(&model, &keep(1));
    let (_, lines) = run(&Server::new(model), &plan);
    let whole = DeletionHistory::read(&lines.text).unwrap();
    for cut in 1..lines.text.lines().last().unwrap().len() {
        let history = DeletionHistory::read(&lines.text[..lines.text.len() - 1 - cut]).unwrap();
        assert!(history.is_torn && history.entries.len() + 1 == whole.entries.len());
    }
    insta::assert_snapshot!(DeletionHistory::read("{}").unwrap_err(), @r#"it does not begin as a journal of schema "registry-retention/journal/1""#);
    insta::assert_snapshot!(DeletionHistory::read("{\"x\":1}\n{}\n").unwrap_err(), @"line 1 is no entry of a journal");
}

#[test]
fn credentials_without_delete_permission_stop_the_run_at_once() {
    let model = Model::from_builder(&PackageBuilder::with_indexes(4));
    let plan = planned(&model, &keep(1));
    let mut server = Server::new(model);
    server.is_forbidden = true;
    let (applied, _) = run(&server, &plan);
    assert_eq!(applied.stopped, Some(Stopped::Forbidden("403: you must change your password".into())));
    assert_eq!(server.asked.lock().unwrap().1, 1, "one DELETE, and no other");
}
