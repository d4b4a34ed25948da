//! The examples that change something or ask a server, run against trees and servers of the fixtures.

#[expect(dead_code, reason = "its `main` is not run")]
#[path = "../examples/apply.rs"]
mod apply;
#[expect(dead_code, reason = "its `main` is not run")]
#[path = "../examples/probe.rs"]
mod probe;
#[expect(dead_code, reason = "its `main` is not run")]
#[path = "../examples/repair.rs"]
mod repair;

use jiff::Timestamp;
use registry_core::forgejo::ForgejoAccount;
use registry_core::registry::{Http, Settings};
use registry_fixtures::TreeBuilder;
use registry_fixtures::{forgejo, registry};

fn http() -> Http {
    Http::new(Settings { retries: 0, proxies: false, ..Settings::default() }).expect("a transport")
}

#[tokio::test]
async fn probe_prints_broken_tags() {
    let mut world = registry::World::new(registry::Profile::V2_8);
    world.push_image("app", Some("sound"), "one");
    let lost = world.push_image("app", Some("lost"), "two");
    world.remove_bytes(&lost);
    let server = registry::Server::start(world);
    let lines = probe::broken_tags(&http(), &server.url, Timestamp::now()).await.unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("app:lost: "), "{lines:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn repair_changes_nothing_without_a_journal() {
    let mut tree = TreeBuilder::new();
    let index = tree.multi_platform("app", Some("v1"), &["linux/amd64", "linux/arm64"]);
    let child = index.images[0].digest.clone();
    tree.break_revision_link_missing("app", &child);
    let link = tree.revision_link("app", &child);
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let run = |journal: Option<&std::path::Path>| repair::repair(tree.root(), journal, Timestamp::now());
    let planned = run(None).unwrap();
    assert!(matches!(&planned[..], [line] if line.ends_with("(not done)")), "{planned:?}");
    assert!(!link.try_exists().unwrap());
    let done = run(Some(&journal)).unwrap();
    assert!(matches!(&done[..], [line] if line.ends_with("(done)")), "{done:?}");
    assert!(link.try_exists().unwrap() && journal.try_exists().unwrap());
    assert_eq!(run(None).unwrap(), [""; 0]);
}

#[tokio::test]
async fn apply_deletes_nothing_without_a_journal() {
    let now = Timestamp::from_second(1_790_000_000).unwrap();
    let mut world = forgejo::World::example(forgejo::Profile::V15, now.as_second() - 90 * 86400);
    for build in 1..=4 {
        world.now += 86400;
        world.push_image("app", Some(&format!("v{build}")), &format!("build {build}"));
    }
    world.now = now.as_second();
    let server = forgejo::Server::start(world);
    let token = Some(forgejo::WRITE.to_owned().into());
    let account = ForgejoAccount { owner: forgejo::OWNER.into(), user: None, token };
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let http = http();
    let run = |journal| apply::keep_last(&http, &server.url, &account, 3, journal, now);
    let before = server.world().tags_of("app");
    assert_eq!(run(None).await.unwrap(), ["app:v1 would go"]);
    assert_eq!(server.world().tags_of("app"), before);
    assert_eq!(run(Some(&*journal)).await.unwrap(), ["app:v1 Deleted"]);
    assert_eq!(server.world().tags_of("app").len(), before.len() - 1);
    assert_eq!(run(None).await.unwrap(), [""; 0]);
}
