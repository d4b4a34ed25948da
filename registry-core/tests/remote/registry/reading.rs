//! Listing, planning and the preflight.

use registry_core::registry::Credentials;
use registry_core::retention::{self as core, Permission, RankBy, Reader as _};
use registry_fixtures::registry::{Account, Auth, Fault, Grant, Profile, Server, World};

use super::{BOTH, block_on, builds, credentials, deletions, planned_by, rows_with, source, source_as};

#[test]
fn every_page_of_the_catalog_is_listed() {
    for profile in BOTH {
        let mut world = World::new(profile);
        for number in 0..230 {
            world.push_image(&format!("team/app{number:03}"), Some("1.0.0"), "one image");
        }
        let server = Server::start(world);
        let rows = block_on(source(&server).rows(None)).expect("rows").rows;
        assert_eq!(rows.len(), 230, "{profile:?}");
        assert!(
            rows.iter().all(|row| row.version == "1.0.0" && row.id.is_none() && row.created_at.is_none())
        );
        let pages = server.lines().iter().filter(|line| line.starts_with("GET /v2/_catalog")).count();
        assert_eq!(pages, 3, "{profile:?}");
    }
}

#[test]
fn repository_that_2_8_does_not_list_is_left_alone() {
    // 2.8 lists what has layers, 3 what has manifests (`registry/storage/catalog.go @ v2.8.2`, `@ v3.1.1`).
    let names = |profile| {
        let mut world = World::new(profile);
        world.push_image("app", Some("1.0.0"), "app");
        world.push_index("bare", &["1.0.0"], &[]);
        world.push_blob("layers", b"a layer");
        let server = Server::start(world);
        let rows = block_on(source(&server).rows(None)).expect("rows").rows;
        rows.into_iter().map(|row| row.package).collect::<Vec<_>>()
    };
    assert_eq!(names(Profile::V2_8), ["app"]);
    assert_eq!(names(Profile::V3), ["app", "bare"]);
}

#[test]
fn catalog_that_breaks_off_is_an_error() {
    // Where a page ends at `x/0` and `x` is a repository too, 3.1.1 panics (`registry/storage/catalog.go @ v3.1.1`).
    let mut world = World::new(Profile::V3);
    for number in 0..99 {
        world.push_image(&format!("app{number:03}"), Some("1.0.0"), "one image");
    }
    world.push_image("team/0", Some("1.0.0"), "one image");
    world.push_image("team", Some("1.0.0"), "one image");
    let server = Server::start(world);
    let error = block_on(source(&server).rows(None)).unwrap_err().to_string();
    assert!(error.starts_with("GET /v2/_catalog: no answer"), "{error}");
}

#[test]
fn registry_can_be_ranked_by_version_and_by_date() {
    for profile in BOTH {
        let mut world = World::new(profile);
        for (tag, created) in [
            ("1.10.0", "2024-03-01T00:00:00Z"),
            ("1.9.0", "2024-06-01T00:00:00Z"),
            ("1.2.0", "2024-09-01T00:00:00Z"),
            ("main", "2023-01-01T00:00:00Z"),
            ("0.1.0", "1970-01-01T00:00:00Z"),
        ] {
            world.push_image_of("app", Some(tag), tag, Some(created));
        }
        let server = Server::start(world);
        let gone = |rank_by| {
            let plan = block_on(planned_by(&source(&server), 2, rank_by)).expect("a plan");
            rows_with(&plan, core::Action::Delete)
        };
        // Tags that are no versions are kept, and so are images with a build date before 1981.
        assert_eq!(gone(RankBy::Semver), ["app:0.1.0", "app:1.2.0"], "{profile:?}");
        assert_eq!(gone(RankBy::Created), ["app:1.10.0", "app:main"], "{profile:?}");
        assert!(server.lines().iter().all(|line| line.starts_with("GET ") || line.starts_with("HEAD ")));
    }
}

#[test]
fn index_is_dated_by_its_images() {
    for profile in BOTH {
        let mut world = World::new(profile);
        for year in 2019..2024 {
            let children: Vec<String> = ["amd64", "arm64"]
                .iter()
                .map(|platform| {
                    let (seed, built) = (format!("{year} {platform}"), format!("{year}-01-01T00:00:00Z"));
                    world.push_image_of("app", None, &seed, Some(&built))
                })
                .collect();
            world.push_index_of("app", &[&format!("b{year}")], &children);
        }
        let server = Server::start(world);
        let plan = block_on(planned_by(&source(&server), 2, RankBy::Created)).expect("a plan");
        assert_eq!(
            rows_with(&plan, core::Action::Delete),
            ["app:b2019", "app:b2020", "app:b2021"],
            "{profile:?}"
        );
    }
}

