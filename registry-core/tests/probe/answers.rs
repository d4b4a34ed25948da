//! Law L5 for answers: no bytes, status or header make the probe panic, hang, or call missing what is unknown.

use proptest::prelude::*;
use registry_fixtures::registry::{Fault, Profile, Reply, Server, World};

use crate::support::{RunOptions, run_once};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let digest = "(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}|sha256:..|\\.\\./x)";
    let number =
        prop_oneof![Just("-1".to_owned()), Just("1e99".to_owned()), (0_u64..99).prop_map(|n| n.to_string())];
    let descriptor = (digest, number, "[a-z./+]{0,40}").prop_map(|(digest, size, kind)| {
        format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{size},"platform":{{"os":"linux","architecture":"x"}}}}"#)
    });
    let list = proptest::collection::vec(descriptor.clone(), 0..5).prop_map(|all| all.join(","));
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        ".{0,80}".prop_map(String::into_bytes),
        (0_u8..4, list.clone(), descriptor).prop_map(|(version, list, config)| {
            format!(r#"{{"schemaVersion":{version},"config":{config},"layers":[{list}]}}"#).into_bytes()
        }),
        (0_u8..4, list).prop_map(|(version, list)| {
            format!(r#"{{"schemaVersion":{version},"manifests":[{list}],"tags":null}}"#).into_bytes()
        }),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    let status = prop_oneof![4 => Just(200_u16), 1 => 200_u16..206, 1 => 300_u16..309, 2 => 400_u16..452, 1 => 500_u16..512];
    let kind = prop_oneof![Just("application/json".to_owned()), "[a-z]{1,9}/[a-z.+]{1,30}"];
    let digest = prop_oneof![Just(None), "sha256:[0-9a-f]{64}".prop_map(Some), "[ -~]{0,40}".prop_map(Some)];
    let location =
        prop_oneof![Just(None), "[ -~]{0,40}".prop_map(Some), Just(Some("/v2/app/manifests/v1".into()))];
    (status, kind, digest, location, body()).prop_map(|(status, kind, digest, location, body)| {
        let mut reply = Reply::new(status).with("content-type", kind).body(body);
        if let Some(digest) = digest {
            reply = reply.with("docker-content-digest", digest);
        }
        if let Some(location) = location {
            reply = reply.with("location", location);
        }
        reply
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_answers_make_the_probe_panic(replies in proptest::collection::vec(reply(), 1..6), is_deep in any::<bool>(), platforms in any::<bool>()) {
        let mut world = World::new(Profile::V2_8);
        world.push_index("app", &["v1", "v2"], &["one", "two"]);
        world.push_image("app", Some("v3"), "three");
        let server = Server::start(world);
        let given = replies.clone();
        server.set_hook(move |_, ask, number| {
            let is_object = ask.path.contains("/manifests/") || ask.path.contains("/blobs/");
            // The registry itself gives every second answer.
            (is_object && number % 2 == 0).then(|| Fault::Instead(given[number / 2 % given.len()].clone()))
        });
        let options = if is_deep { RunOptions::deep() } else { RunOptions::default() };
        let options = RunOptions { platforms: if platforms { vec!["linux/amd64".parse().unwrap()] } else { Vec::new() }, retries: 0, ..options };
        let result = run(run_once(&server, &options));
        let (audit, judged) = (&result.judgement.audit, &result.judgement.judged);
        for tag in &audit.broken_tags {
            prop_assert!(!tag.findings.is_empty() && judged.contains(&(tag.repository.to_string(), tag.tag.to_string())));
        }
        for tag in &audit.unknown_tags {
            prop_assert!(!judged.contains(&(tag.repository.to_string(), tag.tag.to_string())));
        }
    }
}
