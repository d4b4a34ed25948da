//! Registries and proxies that answer HEAD differently from GET.

use registry_fixtures::registry::{Profile, Quirks, Server, World};

use crate::support::{fsck, images, images_with_lost_child, manifest_digest, reference};

const DEVIATIONS: [Quirks; 4] =
    [Quirks::CRANE, Quirks::of_head(404), Quirks::of_head(405), Quirks::of_head(501)];

fn registry(quirks: Quirks, push: impl FnOnce(&mut World)) -> Server {
    let mut world = World::new(Profile::V3).answering(quirks);
    push(&mut world);
    Server::start(world)
}

// https://github.com/google/go-containerregistry/issues/1579: "not known: HEAD …: status 404", exit 8.
#[test]
fn bug_verify_reports_absent_tag_of_crane_registry() {
    for quirks in DEVIATIONS {
        let server = registry(quirks, images);
        let ran = fsck(&["verify", &reference(&server, "web:nothere"), "--output", "json"]);
        assert_eq!((ran.status, ran.codes()), (4, vec!["tag-target-missing".to_owned()]), "{quirks:?}");
    }
}

// https://github.com/google/go-containerregistry/issues/1579
#[test]
fn bug_verify_finds_referrers_in_crane_registry() {
    for quirks in DEVIATIONS {
        let verify = |server: &Server| fsck(&["verify", &reference(server, "web"), "--referrers"]);
        assert_eq!(verify(&registry(quirks, images)).status, 4, "{quirks:?}");
        let signed = registry(quirks, |world| {
            images(world);
            let tag = manifest_digest("four").replace(':', "-");
            world.push_image("web", Some(&format!("{tag}.sig")), "signature");
        });
        assert_eq!(verify(&signed).status, 0, "{quirks:?}");
    }
}

// https://github.com/merll/docker-registry-util/issues/3: every tag was unknown where HEAD answers 405.
#[test]
fn bug_probe_judges_tags_of_registry_without_head() {
    for quirks in DEVIATIONS {
        let probe = |push: fn(&mut World)| {
            let ran = fsck(&["probe", &registry(quirks, push).url, "--output", "json"]);
            (ran.status, ran.codes())
        };
        assert_eq!(probe(images), (0, Vec::new()), "{quirks:?}");
        assert_eq!(probe(images_with_lost_child), (4, vec!["child-missing".to_owned()]), "{quirks:?}");
    }
}
