//! Metrics of `probe`, `verify` and `scan`, in a file and pushed to a Pushgateway.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use registry_fixtures::TreeBuilder;
use registry_fixtures::http::{Fault, Server};
use registry_fixtures::pushgateway::{Pushgateway, received_pushes};

use crate::support::{fsck, images, images_with_lost_child, mask_snapshots, reference, registry};

#[test]
fn probe_writes_metrics_file() {
    let _masked = mask_snapshots();
    let (server, folder) = (registry(images_with_lost_child), tempfile::tempdir().unwrap());
    let path = folder.path().join("metrics.prom");
    assert_eq!(fsck(&["probe", &server.url, "--metrics-file", path.to_str().unwrap()]).status, 4);
    let text = std::fs::read_to_string(&path).unwrap();
    let is_shown = |line: &&str| {
        !(line.starts_with('#') || line.starts_with("registry_findings") && line.ends_with(" 0"))
    };
    insta::assert_snapshot!(text.lines().filter(is_shown).collect::<Vec<_>>().join("\n"), @r#"
    registry_manifest_integrity_failures{instance="http://HOST"} 2
    registry_manifest_integrity_catalog_accessible{instance="http://HOST"} 1
    registry_manifest_integrity_repos_checked{instance="http://HOST"} 2
    registry_manifest_integrity_tags_checked{instance="http://HOST"} 4
    registry_manifest_integrity_indexes_checked{instance="http://HOST"} 1
    registry_manifest_integrity_last_run_timestamp{instance="http://HOST"} …
    registry_unknown_tags{instance="http://HOST"} 0
    registry_findings{instance="http://HOST",code="child-missing"} 1
    registry_probe_requests_total{instance="http://HOST"} 24
    registry_run_duration_seconds{instance="http://HOST"} …
    "#);
}

#[test]
fn unlistable_registry_sets_catalog_accessible_to_0() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.prom");
    let server = registry(images);
    for part in ["/v2/_catalog", "/v2/"] {
        server.set_hook(move |_, ask, _| ask.path.ends_with(part).then_some(Fault::Status(401)));
        let ran = fsck(&["probe", &server.url, "--metrics-file", path.to_str().unwrap()]);
        assert_eq!(ran.status, 8);
        let text = std::fs::read_to_string(&path).unwrap();
        let wanted = format!("catalog_accessible{{instance=\"{}\"}} 0\n", server.url);
        assert!(text.contains(&wanted), "{part}: {text}");
        assert!(text.contains("last_run_timestamp"), "{text}");
    }
}

#[test]
fn push_has_grouping_key_and_text_of_metrics_file() {
    let _masked = mask_snapshots();
    let (server, gateway, folder) =
        (registry(images_with_lost_child), Server::start(Pushgateway), tempfile::tempdir().unwrap());
    let path = folder.path().join("metrics.prom");
    let base = format!("{}/", gateway.url);
    let ran = fsck(&["probe", &server.url, "--pushgateway", &base, "--metrics-file", path.to_str().unwrap()]);
    assert_eq!((ran.status, &*ran.err), (4, ""));
    let pushes = received_pushes(&gateway);
    assert_eq!(pushes.len(), 1);
    let key = URL_SAFE.encode(&server.url);
    assert_eq!(pushes[0].0, format!("PUT /metrics/job/registry-fsck/command/probe/instance@base64/{key}"));
    assert_eq!(pushes[0].1, std::fs::read_to_string(&path).unwrap());
    assert_eq!(gateway.log()[0].header("content-type"), Some("text/plain; version=0.0.4"));
}

#[test]
fn scan_pushes_one_group_per_source() {
    let (one, two, gateway) = (TreeBuilder::new(), TreeBuilder::new(), Server::start(Pushgateway));
    let mut trees = [one, two];
    trees.iter_mut().for_each(|tree| drop(tree.image("app", Some("v1"), "seed")));
    let roots: Vec<&str> = trees.iter().map(|tree| tree.root().to_str().unwrap()).collect();
    let ran = fsck(&["scan", roots[0], roots[1], "--pushgateway", &gateway.url]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let mut pushes = received_pushes(&gateway);
    pushes.sort();
    let mut keys: Vec<String> = roots.iter().map(|root| URL_SAFE.encode(root)).collect();
    keys.sort();
    for ((line, text), (key, root)) in
        pushes.iter().zip(keys.iter().map(|key| (key, URL_SAFE.decode(key).unwrap())))
    {
        assert_eq!(*line, format!("PUT /metrics/job/registry-fsck/command/scan/instance@base64/{key}"));
        let root = String::from_utf8(root).unwrap();
        let instances = text.lines().filter(|line| line.contains("instance=\""));
        assert!(
            instances.clone().count() > 20 && instances.clone().all(|line| line.contains(&root)),
            "{text}"
        );
    }
    assert_eq!(pushes.len(), 2);
}

#[test]
fn refused_push_exits_8_after_report() {
    let _masked = mask_snapshots();
    let (server, gateway) = (registry(images_with_lost_child), Server::start(Pushgateway));
    gateway.set_hook(|_, _, _| Some(Fault::Status(400)));
    let ran = fsck(&["probe", &server.url, "--pushgateway", &gateway.url]);
    assert_eq!(ran.status, 12);
    assert!(ran.out.contains("child-missing"), "{}", ran.out);
    insta::assert_snapshot!(ran.err, @"ERROR cannot push metrics: the Pushgateway does not take them: PUT /metrics/job/registry-fsck/command/probe/instance@base64/…: status 400");
    let ran = fsck(&["probe", &server.url, "--pushgateway", "http://127.0.0.1:1", "--output", "json"]);
    assert_eq!((ran.status, &ran.json()["exit_status"]), (12, &12.into()));
    assert!(ran.err.contains("cannot push metrics"), "{}", ran.err);
}

#[test]
fn bug_metrics_count_images_per_registry() {
    let (one, two, folder) = (registry(images), registry(images), tempfile::tempdir().unwrap());
    let path = folder.path().join("metrics.prom");
    let images = [(&one, "v1"), (&one, "v2"), (&two, "v1")]
        .map(|(server, tag)| reference(server, &format!("team/app:{tag}")));
    let ran = fsck(&["verify", &images[0], &images[1], &images[2], "--metrics-file", path.to_str().unwrap()]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let text = std::fs::read_to_string(&path).unwrap();
    for (server, tags) in [(&one, 2), (&two, 1)] {
        let wanted = format!("integrity_tags_checked{{instance=\"{}\"}} {tags}\n", server.url);
        assert!(text.contains(&wanted), "{text}");
    }
}
