//! The Forgejo client against answers as its transcripts show them, and against others.

use std::sync::atomic::{AtomicU32, Ordering};

use registry_core::forgejo::{Forgejo, ForgejoAccount};
use registry_core::oci::{Algorithm, Digest};
use registry_core::registry::Error;
use registry_core::retention::{
    DeleteError, DeletionTime, Permission, PlannedDeletion, Reader as _, Writer as _,
};

use crate::server::{Asked, Reply, SECRET, Server, http, json, reply, unknown};

fn version(text: &str) -> Reply {
    json(200, &format!(r#"{{"version":"{text}+gitea-1.22.0"}}"#))
}

/// Answers as a Forgejo 15, and what is asked beyond by a function.
async fn forgejo(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |asked| match asked.target.as_str() {
        "/api/forgejo/v1/version" => version("15.0.3"),
        "/v2/token" => json(200, r#"{"token":"a.jwt.token"}"#),
        _ => answer(asked),
    })
    .await
}

async fn connect(server: &Server) -> Result<Forgejo, Error> {
    let account =
        ForgejoAccount { owner: "Viktor".into(), user: None, token: Some(SECRET.to_owned().into()) };
    Forgejo::connect(&http(), &server.url, &account).await
}

fn item(id: u64, name: &str, version: &str) -> String {
    format!(
        r#"{{"id":{id},"owner":{{"login":"viktor"}},"type":"container","name":"{name}","version":"{version}","created_at":"2026-06-01T12:00:00+02:00"}}"#
    )
}

fn page(total: usize, items: &[String]) -> Reply {
    json(200, &format!("[{}]", items.join(","))).with("x-total-count", &total.to_string())
}

fn number(asked: &Asked) -> usize {
    let page = asked.target.split("page=").nth(1).expect("a page");
    page.split('&').next().and_then(|text| text.parse().ok()).expect("a number")
}

#[tokio::test]
async fn only_a_supported_forgejo_is_accepted() {
    let refused = |answer: fn(&Asked) -> Reply| async move {
        connect(&Server::start(answer).await).await.unwrap_err().to_string()
    };
    let old = refused(|_| version("10.0.1")).await;
    insta::assert_snapshot!(old, @"GET /api/forgejo/v1/version: Forgejo 10.0.1 is older than any that was tried (11); refused");
    let gitea = refused(|asked| match asked.target.as_str() {
        "/api/v1/version" => json(200, r#"{"version":"1.24.3"}"#),
        _ => reply(404).body("404 page not found"),
    })
    .await;
    insta::assert_snapshot!(gitea, @"GET /api/forgejo/v1/version: this is Gitea 1.24.3, whose package API looks the same; what it deletes was never tried, so it is refused");
    let registry = refused(|asked| match asked.target.as_str() {
        "/v2/" => reply(200).with("docker-distribution-api-version", "registry/2.0"),
        _ => reply(404),
    })
    .await;
    insta::assert_snapshot!(registry, @"GET /api/forgejo/v1/version: this is an OCI registry and no Forgejo");
    let other = refused(|_| reply(404)).await;
    insta::assert_snapshot!(other, @"GET /api/forgejo/v1/version: this is neither Forgejo nor Gitea nor a registry");
    let page = refused(|_| reply(200).body("<html>Log in")).await;
    insta::assert_snapshot!(page, @"GET /api/forgejo/v1/version: a web page came instead of JSON: a login page, or another server");
    // Forgejo 15 spells the token that it does not know.
    let token =
        refused(|_| json(401, &format!(r#"{{"message":"access token does not exist [sha: {SECRET}]"}}"#)))
            .await;
    insta::assert_snapshot!(token, @"GET /api/forgejo/v1/version: refused with status 401: the token is not known to this server, or one is needed");
}

#[tokio::test]
async fn list_is_read_up_to_its_total() {
    let server = forgejo(|asked| {
        let first = (number(asked) - 1) * 50;
        let items: Vec<_> =
            (first..120.min(first + 50)).map(|id| item(id as u64, "team/app", &format!("v{id}"))).collect();
        page(120, &items)
    })
    .await;
    let rows = connect(&server).await.unwrap().rows(None).await.unwrap().rows;
    assert_eq!(rows.len(), 120);
    assert_eq!(rows[0].created_at, Some("2026-06-01T10:00:00Z".parse().unwrap()));
    assert_eq!(server.asked().len(), 4);
    assert_eq!(server.asked()[1].authorization(), Some(&*format!("token {SECRET}")));
}

#[tokio::test]
async fn list_that_changed_between_pages_is_read_again() {
    let count = AtomicU32::new(0);
    let server = forgejo(move |asked| {
        // A push between the first two pages: the last row of the first comes again on the second, and the total grew.
        let pushed = count.fetch_add(1, Ordering::SeqCst) > 0;
        let mut ids: Vec<u64> = (0..60).rev().collect();
        if pushed {
            ids.insert(0, 60);
        }
        let items: Vec<_> = ids
            .iter()
            .skip((number(asked) - 1) * 50)
            .take(50)
            .map(|id| item(*id, "app", &format!("v{id}")))
            .collect();
        page(ids.len(), &items)
    })
    .await;
    assert_eq!(connect(&server).await.unwrap().rows(None).await.unwrap().rows.len(), 61);
}

#[tokio::test]
async fn inconsistent_lists_are_errors() {
    let error = |answer: fn(&Asked) -> Reply| async move {
        connect(&forgejo(answer).await).await.unwrap().rows(None).await.unwrap_err().to_string()
    };
    let endless = error(|asked| page(1_000_000, &[item(number(asked) as u64 % 7, "app", "v")])).await;
    insta::assert_snapshot!(endless, @"GET /api/v1/packages/Viktor: the list changed while it was read, 5 times: a version was listed twice");
    let short =
        error(|asked| if number(asked) == 1 { page(70, &[item(1, "app", "v1")]) } else { page(70, &[]) })
            .await;
    insta::assert_snapshot!(short, @"GET /api/v1/packages/Viktor: the list changed while it was read, 5 times: 70 versions were told of, and 1 listed");
    let untold = error(|_| json(200, "[]")).await;
    insta::assert_snapshot!(untold, @"GET /api/v1/packages/Viktor: it does not tell how many versions there are (X-Total-Count)");
    let page = error(|_| reply(200).body("<html>Log in")).await;
    insta::assert_snapshot!(page, @"GET /api/v1/packages/Viktor: a web page came instead of JSON: a login page, or another server");
    let truncated = error(|_| json(200, r#"[{"id":1,"#).with("x-total-count", "1")).await;
    assert!(truncated.contains("not the JSON of this API"), "{truncated}");
    let owner =
        error(|_| json(404, r#"{"message":"user redirect does not exist [name: viktor]","url":"x"}"#)).await;
    insta::assert_snapshot!(owner, @r#"GET /api/v1/packages/Viktor: there is no owner "viktor" on this server"#);
    let private = error(|_| {
        json(403, r#"{"message":"token does not have at least one of required scope(s): [read:package]"}"#)
    })
    .await;
    insta::assert_snapshot!(private, @"GET /api/v1/packages/Viktor: refused with status 403: token does not have at least one of required scope(s): [read:package]");
}

#[tokio::test]
async fn search_results_of_other_packages_are_dropped() {
    let server =
        forgejo(|_| page(3, &[item(1, "app", "v1"), item(2, "my-app", "v1"), item(3, "aXpp", "v1")])).await;
    let rows = connect(&server).await.unwrap().rows(Some("app")).await.unwrap().rows;
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [Some(1)]);
}

#[tokio::test]
async fn name_with_slashes_is_one_segment_in_rest_and_several_in_v2() {
    let server = forgejo(|asked| match asked.target.as_str() {
        "/v2/viktor/team/app/manifests/v1" => unknown("MANIFEST_UNKNOWN"),
        target if target.ends_with("/files") => json(
            200,
            &format!(r#"[{{"id":1,"Size":2,"name":"manifest.json","sha256":"{}"}}]"#, "ab".repeat(32)),
        ),
        _ => json(200, &item(9, "team/app", "v1")),
    })
    .await;
    let forgejo = connect(&server).await.unwrap();
    assert_eq!(forgejo.row("team/app", "v1").await.unwrap().unwrap().id, Some(9));
    assert_eq!(forgejo.manifest_digest("team/app", "v1").await.unwrap(), None);
    let digest = forgejo.recorded_digest("team/app", "sha256:x").await.unwrap().unwrap();
    assert_eq!(digest.hex(), "ab".repeat(32));
    assert_eq!(
        server.lines()[1..],
        [
            "GET /api/v1/packages/Viktor/container/team%2Fapp/v1",
            "GET /v2/token",
            "HEAD /v2/viktor/team/app/manifests/v1",
            "GET /v2/viktor/team/app/manifests/v1",
            "GET /api/v1/packages/Viktor/container/team%2Fapp/sha256:x/files",
        ]
    );
    assert_eq!(server.asked()[3].authorization(), Some("Bearer a.jwt.token"));
}

#[tokio::test]
async fn row_is_absent_only_when_forgejo_says_so() {
    let server = forgejo(|asked| match asked.target.ends_with("/v1") {
        true => json(404, r#"{"message":"package does not exist","url":"x"}"#),
        false => reply(404).body("404 page not found"),
    })
    .await;
    let forgejo = connect(&server).await.unwrap();
    assert_eq!(forgejo.row("app", "v1").await.unwrap(), None);
    insta::assert_snapshot!(forgejo.row("app", "v2").await.unwrap_err(), @"GET /api/v1/packages/Viktor/container/app/v2: the server does not know this address; does a proxy in front of it decode %2F?");
}

#[tokio::test]
async fn preflight_is_granted_by_one_answer_only() {
    let ask = |answer: fn(&Asked) -> Reply| async move {
        let server = forgejo(answer).await;
        let permission = connect(&server).await.unwrap().preflight(None).await;
        assert!(server.lines()[2..].iter().all(|line| line
            == "DELETE /v2/viktor/preflight/manifests/-preflight"
            || line == "GET /v2/token"));
        permission
    };
    assert_eq!(ask(|_| unknown("MANIFEST_UNKNOWN")).await, Permission::Granted);
    let wrong_owner = ask(|_| reply(404).with("content-type", "text/plain").body("Not found.\n")).await;
    assert!(matches!(wrong_owner, Permission::Unknown(_)), "{wrong_owner:?}");
    let denied = |answer| async move { matches!(ask(answer).await, Permission::Denied(_)) };
    assert!(
        denied(|_| reply(401)
            .with("www-authenticate", r#"Basic realm="Gitea Package API""#)
            .body("reqPackageAccess\n"))
        .await
    );
    assert!(denied(|_| reply(403).body("reqToken\n")).await);
    assert!(matches!(ask(|_| reply(500)).await, Permission::Unknown(_)));
    assert!(matches!(ask(|_| reply(202)).await, Permission::Unknown(_)));
}

fn doomed<'a>(version: &'a str, together: &'a [&'a str]) -> PlannedDeletion<'a> {
    PlannedDeletion {
        package: "team/app",
        version,
        id: Some(7),
        digest: Digest::hash(Algorithm::Sha256, b"x"),
        rows_of_manifest: together,
    }
}

#[tokio::test]
async fn deletion_names_one_row() {
    let server = forgejo(|_| reply(204)).await;
    let armed = connect(&server).await.unwrap().into_write_access();
    assert_eq!(armed.delete(&doomed("v1", &["v1"])).await, Ok(DeletionTime::Now));
    assert_eq!(server.lines()[1..], ["DELETE /api/v1/packages/Viktor/container/team%2Fapp/v1"]);
}

#[tokio::test]
async fn failed_deletion_is_retried_only_while_the_row_is_the_same() {
    let run = |now: Option<u64>| async move {
        let count = AtomicU32::new(0);
        let server = forgejo(move |asked| match (asked.method.as_str(), now) {
            ("DELETE", _) if count.fetch_add(1, Ordering::SeqCst) == 0 => {
                json(500, r#"{"message":"","url":"x"}"#)
            }
            ("DELETE", _) => reply(204),
            (_, Some(id)) => json(200, &item(id, "team/app", "v1")),
            (_, None) => json(404, r#"{"message":"package does not exist","url":"x"}"#),
        })
        .await;
        let outcome =
            connect(&server).await.unwrap().into_write_access().delete(&doomed("v1", &["v1"])).await;
        (outcome, server.lines().iter().filter(|line| line.starts_with("DELETE")).count())
    };
    assert_eq!(run(Some(7)).await, (Ok(DeletionTime::Now), 2));
    assert_eq!(run(None).await, (Ok(DeletionTime::Now), 1));
    let (outcome, deletions) = run(Some(8)).await;
    assert!(matches!(outcome, Err(DeleteError::Failed(_))) && deletions == 1, "{outcome:?}");
}

#[tokio::test]
async fn account_refused_by_rest_is_detected_at_the_first_deletion() {
    let server =
        forgejo(|_| json(403, r#"{"message":"You must change your password. Change it at: x"}"#)).await;
    let outcome = connect(&server).await.unwrap().into_write_access().delete(&doomed("v1", &["v1"])).await;
    let Err(DeleteError::Forbidden(why)) = outcome else { panic!("{outcome:?}") };
    insta::assert_snapshot!(why, @"DELETE /api/v1/packages/Viktor/container/team%2Fapp/v1: refused with status 403: You must change your password. Change it at: x");
}
