//! Laws over HTTP: random images on a Forgejo in memory, in both releases, where requests fail from any point on.

use std::io;

use proptest::prelude::*;
use registry_core::forgejo::{Forgejo, ForgejoAccount};
use registry_core::registry::{Http, Settings};
use registry_core::retention::{
    self as core, CollectOptions, DeletionEntry, DeletionJournal, Plan, Policy, Reader as _, Record,
};
use registry_fixtures::forgejo::{Fault, OWNER, Profile, Reply, Server, WRITE, World};

use crate::verified::verified;

pub const NOW: i64 = 1_790_000_000;

/// One push under some tags: an image of several platforms from a small set of builds, so that images share children.
#[derive(Debug, Clone)]
pub struct Push {
    builds: Vec<u8>,
    tags: Vec<u8>,
    is_index: bool,
    hours: u8,
}

pub fn pushes() -> impl Strategy<Value = Vec<Push>> {
    let push =
        (prop::collection::vec(0..5_u8, 1..4), prop::collection::vec(0..8_u8, 1..3), any::<bool>(), 0..60_u8)
            .prop_map(|(builds, tags, is_index, hours)| Push { builds, tags, is_index, hours });
    prop::collection::vec(push, 1..9)
}

pub fn world(profile: Profile, pushes: &[Push]) -> World {
    let hours: i64 = pushes.iter().map(|push| i64::from(push.hours)).sum();
    let mut world = World::example(profile, NOW - hours * 3600);
    push_all(&mut world, pushes);
    world.now = NOW;
    world
}

pub fn push_all(world: &mut World, pushes: &[Push]) {
    for push in pushes {
        world.now += i64::from(push.hours) * 3600;
        let tags: Vec<String> =
            push.tags.iter().map(|tag| if *tag == 0 { "latest".into() } else { format!("t{tag}") }).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        let seeds: Vec<String> = push.builds.iter().map(u8::to_string).collect();
        let seeds: Vec<&str> = seeds.iter().map(String::as_str).collect();
        if push.is_index {
            world.push_index("app", &tags, &seeds);
        } else {
            for tag in tags {
                world.push_image("app", Some(tag), seeds[0]);
            }
        }
    }
}

/// How an answer is altered.
#[derive(Debug, Clone)]
enum Oddity {
    /// Some bytes are replaced, by place and value.
    Bytes(Vec<(prop::sample::Index, u8)>),
    /// The body is cut short without notice.
    Cut(prop::sample::Index),
    /// The body is replaced.
    Body(&'static str, Vec<u8>),
    /// The status is replaced.
    Status(u16),
    /// This header is missing.
    Without(&'static str),
}

fn oddity() -> impl Strategy<Value = Option<Oddity>> {
    let bytes =
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4).prop_map(Oddity::Bytes);
    let kinds = prop::sample::select(vec!["application/json", "text/html", "application/octet-stream", ""]);
    let texts = prop::sample::select(vec![
        "",
        "{}",
        "[]",
        "null",
        "[{}]",
        "{\"token\":\"\"}",
        "<html>",
        "[[[[[[",
        "1e999",
    ]);
    let body = prop_oneof![
        texts.prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..60)
    ];
    let statuses = prop::sample::select(vec![200_u16, 201, 204, 304, 401, 403, 404, 405, 418, 500]);
    let headers = vec!["link", "x-total-count", "docker-content-digest", "content-type", "www-authenticate"];
    let odd = prop_oneof![
        bytes,
        any::<prop::sample::Index>().prop_map(Oddity::Cut),
        (kinds, body).prop_map(|(kind, body)| Oddity::Body(kind, body)),
        statuses.prop_map(Oddity::Status),
        prop::sample::select(headers).prop_map(Oddity::Without),
    ];
    prop::option::weighted(0.15, odd)
}

impl Oddity {
    fn applied(&self, mut reply: Reply) -> Reply {
        match self {
            Self::Bytes(changes) if !reply.body.is_empty() => {
                for (place, value) in changes {
                    let at = place.index(reply.body.len());
                    reply.body[at] = *value;
                }
            }
            Self::Cut(at) if !reply.body.is_empty() => reply.body.truncate(at.index(reply.body.len())),
            Self::Bytes(_) | Self::Cut(_) => {}
            Self::Body(kind, body) => reply = Reply::of(reply.status, kind, body.clone()),
            Self::Status(status) => reply.status = *status,
            Self::Without(header) => reply.headers.retain(|(name, _)| name != header),
        }
        reply.headers.retain(|(name, _)| name != "content-length");
        reply
    }
}

