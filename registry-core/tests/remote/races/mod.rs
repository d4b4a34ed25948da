//! Others at work on the server while a run deletes: pushes, another run, the collector, a restart. What a client can lose, and what
//! it cannot.

use registry_core::forgejo::{Forgejo, ForgejoAccount};
use registry_core::registry::{Http, Settings};
use registry_core::retention::{
    self as core, ApplyResult, CollectOptions, DeletionEntry, DeletionJournal, Plan, Policy, RowOutcome,
    UnneededAction,
};
use registry_fixtures::forgejo::{Fault, OWNER, Profile, ReceivedRequest, Server, WRITE, World};

mod others;
mod pushes;

use crate::laws::NOW;
use crate::verified::verified;

pub const BOTH: [Profile; 2] = [Profile::V11, Profile::V15];
const DAY: i64 = 86400;

/// Four builds of two platforms, and four of one, each a day younger.
pub fn world(profile: Profile) -> World {
    let mut world = World::example(profile, NOW - 10 * DAY);
    for build in 1..=4 {
        world.now += DAY;
        world.push_index(
            "app",
            &[&format!("b{build}")],
            &[&format!("amd64 {build}"), &format!("arm64 {build}")],
        );
        world.push_image("tool", Some(&format!("t{build}")), &format!("tool {build}"));
    }
    world.now = NOW;
    world
}

/// A journal in memory.
#[derive(Default)]
pub struct RecordedEntries(pub Vec<DeletionEntry>);

impl DeletionJournal for RecordedEntries {
    fn write(&mut self, entry: &DeletionEntry) -> std::io::Result<()> {
        self.0.push(entry.clone());
        Ok(())
    }
}

pub fn reading_options() -> CollectOptions<'static> {
    CollectOptions { in_flight: 1, cache: None, built_at: false, only: &[] }
}

pub async fn open(server: &Server) -> Forgejo {
    let backoff = std::time::Duration::from_millis(2);
    let settings = Settings { retries: 4, backoff, proxies: false, ..Settings::default() };
    let http = Http::new(settings).expect("a transport");
    let account = ForgejoAccount { owner: OWNER.into(), user: None, token: Some(WRITE.to_owned().into()) };
    Forgejo::connect(&http, &server.url, &account).await.expect("a server")
}

/// A plan by which two images of a package stay.
pub async fn planned(server: &Server, change: impl FnOnce(&mut Policy)) -> (Forgejo, Plan) {
    let forgejo = open(server).await;
    let now = jiff::Timestamp::from_second(NOW).expect("a time");
    let record = core::collect(&forgejo, forgejo.source(), &reading_options(), now).await.expect("a record");
    let mut policy = Policy::keep_last(2).expect("a policy");
    change(&mut policy);
    let plan = core::plan(record.source.clone(), record.packages(), &policy, now, "test");
    (forgejo, plan)
}

/// Plans, then applies while `other` sees and may answer every request before the server does.
pub fn play(
    world: World,
    change: impl FnOnce(&mut Policy),
    mut other: impl FnMut(&mut World, &ReceivedRequest) -> Option<Fault> + Send + 'static,
) -> (Server, Plan, ApplyResult, RecordedEntries) {
    let server = Server::start(world);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (plan, applied, journal) = runtime.block_on(async {
        let (forgejo, plan) = planned(&server, change).await;
        server.clear_log();
        server.set_hook(move |world, ask, _| other(world, ask));
        let mut journal = RecordedEntries::default();
        let applied = core::apply(
            &forgejo.into_write_access(),
            verified(&plan),
            &reading_options(),
            &mut journal,
            plan.planned_at,
        )
        .await;
        (plan, applied, journal)
    });
    server.set_hook(|_, _, _| None);
    (server, plan, applied, journal)
}

pub fn default_policy(_: &mut Policy) {}

pub fn prune(policy: &mut Policy) {
    policy.untagged = UnneededAction::Prune;
}

/// Whether a request is the deletion of a version.
pub fn is_deletion_of(ask: &ReceivedRequest, version: &str) -> bool {
    ask.method == "DELETE" && ask.path.ends_with(&format!("/{version}"))
}

/// Whether a request reads a version again before it is deleted.
pub fn is_read_of(ask: &ReceivedRequest, version: &str) -> bool {
    ask.method == "GET" && ask.path.starts_with("/api/") && ask.path.ends_with(&format!("/{version}"))
}

pub fn outcome(applied: &ApplyResult, version: &str) -> Option<RowOutcome> {
    applied.rows.iter().find(|row| row.version == version).map(|row| row.outcome)
}

/// The tags of both packages; asserts that all can be pulled.
pub fn whole_tags(server: &Server) -> Vec<String> {
    let mut world = server.world();
    let mut all = Vec::new();
    for image in ["app", "tool"] {
        for tag in world.tags_of(image) {
            assert!(world.is_pullable(image, &tag), "{image}:{tag} is broken");
            all.push(tag);
        }
    }
    all
}

/// A request of a client that pushes, which `/v2` takes with a token as a password.
pub fn ask(method: &str, path: &str, kind: &str, body: &[u8]) -> ReceivedRequest {
    // viktor and the token that may write.
    let basic = "Basic dmlrdG9yOjExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=";
    let headers = vec![("authorization".into(), basic.into()), ("content-type".into(), kind.into())];
    ReceivedRequest {
        method: method.into(),
        path: path.into(),
        query: String::new(),
        headers,
        body: body.to_vec(),
    }
}

pub fn push(world: &mut World, method: &str, path: &str, kind: &str, body: &[u8]) -> u16 {
    world.answer(&ask(method, path, kind, body)).status
}

pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub fn index_of(child: &str) -> String {
    let kind = "application/vnd.oci.image.manifest.v1+json";
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{{"mediaType":"{kind}","digest":"{child}","size":1}}]}}"#
    )
}
