//! The exit statuses and reports of `probe`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use registry_fixtures::registry::{Fault, Reply, Server};

use crate::support::{
    ProgramOutput, fsck, images, images_with_lost_child, layer_digest, manifest_digest, mask_snapshots,
    registry,
};

/// Makes every request fail whose path contains `part`.
fn fail_requests(server: &Server, part: &'static str, status: u16) {
    server.set_hook(move |_, ask, _| ask.path.contains(part).then_some(Fault::Status(status)));
}

#[test]
fn whole_registry_exits_0() {
    let _masked = mask_snapshots();
    let server = registry(images);
    let ran = fsck(&["probe", &server.url]);
    assert_eq!((ran.status, &*ran.err), (0, ""));
    insta::assert_snapshot!(ran.out, @"
    asked http://HOST: 2 repositories, 4 of 4 tags, 5 manifests of which 1 index, 8 configs and layers (254 B)
    every tag was looked at within the last 1 minute
    registry-fsck probe: broken_tags=0 unknown_tags=0 errors=0 warnings=0 infos=0 repairable=0 tags=4 unread=0 exit_status=0 seconds=…
    ");
}

#[test]
fn broken_tag_exits_4() {
    let _masked = mask_snapshots();
    let server = registry(images_with_lost_child);
    let ran = fsck(&["probe", &server.url]);
    assert_eq!((ran.status, &*ran.err), (4, ""));
    insta::assert_snapshot!(ran.out, @"
    team/app (2 tags: stable, v1) cannot be pulled: linux/arm64 answers 404 [child-missing]
    asked http://HOST: 2 repositories, 4 of 4 tags, 5 manifests of which 1 index, 6 configs and layers (192 B)
    every tag was looked at within the last 1 minute
    registry-fsck probe: broken_tags=2 unknown_tags=0 errors=1 warnings=0 infos=0 repairable=0 tags=4 unread=0 exit_status=4 seconds=…
    ");
}

#[test]
fn probe_prints_json_report() {
    let _masked = mask_snapshots();
    let server = registry(images_with_lost_child);
    let ran = fsck(&["probe", &server.url, "--output", "json"]);
    assert_eq!(ran.status, 4);
    insta::assert_snapshot!(ran.out, @r#"
    {
      "schema": "registry-fsck/report/1",
      "command": "probe",
      "version": "0.1.0",
      "started_at": "…",
      "duration_seconds": 0.0,
      "exit_status": 4,
      "options": {
        "content": false,
        "strict": false,
        "min_age_seconds": 0,
        "online": {
          "depth": "blobs",
          "recheck_after_seconds": 86400
        }
      },
      "sources": [
        {
          "kind": "registry",
          "name": "http://HOST",
          "role": "primary",
          "complete": true,
          "repositories": 2,
          "tags": 4,
          "manifests": 5,
          "indexes": 1,
          "layer_links": 6,
          "blobs": 6,
          "blob_bytes": 192,
          "uploads": 0
        }
      ],
      "findings": [
        {
          "code": "child-missing",
          "severity": "error",
          "source": "http://HOST",
          "repository": "team/app",
          "tags": [
            "stable",
            "v1"
          ],
          "digest": "sha256:1f7f40a4a401…",
          "parent": "sha256:101831dc9442…",
          "platform": "linux/arm64",
          "path": "/v2/team/app/manifests/sha256:1f7f40a4a401…",
          "message": "linux/arm64 answers 404"
        }
      ],
      "broken_tags": [
        {
          "source": "http://HOST",
          "repository": "team/app",
          "tag": "stable",
          "findings": [
            0
          ]
        },
        {
          "source": "http://HOST",
          "repository": "team/app",
          "tag": "v1",
          "findings": [
            0
          ]
        }
      ],
      "unknown_tags": [],
      "unread": [],
      "coverage": {
        "tags_total": 4,
        "tags_checked": 4,
        "oldest_check": "…",
        "never_checked": 0,
        "complete_by": "…",
        "requests": 24
      },
      "summary": {
        "errors": 1,
        "warnings": 0,
        "infos": 0,
        "broken_tags": 2,
        "unknown_tags": 0,
        "resolved": 0
      }
    }
    "#);
}

#[test]
fn forbidden_manifest_exits_8() {
    let _masked = mask_snapshots();
    let server = registry(images);
    fail_requests(&server, "/v2/web/manifests/", 403);
    let ran = fsck(&["probe", &server.url, "--retries", "0"]);
    assert_eq!(ran.status, 8);
    insta::assert_snapshot!(ran.out, @"
    web:latest could not be judged: refused with 403: these credentials do not suffice
    asked http://HOST, not read completely: 2 repositories, 3 of 4 tags, 4 manifests of which 1 index, 6 configs and layers (190 B)
    1 tag was never looked at so far
    registry-fsck probe: broken_tags=0 unknown_tags=1 errors=0 warnings=0 infos=0 repairable=0 tags=4 unread=1 exit_status=8 seconds=…
    ");
}

#[test]
fn damage_and_unread_list_exit_12() {
    let server = registry(images_with_lost_child);
    fail_requests(&server, "/v2/web/tags/list", 500);
    let ran = fsck(&["probe", &server.url, "--retries", "0", "--output", "json"]);
    assert_eq!((ran.status, ran.codes()), (12, vec!["child-missing".to_owned()]));
}

#[test]
fn failing_registry_exits_8_without_findings() {
    let server = registry(images_with_lost_child);
    server.set_hook(|_, ask, _| {
        (ask.path.contains("/manifests/") || ask.path.contains("/blobs/")).then_some(Fault::Status(503))
    });
    let ran = fsck(&["probe", &server.url, "--retries", "0", "--output", "json"]);
    assert_eq!((ran.status, ran.codes()), (8, Vec::new()));
    assert_eq!(ran.json()["summary"]["broken_tags"], 0);
    assert!(ran.out.contains("the registry is out of order"), "{}", ran.out);
}

#[test]
fn single_failing_object_is_server_error() {
    let server = registry(images);
    server.world().rewrite_manifest_link("team/app", &manifest_digest("two"), "no digest");
    let ran = fsck(&["probe", &server.url, "--retries", "1", "--output", "json"]);
    assert_eq!((ran.status, ran.codes()), (4, vec!["server-error".to_owned()]));
}

#[test]
fn depth_decides_what_is_checked() {
    let server = registry(images);
    server.world().replace_bytes(&layer_digest("four"), b"layer of FOUR");
    server.world().unlink_blob("team/app", &layer_digest("three"));
    let codes = |depth: &str| {
        let ran = fsck(&["probe", &server.url, "--depth", depth, "--output", "json"]);
        (ran.status, ran.codes().join(" "))
    };
    assert_eq!(codes("manifests"), (0, String::new()));
    assert_eq!(codes("blobs"), (4, "blob-missing".into()));
    assert_eq!(codes("content"), (4, "blob-missing blob-digest-mismatch".into()));
}

#[test]
fn repository_option_limits_probe() {
    let server = registry(images_with_lost_child);
    let ran = fsck(&["probe", &server.url, "--repository", "we*", "--output", "json"]);
    assert_eq!((ran.status, &ran.json()["coverage"]["tags_total"]), (0, &1.into()));
    assert!(server.lines().iter().all(|line| !line.contains("team/app")), "{:?}", server.lines());
    let ran = fsck(&["probe", &server.url, "--repository", "nothing*"]);
    assert_eq!(ran.status, 16);
    assert!(ran.err.contains("no repository with tags matches --repository"), "{}", ran.err);
}

#[test]
fn missing_required_platform_exits_4() {
    let server = registry(images);
    let ran = fsck(&["probe", &server.url, "--require-platform", "linux/arm64", "--output", "json"]);
    assert_eq!((ran.status, ran.codes()), (4, vec!["platform-missing".to_owned(); 2]));
    assert_eq!(ran.json()["broken_tags"].as_array().map(Vec::len), Some(0));
    let ran = fsck(&["probe", &server.url, "--require-platform", "linux/amd64"]);
    assert_eq!(ran.status, 0, "{}", ran.out);
}

#[test]
fn probe_prints_coverage() {
    let _masked = mask_snapshots();
    let server = registry(images);
    let ran = fsck(&["probe", &server.url, "--newest", "1"]);
    assert_eq!(ran.status, 0);
    insta::assert_snapshot!(ran.out, @"
    asked http://HOST: 2 repositories, 2 of 4 tags, 2 manifests of which 0 indexes, 4 configs and layers (130 B)
    2 tags are outside --newest, which no run will look at: add --sample
    2 tags were never looked at so far
    registry-fsck probe: broken_tags=0 unknown_tags=0 errors=0 warnings=0 infos=0 repairable=0 tags=4 unread=0 exit_status=0 seconds=…
    ");
    let ran = fsck(&["probe", &server.url, "--sample", "50%"]);
    insta::assert_snapshot!(ran.out, @"
    asked http://HOST: 2 repositories, 2 of 4 tags, 3 manifests of which 1 index, 4 configs and layers (124 B)
    2 tags were never looked at so far
    registry-fsck probe: broken_tags=0 unknown_tags=0 errors=0 warnings=0 infos=0 repairable=0 tags=4 unread=0 exit_status=0 seconds=…
    ");
    server.clear_log();
    let ran = fsck(&["probe", &server.url, "--budget-requests", "12"]);
    assert_eq!((ran.status, server.log().len() <= 12), (0, true));
    insta::assert_snapshot!(ran.out, @"
    asked http://HOST: 2 repositories, 0 of 4 tags, 3 manifests of which 1 index, 2 configs and layers (62 B)
    4 tags were never looked at so far
    registry-fsck probe: broken_tags=0 unknown_tags=0 errors=0 warnings=0 infos=0 repairable=0 tags=4 unread=0 exit_status=0 seconds=…
    ");
}

#[test]
fn bug_budget_too_small_for_lists_exits_8() {
    let _masked = mask_snapshots();
    let server = registry(images);
    (0..50).for_each(|number| drop(server.world().push_image(&format!("x{number}"), Some("v1"), "five")));
    let ran = fsck(&["probe", &server.url, "--budget-requests", "3", "--jobs", "1"]);
    assert_eq!((ran.status, server.log().len()), (8, 3));
    insta::assert_snapshot!(ran.out, @"
    /v2/team/app/tags/list could not be read: this and 51 more lists were not read: lists alone take more than this run may spend
    asked http://HOST, not read completely: 0 repositories, 0 of 0 tags, 0 manifests of which 0 indexes, 0 configs and layers (0 B)
    registry-fsck probe: broken_tags=0 unknown_tags=0 errors=0 warnings=0 infos=0 repairable=0 tags=0 unread=1 exit_status=8 seconds=…
    ");
}

#[test]
fn bug_invalid_names_in_lists_are_warnings() {
    let _masked = mask_snapshots();
    let server = registry(images);
    let list = Reply::new(200).with("content-type", "application/json");
    let tags = list.clone().body(r#"{"name":"web","tags":["latest",".hidden"]}"#);
    server.fail_requests("GET", "/v2/web/tags/list", 9, Fault::Instead(tags));
    let names = list.body(r#"{"repositories":["web","UPPER","a..b"]}"#);
    server.fail_requests("GET", "/v2/_catalog", 9, Fault::Instead(names));
    let ran = fsck(&["probe", &server.url]);
    assert_eq!(ran.status, 0);
    insta::assert_snapshot!(ran.out, @r#"
    warning path-unexpected: /v2/_catalog: the list shows 2 names that no client can ask for, such as "UPPER"
    warning path-unexpected: web: the list shows ".hidden", a name that no client can ask for
        /v2/web/tags/list
    asked http://HOST: 1 repository, 1 of 1 tag, 1 manifest of which 0 indexes, 2 configs and layers (64 B)
    every tag was looked at within the last 1 minute
    registry-fsck probe: broken_tags=0 unknown_tags=0 errors=0 warnings=2 infos=0 repairable=0 tags=1 unread=0 exit_status=0 seconds=…
    "#);
    assert_eq!(fsck(&["probe", &server.url, "--fail-on", "warning"]).status, 4);
}

#[test]
fn unusable_arguments_exit_16() {
    let _masked = mask_snapshots();
    let mut errors = String::new();
    for arguments in [
        &["probe", "registry.example"][..],
        &["probe", "https://registry.example/team"],
        &["probe", "https://me:secret@registry.example"],
        &["probe", "ftp://registry.example"],
        &["probe", "https://registry.example", "--sample", "0%"],
        &["probe", "https://registry.example", "--budget-requests", "0"],
        &["probe", "https://registry.example", "--forgejo"],
        &["probe", "https://registry.example", "--fail-on", "new"],
        &["probe", "https://registry.example", "--password-file", "x"],
        &["probe", "https://registry.example", "--user", "me"],
        &["probe", "https://registry.example", "--ca-file", "/nowhere.pem"],
    ] {
        let ran = fsck(arguments);
        assert_eq!((ran.status, &*ran.out), (16, ""), "{arguments:?}: {}", ran.err);
        errors.push_str(ran.err.lines().next().unwrap_or_default());
        errors.push('\n');
    }
    insta::assert_snapshot!(errors, @r#"
    ERROR "registry.example" is no address of a server: write it as https://host or http://host:port
    ERROR "https://registry.example/team" is no address of a server: a registry is at the root of its host; choose repositories by their names instead
    ERROR "registry.example" is no address of a server: it holds credentials; give them apart from the address
    ERROR "ftp://registry.example" is no address of a server: write it as https://host or http://host:port
    error: invalid value '0%' for '--sample <P%>': write it as 10%, more than 0 and at most 100
    error: invalid value '0' for '--budget-requests <N>': 0 is not in 1..18446744073709551615
    error: the following required arguments were not provided:
    ERROR --fail-on new needs --baseline: what is new is told by an earlier report
    ERROR --password-file needs --user
    ERROR --user needs --password-file, REGISTRY_PASSWORD or the same with _FILE at the end
    ERROR cannot read /nowhere.pem: No such file or directory (os error 2)
    "#);
}

#[cfg(unix)]
#[test]
fn interrupt_exits_130_with_report_and_metrics() {
    for (signal, command) in [("-INT", "probe"), ("-TERM", "probe"), ("-INT", "verify"), ("-TERM", "verify")]
    {
        let server = registry(images);
        server.set_hook(|_, ask, _| {
            ask.path.contains("/blobs/").then_some(Fault::Slow(Duration::from_secs(60)))
        });
        let metrics = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("stopped{signal}-{command}"));
        let _ = std::fs::remove_file(&metrics);
        let target =
            if command == "probe" { server.url.clone() } else { format!("{}/team/app:v1", server.url) };
        let child = Command::new(env!("CARGO_BIN_EXE_registry-fsck"))
            .args([command, &target, "--output", "json", "--metrics-file"])
            .arg(&metrics)
            .env_clear()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        while !server.lines().iter().any(|line| line.contains("/blobs/")) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let ran = ProgramOutput::from(child.wait_with_output().unwrap());
        assert_eq!(ran.status, 130, "{ran:?}");
        assert!(ran.err.contains("stopping while asking, after "), "{ran:?}");
        assert!(ran.err.contains("once more ends it now"), "{ran:?}");
        // Tags that were not checked are neither whole nor broken.
        let report = ran.json();
        assert_eq!((&report["exit_status"], &report["summary"]["broken_tags"]), (&130.into(), &0.into()));
        let metrics = std::fs::read_to_string(&metrics).unwrap();
        assert!(metrics.contains("registry_probe_requests_total"), "{command}");
    }
}
