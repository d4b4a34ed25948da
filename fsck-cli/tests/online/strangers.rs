//! Servers that are no registry, or answer unlike one: the program names the problem and ends in bounded time.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use registry_fixtures::registry::{Fault, Reply, Server};

use crate::support::{fsck, host, images, mask_snapshots, reference, registry};

/// What a probe prints when everything below a path gets one answer.
fn output_with(path: &'static str, reply: Reply) -> String {
    let server = registry(images);
    server.set_hook(move |_, ask, _| ask.path.starts_with(path).then(|| Fault::Instead(reply.clone())));
    let ran = fsck(&["probe", &server.url, "--retries", "0"]);
    assert_eq!(ran.status, 8, "{}", ran.out);
    ran.out
}

fn json_reply(text: &str) -> Reply {
    Reply::new(200).with("content-type", "application/json").body(text)
}

#[test]
fn answers_of_other_servers_are_named() {
    let _masked = mask_snapshots();
    let page = Reply::new(200).with("content-type", "text/html").body("<html><body>log in</body></html>");
    insta::assert_snapshot!(output_with("/", page), @"
    http://HOST could not be read: GET /v2/: status 200 without the header of a registry: this is something else
    asked http://HOST, not read completely: 0 repositories, 0 of 0 tags, 0 manifests of which 0 indexes, 0 configs and layers (0 B)
    registry-fsck probe: broken_tags=0 unknown_tags=0 errors=0 warnings=0 infos=0 repairable=0 tags=0 unread=1 exit_status=8 seconds=…
    ");
    let redirect = Reply::new(302).with("location", "https://login.example/?next=/v2/");
    insta::assert_snapshot!(output_with("/", redirect), @r#"
    http://HOST could not be read: GET /v2/: status 302: it leads to "https://login.example/?next=/v2/", which is not followed
    asked http://HOST, not read completely: 0 repositories, 0 of 0 tags, 0 manifests of which 0 indexes, 0 configs and layers (0 B)
    registry-fsck probe: broken_tags=0 unknown_tags=0 errors=0 warnings=0 infos=0 repairable=0 tags=0 unread=1 exit_status=8 seconds=…
    "#);
    insta::assert_snapshot!(output_with("/", Reply::new(404).with("content-type", "text/html").body("<html>")), @"
    http://HOST could not be read: GET /v2/: there is no registry at this address
    asked http://HOST, not read completely: 0 repositories, 0 of 0 tags, 0 manifests of which 0 indexes, 0 configs and layers (0 B)
    registry-fsck probe: broken_tags=0 unknown_tags=0 errors=0 warnings=0 infos=0 repairable=0 tags=0 unread=1 exit_status=8 seconds=…
    ");
}

#[test]
fn malformed_lists_are_named() {
    let _masked = mask_snapshots();
    insta::assert_snapshot!(output_with("/v2/_catalog", json_reply("<html>")), @"
    /v2/_catalog could not be read: GET /v2/_catalog: a web page came instead of JSON: a login page, or another server
    asked http://HOST, not read completely: 0 repositories, 0 of 0 tags, 0 manifests of which 0 indexes, 0 configs and layers (0 B)
    registry-fsck probe: broken_tags=0 unknown_tags=0 errors=0 warnings=0 infos=0 repairable=0 tags=0 unread=1 exit_status=8 seconds=…
    ");
    insta::assert_snapshot!(output_with("/v2/_catalog", json_reply(r#"{"repositories":7}"#)), @r#"
    /v2/_catalog could not be read: GET /v2/_catalog: not the JSON of this API (invalid type: integer `7`, expected a sequence at line 1 column 17); it begins with "{\"repositories\":7}"
    asked http://HOST, not read completely: 0 repositories, 0 of 0 tags, 0 manifests of which 0 indexes, 0 configs and layers (0 B)
    registry-fsck probe: broken_tags=0 unknown_tags=0 errors=0 warnings=0 infos=0 repairable=0 tags=0 unread=1 exit_status=8 seconds=…
    "#);
    insta::assert_snapshot!(output_with("/v2/web/tags/list", Reply::new(404).with("content-type", "text/html").body("<html>")), @"
    /v2/web/tags/list could not be read: GET /v2/web/tags/list: status 404: with a web page
    asked http://HOST, not read completely: 1 repository, 3 of 3 tags, 4 manifests of which 1 index, 6 configs and layers (190 B)
    every tag was looked at within the last 1 minute
    registry-fsck probe: broken_tags=0 unknown_tags=0 errors=0 warnings=0 infos=0 repairable=0 tags=3 unread=1 exit_status=8 seconds=…
    ");
}

#[test]
fn null_tag_list_means_no_tags() {
    let server = registry(images);
    server.set_hook(|_, ask, _| {
        (ask.path == "/v2/web/tags/list").then(|| Fault::Instead(json_reply(r#"{"name":"web","tags":null}"#)))
    });
    let ran = fsck(&["probe", &server.url, "--output", "json"]);
    assert_eq!((ran.status, &ran.json()["coverage"]["tags_total"]), (0, &3.into()));
}

#[test]
fn circular_and_foreign_page_links_exit_8() {
    let _masked = mask_snapshots();
    let catalog_with_next = |next: &str| {
        json_reply(r#"{"repositories":["web"]}"#).with("link", format!("<{next}>; rel=\"next\""))
    };
    insta::assert_snapshot!(output_with("/v2/_catalog", catalog_with_next("/v2/_catalog")), @"
    /v2/_catalog could not be read: GET /v2/_catalog: its pages lead in a circle
    asked http://HOST, not read completely: 0 repositories, 0 of 0 tags, 0 manifests of which 0 indexes, 0 configs and layers (0 B)
    registry-fsck probe: broken_tags=0 unknown_tags=0 errors=0 warnings=0 infos=0 repairable=0 tags=0 unread=1 exit_status=8 seconds=…
    ");
    let server = registry(images);
    server.set_hook(move |_, ask, number| {
        (ask.path == "/v2/_catalog")
            .then(|| Fault::Instead(catalog_with_next(&format!("/v2/_catalog?page={number}"))))
    });
    let ran = fsck(&["probe", &server.url, "--retries", "0"]);
    assert_eq!((ran.status, server.log().len()), (8, 5));
    assert!(ran.out.contains("its pages are all the same"), "{}", ran.out);
    insta::assert_snapshot!(output_with("/v2/_catalog", catalog_with_next("https://elsewhere.example/v2/other?n=1")), @"
    /v2/_catalog could not be read: GET /v2/_catalog: its link to the next page leads elsewhere
    asked http://HOST, not read completely: 0 repositories, 0 of 0 tags, 0 manifests of which 0 indexes, 0 configs and layers (0 B)
    registry-fsck probe: broken_tags=0 unknown_tags=0 errors=0 warnings=0 infos=0 repairable=0 tags=0 unread=1 exit_status=8 seconds=…
    ");
}

#[test]
fn catalog_of_300_000_names_is_read() {
    let server = registry(images);
    let names: Vec<String> = (0..300_000).map(|number| format!("\"some/repository/{number}\"")).collect();
    let catalog = json_reply(&format!("{{\"repositories\":[{}]}}", names.join(",")));
    server.fail_requests("GET", "/v2/_catalog", 9, Fault::Instead(catalog));
    let ran = fsck(&["probe", &server.url, "--repository", "some/repository/29999?"]);
    assert_eq!((ran.status, server.log().len()), (16, 14), "{}", ran.err);
    server.clear_log();
    let ran = fsck(&["probe", &server.url, "--budget-requests", "40"]);
    assert_eq!((ran.status, server.log().len()), (8, 40));
    assert!(ran.out.contains("more lists were not read") && ran.out.lines().count() < 10, "{}", ran.out);
}

#[test]
fn refused_connection_exits_8() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let ran = fsck(&["probe", &format!("http://{address}"), "--retries", "0"]);
    assert_eq!(ran.status, 8);
    assert!(ran.out.contains("no answer"), "{}", ran.out);
    let ran = fsck(&["verify", &format!("{address}/app:v1"), "--retries", "0"]);
    assert_eq!(ran.status, 8);
}

#[test]
fn https_to_http_server_exits_8() {
    let server = registry(images);
    let ran = fsck(&["probe", &format!("https://{}", host(&server)), "--retries", "0"]);
    assert_eq!(ran.status, 8);
    assert!(ran.out.contains("GET /v2/: no answer") && ran.out.contains("InvalidContentType"), "{}", ran.out);
}

/// A server that gives each connection and its request line to a function; returns its address.
fn start_raw_server(serve: impl Fn(std::net::TcpStream, &str) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serve = std::sync::Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = std::sync::Arc::clone(&serve);
            std::thread::spawn(move || {
                let (mut stream, mut bytes) = (stream, [0; 4096]);
                let read = stream.read(&mut bytes).unwrap_or(0);
                let line =
                    String::from_utf8_lossy(&bytes[..read]).lines().next().unwrap_or_default().to_owned();
                serve(stream, &line);
            });
        }
    });
    address
}

/// The answer of a server to a request line.
fn forward_request(server: &Server, line: &str) -> Vec<u8> {
    let mut stream = std::net::TcpStream::connect(host(server)).unwrap();
    let accept =
        "accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";
    stream
        .write_all(format!("{line}\r\nhost: x\r\n{accept}\r\nconnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn dripping_answer_times_out() {
    let address = start_raw_server(|mut stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n");
        while stream.write_all(b"{").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let start = Instant::now();
    let ran = fsck(&["probe", &format!("http://{address}"), "--retries", "0", "--timeout", "1s"]);
    assert_eq!(ran.status, 8);
    assert!(ran.out.contains("no complete answer within 1 s"), "{}", ran.out);
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn bug_dripping_and_endless_layers_are_abandoned() {
    for is_dripping in [true, false] {
        let server = registry(images);
        let address = start_raw_server(move |mut stream, line| {
            if !line.contains("/blobs/") {
                let _ = stream.write_all(&forward_request(&server, line));
                return;
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
            let piece = if is_dripping { vec![b'x'] } else { vec![b'x'; 1 << 20] };
            let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat();
            while stream.write_all(&chunk).is_ok() {
                if is_dripping {
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        });
        let url = format!("http://{address}");
        let options = ["--depth", "content", "--repository", "web", "--timeout", "1s", "--retries", "0"];
        let ran = fsck(&[&["probe", &url, "--output", "json"][..], &options].concat());
        let reason = if is_dripping { "no complete answer within" } else { "the answer is larger than" };
        assert!(ran.out.contains(reason), "{}", ran.out);
        assert_eq!((ran.status, ran.codes()), (8, Vec::new()));
    }
}

#[test]
fn control_characters_of_server_do_not_reach_terminal() {
    let server = registry(images);
    let reply = Reply::new(500)
        .with("content-type", "application/json")
        .body("{\"errors\":[{\"code\":\"\u{1b}]0;x\u{7}\",\"message\":\"\u{1b}[2J\"}]}");
    server.set_hook(move |_, ask, _| ask.path.contains("/tags/list").then(|| Fault::Instead(reply.clone())));
    let ran = fsck(&["probe", &server.url, "--retries", "0", "-vv"]);
    assert!(!ran.out.contains('\u{1b}') && !ran.err.contains('\u{1b}'), "{ran:?}");
}

#[test]
fn bug_probe_gives_up_on_dead_registry() {
    let server = registry(|world| {
        for number in 0..200 {
            world.push_image("app", Some(&format!("v{number}")), &format!("image {number}"));
        }
    });
    let mut answered = 0;
    server.set_hook(move |_, ask, _| {
        answered += usize::from(ask.path.contains("/manifests/"));
        (answered > 250).then_some(Fault::Status(502))
    });
    let ran = fsck(&["probe", &server.url, "--give-up-after", "1s"]);
    assert_eq!(ran.status, 8, "{}", ran.out);
    assert!(
        ran.out.contains(" could not be read: no request succeeded for 1 s, so nothing else is asked"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("broken_tags=0 unknown_tags=200 errors=0 "), "{}", ran.out);
    assert!(server.log().len() < 600, "{} requests", server.log().len());
    let ran = fsck(&["verify", &reference(&server, "app:v1"), "--give-up-after", "1s"]);
    assert_eq!(ran.status, 8, "{}", ran.out);
    assert!(!ran.out.contains(": complete"), "{}", ran.out);
}
