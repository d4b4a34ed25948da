//! Servers with images, and the program run against them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use registry_fixtures::forgejo::{
    Fault, NO_PACKAGES, OWNER, Profile, READ, ReceivedRequest, Server, WRITE, World,
};
pub use registry_fixtures::program::ProgramOutput;

pub const BOTH: [Profile; 2] = [Profile::V11, Profile::V15];
const DAY: i64 = 86400;

/// Output without the requests that `-v` prints, whose order differs between runs.
pub fn without_requests(output: &str) -> String {
    output.lines().filter(|line| !line.ends_with(" ms")).collect::<Vec<_>>().join("\n")
}

/// All tokens, plain and as HTTP Basic encodes them; and the end of every JWT of the server.
fn secrets<'a>(more_tokens: impl Iterator<Item = &'a str>) -> Vec<String> {
    let tokens =
        [WRITE, READ, NO_PACKAGES].into_iter().chain(more_tokens).filter(|token| !token.trim().is_empty());
    let encoded = tokens.flat_map(|token| {
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{OWNER}:{token}"));
        [token.to_owned(), basic]
    });
    encoded.chain([".signed".to_owned()]).collect()
}

/// Snapshot filters for what differs between runs and machines.
pub const FILTERS: [(&str, &str); 7] = [
    (r"127\.0\.0\.1:\d+", "HOST"),
    (r"\d+ d old", "N d old"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"registry-retention-\d{8}T\d{6}Z", "registry-retention-TIME"),
    (r"made \d+ s ago", "made N s ago"),
    (r"is \d+ s (ahead|behind)", "is N s $1"),
    (r", \d+ ms", ", N ms"),
];

/// Compares output with an inline snapshot, through `FILTERS`. In a loop over both releases, both must match the snapshot.
#[macro_export]
macro_rules! assert_output_snapshot {
    ($output:expr, @$snapshot:literal) => {
        insta::allow_duplicates! {
            insta::with_settings!({filters => $crate::support::FILTERS.to_vec()}, {
                insta::assert_snapshot!($output, @$snapshot);
            })
        }
    };
}

/// An empty folder for the test of this name.
pub fn empty_folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("an empty folder");
    folder
}

/// Sends a signal, named as by `kill`: `-INT`.
pub fn send_signal(process: u32, signal: &str) {
    assert!(Command::new("kill").args([signal, &process.to_string()]).status().unwrap().success());
}

/// Runs a command and calls `interrupt` with its process number at the `nth` request of a kind, which is answered after `delay`.
pub fn run_interrupted(
    server: &Server,
    mut command: Command,
    (nth, is_counted): (usize, fn(&ReceivedRequest) -> bool),
    delay: Duration,
    interrupt: impl Fn(u32) + Send + 'static,
) -> ProgramOutput {
    let process = Arc::new(OnceLock::new());
    let (known, mut count) = (Arc::clone(&process), 0);
    server.set_hook(move |_, ask, _| {
        count += usize::from(is_counted(ask));
        if !is_counted(ask) || count != nth {
            return None;
        }
        interrupt(*known.wait());
        Some(Fault::Slow(delay))
    });
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    process.set(child.id()).unwrap();
    let output = child.wait_with_output().unwrap();
    server.set_hook(|_, _, _| None);
    ProgramOutput::from(output).replace_text(&server.url, "URL")
}

/// Whether a request deletes a version.
pub fn is_deletion(ask: &ReceivedRequest) -> bool {
    ask.method == "DELETE" && ask.path.starts_with("/api/")
}

/// From the first deletion on, the server refuses its requests: the account must change its password.
pub fn refuse_from_first_deletion(server: &Server) {
    server.set_hook(|world, ask, _| {
        if is_deletion(ask) {
            world.user_mut(OWNER).unwrap().must_change_password = true;
        }
        None
    });
}

/// Whether a request reads a list of versions.
pub fn is_list(ask: &ReceivedRequest) -> bool {
    ask.method == "GET" && ask.path == "/api/v1/packages/viktor"
}

/// A server, and a folder to run the program in.
pub struct Job {
    pub server: Server,
    pub folder: PathBuf,
}

/// Fourteen builds of two platforms, each a day younger, with `latest` on the fourth; images whose platform has a tag; images of one
/// platform.
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
        let folder = empty_folder(&format!("{name}-{:?}", world.profile));
        Self { server: Server::start(world), folder }
    }

    /// Runs with the environment of the job that this program replaces, and more variables.
    pub fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> ProgramOutput {
        self.run_command(&mut self.command(arguments), variables)
    }

    /// Runs after a shell has set limits.
    pub fn run_limited(&self, limits: &str, arguments: &[&str]) -> ProgramOutput {
        let mut command = Command::new("/bin/sh");
        let script = format!("{limits}; exec \"$@\"");
        command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_registry-retention")]).args(arguments);
        self.run_command(self.set_environment(&mut command), &[])
    }

    /// The program with the environment of the job, ready to run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_registry-retention"));
        self.set_environment(command.args(arguments));
        command
    }

    fn set_environment<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env_clear().current_dir(&self.folder);
        command.env("FORGEJO_HOST", &self.server.url).env("FORGEJO_OWNER", OWNER).env("FORGEJO_USER", OWNER);
        command.env("FORGEJO_TOKEN", WRITE).env("TMPDIR", &self.folder)
    }

    /// Runs a command; fails the test when the output shows a secret.
    fn run_command(&self, command: &mut Command, variables: &[(&str, &str)]) -> ProgramOutput {
        let output = command.envs(variables.iter().copied()).output().expect("an exit");
        let ran = ProgramOutput::from(output).replace_text(&self.server.url, "URL");
        let tokens = variables.iter().filter(|(name, _)| *name == "FORGEJO_TOKEN").map(|(_, token)| *token);
        for secret in secrets(tokens) {
            let is_shown = ran.out.contains(&secret) || ran.err.contains(&secret);
            assert!(!is_shown, "{secret} was printed: {ran:?}");
        }
        ran
    }

    /// Runs what must not change anything; returns all output and the exit status.
    pub fn run_without_effect(&self, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let ran = self.run_with(arguments, variables);
        assert_eq!(self.changes(), [""; 0], "{ran:?}");
        ran.as_text()
    }

    pub fn run(&self, arguments: &[&str]) -> ProgramOutput {
        self.run_with(arguments, &[])
    }

    pub fn tags(&self, image: &str) -> Vec<String> {
        self.server.world().tags_of(image)
    }

    /// Fails the test when a tag cannot be pulled.
    pub fn assert_whole(&self) {
        let mut world = self.server.world();
        for image in ["kms-website", "team/tool", "api"] {
            for tag in world.tags_of(image) {
                assert!(world.is_pullable(image, &tag), "{image}:{tag} is broken");
            }
        }
    }

    /// The requests that change something, without the preflight.
    pub fn changes(&self) -> Vec<String> {
        let is_change = |line: &String| {
            !line.starts_with("GET ") && !line.starts_with("HEAD ") && !line.ends_with("/-preflight")
        };
        self.server.lines().into_iter().filter(is_change).collect()
    }

    /// Fails the test on a request that a dry run must not send.
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
