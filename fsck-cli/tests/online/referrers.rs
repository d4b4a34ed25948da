//! `verify --referrers`: signatures by the list, by the tag that stands in for it, by the tags of cosign.

use registry_fixtures::registry::{Fault, Reply, Server, World};
use serde_json::{Value, json};

use crate::support::{Ran, fsck, host, images, layer, manifest, masked, registry};

const SIGNATURE: &str = "application/vnd.example.signature.v1";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Pushes a signature of the image in `web`; gives its descriptor.
fn sign(world: &mut World) -> Value {
    let layer = world.push_blob("web", b"signature");
    let empty = world.push_blob("web", b"{}");
    let text = json!({"schemaVersion": 2, "mediaType": IMAGE, "artifactType": SIGNATURE,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2},
        "layers": [{"mediaType": "text/plain", "digest": layer, "size": 9}],
        "subject": {"mediaType": IMAGE, "digest": manifest("four"), "size": 1}})
    .to_string();
    let digest = world.push_manifest("web", None, text.as_bytes());
    json!({"mediaType": IMAGE, "digest": digest, "size": text.len(), "artifactType": SIGNATURE})
}

fn verify(server: &Server, referrers: &str) -> Ran {
    fsck(&["verify", &format!("{}/web", host(server)), "--retries", "0", referrers])
}

/// A registry with the list of OCI 1.1.
fn listed(descriptors: Value) -> Server {
    let server = registry(|world| {
        images(world);
        sign(world);
    });
    let reply = Reply::new(200).with("content-type", INDEX);
    let reply =
        reply.body(json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors}).to_string());
    server.set_hook(move |_, ask, _| ask.path.contains("/referrers/").then(|| Fault::Instead(reply.clone())));
    server
}

#[test]
fn referrers_are_found_by_referrers_list() {
    let _masked = masked();
    let signature = sign(&mut World::new(registry_fixtures::registry::Profile::V2_8));
    let server = listed(json!([signature]));
    let ran = verify(&server, "--referrers");
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    insta::assert_snapshot!(ran.out, @"
    HOST/web:latest: complete
      sha256:f8d400de2387…, 1 layer (64 B)
      referrer sha256:7c78259a5442…
    registry-fsck verify: broken_tags=0 unknown_tags=0 errors=0 warnings=0 infos=0 repairable=0 tags=1 unread=0 exit_status=0 seconds=…
    ");
    assert_eq!(verify(&server, &format!("--referrers={SIGNATURE}")).status, 0);
    let ran = verify(&server, "--referrers=application/spdx+json");
    assert_eq!(ran.status, 4);
    insta::assert_snapshot!(ran.out, @"
    HOST/web:latest: not complete
      sha256:f8d400de2387…, 1 layer (64 B)
      referrer sha256:7c78259a5442…
    error web:latest: it has no referrer of type application/spdx+json, only application/vnd.example.signature.v1 [referrer-missing]
    registry-fsck verify: broken_tags=1 unknown_tags=0 errors=1 warnings=0 infos=0 repairable=0 tags=1 unread=0 exit_status=4 seconds=…
    ");
}

#[test]
fn empty_list_and_absent_referrer_exit_4() {
    let _masked = masked();
    let ran = verify(&listed(json!([])), "--referrers");
    assert_eq!(ran.status, 4);
    insta::assert_snapshot!(ran.out, @"
    HOST/web:latest: not complete
      sha256:f8d400de2387…, 1 layer (64 B)
    error web:latest: it has no referrer [referrer-missing]
    registry-fsck verify: broken_tags=1 unknown_tags=0 errors=1 warnings=0 infos=0 repairable=0 tags=1 unread=0 exit_status=4 seconds=…
    ");
    let gone = json!([{"mediaType": IMAGE, "digest": layer("nowhere"), "size": 1}]);
    assert_eq!(verify(&listed(gone), "--referrers").status, 4);
}

#[test]
fn referrers_are_found_by_fallback_tag() {
    let server = registry(|world| {
        images(world);
        let signature = sign(world);
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [signature]}).to_string();
        world.push_manifest("web", Some(&manifest("four").replace(':', "-")), index.as_bytes());
    });
    assert_eq!(verify(&server, &format!("--referrers={SIGNATURE}")).status, 0);
    assert_eq!(verify(&server, "--referrers=sig").status, 4);
}

#[test]
fn referrers_are_found_by_cosign_tags() {
    let server = registry(|world| {
        images(world);
        let tag = manifest("four").replace(':', "-");
        world.push_image("web", Some(&format!("{tag}.sig")), "signature");
        world.push_image("web", Some(&format!("{tag}.att")), "attestation");
    });
    assert_eq!(verify(&server, "--referrers").status, 0);
    assert_eq!(verify(&server, "--referrers=sig").status, 0);
    assert_eq!(verify(&server, "--referrers=att").status, 0);
    assert_eq!(verify(&server, "--referrers=sbom").status, 4);
}

#[test]
fn bug_unreadable_referrers_are_not_missing() {
    let _masked = masked();
    let server = registry(images);
    server.set_hook(|_, ask, _| ask.path.contains("/referrers/").then_some(Fault::Status(503)));
    let ran = verify(&server, "--referrers");
    assert_eq!(ran.status, 8);
    insta::assert_snapshot!(ran.out, @"
    HOST/web:latest: complete
      sha256:f8d400de2387…, 1 layer (64 B)
    not known /v2/web/referrers/sha256:f8d400de2387…: GET /v2/web/referrers/sha256:f8d400de2387…: status 503
    registry-fsck verify: broken_tags=0 unknown_tags=0 errors=0 warnings=0 infos=0 repairable=0 tags=1 unread=1 exit_status=8 seconds=…
    ");
    let json = fsck(&[
        "verify",
        &format!("{}/web", host(&server)),
        "--retries",
        "0",
        "--referrers",
        "--output",
        "json",
    ]);
    assert_eq!((json.codes(), &json.json()["sources"][0]["complete"]), (Vec::new(), &false.into()));
}
