//! `probe` of a pull-through cache, which fetches and keeps whatever is requested.

use registry_fixtures::registry::{Account, Auth, Grant, Profile, ReceivedRequest, Server, World};

use crate::support::{command, fsck, images, layer_digest, registry, run};

/// A cache of a registry with four images, one of which was pulled.
fn start_cache() -> Server {
    let mut upstream = World::new(Profile::V2_8);
    images(&mut upstream);
    let mut world = World::new(Profile::V2_8).cache_of(upstream);
    for path in ["manifests/latest".to_owned(), format!("blobs/{}", layer_digest("four"))] {
        let (method, path) = ("GET".to_owned(), format!("/v2/web/{path}"));
        let accept = "application/vnd.oci.image.manifest.v1+json".to_owned();
        let headers = vec![("accept".to_owned(), accept)];
        let reply =
            world.answer(&ReceivedRequest { method, path, query: String::new(), headers, body: Vec::new() });
        assert_eq!(reply.status, 200);
    }
    Server::start(world)
}

// https://github.com/distribution/distribution/issues/4050, https://github.com/distribution/distribution/issues/3407: the upstream of
// a cache limits the rate of requests.
#[test]
fn probe_does_not_fill_cache() {
    let server = start_cache();
    let kept = server.world().count_cached();
    let ran = fsck(&["probe", &server.url]);
    assert_eq!(ran.status, 8, "{}", ran.err);
    assert!(ran.out.contains("it takes no pushes"), "{}", ran.out);
    assert_eq!(server.world().count_cached(), kept);
    assert_eq!(server.lines(), ["GET /v2/", "GET /v2/_catalog", "POST /v2/web/blobs/uploads/"]);
    for options in [&["--role", "cache"][..], &["--role", "cache", "--repository", "web"]] {
        assert_eq!(fsck(&[&["probe", &server.url], options].concat()).status, 8);
        assert_eq!(server.world().count_cached(), kept);
    }
}

#[test]
fn probe_of_cache_reads_manifests_of_named_repositories() {
    let server = start_cache();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "team/app\n").unwrap();
    let arguments =
        ["probe", &server.url, "--repositories-file", file.path().to_str().unwrap(), "--output", "json"];
    let ran = fsck(&arguments);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let report = ran.json();
    assert_eq!(report["sources"][0]["role"], "cache");
    assert_eq!(report["options"]["online"]["depth"], "manifests");
    assert_eq!(report["coverage"]["tags_checked"], 3);
    assert!(!server.lines().iter().any(|line| line.contains("/blobs/sha256")), "{:?}", server.lines());
    server.clear_log();
    let ran = fsck(&[&arguments[..], &["--through-cache"]].concat());
    assert_eq!((ran.status, &ran.json()["options"]["online"]["depth"]), (0, &"blobs".into()));
    assert!(server.lines().iter().any(|line| line.contains("/blobs/sha256")));
}

#[test]
fn state_remembers_that_registry_is_cache() {
    let folder = tempfile::tempdir().unwrap();
    for (server, expected) in [(start_cache(), 1), (registry(images), 2)] {
        let state = folder.path().join(format!("{expected}.json"));
        let options = ["probe", &server.url, "--state", state.to_str().unwrap()];
        let uploads = || server.lines().iter().filter(|line| line.contains("/blobs/uploads/")).count();
        for _ in 0..2 {
            fsck(&options);
        }
        assert_eq!(uploads(), expected, "{:?}", server.lines());
    }
}

#[test]
fn credentials_without_push_leave_role_undecided() {
    let permissions =
        [("repository:team/app", "pull"), ("repository:web", "pull"), ("registry:catalog", "*")];
    let grants = permissions.iter().map(|(resource, action)| Grant::new(resource, &[*action])).collect();
    let pull = Account::of("me", "secret", grants);
    let mut world = World::new(Profile::V2_8).requiring(Auth::Token(vec![pull]));
    images(&mut world);
    let server = Server::start(world);
    let home = tempfile::tempdir().unwrap();
    let fsck = |arguments: &[&str]| {
        let mut command = command(home.path());
        run(command.args(arguments).env("REGISTRY_USER", "me").env("REGISTRY_PASSWORD", "secret"))
    };
    let ran = fsck(&["probe", &server.url]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(ran.err.contains("could not be found out"), "{}", ran.err);
    let ran = fsck(&["probe", &server.url, "--role", "primary"]);
    assert!(!ran.err.contains("could not be found out"), "{}", ran.err);
}
