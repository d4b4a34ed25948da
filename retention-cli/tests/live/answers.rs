//! Truncated, endless and changing lists, login pages in the place of answers, and servers that stop answering.

use registry_fixtures::forgejo::{Fault, ReceivedRequest, Reply, World};

use crate::assert_output_snapshot;
use crate::support::{BOTH, Job, incident, is_deletion, is_list};

/// The output of an armed run when some requests get another answer.
fn output_with(
    name: &str,
    arguments: &[&str],
    mut fault: impl FnMut(&mut World, &ReceivedRequest) -> Option<Fault> + Send + 'static,
) -> String {
    let job = Job::new(name, incident(BOTH[1]));
    job.server.set_hook(move |world, ask, _| fault(world, ask));
    job.run_without_effect(&[&["--apply"], arguments].concat(), &[])
}

/// The list that the server would send, with changed items and total.
fn changed_list(
    world: &mut World,
    ask: &ReceivedRequest,
    change: impl Fn(serde_json::Value, u64) -> (serde_json::Value, u64),
) -> Fault {
    let reply = world.answer(ask);
    let total = reply.header("x-total-count").and_then(|text| text.parse().ok()).expect("a total");
    let (items, total) = change(serde_json::from_slice(&reply.body).expect("items"), total);
    Fault::Instead(
        Reply::of(200, "application/json", items.to_string()).with_header("x-total-count", total.to_string()),
    )
}

