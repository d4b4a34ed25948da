//! Changes on a server between plan and apply, or during apply.

use registry_core::retention::{Action, DeletionEntry, DeletionHistory, Stopped};

use crate::effects::{outcomes, planned, run, undo_run};
use crate::model::{Model, ModelRow, Server};
use crate::support::{PackageBuilder, fallback_tag, keep, now, signature_tag};

/// Applies a plan made from `builder` on a server that `arm` prepares; returns the outcomes, the stop and the server's state.
fn apply_with(
    builder: &PackageBuilder,
    keep_last: u32,
    arm: impl FnOnce(&mut Server),
) -> (String, Option<Stopped>, Model) {
    let model = Model::from_builder(builder);
    let plan = planned(&model, &keep(keep_last));
    let mut server = Server::new(model);
    arm(&mut server);
    let (applied, _) = run(&server, &plan);
    (builder.name_digests(&outcomes(&applied)), applied.stopped, server.model.into_inner().unwrap())
}

fn worse_text(builder: &PackageBuilder, stopped: Option<Stopped>) -> String {
    let Some(Stopped::Worse(why)) = stopped else { panic!("{stopped:?}") };
    builder.name_digests(&why.to_string())
}

/// Two tags on one old image, and two newer images.
fn with_two_tags() -> PackageBuilder {
    let mut builder = PackageBuilder::new();
    let old = builder.push_image("old", 400);
    builder.tag("older", old, 500);
    builder.push_image("v1", 200);
    builder.push_image("v2", 100);
    builder
}