// https://github.com/helm/helm/issues/12159
#[test]
fn helm_chart_is_dated_by_its_annotation() {
    for profile in BOTH {
        let mut world = World::new(profile);
        for (tag, created) in
            [("0.1.0", "2024-05-03"), ("0.2.0", "2024-05-02"), ("0.3.0_build.5", "2024-05-01")]
        {
            let config = world.push_blob("charts/app", format!(r#"{{"version":"{tag}"}}"#).as_bytes());
            let layer = world.push_blob("charts/app", tag.as_bytes());
            let chart = format!(
                r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"{config}","size":9}},"layers":[{{"mediaType":"application/vnd.cncf.helm.chart.content.v1.tar+gzip","digest":"{layer}","size":9}}],"annotations":{{"org.opencontainers.image.created":"{created}T00:00:00Z"}}}}"#
            );
            world.push_manifest("charts/app", Some(tag), chart.as_bytes());
        }
        let server = Server::start(world);
        let gone = |rank_by| {
            let plan = block_on(planned_by(&source(&server), 1, rank_by)).expect("a plan");
            rows_with(&plan, core::Action::Delete)
        };
        assert_eq!(gone(RankBy::Created), ["charts/app:0.2.0", "charts/app:0.3.0_build.5"], "{profile:?}");
        assert_eq!(gone(RankBy::Semver), ["charts/app:0.1.0", "charts/app:0.2.0"], "{profile:?}");
    }
}

#[test]
fn preflight_tries_to_delete_an_absent_digest() {
    let ask = |world: World, credentials: Credentials| {
        let server = Server::start(world);
        let permission = block_on(source_as(&server, credentials, 0).preflight("app"));
        let asked = deletions(&server);
        assert!(asked.iter().all(|line| line.starts_with("DELETE /v2/app/manifests/sha256:")), "{asked:?}");
        permission
    };
    for profile in BOTH {
        let world = || builds(profile);
        assert_eq!(ask(world(), Credentials::Anonymous), Permission::Granted, "{profile:?}");
        let denial = |permission| match permission {
            Permission::Denied(why) => why,
            other => panic!("{profile:?}: {other:?}"),
        };
        let mut closed = world();
        closed.is_delete_enabled = false;
        let nothing = "the registry deletes nothing (REGISTRY_STORAGE_DELETE_ENABLED is not set?)";
        assert_eq!(denial(ask(closed, Credentials::Anonymous)), nothing);
        let mut read_only = world();
        read_only.is_read_only = true;
        assert_eq!(denial(ask(read_only, Credentials::Anonymous)), nothing);
        let basic = |accounts| world().requiring(Auth::Basic(accounts));
        assert_eq!(ask(basic(vec![Account::all("me", "secret")]), credentials()), Permission::Granted);
        let refused = "the registry refuses a deletion with status 401";
        assert_eq!(denial(ask(basic(vec![Account::all("me", "other")]), credentials())), refused);
        let bearer = |grants| world().requiring(Auth::Token(vec![Account::of("me", "secret", grants)]));
        let all = Grant::new("repository:app", &["pull", "push", "delete"]);
        assert_eq!(ask(bearer(vec![all]), credentials()), Permission::Granted);
        let pull = Grant::new("repository:app", &["pull", "push"]);
        assert_eq!(denial(ask(bearer(vec![pull]), credentials())), refused);
        let other = Grant::new("repository:other", &["pull", "push", "delete"]);
        assert_eq!(denial(ask(bearer(vec![other]), credentials())), refused);
    }
}

#[test]
fn preflight_with_an_unexpected_answer_grants_nothing() {
    let ask = |fault: Fault| {
        let server = Server::start(builds(Profile::V3));
        server.set_hook(move |_, ask, _| (ask.method == "DELETE").then(|| fault.clone()));
        block_on(source(&server).preflight("app"))
    };
    assert!(matches!(ask(Fault::Status(403)), Permission::Denied(_)));
    for fault in [
        Fault::Status(404),
        Fault::Status(202),
        Fault::Status(500),
        Fault::Wait(1),
        Fault::Lost,
        Fault::Reset,
    ] {
        let shown = format!("{fault:?}");
        assert!(matches!(ask(fault), Permission::Unknown(_)), "{shown}");
    }
}

// One 502 on the preflight failed a run after 484 good GETs.
#[test]
fn bug_preflight_is_retried() {
    for fault in [Fault::Status(502), Fault::Wait(0), Fault::Lost, Fault::Reset] {
        let server = Server::start(builds(Profile::V3));
        let mut left = 2;
        let shown = format!("{fault:?}");
        server.set_hook(move |_, ask, _| {
            let is_spoilt = ask.method == "DELETE" && left > 0;
            left -= i32::from(is_spoilt);
            is_spoilt.then(|| fault.clone())
        });
        let permission = block_on(source_as(&server, Credentials::Anonymous, 2).preflight("app"));
        assert_eq!((permission, deletions(&server).len()), (Permission::Granted, 3), "{shown}");
    }
}