struct DiscardingJournal;

impl DeletionJournal for DiscardingJournal {
    fn write(&mut self, _: &DeletionEntry) -> io::Result<()> {
        Ok(())
    }
}

pub async fn forgejo(url: &str) -> Result<Forgejo, String> {
    let settings = Settings { retries: 0, proxies: false, ..Settings::default() };
    let http = Http::new(settings).expect("a transport");
    let account = ForgejoAccount { owner: OWNER.into(), user: None, token: Some(WRITE.to_owned().into()) };
    Forgejo::connect(&http, url, &account).await.map_err(|error| error.to_string())
}

pub fn reading_options() -> CollectOptions<'static> {
    CollectOptions { in_flight: 4, cache: None, built_at: false, only: &[] }
}

pub fn plan_of(record: &Record, keep: u32) -> Plan {
    let policy = Policy::keep_last(keep).expect("a policy");
    let now = jiff::Timestamp::from_second(NOW).expect("a time");
    core::plan(record.source.clone(), record.packages(), &policy, now, "test")
}

pub async fn planned(url: &str, keep: u32) -> Result<(Forgejo, Plan), String> {
    let forgejo = forgejo(url).await?;
    let source = forgejo.source();
    let now = jiff::Timestamp::from_second(NOW).expect("a time");
    let record =
        core::collect(&forgejo, source, &reading_options(), now).await.map_err(|why| why.to_string())?;
    let plan = plan_of(&record, keep);
    Ok((forgejo, plan))
}

pub async fn applied(forgejo: Forgejo, plan: &Plan) {
    core::apply(
        &forgejo.into_write_access(),
        verified(plan),
        &reading_options(),
        &mut DiscardingJournal,
        plan.planned_at,
    )
    .await;
}

fn pullable(world: &mut World) -> Vec<String> {
    let tags = world.tags_of("app");
    tags.into_iter().filter(|tag| world.is_pullable("app", tag)).collect()
}

fn kept(plan: &Plan) -> Vec<String> {
    let rows = plan.packages.iter().flat_map(|package| &package.versions);
    rows.filter(|row| row.action != core::Action::Delete && !row.version.contains(':'))
        .map(|row| row.version.clone())
        .collect()
}

/// Runs an apply whose requests fail from the k-th on, and asserts that kept tags stay pullable; returns the number of requests.
async fn law_1(
    profile: Profile,
    pushes: &[Push],
    keep: u32,
    k: usize,
    fault: Fault,
) -> Result<usize, TestCaseError> {
    let server = Server::start(world(profile, pushes));
    let before = pullable(&mut server.world());
    let (forgejo, plan) = planned(&server.url, keep).await.expect("a plan");
    let kept: Vec<String> = kept(&plan).into_iter().filter(|tag| before.contains(tag)).collect();
    server.clear_log();
    server.set_hook(move |_, _, number| (number >= k).then(|| fault.clone()));
    applied(forgejo, &plan).await;
    let requests = server.log().len();
    let mut world = server.world();
    for is_later in [false, true] {
        if is_later {
            world.now += 25 * 3600;
            world.cleanup();
        }
        let now = pullable(&mut world);
        let lost: Vec<_> = kept.iter().filter(|tag| !now.contains(tag)).collect();
        prop_assert!(
            lost.is_empty(),
            "{lost:?} broke (collector ran: {is_later}, stopped before request {k})"
        );
    }
    Ok(requests)
}

pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn law_1_over_http_apply_stopped_anywhere_breaks_nothing_kept(
        pushes in pushes(), keep in 1..4_u32, is_v15 in any::<bool>(), is_lost in any::<bool>(),
    ) {
        let profile = if is_v15 { Profile::V15 } else { Profile::V11 };
        let fault = if is_lost { Fault::Lost } else { Fault::Refused };
        let whole = block_on(law_1(profile, &pushes, keep, usize::MAX, fault.clone()))?;
        for k in 0..whole {
            block_on(law_1(profile, &pushes, keep, k, fault.clone()))?;
        }
    }

    #[test]
    fn law_2_over_http_unread_rows_are_never_deleted(
        pushes in pushes(), keep in 1..4_u32, is_v15 in any::<bool>(), failing in prop::collection::vec(any::<bool>(), 60),
    ) {
        let profile = if is_v15 { Profile::V15 } else { Profile::V11 };
        block_on(async {
            let server = Server::start(world(profile, &pushes));
            server.set_hook(move |_, ask, number| {
                // There is no plan without the version, the list and a token.
                let is_needed = !ask.path.contains("/manifests/");
                (!is_needed && failing[number % failing.len()]).then_some(Fault::Status(503))
            });
            let before = pullable(&mut server.world());
            let (forgejo, plan) = planned(&server.url, keep).await.expect("a plan");
            for package in &plan.packages {
                let has_unknown_tag = package.versions.iter().any(|row| row.digest.is_none());
                let deletes = package.versions.iter().any(|row| row.action == core::Action::Delete);
                prop_assert!(!(has_unknown_tag && deletes), "{package:?}");
            }
            let kept: Vec<String> = kept(&plan).into_iter().filter(|tag| before.contains(tag)).collect();
            applied(forgejo, &plan).await;
            server.set_hook(|_, _, _| None);
            let now = pullable(&mut server.world());
            prop_assert!(kept.iter().all(|tag| now.contains(tag)), "{kept:?} {now:?}");
            Ok(())
        })?;
    }

    #[test]
    fn law_5_over_http_odd_answers_break_nothing_kept(
        pushes in pushes(), keep in 1..4_u32, is_v15 in any::<bool>(), oddities in prop::collection::vec(oddity(), 40),
    ) {
        let profile = if is_v15 { Profile::V15 } else { Profile::V11 };
        block_on(async {
            let server = Server::start(world(profile, &pushes));
            let before = pullable(&mut server.world());
            server.set_hook(move |world, ask, number| {
                let oddity = oddities[number % oddities.len()].as_ref()?;
                Some(Fault::Instead(oddity.applied(world.answer(ask))))
            });
            // Whatever the outcome, the run ends and kept tags stay whole.
            let Ok((forgejo, plan)) = planned(&server.url, keep).await else { return Ok(()) };
            let kept: Vec<String> = kept(&plan).into_iter().filter(|tag| before.contains(tag)).collect();
            applied(forgejo, &plan).await;
            server.set_hook(|_, _, _| None);
            let now = pullable(&mut server.world());
            prop_assert!(kept.iter().all(|tag| now.contains(tag)), "{kept:?} {now:?}");
            Ok(())
        })?;
    }

    #[test]
    fn law_4_over_http_plan_depends_on_neither_order_nor_concurrency(
        pushes in pushes(), keep in 1..4_u32, page in 1..7_usize,
    ) {
        block_on(async {
            let mut plans = Vec::new();
            for (profile, page, in_flight) in [(Profile::V11, 50, 1), (Profile::V15, page, 7)] {
                let server = Server::start(world(profile, &pushes));
                server.world().page_max = page;
                server.set_hook(|_, ask, _| {
                    assert!(matches!(ask.method.as_str(), "GET" | "HEAD"), "{} {}", ask.method, ask.path);
                    None
                });
                let forgejo = forgejo(&server.url).await.expect("a server");
                let source = core::Source { url: "same".into(), version: None, ..forgejo.source() };
                let options = CollectOptions { in_flight, ..reading_options() };
                let now = jiff::Timestamp::from_second(NOW).expect("a time");
                let record = core::collect(&forgejo, source, &options, now).await.expect("a record");
                plans.push(serde_json::to_string(&plan_of(&record, keep)).expect("JSON"));
            }
            prop_assert_eq!(&plans[0], &plans[1]);
            Ok(())
        })?;
    }
}

#[test]
fn tag_pushed_again_between_pages_hides_no_row() {
    for profile in [Profile::V11, Profile::V15] {
        let mut world = World::example(profile, NOW);
        for tag in 0..70 {
            world.push_image("app", Some(&format!("t{tag}")), "one build");
        }
        let server = Server::start(world);
        let mut count = 0;
        server.set_hook(move |world, ask, _| {
            if ask.query.contains("page=2") {
                count += 1;
                if count == 1 {
                    world.push_image("app", Some("t3"), "another build");
                }
            }
            None
        });
        let rows = block_on(async { forgejo(&server.url).await.expect("a server").rows(None).await })
            .expect("rows")
            .rows;
        assert_eq!(rows.len(), 70, "{profile:?}");
        assert_eq!(rows.iter().map(|row| &row.version).collect::<std::collections::BTreeSet<_>>().len(), 70);
    }
}
