//! `verify --referrers`: signatures found by the referrers list, by its fallback tag, and by the tags of cosign.

use registry_fixtures::registry::{Fault, Reply, Server, World};
use serde_json::{Value, json};

use crate::support::{
    ProgramOutput, fsck, images, layer_digest, manifest_digest, mask_snapshots, reference, registry,
};

const SIGNATURE: &str = "application/vnd.example.signature.v1";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Pushes a signature of the image in `web`; returns its descriptor.
fn sign(world: &mut World) -> Value {
    let layer = world.push_blob("web", b"signature");
    let empty = world.push_blob("web", b"{}");
    let text = json!({"schemaVersion": 2, "mediaType": IMAGE, "artifactType": SIGNATURE,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2},
        "layers": [{"mediaType": "text/plain", "digest": layer, "size": 9}],
        "subject": {"mediaType": IMAGE, "digest": manifest_digest("four"), "size": 1}})
    .to_string();
    let digest = world.push_manifest("web", None, text.as_bytes());
    json!({"mediaType": IMAGE, "digest": digest, "size": text.len(), "artifactType": SIGNATURE})
}

fn verify(server: &Server, referrers: &str) -> ProgramOutput {
    fsck(&["verify", &reference(server, "web"), "--retries", "0", referrers])
}

/// A registry whose referrers list (OCI 1.1) has these descriptors.
fn registry_with_referrers(descriptors: Value) -> Server {
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
    let _masked = mask_snapshots();
    let signature = sign(&mut World::new(registry_fixtures::registry::Profile::V2_8));
    let server = registry_with_referrers(json!([signature]));
    let ran = verify(&server, "--referrers");
    assert_eq!(ran.status, 0, "{ran:?}");
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
    let _masked = mask_snapshots();
    let ran = verify(&registry_with_referrers(json!([])), "--referrers");
    assert_eq!(ran.status, 4);
    insta::assert_snapshot!(ran.out, @"
    HOST/web:latest: not complete
      sha256:f8d400de2387…, 1 layer (64 B)
    error web:latest: it has no referrer [referrer-missing]
    registry-fsck verify: broken_tags=1 unknown_tags=0 errors=1 warnings=0 infos=0 repairable=0 tags=1 unread=0 exit_status=4 seconds=…
    ");
    let absent = json!([{"mediaType": IMAGE, "digest": layer_digest("nowhere"), "size": 1}]);
    assert_eq!(verify(&registry_with_referrers(absent), "--referrers").status, 4);
}

#[test]
fn referrers_are_found_by_fallback_tag() {
    let server = registry(|world| {
        images(world);
        let signature = sign(world);
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [signature]}).to_string();
        world.push_manifest("web", Some(&manifest_digest("four").replace(':', "-")), index.as_bytes());
    });
    assert_eq!(verify(&server, &format!("--referrers={SIGNATURE}")).status, 0);
    assert_eq!(verify(&server, "--referrers=sig").status, 4);
}

#[test]
fn referrers_are_found_by_cosign_tags() {
    let server = registry(|world| {
        images(world);
        let tag = manifest_digest("four").replace(':', "-");
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
    let _masked = mask_snapshots();
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
    let image = reference(&server, "web");
    let ran = fsck(&["verify", &image, "--retries", "0", "--referrers", "--output", "json"]);
    assert_eq!((ran.codes(), &ran.json()["sources"][0]["complete"]), (Vec::new(), &false.into()));
}
