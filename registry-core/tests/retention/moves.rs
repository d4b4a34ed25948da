//! What changes on a server while a plan waits or is acted on, and what apply makes of it.

use futures::executor::block_on;
use registry_core::retention::{Action, DeletionEntry, DeletionHistory, Stopped, undo};

use crate::effects::{outcomes, planned, run};
use crate::model::{Model, ModelRow, Server};
use crate::support::{Maker, keep, now};

/// What became of each row of a plan made from `maker`, on a server with events.
fn applied(maker: &Maker, keep_last: u32, arm: impl FnOnce(&mut Server)) -> (String, Option<Stopped>, Model) {
    let model = Model::of(maker);
    let plan = planned(&model, &keep(keep_last));
    let mut server = Server::new(model, now(), None);
    arm(&mut server);
    let (applied, _) = run(&server, &plan);
    (maker.named(&outcomes(&applied)), applied.stopped, server.model.into_inner().unwrap())
}

fn worse(maker: &Maker, stopped: Option<Stopped>) -> String {
    let Some(Stopped::Worse(why)) = stopped else { panic!("{stopped:?}") };
    maker.named(&why.to_string())
}

/// Two tags on one old image, and two newer images.
fn two_tags() -> Maker {
    let mut maker = Maker::new();
    let old = maker.single("old", 400);
    maker.tag("older", old, 500);
    maker.single("v1", 200);
    maker.single("v2", 100);
    maker
}

