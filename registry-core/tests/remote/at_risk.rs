//! Warnings of a plan about what Forgejo's own collector will delete although something that stays needs it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use registry_core::oci::Digest;
use registry_core::retention::{
    self as core, CollectOptions, DeletionHistory, Pattern, Plan, Policy, UnneededAction,
};
use registry_fixtures::forgejo::{OWNER, Profile, Server, World};

use crate::laws::{NOW, block_on, forgejo, reading_options};
use crate::night::MemoryJournal;
use crate::verified::verified;

const PACKAGES: [&str; 3] = ["p0", "p1", "p2"];

/// What somebody pushes to one of three packages.
#[derive(Debug, Clone)]
enum Act {
    /// An index of builds, with each build before it.
    Index { package: u8, builds: Vec<u8>, tag: u8 },
    /// A build by its digest, or under a tag.
    Alone { package: u8, build: u8, tag: Option<u8> },
    /// A referrer of what a tag names, or of the last referrer, by its digest or under a tag.
    Referrer { package: u8, of: Option<u8>, tag: Option<u8> },
    /// The fallback tag: an index of all referrers of what a tag names.
    Fallback { package: u8, of: u8 },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let (package, build, tag) = (0..3_u8, 0..4_u8, 0..3_u8);
    let rarely = || prop::option::weighted(0.3, 0..3_u8);
    let index = (package.clone(), prop::collection::vec(build.clone(), 1..3), tag.clone())
        .prop_map(|(package, builds, tag)| Act::Index { package, builds, tag });
    let alone = (package.clone(), build, rarely()).prop_map(|(package, build, tag)| Act::Alone {
        package,
        build,
        tag,
    });
    let referrer = (package.clone(), prop::option::weighted(0.8, tag.clone()), rarely())
        .prop_map(|(package, of, tag)| Act::Referrer { package, of, tag });
    let fallback = (package, tag).prop_map(|(package, of)| Act::Fallback { package, of });
    prop::collection::vec(prop_oneof![4 => index, 4 => alone, 3 => referrer, 1 => fallback], 1..16)
}

/// A server, and a record of what its manifests refer to, kept apart from the server's own records.
struct Pushed {
    world: World,
    children: BTreeMap<String, Vec<String>>,
    subjects: BTreeMap<String, String>,
}

type Lost = BTreeSet<(String, String)>;

/// The rows of a package: version and digest.
fn rows(world: &World, package: &str) -> Vec<(String, String)> {
    let owner = world.user(OWNER).map_or(0, |user| user.id);
    let Some(package) = world.package(owner, package) else { return Vec::new() };
    let rows = world.versions_of(package.id).filter(|row| !row.is_internal);
    rows.filter_map(|row| Some((row.name.clone(), row.digest()?.to_owned()))).collect()
}

fn named(world: &World, package: &str, tag: &str) -> Option<String> {
    rows(world, package).into_iter().find(|(version, _)| version == tag).map(|(_, digest)| digest)
}

impl Pushed {
    fn new(profile: Profile, acts: &[Act]) -> Self {
        // The pushes are older than the grace.
        let world = World::example(profile, NOW - 3 * 86400);
        let mut pushed = Self { world, children: BTreeMap::new(), subjects: BTreeMap::new() };
        for act in acts {
            pushed.act(act);
            pushed.world.now += 60;
        }
        pushed.world.now = NOW;
        pushed
    }

    fn act(&mut self, act: &Act) {
        let text = |tag: &Option<u8>| tag.map(|tag| format!("t{tag}"));
        match act {
            Act::Index { package, builds, tag } => {
                let package = format!("p{package}");
                let builds =
                    builds.iter().map(|build| self.world.push_image(&package, None, &build.to_string()));
                let builds: Vec<String> = builds.collect();
                let index = self.world.push_index_of(&package, &[&format!("t{tag}")], &builds);
                self.children.insert(index, builds);
            }
            Act::Alone { package, build, tag } => {
                self.world.push_image(&format!("p{package}"), text(tag).as_deref(), &build.to_string());
            }
            Act::Referrer { package, of, tag } => {
                let package = format!("p{package}");
                let of = match of {
                    Some(of) => named(&self.world, &package, &format!("t{of}")),
                    None => rows(&self.world, &package)
                        .into_iter()
                        .map(|(_, digest)| digest)
                        .find(|digest| self.subjects.contains_key(digest)),
                };
                if let Some(of) = of {
                    let seed = self.subjects.len().to_string();
                    let referrer = self.world.push_referrer(&package, text(tag).as_deref(), &of, &seed);
                    self.subjects.insert(referrer, of);
                }
            }
            Act::Fallback { package, of } => {
                let package = format!("p{package}");
                let Some(of) = named(&self.world, &package, &format!("t{of}")) else { return };
                let there: Vec<String> =
                    rows(&self.world, &package).into_iter().map(|(_, digest)| digest).collect();
                let referrers =
                    self.subjects.iter().filter(|(one, subject)| **subject == of && there.contains(one));
                let referrers: Vec<String> = referrers.map(|(one, _)| one.clone()).collect();
                let index = self.world.push_index_of(&package, &[&of.replace(':', "-")], &referrers);
                self.children.insert(index, referrers);
            }
        }
    }
}

