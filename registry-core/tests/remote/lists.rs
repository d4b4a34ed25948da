//! Lists over several pages, correct and incorrect ones.

use registry_core::oci::{Algorithm, Digest};

use crate::server::{Server, json, reply, unknown};

#[tokio::test]
async fn pages_are_followed_to_an_empty_one() {
    let server = Server::start(|asked| match asked.target.as_str() {
        "/v2/app/tags/list" => {
            json(200, r#"{"tags":["a","b"]}"#).with("link", r#"</v2/app/tags/list?last=b>; rel="next""#)
        }
        "/v2/app/tags/list?last=b" => {
            json(200, r#"{"tags":["c"]}"#).with("link", r#"</v2/app/tags/list?last=c>; rel="next""#)
        }
        _ => json(200, r#"{"tags":[]}"#).with("link", r#"</v2/app/tags/list?last=d>; rel="next""#),
    })
    .await;
    assert_eq!(server.client().tags("app").await.unwrap().unwrap(), ["a", "b", "c"]);
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn empty_list_of_tags_differs_from_an_absent_repository() {
    let server = Server::start(|asked| match asked.target.as_str() {
        "/v2/none/tags/list" => json(200, r#"{"name":"none","tags":null}"#),
        _ => unknown("NAME_UNKNOWN"),
    })
    .await;
    assert_eq!(server.client().tags("none").await.unwrap(), Some(vec![]));
    assert_eq!(server.client().tags("gone").await.unwrap(), None);
}

#[tokio::test]
async fn circular_pages_are_an_error() {
    let server = Server::start(|_| {
        json(200, r#"{"tags":["a"]}"#).with("link", r#"</v2/app/tags/list?last=a>; rel="next""#)
    })
    .await;
    let error = server.client().tags("app").await.unwrap_err();
    insta::assert_snapshot!(error, @"GET /v2/app/tags/list: its pages lead in a circle");
}

#[tokio::test]
async fn next_page_at_another_path_is_an_error() {
    let server =
        Server::start(|_| json(200, r#"{"repositories":["a"]}"#).with("link", r#"</v2/token>; rel="next""#))
            .await;
    let error = server.client().catalog().await.unwrap_err();
    insta::assert_snapshot!(error, @"GET /v2/_catalog: its link to the next page leads elsewhere");
}

#[tokio::test]
async fn next_page_at_an_inner_host_is_read_from_the_outer_host() {
    let server = Server::start(|asked| match asked.target.as_str() {
        "/v2/_catalog" => json(200, r#"{"repositories":["a"]}"#)
            .with("link", r#"<http://inner.svc:5000/v2/_catalog?last=a>; rel="next""#),
        _ => json(200, r#"{"repositories":["b"]}"#),
    })
    .await;
    assert_eq!(server.client().catalog().await.unwrap(), ["a", "b"]);
}

#[tokio::test]
async fn referrers_are_listed_where_the_server_supports_it() {
    let child = Digest::hash(Algorithm::Sha256, b"child");
    let body = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{child}","size":5}}]}}"#
    );
    let server = Server::start(
        move |asked| if asked.target.contains("/app/") { json(200, &body) } else { reply(404) },
    )
    .await;
    let found = server.client().referrers("app", &child).await.unwrap().unwrap();
    assert_eq!(found.iter().map(|one| one.digest).collect::<Vec<_>>(), [Some(child)]);
    assert_eq!(server.client().referrers("other", &child).await.unwrap(), None);
}