#[test]
fn truncated_list_is_refused() {
    assert_output_snapshot!(output_with("cut-body", &[], |_, ask| is_list(ask).then_some(Fault::Truncated)), @"
    error: GET /api/v1/packages/viktor: no answer: error decoding response body: error reading a body from connection: end of file before message length reached
    exit 1
    ");
    let cut_json = |_: &mut World, ask: &ReceivedRequest| {
        let page = Reply::of(200, "application/json", r#"[{"id":1,"#).with_header("x-total-count", "1");
        is_list(ask).then_some(Fault::Instead(page))
    };
    assert_output_snapshot!(output_with("cut-json", &[], cut_json), @r#"
    error: GET /api/v1/packages/viktor: not the JSON of this API (EOF while parsing a value at line 1 column 9); it begins with "[{\"id\":1,"
    exit 1
    "#);
    let fewer = |world: &mut World, ask: &ReceivedRequest| {
        is_list(ask).then(|| {
            changed_list(world, ask, |mut items, total| {
                items.as_array_mut().unwrap().truncate(3);
                (items, total)
            })
        })
    };
    assert_output_snapshot!(output_with("fewer", &[], fewer), @"
    error: GET /api/v1/packages/viktor: the list changed while it was read, 5 times: 52 versions were told of, and 5 listed
    exit 1
    ");
    let without_total = |world: &mut World, ask: &ReceivedRequest| {
        is_list(ask).then(|| Fault::Instead(Reply::of(200, "application/json", world.answer(ask).body)))
    };
    assert_output_snapshot!(output_with("untold", &[], without_total), @"
    error: GET /api/v1/packages/viktor: it does not tell how many versions there are (X-Total-Count)
    exit 1
    ");
}

#[test]
fn endless_list_is_refused() {
    let mut pages = 0_u64;
    let growing = move |world: &mut World, ask: &ReceivedRequest| {
        is_list(ask).then(|| {
            pages += 50;
            let from = pages;
            changed_list(world, ask, move |mut items, _| {
                for (number, item) in items.as_array_mut().unwrap().iter_mut().enumerate() {
                    item["id"] = (from + number as u64).into();
                    item["version"] = format!("v{}", from + number as u64).into();
                }
                (items, from + 50)
            })
        })
    };
    assert_output_snapshot!(output_with("grows", &[], growing), @"
    error: GET /api/v1/packages/viktor: the list changed while it was read, 5 times: 500 versions became 550
    exit 1
    ");
    // The same page again and again, of a total that is never reached.
    let repeating = |world: &mut World, ask: &ReceivedRequest| {
        let first = ReceivedRequest { query: ask.query.replace("page=2", "page=1"), ..ask.clone() };
        is_list(ask).then(|| changed_list(world, &first, |items, _| (items, 1_000_000)))
    };
    assert_output_snapshot!(output_with("circles", &[], repeating), @"
    error: GET /api/v1/packages/viktor: the list changed while it was read, 5 times: a version was listed twice
    exit 1
    ");
    let huge = |world: &mut World, ask: &ReceivedRequest| {
        is_list(ask).then(|| changed_list(world, ask, |items, _| (items, u64::MAX)))
    };
    assert_output_snapshot!(output_with("huge", &[], huge), @"
    error: GET /api/v1/packages/viktor: it tells of more versions than can be
    exit 1
    ");
}

#[test]
fn list_with_changing_total_is_read_again_then_refused() {
    let job = Job::new("once", incident(BOTH[0]));
    let mut is_pushed = false;
    job.server.set_hook(move |world, ask, _| {
        if ask.query.contains("page=2") && !std::mem::replace(&mut is_pushed, true) {
            world.push_image("api", Some("v4"), "api 4");
        }
        None
    });
    let ran = job.run(&["--quiet", "--keep-last", "3"]);
    assert!(ran.status == 0 && ran.out.contains("images_deleted=11"), "{ran:?}");
    let mut pushed = 0;
    let pushing = move |world: &mut World, ask: &ReceivedRequest| {
        if is_list(ask) {
            pushed += 1;
            world.push_image("api", Some(&format!("p{pushed}")), "one build");
        }
        None
    };
    assert_output_snapshot!(output_with("always", &[], pushing), @"
    error: GET /api/v1/packages/viktor: the list changed while it was read, 5 times: 61 versions became 62
    exit 1
    ");
}

#[test]
fn unfinished_answer_times_out() {
    let endless = |_: &mut World, ask: &ReceivedRequest| is_list(ask).then_some(Fault::Endless);
    assert_output_snapshot!(output_with("endless", &["--timeout", "1s"], endless), @"
    error: GET /api/v1/packages/viktor: no complete answer within 1 s
    exit 1
    ");
    let version = |_: &mut World, ask: &ReceivedRequest| {
        (ask.path == "/api/forgejo/v1/version").then_some(Fault::Endless)
    };
    assert_output_snapshot!(output_with("endless-version", &["--timeout", "1s"], version), @"
    error: GET /api/forgejo/v1/version: no complete answer within 1 s
    exit 1
    ");
    let flood = |_: &mut World, ask: &ReceivedRequest| is_list(ask).then_some(Fault::Flood);
    assert_output_snapshot!(output_with("flood", &[], flood), @"
    error: GET /api/v1/packages/viktor: the answer is larger than 8388608 bytes
    exit 1
    ");
    let job = Job::new("timeout", incident(BOTH[1]));
    assert_output_snapshot!(job.run_without_effect(&["--timeout", "0s"], &[]), @"
    error: --timeout is 0, and no answer comes that soon
    exit 2
    ");
}

/// A login page with status 200, as a proxy sends it in the place of an answer.
fn login_page() -> Fault {
    Fault::Instead(Reply::of(200, "text/html; charset=utf-8", "<!DOCTYPE html>\n<html><title>Log in</title>"))
}

#[test]
fn login_page_is_never_taken_for_an_answer() {
    let arguments = &["--package", "api", "--keep-last", "1", "--jobs", "1"];
    let page = |name, is_replaced: fn(&ReceivedRequest) -> bool| {
        output_with(name, arguments, move |_, ask| is_replaced(ask).then(login_page))
    };
    assert_output_snapshot!(page("page-all", |_| true), @"
    error: GET /api/forgejo/v1/version: a web page came instead of JSON: a login page, or another server
    exit 2
    ");
    assert_output_snapshot!(page("page-list", is_list), @"
    error: GET /api/v1/packages/viktor: a web page came instead of JSON: a login page, or another server
    exit 1
    ");
    assert_output_snapshot!(page("page-token", |ask| ask.path == "/v2/token"), @"
    URL, owner viktor; what goes is deleted
    api: 1 image kept, 0 images to go, 3 rows left as they are
      skipped: tag v1: GET /v2/token: a web page came instead of JSON: a login page, or another server
    registry-retention plan: packages=1 images_kept=1 images_deleted=0 versions_deleted=0 left=3 broken=0 skipped_packages=1 refused_packages=0 reclaimable_bytes=0
    error: package viktor/api is skipped: tag v1: GET /v2/token: a web page came instead of JSON: a login page, or another server
    error: whether these credentials may delete packages of viktor could not be found out: GET /v2/token: a web page came instead of JSON: a login page, or another server
    exit 1
    ");
    assert_output_snapshot!(page("page-manifest", |ask| ask.method == "GET" && ask.path.ends_with("/manifests/v1")), @"
    URL, owner viktor; what goes is deleted
    api: 3 images kept, 0 images to go, 3 rows left as they are
      skipped: tag v1: GET /v2/viktor/api/manifests/v1: a web page came instead: a login page, or another server
    registry-retention plan: packages=1 images_kept=3 images_deleted=0 versions_deleted=0 left=3 broken=0 skipped_packages=1 refused_packages=0 reclaimable_bytes=0
    error: package viktor/api is skipped: tag v1: GET /v2/viktor/api/manifests/v1: a web page came instead: a login page, or another server
    exit 4
    ");
    assert_output_snapshot!(page("page-preflight", |ask| ask.method == "DELETE"), @"
    URL, owner viktor; what goes is deleted
    api: 1 image kept, 2 images to go, 0 rows left as they are
      delete v2, N d old: rank 2, beyond newest 1 (final)
      delete v1, N d old: rank 3, beyond newest 1 (final)
    930 B are needed only by what goes; the server's own collector frees them later
    registry-retention plan: packages=1 images_kept=1 images_deleted=2 versions_deleted=2 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=930
    error: whether these credentials may delete packages of viktor could not be found out: DELETE /v2/viktor/preflight/manifests/-preflight: status 200: with a web page
    exit 1
    ");
}

#[test]
fn login_page_on_second_look_spares_row() {
    let is_row = |ask: &ReceivedRequest| ask.method == "GET" && ask.path.ends_with("/container/api/v1");
    let output = output_with(
        "page-row",
        &["--package", "api", "--keep-last", "2", "--journal", "j"],
        move |_, ask| is_row(ask).then(login_page),
    );
    assert_output_snapshot!(output, @"
    URL, owner viktor; what goes is deleted
    api: 2 images kept, 1 image to go, 0 rows left as they are
      delete v1, N d old: rank 3, beyond newest 2 (final)
    465 B are needed only by what goes; the server's own collector frees them later
    registry-retention plan: packages=1 images_kept=2 images_deleted=1 versions_deleted=1 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=465
      failed api:v1: v1 could not be read again: GET /api/v1/packages/viktor/container/api/v1: a web page came instead of JSON: a login page, or another server
    the journal is j; registry-retention undo puts back what can be
    registry-retention apply: deleted=0 spared=0 failed=1 not_tried=0 already_gone=0
    error: failed api:v1: v1 could not be read again: GET /api/v1/packages/viktor/container/api/v1: a web page came instead of JSON: a login page, or another server
    exit 1
    ");
}

#[test]
fn login_page_does_not_confirm_deletion() {
    let job = Job::new("page-delete", incident(BOTH[1]));
    job.server.set_hook(|_, ask, _| (is_deletion(ask)).then(login_page));
    let ran = job.run(&["--apply", "--package", "api", "--keep-last", "2", "--journal", "j"]);
    assert_output_snapshot!(ran.as_text(), @"
    URL, owner viktor; what goes is deleted
    api: 2 images kept, 1 image to go, 0 rows left as they are
      delete v1, N d old: rank 3, beyond newest 2 (final)
    465 B are needed only by what goes; the server's own collector frees them later
    registry-retention plan: packages=1 images_kept=2 images_deleted=1 versions_deleted=1 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=465
      failed api:v1: DELETE /api/v1/packages/viktor/container/api/v1: status 200: with a web page
    the journal is j; registry-retention undo puts back what can be
    registry-retention apply: deleted=0 spared=0 failed=1 not_tried=0 already_gone=0
    error: failed api:v1: DELETE /api/v1/packages/viktor/container/api/v1: status 200: with a web page
    exit 1
    ");
    assert_eq!(job.tags("api").len(), 3);
}

#[test]
fn login_page_does_not_confirm_digest() {
    let job = Job::new("page-head", incident(BOTH[1]));
    let first = job.run(&["--quiet", "--cache-dir", "cache"]);
    assert_eq!(first.status, 0, "{first:?}");
    job.server.set_hook(|_, ask, _| (ask.method == "HEAD" && ask.path.contains("sha256:")).then(login_page));
    assert_output_snapshot!(job.run_without_effect(&["--apply", "--package", "kms*", "--keep-last", "1", "--cache-dir", "cache"], &[]), @"
    URL, owner viktor; what goes is deleted
    kms-website: 14 images kept, 0 images to go, 43 rows left as they are
      skipped: manifest sha256:1117684c0e24aade2a5069784a43233a035ee92c008354129c6533c780a603b9 could not be read: HEAD /v2/viktor/kms-website/manifests/sha256:1117684c0e24aade2a5069784a43233a035ee92c008354129c6533c780a603b9: a web page came instead: a login page, or another server
    registry-retention plan: packages=1 images_kept=14 images_deleted=0 versions_deleted=0 left=43 broken=0 skipped_packages=1 refused_packages=0 reclaimable_bytes=0
    error: package viktor/kms-website is skipped: manifest sha256:1117684c0e24aade2a5069784a43233a035ee92c008354129c6533c780a603b9 could not be read: HEAD /v2/viktor/kms-website/manifests/sha256:1117684c0e24aade2a5069784a43233a035ee92c008354129c6533c780a603b9: a web page came instead: a login page, or another server
    exit 4
    ");
}

#[test]
fn login_page_does_not_confirm_pushed_manifest() {
    let job = Job::new("page-put", incident(BOTH[1]));
    job.server.set_hook(|_, ask, _| (ask.method == "PUT").then(login_page));
    let ran =
        job.run(&["--apply", "--undo-window", "--package", "api", "--keep-last", "1", "--journal", "j"]);
    assert!(job.server.lines().iter().all(|line| !line.starts_with("DELETE /api")), "{ran:?}");
    assert_output_snapshot!(ran.as_text(), @"
    URL, owner viktor; what goes is deleted
    api: 1 image kept, 2 images to go, 0 rows left as they are
      delete v2, N d old: rank 2, beyond newest 1
      delete v1, N d old: rank 3, beyond newest 1
    930 B are needed only by what goes; the server's own collector frees them later
    registry-retention plan: packages=1 images_kept=1 images_deleted=2 versions_deleted=2 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=930
      failed api:v2: what goes could not be held for an undo: PUT /v2/viktor/api/manifests/sha256:92c3f7b533e72900a68fafbfa2505878fdc3a461224cf34fd578726cd2c8cd5e: a web page came instead: a login page, or another server
      failed api:v1: what goes could not be held for an undo: PUT /v2/viktor/api/manifests/sha256:92c3f7b533e72900a68fafbfa2505878fdc3a461224cf34fd578726cd2c8cd5e: a web page came instead: a login page, or another server
    the journal is j; registry-retention undo puts back what can be
    registry-retention apply: deleted=0 spared=0 failed=2 not_tried=0 already_gone=0
    error: failed api:v2: what goes could not be held for an undo: PUT /v2/viktor/api/manifests/sha256:92c3f7b533e72900a68fafbfa2505878fdc3a461224cf34fd578726cd2c8cd5e: a web page came instead: a login page, or another server
    error: failed api:v1: what goes could not be held for an undo: PUT /v2/viktor/api/manifests/sha256:92c3f7b533e72900a68fafbfa2505878fdc3a461224cf34fd578726cd2c8cd5e: a web page came instead: a login page, or another server
    exit 1
    ");
    assert_eq!(job.tags("api").len(), 3);
}

/// Makes the server die after `answers` requests of a kind: from then on a proxy answers 502.
fn die_after(job: &Job, is_counted: impl Fn(&ReceivedRequest) -> bool + Send + 'static, answers: usize) {
    let mut counted = 0;
    job.server.set_hook(move |_, ask, _| {
        let is_dead = counted >= answers;
        counted += usize::from(is_counted(ask));
        is_dead.then_some(Fault::Status(502))
    });
}

// A run had sent 1,578 requests in 120 s to a dead server.
#[test]
fn bug_planning_gives_up_on_dead_server() {
    for profile in BOTH {
        let job = Job::new("dead-planning", incident(profile));
        die_after(&job, |ask| ask.path.contains("/manifests/"), 20);
        let ran = job.run(&["--apply", "--keep-last", "1", "--give-up-after", "1s", "--quiet"]);
        assert_eq!((ran.status, job.changes()), (4, Vec::new()), "{ran:?}");
        let last = ran.err.lines().last().unwrap_or_default();
        assert!(last.starts_with("error: no request succeeded for "), "{ran:?}");
        let end =
            "status 502; the run ends here, and nothing is deleted (--give-up-after says after how long)";
        assert!(last.ends_with(end), "{ran:?}");
        assert!(job.server.log().len() < 200, "{} requests", job.server.log().len());
    }
}

#[test]
fn bug_deleting_gives_up_on_dead_server() {
    let job = Job::new("dead-deleting", incident(BOTH[1]));
    die_after(&job, is_deletion, 2);
    let ran = job.run(&["--apply", "--keep-last", "1", "--give-up-after", "1s"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.out.contains("stopped: no request succeeded for "), "{ran:?}");
    assert!(ran.out.contains("deleted=2 "), "{ran:?}");
    job.assert_whole();
}

// A single 502 for the preflight, after 484 good GETs, had failed a run.
#[test]
fn bug_preflight_is_repeated_after_502() {
    for profile in BOTH {
        let job = Job::new("preflight-502", incident(profile));
        let path = "/v2/viktor/preflight/manifests/-preflight";
        job.server.fail_requests("DELETE", path, 1, Fault::Status(502));
        let ran = job.run(&["--quiet"]);
        assert_eq!((ran.status, &*ran.err), (0, ""), "{ran:?}");
        assert_eq!(job.server.lines().iter().filter(|line| line.ends_with("/-preflight")).count(), 2);
    }
}
