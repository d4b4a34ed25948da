//! Tokens that do not suffice; and that no token is printed or stored.

use std::path::Path;

use registry_fixtures::forgejo::{Fault, NO_PACKAGES, OWNER, Profile, READ, Reply, WRITE};

use crate::assert_output_snapshot;
use crate::support::{BOTH, Job, incident, refuse_from_first_deletion};

const UNKNOWN: &str = "4444444444444444444444444444444444444444";

#[test]
fn missing_token_deletes_nothing() {
    let output = |profile| {
        let job = Job::new("no-token", incident(profile));
        job.run_without_effect(&["--apply", "--package", "api"], &[("FORGEJO_TOKEN", "")])
    };
    // Release 15 lists the packages of a public owner without a token.
    assert_output_snapshot!(output(Profile::V11), @"
    error: GET /api/v1/packages/viktor: refused with status 401: the token is not known to this server, or one is needed
    exit 6
    ");
    assert_output_snapshot!(output(Profile::V15), @"
    URL, owner viktor; what goes is deleted
    api: 3 images kept, 0 images to go, 0 rows left as they are
    registry-retention plan: packages=1 images_kept=3 images_deleted=0 versions_deleted=0 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=0
    error: these credentials may not delete packages of viktor: no token was given
    exit 6
    ");
}

#[test]
fn dry_run_detects_read_only_token() {
    for profile in BOTH {
        let job = Job::new("read", incident(profile));
        let output = |arguments: &[&str]| job.run_without_effect(arguments, &[("FORGEJO_TOKEN", READ)]);
        assert_output_snapshot!(output(&["--package", "api"]), @"
        URL, owner viktor; dry run: nothing is deleted
        api: 3 images kept, 0 images to go, 0 rows left as they are
        registry-retention plan: packages=1 images_kept=3 images_deleted=0 versions_deleted=0 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=0
        error: these credentials may not delete packages of viktor: the token lacks the scope write:package, or its user the permission
        exit 6
        ");
        assert_eq!(output(&["--apply", "--quiet"]).lines().last(), Some("exit 6"));
        assert_output_snapshot!(output(&["--package", "api", "--preflight", "warn"]), @"
        URL, owner viktor; dry run: nothing is deleted
        api: 3 images kept, 0 images to go, 0 rows left as they are
        registry-retention plan: packages=1 images_kept=3 images_deleted=0 versions_deleted=0 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=0
        warning: these credentials may not delete packages of viktor: the token lacks the scope write:package, or its user the permission
        exit 0
        ");
        assert_output_snapshot!(output(&["plan", "--package", "api"]), @"
        api: 3 images kept, 0 images to go, 0 rows left as they are
        registry-retention plan: packages=1 images_kept=3 images_deleted=0 versions_deleted=0 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=0
        warning: these credentials may not delete packages of viktor: the token lacks the scope write:package, or its user the permission
        exit 0
        ");
        assert_output_snapshot!(output(&["plan", "--package", "api", "--preflight", "require"]), @"
        error: these credentials may not delete packages of viktor: the token lacks the scope write:package, or its user the permission
        exit 6
        ");
        let off = output(&["--quiet", "--preflight", "off"]);
        assert_eq!(off.lines().last(), Some("exit 0"));
    }
}

#[test]
fn token_without_read_scope_exits_6() {
    for profile in BOTH {
        let job = Job::new("none", incident(profile));
        let output = |token: &str| job.run_without_effect(&[], &[("FORGEJO_TOKEN", token)]);
        assert_output_snapshot!(output(NO_PACKAGES), @"
        error: GET /api/v1/packages/viktor: refused with status 403: token does not have at least one of required scope(s): [read:package]
        exit 6
        ");
        assert_output_snapshot!(output(UNKNOWN), @"
        error: GET /api/forgejo/v1/version: refused with status 401: the token is not known to this server, or one is needed
        exit 6
        ");
        assert_output_snapshot!(output("of another kind"), @"
        error: the token holds characters that no token has
        exit 2
        ");
        job.server.world().requires_sign_in = true;
        assert_output_snapshot!(output(""), @"
        error: GET /api/forgejo/v1/version: refused with status 403: Only signed in user is allowed to call APIs.
        exit 6
        ");
    }
}

#[test]
fn user_other_than_owner_may_not_delete() {
    for profile in BOTH {
        let job = Job::new("other-user", incident(profile));
        let other = job.server.world().add_user("other");
        job.server.world().add_token(UNKNOWN, other, &["write:package"]);
        assert_output_snapshot!(job.run_without_effect(&["--quiet", "--apply"], &[("FORGEJO_TOKEN", UNKNOWN)]), @"
        registry-retention plan: packages=3 images_kept=20 images_deleted=3 versions_deleted=3 left=28 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=4287
        error: these credentials may not delete packages of viktor: the token lacks the scope write:package, or its user the permission
        exit 6
        ");
    }
}

#[test]
fn account_that_must_change_password_exits_6() {
    for profile in BOTH {
        let job = Job::new("password", incident(profile));
        job.server.world().user_mut(OWNER).unwrap().must_change_password = true;
        assert_output_snapshot!(job.run_without_effect(&["--apply"], &[]), @"
        error: GET /api/forgejo/v1/version: refused with status 403: You must change your password. Change it at: URL//user/change_password
        exit 6
        ");
        // `/v2` accepts the account all the same, so the preflight alone would have passed.
        assert!(job.server.lines().iter().all(|line| line.starts_with("GET /api/forgejo/v1/version")));
    }
}

#[test]
fn account_refused_by_rest_stops_run_at_first_deletion() {
    for profile in BOTH {
        let job = Job::new("password-later", incident(profile));
        refuse_from_first_deletion(&job.server);
        let packages = ["--package", "api", "--package", "kms*"];
        let ran =
            job.run(&[&["--apply", "--keep-last", "2", "--journal", "journal"], &packages[..]].concat());
        let deletions: Vec<_> = job.changes().into_iter().filter(|line| line.starts_with("DELETE")).collect();
        assert_eq!(deletions.len(), 1, "{deletions:?}");
        assert_output_snapshot!(ran.as_text(), @"
        URL, owner viktor; what goes is deleted
        api: 2 images kept, 1 image to go, 0 rows left as they are
          delete v1, N d old: rank 3, beyond newest 2 (final)
        kms-website: 3 images kept, 11 images to go, 28 rows left as they are
          delete b12, N d old: rank 3, beyond newest 2
          delete b11, N d old: rank 4, beyond newest 2
          delete b10, N d old: rank 5, beyond newest 2
          delete b9, N d old: rank 6, beyond newest 2
          delete b8, N d old: rank 7, beyond newest 2
          delete b7, N d old: rank 8, beyond newest 2
          delete b6, N d old: rank 9, beyond newest 2
          delete b5, N d old: rank 10, beyond newest 2
          delete b3, N d old: rank 12, beyond newest 2
          delete b2, N d old: rank 13, beyond newest 2
          delete b1, N d old: rank 14, beyond newest 2
        15.82 KiB are needed only by what goes; the server's own collector frees them later
        registry-retention plan: packages=2 images_kept=5 images_deleted=12 versions_deleted=12 left=28 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=16196
          failed api:v1: DELETE /api/v1/packages/viktor/container/api/v1: refused with status 403: You must change your password. Change it at: URL//user/change_password
          not tried kms-website:b12: the run stopped before this package
          not tried kms-website:b11: the run stopped before this package
          not tried kms-website:b10: the run stopped before this package
          not tried kms-website:b9: the run stopped before this package
          not tried kms-website:b8: the run stopped before this package
          not tried kms-website:b7: the run stopped before this package
          not tried kms-website:b6: the run stopped before this package
          not tried kms-website:b5: the run stopped before this package
          not tried kms-website:b3: the run stopped before this package
          not tried kms-website:b2: the run stopped before this package
          not tried kms-website:b1: the run stopped before this package
        stopped: DELETE /api/v1/packages/viktor/container/api/v1: refused with status 403: You must change your password. Change it at: URL//user/change_password
        the journal is journal; registry-retention undo puts back what can be
        registry-retention apply: deleted=0 spared=0 failed=1 not_tried=11 already_gone=0
        error: failed api:v1: DELETE /api/v1/packages/viktor/container/api/v1: refused with status 403: You must change your password. Change it at: URL//user/change_password
        error: stopped: DELETE /api/v1/packages/viktor/container/api/v1: refused with status 403: You must change your password. Change it at: URL//user/change_password
        exit 6
        ");
    }
}

/// A file below a folder that contains a text.
fn find_file_with(folder: &Path, wanted: &str) -> Option<String> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).find_map(|path| {
        if path.is_dir() {
            return find_file_with(&path, wanted);
        }
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        text.contains(wanted).then(|| path.display().to_string())
    })
}

#[test]
fn tokens_are_neither_printed_nor_stored() {
    for profile in BOTH {
        let job = Job::new("printed", incident(profile));
        // Every run in these tests checks its output; these runs print and store everything they can.
        let files = ["--cache-dir", "cache", "--save-inventory", "inventory", "--metrics-file", "metrics"];
        for token in [WRITE, READ, NO_PACKAGES, UNKNOWN, "5555"] {
            for options in [&["--output", "json"][..], &["--apply", "--keep-last", "2", "--journal", token]] {
                let arguments = [&["-vv"], &files[..], options].concat();
                if !options.contains(&token) || token == WRITE {
                    let arguments: Vec<_> =
                        arguments.iter().map(|word| if *word == WRITE { "journal" } else { word }).collect();
                    job.run_with(&arguments, &[("FORGEJO_TOKEN", token)]);
                }
            }
            job.run_with(&["plan", "-v", "--plan-file", "plan"], &[("FORGEJO_TOKEN", token)]);
            job.run_with(&["explain", "-v", "api"], &[("FORGEJO_TOKEN", token)]);
        }
        job.run(&["undo", "-v", "journal", "--rank-as-new"]);
        for file in ["journal", "plan", "inventory", "metrics", "cache"] {
            assert!(job.folder.join(file).exists(), "{file}");
        }
        for secret in [WRITE, READ, NO_PACKAGES, UNKNOWN, ".signed"] {
            assert_eq!(find_file_with(&job.folder, secret), None);
        }
    }
}

#[test]
fn token_echoed_by_server_is_hidden() {
    let job = Job::new("echo", incident(BOTH[1]));
    for (path, status) in [
        ("/api/forgejo", 200),
        ("/api/forgejo", 418),
        ("/api/v1", 403),
        ("/v2/token", 500),
        ("/v2/viktor", 418),
    ] {
        job.server.set_hook(move |_, ask, _| {
            let echo = format!("{{\"message\": \"{}\"}}", ask.header("authorization").unwrap_or("nobody"));
            ask.path.starts_with(path).then(|| Fault::Instead(Reply::of(status, "application/json", echo)))
        });
        let ran = job.run(&["-v", "--package", "api"]);
        assert_ne!(ran.status, 0, "{ran:?}");
        let is_hidden = ran.out.contains("[hidden]") || ran.err.contains("[hidden]");
        assert!(is_hidden || status == 500, "{path}: {ran:?}");
    }
}

#[test]
fn failing_token_service_is_not_asked_per_manifest() {
    let job = Job::new("service", incident(BOTH[1]));
    job.server.set_hook(|_, ask, _| (ask.path == "/v2/token").then_some(Fault::Status(500)));
    let output = job.run_without_effect(&["--quiet", "--apply", "--jobs", "1"], &[]);
    assert_output_snapshot!(output, @"
    registry-retention plan: packages=3 images_kept=3 images_deleted=0 versions_deleted=0 left=52 broken=0 skipped_packages=3 refused_packages=0 reclaimable_bytes=0
    error: package viktor/api is skipped: tag v1: GET /v2/token: status 500
    error: package viktor/kms-website is skipped: tag b1: GET /v2/token: status 500
    error: package viktor/team/tool is skipped: tag 1: GET /v2/token: status 500
    error: whether these credentials may delete packages of viktor could not be found out: GET /v2/token: status 500
    exit 1
    ");
    let requests = job.server.lines().iter().filter(|line| *line == "GET /v2/token").count();
    // One request and four repeats, for 52 manifests and the preflight together.
    assert_eq!(requests, 5);
}

#[test]
fn malformed_tokens_are_refused_without_request() {
    let job = Job::new("malformed", incident(BOTH[1]));
    assert_output_snapshot!(job.run_without_effect(&[], &[("FORGEJO_TOKEN", "two words")]), @"
    error: the token holds characters that no token has
    exit 2
    ");
    assert_output_snapshot!(job.run_without_effect(&["--token-file", "nowhere"], &[]), @"
    error: cannot read nowhere: No such file or directory (os error 2)
    exit 2
    ");
    assert_output_snapshot!(job.run_without_effect(&["--token-file", "."], &[]), @"
    error: cannot read .: Is a directory (os error 21)
    exit 2
    ");
    std::fs::write(job.folder.join("binary"), [0xff, 0xfe]).unwrap();
    assert_output_snapshot!(job.run_without_effect(&["--token-file", "binary"], &[]), @"
    error: binary is no text
    exit 2
    ");
    assert_eq!(job.server.lines(), [""; 0]);
}