/// The manifests that answer and that the tags of each package need: children, and untagged referrers of what is needed.
fn needed(
    world: &World,
    children: &BTreeMap<String, Vec<String>>,
    subjects: &BTreeMap<String, String>,
) -> Lost {
    let mut needed = Lost::new();
    for package in PACKAGES {
        let rows = rows(world, package);
        let (tags, digests): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|(version, _)| !version.contains(':'));
        let tagged: BTreeSet<String> = tags.into_iter().map(|(_, digest)| digest).collect();
        let there: BTreeSet<String> =
            digests.into_iter().map(|(_, digest)| digest).chain(tagged.clone()).collect();
        let mut all = tagged.clone();
        loop {
            let below = all.iter().filter_map(|one| children.get(one)).flatten().cloned();
            let referring = subjects.iter().filter(|(one, of)| all.contains(*of) && !tagged.contains(*one));
            let more: BTreeSet<String> = below.chain(referring.map(|(one, _)| one.clone())).collect();
            let more: BTreeSet<String> = more.into_iter().filter(|one| there.contains(one)).collect();
            if more.is_subset(&all) {
                break;
            }
            all.extend(more);
        }
        needed.extend(all.into_iter().map(|digest| (package.to_owned(), digest)));
    }
    needed
}

/// Runs the nightly collector until it finds nothing more.
fn collect_all(world: &mut World) {
    loop {
        let before = world.versions.len();
        world.now += 25 * 3600;
        world.cleanup();
        if world.versions.len() == before {
            return;
        }
    }
}

/// The needed manifests that no longer answer after the collector has run.
fn lost(pushed: &Pushed, world: &World) -> Lost {
    let mut world = world.clone();
    let before = needed(&world, &pushed.children, &pushed.subjects);
    collect_all(&mut world);
    let there =
        |(package, digest): &&(String, String)| rows(&world, package).iter().any(|(_, one)| one == digest);
    before.iter().filter(|one| !there(one)).cloned().collect()
}

/// The package and digest of each warning with this word: `will` if the loss is certain, `may` if not.
fn warned(plan: &Plan, word: &str) -> Lost {
    let all = plan.packages.iter();
    let warnings = all.flat_map(|package| package.warnings.iter().map(move |text| (&package.name, text)));
    let digest = |text: &str| {
        let (_, rest) = text.split_once(&format!("collector {word} take "))?;
        rest.split(' ').next().map(str::to_owned)
    };
    warnings.filter_map(|(name, text)| Some((name.clone(), digest(text)?))).collect()
}

fn keep(keep: u32) -> Policy {
    Policy { keep_last: keep, allow_empty: true, ..Policy::default() }
}

async fn planned(server: &Server, policy: &Policy, only: &[Pattern]) -> (core::Record, Plan) {
    let reader = forgejo(&server.url).await.expect("a server");
    let now = jiff::Timestamp::from_second(server.world().now).expect("a time");
    let options = CollectOptions { only, ..reading_options() };
    let record = core::collect(&reader, reader.source(), &options, now).await.expect("a record");
    // The plan is made from the record as it is read from a file.
    let text = serde_json::to_string(&record).expect("JSON");
    let record = core::Record::read(&text).expect("a record");
    let plan = core::plan(record.source.clone(), record.packages(), policy, now, "test");
    (record, plan)
}

async fn run(server: &Server, policy: &Policy) -> (Plan, DeletionHistory) {
    let (_, plan) = planned(server, policy, &[]).await;
    let writer = forgejo(&server.url).await.expect("a server").into_write_access();
    let mut lines = MemoryJournal::default();
    let applied =
        core::apply(&writer, verified(&plan), &reading_options(), &mut lines, plan.planned_at).await;
    assert_eq!(applied.stopped, None, "{applied:?}");
    (plan, DeletionHistory::read(&lines.0).expect("a journal"))
}

