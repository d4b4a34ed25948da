//! Rows that an undo restored: their rank and hold, and the detection of pushes in the reverse order of builds.

use jiff::Timestamp;
use registry_core::oci::Digest;
use registry_core::retention::{
    Decision, PushTime, PushTimes, Record, RecordedPackage, RecordedVersion, Restored, RowUndoState,
    UndoneRow, UnneededAction,
};

use crate::effects::source;
use crate::support::{PackageBuilder, hours_ago, keep, now, sha};

/// Images pushed an hour apart, the last most recently; each was built so many hours ago.
fn built(hours: &[i64]) -> PackageBuilder {
    let mut builder = PackageBuilder::new();
    for (at, built) in hours.iter().enumerate() {
        let digest = builder.push_image(&format!("v{}", at + 1), i64::try_from(hours.len() - at).unwrap());
        let manifest = builder.package.intern(&digest);
        builder.package.set_built_at(manifest, Some(hours_ago(*built)));
    }
    builder
}

/// The notes of a decision, one per line.
fn notes(decision: &Decision) -> String {
    decision.notes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Seen on Forgejo 15.0.3: after an undo without push times the ten newest images would have been deleted.
#[test]
fn pushes_in_the_reverse_order_of_builds_are_refused() {
    // The image that was built last was pushed first.
    insta::assert_snapshot!(built(&[10, 20, 30, 40]).decision_text(&keep(2)), @"
    refused: 2 of 2 images that would go were built after 2026-11-23T01:00:00Z, and half of those that stay by rank were built before: were they pushed again in another order, by an undo, a restore or a copy?
    keep   v4: newest 1 of 2
    keep   v3: newest 2 of 2
    leave  v2: rank 3, beyond newest 2; spared: a guard refused this package
    leave  v1: rank 4, beyond newest 2; spared: a guard refused this package
    ");
    let mut accepted = keep(2);
    accepted.accept_push_order = true;
    let decision = built(&[10, 20, 30, 40]).decide(&accepted);
    assert_eq!((decision.not_planned.clone(), decision.images_deleted), (None, 2));
    insta::assert_snapshot!(notes(&decision), @"2 of 2 images that would go were built after 2026-11-23T01:00:00Z, and half of those that stay by rank were built before");
}

#[test]
fn few_images_out_of_build_order_are_noted_and_deleted() {
    // One cached rebuild, promotion or back-port: v2 was built after most of what stays.
    let decision = built(&[100, 10, 90, 80, 70, 30, 20, 15]).decide(&keep(3));
    assert_eq!((decision.not_planned.clone(), decision.images_deleted), (None, 5));
    insta::assert_snapshot!(notes(&decision), @"1 of 5 images that would go were built after 2026-11-23T16:00:00Z, and half of those that stay by rank were built before");
    // There is no note for pushes in build order, nor without known dates.
    for mut builder in [built(&[40, 30, 20, 10]), built(&[])] {
        assert_eq!(builder.decide(&keep(2)).notes, []);
    }
    let mut unknown = PackageBuilder::new();
    (1..=4).for_each(|hours| _ = unknown.push_image(&format!("v{hours}"), hours));
    let decision = unknown.decide(&keep(2));
    assert_eq!((decision.not_planned.clone(), decision.notes.len(), decision.images_deleted), (None, 0, 2));
}

#[test]
fn restored_rows_are_held_and_take_no_place_of_newer_images() {
    let mut builder = PackageBuilder::new();
    for hours in [400, 300, 200, 100] {
        builder.push_image(&format!("v{hours}"), hours);
    }
    let loose = builder.image("loose");
    builder.digest_row(loose, 500);
    let restored = Restored { at: hours_ago(100), first_id: Some(1) };
    builder.package.set_restored("v400", restored);
    builder.package.set_restored(&loose.to_string(), restored);
    let mut policy = keep(2);
    policy.untagged = UnneededAction::Prune;
    insta::assert_snapshot!(builder.decision_text(&policy), @"
    keep   v100: newest 1 of 2
    keep   v200: newest 2 of 2
    delete v300: rank 3, beyond newest 2
    keep   v400: restored: an undo put it back at 2026-11-20T08:00:00Z
    leave  <loose>: no tag reaches it
    ");
    policy.hold = 99 * 3600;
    let decision = builder.decide(&policy);
    assert_eq!(decision.images_deleted, 2);
}

/// Rows of one second are ranked by their first ids.
#[test]
fn restored_row_keeps_its_rank_within_its_second() {
    let mut builder = PackageBuilder::new();
    for tag in ["v1", "v2", "v3"] {
        builder.push_image(tag, 300);
    }
    builder.package.rows.iter_mut().filter(|row| &*row.version == "v1").for_each(|row| row.id = Some(99));
    builder.package.set_restored("v1", Restored { at: hours_ago(300), first_id: Some(1) });
    insta::assert_snapshot!(builder.decision_text(&keep(2)), @"
    keep   v3: newest 1 of 2
    keep   v2: newest 2 of 2
    delete v1: rank 3, beyond newest 2
    ");
}

fn undone(version: &str, id: u64, created_at: Timestamp, state: RowUndoState, row: Option<u64>) -> UndoneRow {
    let (package, digest) = ("app".to_owned(), sha(version));
    let (id, created_at) = (Some(id), Some(created_at));
    UndoneRow { package, version: version.into(), digest, created_at, id, now: row, state }
}

fn record(rows: &[(&str, u64, Timestamp)]) -> Record {
    let version = |(version, id, at): &(&str, u64, Timestamp)| RecordedVersion {
        version: (*version).into(),
        id: Some(*id),
        created_at: Some(*at),
        digest: Some(sha(version)),
    };
    let versions = rows.iter().map(version).collect();
    let app = RecordedPackage { name: "app".into(), versions, ..RecordedPackage::default() };
    let schema = registry_core::retention::INVENTORY_SCHEMA.to_owned();
    Record { schema, recorded_at: now(), source: source(), packages: vec![app] }
}

/// When rows were pushed and which were restored, according to these push times.
fn seen(times: &PushTimes, rows: &[(&str, u64, Timestamp)]) -> String {
    let mut record = record(rows);
    times.restore_push_times(&mut record);
    let app = &record.packages[0];
    let line = |row: &RecordedVersion| {
        let hours = row.created_at.map(|at| (now().as_second() - at.as_second()) / 3600);
        let first = app.restored.get(&row.version).map(|restored| restored.first_id);
        format!("{}: pushed {hours:?} h ago, restored {first:?}", row.version)
    };
    app.versions.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn push_times_of_two_undos_merge_and_a_later_push_counts_as_new() {
    let none = PushTimes::default();
    let one = [undone("v1", 3, hours_ago(300), RowUndoState::Restored, Some(50))];
    let two = [undone("v2", 4, hours_ago(299), RowUndoState::Restored, Some(51))];
    let times = none.with_undone_rows(Some("Team"), &one, hours_ago(20)).with_undone_rows(
        Some("team"),
        &two,
        hours_ago(10),
    );
    // v1 was pushed again since: it has the same bytes and another id.
    insta::assert_snapshot!(seen(&times, &[("v1", 60, hours_ago(1)), ("v2", 51, hours_ago(10))]), @"
    v1: pushed Some(1) h ago, restored None
    v2: pushed Some(299) h ago, restored Some(Some(4))
    ");
    // Push times of another owner have no effect.
    let other = none.with_undone_rows(Some("other"), &one, hours_ago(20));
    insta::assert_snapshot!(seen(&other, &[("v1", 50, hours_ago(20))]), @"v1: pushed Some(20) h ago, restored None");
}

#[test]
fn row_restored_twice_keeps_its_first_push_time() {
    let first = [undone("v1", 3, hours_ago(300), RowUndoState::Restored, Some(50))];
    let times = PushTimes::default().with_undone_rows(Some("team"), &first, hours_ago(200));
    // The second run did not read the push times, so its journal has the time of the first undo.
    let second = [undone("v1", 50, hours_ago(200), RowUndoState::Restored, Some(70))];
    let times = times.with_undone_rows(Some("team"), &second, hours_ago(20));
    insta::assert_snapshot!(seen(&times, &[("v1", 70, hours_ago(20))]), @"v1: pushed Some(300) h ago, restored Some(Some(3))");
}

#[test]
fn push_times_of_an_interrupted_undo_are_kept() {
    let unknown = |row: Option<u64>, state| undone("v1", 3, hours_ago(300), state, row);
    let open = RowUndoState::Unknown("it was not tried yet".into());
    let before = PushTimes::default().with_undone_rows(Some("team"), &[unknown(None, open)], hours_ago(20));
    insta::assert_snapshot!(seen(&before, &[("v1", 50, hours_ago(20))]), @"v1: pushed Some(300) h ago, restored Some(Some(3))");
    // Days later the row counts as a new push.
    let earlier = RowUndoState::Unknown(String::new());
    let earlier =
        PushTimes::default().with_undone_rows(Some("team"), &[unknown(None, earlier)], hours_ago(90));
    insta::assert_snapshot!(seen(&earlier, &[("v1", 50, hours_ago(20))]), @"v1: pushed Some(20) h ago, restored None");
    // The next undo finds the row, and its id is known from then on.
    let after =
        before.with_undone_rows(Some("team"), &[unknown(Some(50), RowUndoState::Back)], hours_ago(19));
    assert_eq!(after.times[0].id, Some(50));
    // A row that could not be restored is not recorded.
    let lost = PushTimes::default().with_undone_rows(
        None,
        &[unknown(None, RowUndoState::Lost("gone".into()))],
        now(),
    );
    assert_eq!(lost.times, []);
}

#[test]
fn push_times_files_of_earlier_versions_are_read() {
    let old = |digest: Digest| {
        let text = format!(
            r#"{{"schema":"registry-retention/push-times/1","times":[{{"package":"app","version":"v1","digest":"{digest}","created_at":"{}"}}]}}"#,
            hours_ago(300)
        );
        PushTimes::read(&text).unwrap()
    };
    insta::assert_snapshot!(seen(&old(sha("v1")), &[("v1", 50, hours_ago(20))]), @"v1: pushed Some(300) h ago, restored Some(None)");
    insta::assert_snapshot!(seen(&old(sha("other")), &[("v1", 50, hours_ago(20))]), @"v1: pushed Some(20) h ago, restored None");
    // An undo by this version adds to the file.
    let rows = [undone("v2", 4, hours_ago(299), RowUndoState::Restored, Some(51))];
    let both = old(sha("v1")).with_undone_rows(Some("team"), &rows, now());
    assert_eq!(both.times.iter().map(|time| time.owner.as_deref()).collect::<Vec<_>>(), [None, Some("team")]);
    insta::assert_snapshot!(PushTimes::read(r#"{"schema":"x/1","times":[]}"#).unwrap_err(), @r#"its schema is "x/1", and "registry-retention/push-times/1" is needed"#);
}

#[test]
fn restored_rows_without_push_times_are_held_by_digest() {
    let rows =
        [UndoneRow { created_at: None, id: None, ..undone("v1", 0, now(), RowUndoState::Restored, None) }];
    let times = PushTimes::default().with_undone_rows(None, &rows, hours_ago(5));
    let expected = PushTime {
        owner: None,
        package: "app".into(),
        version: "v1".into(),
        digest: sha("v1"),
        created_at: None,
        first_id: None,
        id: None,
        restored_at: Some(hours_ago(5)),
    };
    assert_eq!(times.times, [expected]);
    let mut record = record(&[("v1", 1, now())]);
    record.source.owner = None;
    record.packages[0].versions.iter_mut().for_each(|row| (row.id, row.created_at) = (None, None));
    times.restore_push_times(&mut record);
    assert_eq!(record.packages[0].restored["v1"], Restored { at: hours_ago(5), first_id: None });
}
