//! A server with images, and the program run against it.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use registry_fixtures::forgejo::{Ask, NO_PACKAGES, OWNER, Profile, READ, Server, WRITE, World};
pub use registry_fixtures::program::Ran;

pub const BOTH: [Profile; 2] = [Profile::V11, Profile::V15];
const DAY: i64 = 86400;

/// What was printed without the requests that `-v` tells: their order is the server's.
pub fn without_requests(told: &str) -> String {
    told.lines().filter(|line| !line.ends_with(" ms")).collect::<Vec<_>>().join("\n")
}

/// Tokens as they are, and as HTTP Basic spells them; and how every JWT of the server ends.
fn secrets<'a>(given: impl Iterator<Item = &'a str>) -> Vec<String> {
    let tokens = [WRITE, READ, NO_PACKAGES].into_iter().chain(given).filter(|token| !token.trim().is_empty());
    let each = tokens.flat_map(|token| {
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{OWNER}:{token}"));
        [token.to_owned(), basic]
    });
    each.chain([".signed".to_owned()]).collect()
}

/// What differs between runs and machines.
pub const FILTERS: [(&str, &str); 7] = [
    (r"127\.0\.0\.1:\d+", "HOST"),
    (r"\d+ d old", "N d old"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"registry-retention-\d{8}T\d{6}Z", "registry-retention-TIME"),
    (r"made \d+ s ago", "made N s ago"),
    (r"is \d+ s (ahead|behind)", "is N s $1"),
    (r", \d+ ms", ", N ms"),
];

/// Compares with an inline snapshot, apart from what differs between runs and machines. Both releases may come by: then
/// all that is printed must be the same.
#[macro_export]
macro_rules! assert_told_snapshot {
    ($told:expr, @$snapshot:literal) => {
        insta::allow_duplicates! {
            insta::with_settings!({filters => $crate::support::FILTERS.to_vec()}, {
                insta::assert_snapshot!($told, @$snapshot);
            })
        }
    };
}

/// Whether a request reads a list of versions.
pub fn is_list(ask: &Ask) -> bool {
    ask.method == "GET" && ask.path == "/api/v1/packages/viktor"
}

pub struct Job {
    pub server: Server,
    pub folder: PathBuf,
}

/// The shape of the incident: fourteen builds of two platforms, each a day younger, `latest` on the fourth; an image whose
/// platforms are tags; images of one platform.
pub fn incident(profile: Profile) -> World {
    let now = jiff::Timestamp::now().as_second();
    let mut world = World::example(profile, now - 40 * DAY);
    for build in 1..=14 {
        world.now += DAY;
        let (tag, seeds) = (format!("b{build}"), [format!("amd64 {build}"), format!("arm64 {build}")]);
        let tags: &[&str] = if build == 4 { &[&tag, "latest"] } else { &[&tag] };
        world.push_index("kms-website", tags, &[&seeds[0], &seeds[1]]);
    }
    for build in 1..=3 {
        world.now += DAY;
        let amd64 = world.push_image("team/tool", Some(&format!("{build}-amd64")), &format!("tool {build}"));
        world.push_index_of("team/tool", &[&build.to_string()], &[amd64]);
        world.push_image("api", Some(&format!("v{build}")), &format!("api {build}"));
    }
    world.now = now;
    world
}

impl Job {
    pub fn new(name: &str, world: World) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{:?}", world.profile));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("an empty folder");
        Self { server: Server::start(world), folder }
    }

    /// Runs with the environment of the job that this program replaces, and more.
    pub fn run_with(&self, arguments: &[&str], more: &[(&str, &str)]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_registry-retention"));
        command.args(arguments);
        self.ended(command, more)
    }

    /// The same under limits that a shell sets first.
    pub fn run_limited(&self, limits: &str, arguments: &[&str]) -> Ran {
        let mut command = Command::new("/bin/sh");
        command.args([
            "-c",
            &format!("{limits}; exec \"$@\""),
            "sh",
            env!("CARGO_BIN_EXE_registry-retention"),
        ]);
        command.args(arguments);
        self.ended(command, &[])
    }

    /// The program with the environment of the job, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_registry-retention"));
        command.args(arguments);
        self.surround(&mut command);
        command
    }

    fn surround(&self, command: &mut Command) {
        command.env_clear().current_dir(&self.folder);
        command.env("FORGEJO_HOST", &self.server.url).env("FORGEJO_OWNER", OWNER).env("FORGEJO_USER", OWNER);
        command.env("FORGEJO_TOKEN", WRITE).env("TMPDIR", &self.folder);
    }

    fn ended(&self, mut command: Command, more: &[(&str, &str)]) -> Ran {
        self.surround(&mut command);
        command.envs(more.iter().copied());
        let ran = Ran::from(command.output().expect("an exit")).with(&self.server.url, "URL");
        let given = more.iter().filter(|(name, _)| *name == "FORGEJO_TOKEN").map(|(_, token)| *token);
        for secret in secrets(given) {
            assert!(
                !ran.out.contains(&secret) && !ran.err.contains(&secret),
                "{secret} was printed: {ran:?}"
            );
        }
        ran
    }

    /// Runs what must be refused, or must fail: gives all that was printed and the exit status, after looking whether
    /// anything was changed.
    pub fn told(&self, arguments: &[&str], more: &[(&str, &str)]) -> String {
        let ran = self.run_with(arguments, more);
        assert_eq!(self.changes(), [""; 0], "{ran:?}");
        ran.as_text()
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[])
    }

    pub fn tags(&self, image: &str) -> Vec<String> {
        self.server.world().tags_of(image)
    }

    /// Every tag that is there can be pulled.
    pub fn assert_whole(&self) {
        let mut world = self.server.world();
        for image in ["kms-website", "team/tool", "api"] {
            for tag in world.tags_of(image) {
                assert!(world.is_pullable(image, &tag), "{image}:{tag} is broken");
            }
        }
    }

    /// Requests that change something, the preflight apart.
    pub fn changes(&self) -> Vec<String> {
        let is_change = |line: &String| {
            !line.starts_with("GET ") && !line.starts_with("HEAD ") && !line.ends_with("/-preflight")
        };
        self.server.lines().into_iter().filter(is_change).collect()
    }

    /// Fails the test on anything that a dry run must not send.
    pub fn forbid_changes(&self) {
        self.server.set_hook(|_, ask, _| {
            let is_read = matches!(ask.method.as_str(), "GET" | "HEAD");
            let is_preflight =
                ask.method == "DELETE" && ask.path == "/v2/viktor/preflight/manifests/-preflight";
            assert!(is_read || is_preflight, "a dry run sent {} {}", ask.method, ask.path);
            None
        });
    }
}