fn profile(is_v15: bool) -> Profile {
    if is_v15 { Profile::V15 } else { Profile::V11 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn plan_warns_of_exactly_what_the_collector_takes(
        acts in acts(), is_v15 in any::<bool>(), kept in prop_oneof![Just(100_u32), 0..3_u32],
        undo_window in any::<bool>(), prunes in any::<bool>(),
    ) {
        let mut pushed = Pushed::new(profile(is_v15), &acts);
        let server = Server::start(pushed.world.clone());
        let untagged = if prunes { UnneededAction::Prune } else { UnneededAction::Leave };
        let policy = Policy { undo_window, untagged, ..keep(kept) };
        let (plan, _) = block_on(run(&server, &policy));
        pushed.world = server.world().clone();
        prop_assert_eq!(warned(&plan, "may"), Lost::new());
        prop_assert_eq!(warned(&plan, "will"), lost(&pushed, &pushed.world));
    }

    #[test]
    fn plan_of_selected_packages_warns_of_what_the_collector_takes(
        acts in acts(), is_v15 in any::<bool>(), is_recorded in any::<bool>(),
    ) {
        let pushed = Pushed::new(profile(is_v15), &acts);
        let server = Server::start(pushed.world.clone());
        let lost = lost(&pushed, &pushed.world);
        let lost: Lost = lost.into_iter().filter(|(package, _)| package == "p0").collect();
        let only = vec![Pattern::new("p0", core::LetterCase::Ignored).expect("a pattern")];
        let policy = Policy { packages: only.clone(), ..keep(100) };
        // Packages can also be selected from a record of all packages.
        let (_, plan) = block_on(planned(&server, &policy, if is_recorded { &[] } else { &only }));
        let (will, may) = (warned(&plan, "will"), warned(&plan, "may"));
        prop_assert!(will.is_subset(&lost), "{:?} {:?}", will, lost);
        prop_assert!(lost.is_subset(&will.union(&may).cloned().collect()), "{:?} {:?} {:?}", will, may, lost);
        if is_recorded {
            prop_assert_eq!(may, Lost::new());
        }
    }
}

fn warnings(plan: &Plan) -> Vec<&String> {
    plan.packages.iter().flat_map(|package| &package.warnings).collect()
}

fn index(package: u8) -> Act {
    Act::Index { package, builds: vec![1, 2], tag: 1 }
}

fn alone(package: u8) -> Act {
    Act::Alone { package, build: 1, tag: None }
}

macro_rules! assert_warnings {
    ($plan:expr, @$expected:literal) => {
        insta::with_settings!({ filters => vec![(r"sha256(.)[0-9a-f]{64}", "sha256$1…")] }, {
            insta::allow_duplicates! { insta::assert_debug_snapshot!(warnings($plan), @$expected); }
        });
    };
}

#[test]
fn plan_warns_of_kept_children_that_the_collector_takes() {
    // The loss needs the build in another package before its index, and a push of the build alone after its index.
    let acts = [alone(0), index(1), alone(1)];
    let pushed = Pushed::new(Profile::V15, &acts);
    let server = Server::start(pushed.world.clone());
    let (_, plan) = block_on(planned(&server, &keep(100), &[]));
    assert_eq!(lost(&pushed, &pushed.world).len(), 1);
    assert_warnings!(&plan, @r#"
[
    "the server's own collector will take sha256:… (child of t1) once it is a day old: it was pushed again after the index that names it, and another package has it too; push the tag again",
]
"#);
    let pushed = Pushed::new(Profile::V15, &acts[..2]);
    let server = Server::start(pushed.world.clone());
    let (_, plan) = block_on(planned(&server, &keep(100), &[]));
    assert_eq!((warnings(&plan).len(), lost(&pushed, &pushed.world).len()), (0, 0));
}

/// Recorded on Forgejo 11.0.15 and 15.0.3: `fixtures/transcripts/*/referrers-collected.jsonl.gz`.
#[test]
fn plan_warns_of_referrers_pushed_by_digest_to_a_kept_subject() {
    for profile in [Profile::V11, Profile::V15] {
        let image = Act::Alone { package: 0, build: 1, tag: Some(1) };
        let referrer = |of| Act::Referrer { package: 0, of, tag: None };
        let acts = [image, referrer(Some(1)), referrer(None), Act::Fallback { package: 0, of: 1 }];
        let pushed = Pushed::new(profile, &acts[..3]);
        let server = Server::start(pushed.world.clone());
        let (_, plan) = block_on(planned(&server, &keep(100), &[]));
        assert_eq!(lost(&pushed, &pushed.world).len(), 2);
        assert_warnings!(&plan, @r#"
[
    "the server's own collector will take sha256:… (refers to sha256:… of t1, which stays) once it is a day old: it was pushed by digest, and no index with a tag names it; push the tag sha256-… as an index that names it",
    "the server's own collector will take sha256:… (refers to sha256:…, which stays) once it is a day old: it was pushed by digest, and no index with a tag names it; push the tag sha256-… as an index that names it",
]
"#);
        // The remedy that the warning names.
        let pushed = Pushed::new(profile, &acts);
        let server = Server::start(pushed.world.clone());
        let (_, plan) = block_on(planned(&server, &keep(100), &[]));
        assert_eq!(lost(&pushed, &pushed.world).len(), 1);
        assert_warnings!(&plan, @r#"
[
    "the server's own collector will take sha256:… (refers to sha256:… of sha256-…, which stays) once it is a day old: it was pushed by digest, and no index with a tag names it; push the tag sha256-… as an index that names it",
]
"#);
    }
}

#[test]
fn digest_that_a_tag_names_is_not_lost_with_its_digest_row() {
    let tagged = |package| Act::Alone { package, build: 1, tag: Some(2) };
    let images = [alone(0), tagged(0), alone(1), tagged(1), alone(0)];
    // The child of an index has a tag of its own.
    let child = [alone(0), index(1), tagged(1), alone(1)];
    for acts in [&images[..], &child] {
        let pushed = Pushed::new(Profile::V15, acts);
        let server = Server::start(pushed.world.clone());
        let (_, plan) = block_on(planned(&server, &keep(100), &[]));
        assert_eq!(lost(&pushed, &pushed.world), Lost::new());
        assert_eq!(warnings(&plan), [""; 0]);
    }
}

#[test]
fn plan_after_an_undo_within_the_window_has_no_warnings() {
    for profile in [Profile::V11, Profile::V15] {
        let index = |tag| Act::Index { package: 0, builds: vec![tag, 3], tag };
        let acts = [index(0), index(1), index(2), Act::Alone { package: 0, build: 9, tag: Some(4) }];
        let pushed = Pushed::new(profile, &acts);
        let server = Server::start(pushed.world.clone());
        let policy = Policy { undo_window: true, ..keep(1) };
        block_on(async {
            let (_, history) = Box::pin(run(&server, &policy)).await;
            assert_eq!(server.world().tags_of("p0").len(), 1);
            let undone =
                core::undo(&forgejo(&server.url).await.expect("a server").into_write_access(), &history)
                    .await;
            assert!(undone.iter().all(|row| row.state == core::RowUndoState::Restored), "{undone:?}");
        });
        let (_, plan) = block_on(planned(&server, &keep(100), &[]));
        assert_eq!(lost(&pushed, &server.world()), Lost::new());
        assert_eq!(warnings(&plan), [""; 0]);
    }
}

#[test]
fn warnings_do_not_depend_on_the_selection_of_packages() {
    let only = [Pattern::new("p1", core::LetterCase::Ignored).expect("a pattern")];
    let of = |acts: &[Act]| {
        let pushed = Pushed::new(Profile::V15, acts);
        let server = Server::start(pushed.world.clone());
        let policy = Policy { packages: only.to_vec(), ..keep(100) };
        let (_, plan) = block_on(planned(&server, &policy, &only));
        let read = server.lines().iter().filter(|line| line.contains("/p0/manifests/")).count();
        (plan, lost(&pushed, &pushed.world).len(), read)
    };
    // An index of the other package names the build earlier than that of this one, which keeps the build.
    let (plan, lost, read) = of(&[index(0), index(1), alone(1)]);
    assert_eq!((warnings(&plan).len(), lost, read), (0, 0, 1));
    let (plan, lost, read) = of(&[alone(0), index(1), alone(1)]);
    assert_eq!((lost, read), (1, 0));
    assert_warnings!(&plan, @r#"
[
    "the server's own collector will take sha256:… (child of t1) once it is a day old: it was pushed again after the index that names it, and another package has it too; push the tag again",
]
"#);
    // It is unknown whether an index of the other package names the referrer: that package does not list it, so it was not read.
    let image = |package| Act::Alone { package, build: 1, tag: Some(1) };
    let (plan, lost, read) = of(&[image(0), image(1), Act::Referrer { package: 1, of: Some(1), tag: None }]);
    assert_eq!((lost, read), (1, 0));
    assert_warnings!(&plan, @r#"
[
    "the server's own collector may take sha256:… (refers to sha256:… of t1, which stays) once it is a day old, unless an index names it in a package that was not read in full: it was pushed by digest, and no index with a tag names it; push the tag sha256-… as an index that names it",
]
"#);
}

#[test]
fn refused_plan_warns_as_if_nothing_were_deleted() {
    let newer = Act::Index { package: 1, builds: vec![3], tag: 2 };
    let pushed = Pushed::new(Profile::V15, &[alone(0), index(1), alone(1), newer]);
    let server = Server::start(pushed.world.clone());
    let (_, plan) = block_on(planned(&server, &keep(1), &[]));
    assert_eq!((plan.summary.images_deleted, warnings(&plan).len()), (1, 0));
    let (_, plan) = block_on(planned(&server, &Policy { max_delete: Some(0), ..keep(1) }, &[]));
    assert_eq!((plan.summary.images_deleted, warnings(&plan).len()), (0, 1));
    assert_eq!(lost(&pushed, &pushed.world).len(), 1);
}

#[test]
fn undo_window_holds_only_referrers_of_deleted_images() {
    for profile in [Profile::V11, Profile::V15] {
        let image = |tag| Act::Alone { package: 0, build: tag, tag: Some(tag) };
        let referrer = |of| Act::Referrer { package: 0, of, tag: None };
        let pushed = Pushed::new(profile, &[image(1), referrer(Some(1)), image(2), referrer(Some(2))]);
        let server = Server::start(pushed.world.clone());
        let policy = Policy { undo_window: true, ..keep(1) };
        let (plan, history) = block_on(run(&server, &policy));
        let of = |tag: &str| {
            let subject = named(&pushed.world, "p0", tag).expect("a tag");
            pushed.subjects.iter().find(|(_, of)| **of == subject).expect("a referrer").0.clone()
        };
        assert_eq!(warned(&plan, "will"), Lost::from([("p0".into(), of("t2"))]));
        let puts = server.lines().into_iter().filter(|line| line.starts_with("PUT"));
        let puts: Vec<String> =
            puts.map(|line| line.rsplit('/').next().unwrap_or_default().to_owned()).collect();
        let mut expected = vec![named(&pushed.world, "p0", "t1").expect("a tag"), of("t1")];
        assert_eq!(puts.iter().collect::<BTreeSet<_>>(), expected.iter().collect());
        // The collector runs within the window, then comes the undo.
        server.world().now += 20 * 3600;
        server.world().cleanup();
        block_on(async {
            core::undo(&forgejo(&server.url).await.expect("a server").into_write_access(), &history).await;
        });
        expected.push("t1".into());
        for reference in expected {
            assert!(server.world().is_pullable("p0", &reference), "{reference}");
        }
    }
}

#[test]
fn undo_window_puts_nothing_that_an_index_pushed_since_the_plan_names() {
    let index = |tag| Act::Index { package: 1, builds: vec![3, tag], tag };
    let mut pushed =
        Pushed::new(Profile::V15, &[Act::Alone { package: 0, build: 3, tag: None }, index(0), index(1)]);
    let server = Server::start(pushed.world.clone());
    let policy = Policy { undo_window: true, ..keep(1) };
    block_on(async {
        let (_, plan) = planned(&server, &policy, &[]).await;
        pushed.world = server.world().clone();
        // The build that `t1` shares with a deleted tag is named only by the new index.
        pushed.act(&Act::Index { package: 1, builds: vec![2, 3], tag: 1 });
        *server.world() = pushed.world.clone();
        server.clear_log();
        let writer = forgejo(&server.url).await.expect("a server").into_write_access();
        core::apply(
            &writer,
            verified(&plan),
            &reading_options(),
            &mut MemoryJournal::default(),
            plan.planned_at,
        )
        .await;
    });
    assert_eq!(server.world().tags_of("p1"), ["t1"]);
    let shared: Digest = pushed.world.find_image("p1", "3").parse().expect("a digest");
    let puts: Vec<String> = server.lines().into_iter().filter(|line| line.starts_with("PUT")).collect();
    assert!(!puts.is_empty() && puts.iter().all(|line| !line.ends_with(&shared.to_string())), "{puts:?}");
    assert_eq!(lost(&pushed, &server.world()), Lost::new());
}
