//! A server with images, and the program run against it.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use registry_fixtures::forgejo::{OWNER, Profile, Server, WRITE, World};

pub const BOTH: [Profile; 2] = [Profile::V11, Profile::V15];
const DAY: i64 = 86400;

/// What a run printed, and its exit status.
#[derive(Debug)]
pub struct Ran {
    pub status: i32,
    pub out: String,
    pub err: String,
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
        let mut command = Command::cargo_bin("registry-retention").expect("the binary");
        command.env_clear().current_dir(&self.folder).args(arguments);
        command.env("FORGEJO_HOST", &self.server.url).env("FORGEJO_OWNER", OWNER).env("FORGEJO_USER", OWNER);
        command.env("FORGEJO_TOKEN", WRITE).env("TMPDIR", &self.folder).envs(more.iter().copied());
        let output = command.output().expect("an exit");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&self.server.url, "URL");
        let ran = Ran {
            status: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        };
        assert!(!ran.out.contains(WRITE) && !ran.err.contains(WRITE), "the token was printed: {ran:?}");
        ran
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