#[test]
fn the_second_tag_of_an_image_moves_while_the_first_goes() {
    let mut maker = two_tags();
    let other = maker.image("other");
    let (rows, _, after) = applied(&maker, 2, |server| {
        let bytes = maker.bytes(&other).unwrap();
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
fn a_tag_that_moved_is_not_put_back() {
    let mut maker = two_tags();
    let old = maker.image("old/image");
    maker.tag("oldest", old, 600);
    let model = Model::of(&maker);
    let plan = planned(&model, &keep(2));
    let mut server = Server::new(model, now(), None);
    server.events.push((1, Box::new(|model| model.rows.get_mut("older").unwrap().id = 777)));
    let (applied, lines) = run(&server, &plan);
    insta::assert_snapshot!(outcomes(&applied), @"
    Deleted old
    Spared older: older was pushed again since it was planned
    Spared oldest: older was pushed again since it was planned
    ");
    let undone = block_on(undo(&server, &DeletionHistory::read(&lines.text).unwrap()));
    assert_eq!(undone.iter().map(|one| &*one.version).collect::<Vec<_>>(), ["old"]);
}

#[test]
fn indexes_that_name_an_index_twice_do_not_double_the_journal() {
    let mut maker = Maker::new();
    let mut inner = maker.image("leaf");
    maker.digest_row(inner, 500);
    for depth in 0..64 {
        inner = maker.index(&format!("depth {depth}"), &[inner, inner]);
        maker.digest_row(inner, 500);
    }
    maker.tag("deep", inner, 400);
    maker.single("v1", 100);
    let plan = planned(&Model::of(&maker), &keep(1));
    let (_, lines) = run(&Server::new(Model::of(&maker), now(), None), &plan);
    let told = DeletionHistory::read(&lines.text).unwrap();
    let saved: Vec<_> = told
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
fn a_new_signature_of_what_goes_stops_the_package() {
    let mut maker = Maker::singles(2);
    let plan = planned(&Model::of(&maker), &keep(1));
    let (subject, signature) = (maker.image("v1/image"), maker.image("signature"));
    maker.tag(&format!("sha256-{}.sig", subject.hex()), signature, 0);
    let (applied, _) = run(&Server::new(Model::of(&maker), now(), None), &plan);
    insta::assert_snapshot!(maker.named(&outcomes(&applied)), @"Stopped v1: sha256-<v1/image>.sig is new and needs <v1/image>");
}

#[test]
fn a_kept_image_that_broke_before_the_apply_stops_the_package() {
    let mut maker = Maker::singles(1);
    maker.multi("v2", 50);
    let plan = planned(&Model::of(&maker), &keep(1));
    let mut model = Model::of(&maker);
    model.rows.remove(&maker.image("v2/arm64").to_string());
    let (applied, _) = run(&Server::new(model, now(), None), &plan);
    insta::assert_snapshot!(maker.named(&outcomes(&applied)), @"Stopped v1: v2 was whole when it was planned, and <v2/arm64> is gone since");
}

#[test]
fn a_kept_tag_that_another_cleaner_took_stops_the_package() {
    let maker = Maker::singles(3);
    let plan = planned(&Model::of(&maker), &keep(2));
    let mut model = Model::of(&maker);
    model.rows.remove("v2");
    let (applied, _) = run(&Server::new(model, now(), None), &plan);
    insta::assert_snapshot!(maker.named(&outcomes(&applied)), @"Stopped v1: v2 was to stay and is gone since it was planned");
}

#[test]
fn a_kept_image_that_was_broken_all_along_stops_nothing() {
    let mut maker = Maker::singles(2);
    maker.multi("v3", 50);
    let lost = maker.image("v3/arm64");
    maker.lose(lost);
    let (rows, stopped, _) = applied(&maker, 1, |_| {});
    insta::assert_snapshot!(rows, @"Deleted v1");
    assert_eq!(stopped, None);
}

#[test]
fn a_kept_image_that_got_worse_meanwhile_stops_the_run() {
    let mut maker = Maker::singles(2);
    maker.multi("v3", 50);
    let child = maker.image("v3/arm64");
    let lose = |version: String| {
        move |server: &mut Server| {
            server.events.push((1, Box::new(move |model| model.rows.retain(|row, _| *row != version))));
        }
    };
    let (_, stopped, _) = applied(&maker, 1, lose(child.to_string()));
    insta::assert_snapshot!(worse(&maker, stopped), @"app:v3 was whole before this run and is not now: <v3/arm64> does not answer");
    let (_, stopped, _) = applied(&maker, 1, lose("v3".into()));
    insta::assert_snapshot!(worse(&maker, stopped), @"app:v3 was whole before this run and is gone now");
}

#[test]
fn a_kept_tag_that_is_listed_and_answers_404_is_worse() {
    let maker = Maker::singles(2);
    let kept = Model::of(&maker).rows["v2"].digest;
    let (_, stopped, _) = applied(&maker, 1, |server| {
        server.events.push((1, Box::new(move |model| model.bytes.retain(|one, _| *one != kept))));
        server.has_records = false;
    });
    insta::assert_snapshot!(worse(&maker, stopped), @"app:v2 was whole before this run and is listed and does not answer now");
}

#[test]
fn a_kept_image_that_cannot_be_read_again_is_not_called_broken() {
    let maker = Maker::singles(2);
    let kept = Model::of(&maker).rows["v2"].digest;
    let (_, stopped, _) = applied(&maker, 1, |server| server.silent.extend([kept]));
    let Some(Stopped::Unread(why)) = stopped else { panic!("{stopped:?}") };
    insta::assert_snapshot!(maker.named(&why.to_string()), @"app:v2 was whole before this run and could not be looked at again: tag v2: 502 Bad Gateway");
}

#[test]
fn what_follows_its_own_child_can_still_go() {
    let mut maker = Maker::new();
    let child = maker.image("child");
    maker.digest_row(child, 500);
    let index = maker.index("index", &[child]);
    maker.tag("v1", index, 400);
    let list = maker.index("list", &[child]);
    maker.tag(&format!("sha256-{}", child.hex()), list, 390);
    maker.single("v2", 100);
    let plan = planned(&Model::of(&maker), &keep(1));
    let doomed = plan.packages[0].versions.iter().filter(|row| row.action == Action::Delete).count();
    let (applied, _) = run(&Server::new(Model::of(&maker), now(), None), &plan);
    insta::assert_snapshot!(maker.named(&outcomes(&applied)), @"
    Deleted sha256-<child>
    Deleted v1
    ");
    assert_eq!(applied.rows.len(), doomed);
}
