//! Addresses without a Forgejo behind them: what is printed, and that nothing is changed.

use std::net::TcpListener;

use registry_fixtures::forgejo::{Fault, ReceivedRequest, Reply};

use crate::assert_output_snapshot;
use crate::support::{BOTH, Job, incident};

/// The output of a run on a server that answers by path.
fn output_of(name: &str, answer: impl Fn(&str) -> Reply + Send + 'static) -> String {
    let job = Job::new(name, incident(BOTH[1]));
    job.server.set_hook(move |_, ask, _| Some(Fault::Instead(answer(&ask.path))));
    job.run_without_effect(&["--apply"], &[])
}

#[test]
fn invalid_addresses_are_refused_without_request() {
    let job = Job::new("address", incident(BOTH[1]));
    let output = |url: &str| job.run_without_effect(&["--apply"], &[("FORGEJO_HOST", url)]);
    assert_output_snapshot!(output("forgejo.example"), @r#"
    error: "forgejo.example" is no address of a server: write it as https://host or http://host:port
    exit 2
    "#);
    assert_output_snapshot!(output("ftp://forgejo.example"), @r#"
    error: "ftp://forgejo.example" is no address of a server: write it as https://host or http://host:port
    exit 2
    "#);
    assert_output_snapshot!(output("http://"), @r#"
    error: "http://" is no address of a server: write it as https://host or http://host:port
    exit 2
    "#);
    assert_output_snapshot!(output(""), @"
    error: name a source: --forgejo URL --owner NAME, --registry URL, or --layout ROOT
    exit 2
    ");
    assert_output_snapshot!(output("http://forgejo.example/x?y"), @r#"
    error: "http://forgejo.example/x?y" is no address of a server: it holds a query or a fragment
    exit 2
    "#);
    assert_output_snapshot!(output("https://viktor:secret@forgejo.example"), @r#"
    error: "forgejo.example" is no address of a server: it holds credentials; give them apart from the address
    exit 2
    "#);
    assert_eq!(job.server.lines(), [""; 0]);
}

#[test]
fn unknown_host_exits_1() {
    let job = Job::new("host", incident(BOTH[1]));
    let ran = job.run_with(&["--apply"], &[("FORGEJO_HOST", "http://forgejo.invalid")]);
    assert_eq!(ran.status, 1, "{ran:?}");
    // The message of the resolver differs between systems.
    let (start, _) = ran.err.rsplit_once("client error (Connect)").expect("an error of connecting");
    insta::assert_snapshot!(start, @"error: GET /api/forgejo/v1/version: no answer: error sending request:");
    assert_eq!(ran.out, "");
}

#[test]
fn refused_connection_exits_1() {
    let job = Job::new("port", incident(BOTH[1]));
    // The port is free, because the socket is dropped.
    let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    assert_output_snapshot!(job.run_without_effect(&["--apply"], &[("FORGEJO_HOST", &format!("http://{free}"))]), @"
    error: GET /api/forgejo/v1/version: no answer: error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)
    exit 1
    ");
}

#[test]
fn address_below_forgejo_is_refused() {
    let job = Job::new("below", incident(BOTH[1]));
    let below = format!("{}/git/", job.server.url);
    assert_output_snapshot!(job.run_without_effect(&["--apply"], &[("FORGEJO_HOST", &below)]), @"
    error: GET /git/api/forgejo/v1/version: Forgejo is at URL/ and not below /git/; name that address
    exit 2
    ");
    job.server.set_hook(|_, ask, _| (!ask.path.starts_with("/v2")).then_some(Fault::Status(404)));
    assert_output_snapshot!(job.run_without_effect(&["--apply"], &[]), @"
    error: GET /api/forgejo/v1/version: its /v2 is that of a Forgejo, Gitea or GitLab, and the API of Forgejo is not there; does a proxy hide it?
    exit 2
    ");
}

#[test]
fn other_servers_are_named() {
    let registry = |path: &str| match path {
        "/v2/" => Reply::of(200, "application/json", "{}")
            .with_header("docker-distribution-api-version", "registry/2.0"),
        _ => Reply::of(404, "text/plain; charset=utf-8", "404 page not found\n"),
    };
    assert_output_snapshot!(output_of("registry", registry), @"
    error: GET /api/forgejo/v1/version: this is an OCI registry and no Forgejo; name it with --registry
    exit 2
    ");
    let page = |_: &str| {
        Reply::of(404, "text/html", "<html><h1>404 Not Found</h1>").with_header("server", "nginx/1.27")
    };
    assert_output_snapshot!(output_of("page", page), @r#"
    error: GET /api/forgejo/v1/version: a web page with status 404 came: this is neither Forgejo nor Gitea nor a registry; what answers calls itself "nginx/1.27"
    exit 2
    "#);
    assert_output_snapshot!(output_of("else", |_| Reply::of(404, "application/json", r#"{"error":"?"}"#)), @"
    error: GET /api/forgejo/v1/version: this is neither Forgejo nor Gitea nor a registry
    exit 2
    ");
    assert_output_snapshot!(output_of("json", |_| Reply::of(200, "application/json", r#"{"status":"ok"}"#)), @r#"
    error: GET /api/forgejo/v1/version: not the JSON of this API (missing field `version` at line 1 column 15); it begins with "{\"status\":\"ok\"}"
    exit 2
    "#);
    assert_output_snapshot!(output_of("gateway", |_| Reply::of(502, "text/html", "<html>Bad Gateway")), @"
    error: GET /api/forgejo/v1/version: status 502: with a web page
    exit 1
    ");
    let moved = |_: &str| Reply::of(301, "text/html", "").with_header("location", "https://forgejo.example/");
    assert_output_snapshot!(output_of("moved", moved), @r#"
    error: GET /api/forgejo/v1/version: it leads to "https://forgejo.example/"; if that is the server, name its address
    exit 2
    "#);
}

#[test]
fn gitea_is_refused() {
    let gitea = |path: &str| match path {
        "/api/v1/version" => Reply::of(200, "application/json", r#"{"version":"1.24.3"}"#),
        _ => Reply::of(404, "text/plain; charset=utf-8", "404 page not found\n"),
    };
    assert_output_snapshot!(output_of("gitea", gitea), @"
    error: GET /api/forgejo/v1/version: this is Gitea 1.24.3, whose package API looks the same; what it deletes was never tried, so it is refused
    exit 2
    ");
}

#[test]
fn old_forgejo_is_refused_and_new_one_warns() {
    let version = |text: &'static str| {
        move |path: &str| match path {
            "/api/forgejo/v1/version" => {
                Reply::of(200, "application/json", format!(r#"{{"version":"{text}+gitea-1.22.0"}}"#))
            }
            _ => Reply::of(404, "text/plain", "404 page not found\n"),
        }
    };
    assert_output_snapshot!(output_of("old", version("10.0.1")), @"
    error: GET /api/forgejo/v1/version: Forgejo 10.0.1 is older than any that was tried (11); refused
    exit 2
    ");
    let job = Job::new("new", incident(BOTH[1]));
    job.server.set_hook(move |_, ask, _| {
        let is_version = ask.path == "/api/forgejo/v1/version";
        is_version.then(|| Fault::Instead(version("17.0.0-dev")(&ask.path)))
    });
    let ran = job.run(&[]);
    assert_eq!(ran.status, 0, "{ran:?}");
    insta::assert_snapshot!(ran.err, @"warning: Forgejo 17.0.0-dev is newer than any that was tried (16)");
}

#[test]
fn wrong_owner_exits_2() {
    for profile in BOTH {
        let job = Job::new("nobody", incident(profile));
        assert_output_snapshot!(job.run_without_effect(&["--apply"], &[("FORGEJO_OWNER", "nobody")]), @r#"
        error: GET /api/v1/packages/nobody: there is no owner "nobody" on this server; --owner names a user or an organisation as its page does
        exit 2
        "#);
        assert_output_snapshot!(job.run_without_effect(&["plan"], &[("FORGEJO_OWNER", "no/body")]), @r#"
        error: "no/body" is no name that a registry takes
        exit 2
        "#);
        assert_output_snapshot!(job.run_without_effect(&["explain", "app"], &[("FORGEJO_OWNER", "")]), @"
        error: name whose packages: --owner NAME, or FORGEJO_OWNER
        exit 2
        ");
    }
}

#[test]
fn proxy_comes_from_environment() {
    for profile in BOTH {
        let job = Job::new("proxy", incident(profile));
        let proxy = [("FORGEJO_HOST", "http://forgejo.example"), ("HTTP_PROXY", &*job.server.url)];
        let ran = job.run_with(&["plan", "--quiet"], &proxy);
        assert_eq!(ran.status, 0, "{ran:?}");
        assert!(ran.err.contains("credentials go to forgejo.example unencrypted"), "{ran:?}");
        assert!(job.server.log().iter().all(|ask| ask.header("host") == Some("forgejo.example")));
        let without_proxy = [&proxy[..], &[("NO_PROXY", "forgejo.example")]].concat();
        job.server.clear_log();
        let ran = job.run_with(&["plan", "--quiet", "--timeout", "1s"], &without_proxy);
        assert_eq!((ran.status, job.server.log().len()), (1, 0), "{ran:?}");
    }
}

/// https://github.com/go-gitea/gitea/issues/20890: a proxy decodes `%2F`, so packages with a slash in their name answer 404. A dry run
/// reports this, before an armed run would fail at its first deletion.
#[test]
fn dry_run_detects_proxy_that_decodes_slashes() {
    for profile in BOTH {
        let job = Job::new("decodes", incident(profile));
        job.server.set_hook(|world, ask, _| {
            let path = ask.path.replace("%2F", "/");
            let decoded = ReceivedRequest { path, ..ask.clone() };
            Some(Fault::Instead(world.answer(&decoded)))
        });
        let output = job.run_without_effect(&["--keep-last", "10", "-q"], &[]);
        assert_output_snapshot!(output, @"
        registry-retention plan: packages=3 images_kept=20 images_deleted=3 versions_deleted=3 left=28 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=4287
        error: whether these credentials may delete packages of viktor could not be found out: GET /api/v1/packages/viktor/container/team%2Ftool/3: the server does not know this address; does a proxy in front of it decode %2F?
        exit 1
        ");
        // Packages without a slash are not affected.
        let ran = job.run(&["--keep-last", "10", "-q", "--package", "kms*"]);
        assert_eq!(ran.status, 0, "{ran:?}");
    }
}