#[test]
fn second_tag_that_moves_during_the_run_is_spared() {
    let mut builder = with_two_tags();
    let other = builder.image("other");
    let (rows, _, after) = apply_with(&builder, 2, |server| {
        let bytes = builder.bytes(&other).unwrap();
        server.events.push((
            1,
            Box::new(move |model| {
                model.bytes.insert(other, bytes.clone());
                model.rows.insert("older".into(), ModelRow { id: 777, at: now(), digest: other });
            }),
        ));
    });
    insta::assert_snapshot!(rows, @"
    Deleted old
    Spared older: older was pushed again since it was planned
    ");
    assert_eq!(after.rows["older"].id, 777);
}

#[test]
fn undo_does_not_restore_a_tag_that_moved() {
    let mut builder = with_two_tags();
    let old = builder.image("old/image");
    builder.tag("oldest", old, 600);
    let model = Model::from_builder(&builder);
    let plan = planned(&model, &keep(2));
    let mut server = Server::new(model);
    server.events.push((1, Box::new(|model| model.rows.get_mut("older").unwrap().id = 777)));
    let (applied, lines) = run(&server, &plan);
    insta::assert_snapshot!(outcomes(&applied), @"
    Deleted old
    Spared older: older was pushed again since it was planned
    Spared oldest: older was pushed again since it was planned
    ");
    let undone = undo_run(&server, &lines);
    assert_eq!(undone.iter().map(|one| &*one.version).collect::<Vec<_>>(), ["old"]);
}

#[test]
fn journal_saves_each_manifest_of_nested_indexes_once() {
    let mut builder = PackageBuilder::new();
    let mut inner = builder.image("leaf");
    builder.digest_row(inner, 500);
    for depth in 0..64 {
        inner = builder.index(&format!("depth {depth}"), &[inner, inner]);
        builder.digest_row(inner, 500);
    }
    builder.tag("deep", inner, 400);
    builder.push_image("v1", 100);
    let plan = planned(&Model::from_builder(&builder), &keep(1));
    let (_, lines) = run(&Server::new(Model::from_builder(&builder)), &plan);
    let history = DeletionHistory::read(&lines.text).unwrap();
    let saved: Vec<_> = history
        .entries
        .iter()
        .filter_map(
            |entry| if let DeletionEntry::Manifest { digest, .. } = entry { Some(*digest) } else { None },
        )
        .collect();
    assert_eq!(saved.len(), 65);
    assert_eq!(saved.last(), Some(&inner), "children before the indexes that name them");
}

#[test]
fn new_signature_of_a_doomed_image_stops_the_package() {
    let mut builder = PackageBuilder::with_images(2);
    let plan = planned(&Model::from_builder(&builder), &keep(1));
    let (subject, signature) = (builder.image("v1/image"), builder.image("signature"));
    builder.tag(&signature_tag(subject), signature, 0);
    let (applied, _) = run(&Server::new(Model::from_builder(&builder)), &plan);
    insta::assert_snapshot!(builder.name_digests(&outcomes(&applied)), @"Stopped v1: sha256-<v1/image>.sig is new and needs <v1/image>");
}

#[test]
fn kept_image_that_broke_before_the_apply_stops_the_package() {
    let mut builder = PackageBuilder::with_images(1);
    builder.push_index("v2", 50);
    let plan = planned(&Model::from_builder(&builder), &keep(1));
    let mut model = Model::from_builder(&builder);
    model.rows.remove(&builder.image("v2/arm64").to_string());
    let (applied, _) = run(&Server::new(model), &plan);
    insta::assert_snapshot!(builder.name_digests(&outcomes(&applied)), @"Stopped v1: v2 was whole when it was planned, and <v2/arm64> is gone since");
}

#[test]
fn kept_tag_deleted_by_another_cleaner_stops_the_package() {
    let builder = PackageBuilder::with_images(3);
    let plan = planned(&Model::from_builder(&builder), &keep(2));
    let mut model = Model::from_builder(&builder);
    model.rows.remove("v2");
    let (applied, _) = run(&Server::new(model), &plan);
    insta::assert_snapshot!(builder.name_digests(&outcomes(&applied)), @"Stopped v1: v2 was to stay and is gone since it was planned");
}

#[test]
fn kept_image_that_was_broken_all_along_stops_nothing() {
    let mut builder = PackageBuilder::with_images(2);
    builder.push_index("v3", 50);
    let lost = builder.image("v3/arm64");
    builder.lose(lost);
    let (rows, stopped, _) = apply_with(&builder, 1, |_| {});
    insta::assert_snapshot!(rows, @"Deleted v1");
    assert_eq!(stopped, None);
}

#[test]
fn kept_image_that_breaks_during_the_run_stops_it() {
    let mut builder = PackageBuilder::with_images(2);
    builder.push_index("v3", 50);
    let child = builder.image("v3/arm64");
    let lose = |version: String| {
        move |server: &mut Server| {
            server.events.push((1, Box::new(move |model| model.rows.retain(|row, _| *row != version))));
        }
    };
    let (_, stopped, _) = apply_with(&builder, 1, lose(child.to_string()));
    insta::assert_snapshot!(worse_text(&builder, stopped), @"app:v3 was whole before this run and is not now: <v3/arm64> does not answer");
    let (_, stopped, _) = apply_with(&builder, 1, lose("v3".into()));
    insta::assert_snapshot!(worse_text(&builder, stopped), @"app:v3 was whole before this run and is gone now");
}

#[test]
fn kept_tag_that_is_listed_and_answers_404_stops_the_run() {
    let builder = PackageBuilder::with_images(2);
    let kept = Model::from_builder(&builder).rows["v2"].digest;
    let (_, stopped, _) = apply_with(&builder, 1, |server| {
        server.events.push((1, Box::new(move |model| model.bytes.retain(|one, _| *one != kept))));
        server.has_records = false;
    });
    insta::assert_snapshot!(worse_text(&builder, stopped), @"app:v2 was whole before this run and is listed and does not answer now");
}

#[test]
fn kept_image_that_cannot_be_read_again_is_not_called_broken() {
    let builder = PackageBuilder::with_images(2);
    let kept = Model::from_builder(&builder).rows["v2"].digest;
    let (_, stopped, _) = apply_with(&builder, 1, |server| server.silent.extend([kept]));
    let Some(Stopped::Unread(why)) = stopped else { panic!("{stopped:?}") };
    insta::assert_snapshot!(builder.name_digests(&why.to_string()), @"app:v2 was whole before this run and could not be looked at again: tag v2: 502 Bad Gateway");
}

#[test]
fn index_and_follower_of_its_child_are_both_deleted() {
    let mut builder = PackageBuilder::new();
    let child = builder.image("child");
    builder.digest_row(child, 500);
    let index = builder.index("index", &[child]);
    builder.tag("v1", index, 400);
    let list = builder.index("list", &[child]);
    builder.tag(&fallback_tag(child), list, 390);
    builder.push_image("v2", 100);
    let plan = planned(&Model::from_builder(&builder), &keep(1));
    let doomed = plan.packages[0].versions.iter().filter(|row| row.action == Action::Delete).count();
    let (applied, _) = run(&Server::new(Model::from_builder(&builder)), &plan);
    insta::assert_snapshot!(builder.name_digests(&outcomes(&applied)), @"
    Deleted sha256-<child>
    Deleted v1
    ");
    assert_eq!(applied.rows.len(), doomed);
}
