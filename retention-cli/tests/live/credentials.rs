//! Where credentials come from, in which order, and where they go: as with registry-fsck, and deletions go with them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use registry_fixtures::credentials::{basic_pairs, docker_config};
use registry_fixtures::forgejo::{OWNER, WRITE};
use registry_fixtures::program::Ran;
use registry_fixtures::registry::{Account, Auth, Profile, Server, World};

use crate::support::{BOTH, Job, incident};

const SECRET: &str = "correct-horse-battery-staple";

/// A registry that asks who deletes, with three images of which one goes.
fn guarded(accounts: Vec<Account>) -> Server {
    let mut world = World::new(Profile::V3).asked_by(Auth::Basic(accounts));
    for tag in ["1.0.0", "1.1.0", "1.2.0"] {
        world.push_image("app", Some(tag), tag);
    }
    Server::start(world)
}

fn host(url: &str) -> &str {
    url.trim_start_matches("http://")
}

fn write(path: &Path, text: &str) -> String {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Deletes what is beyond the two newest, with a home and whatever is set beside it.
fn apply(server: &Server, home: &Path, set: impl FnOnce(&mut Command) -> &mut Command) -> Ran {
    let mut command = Command::cargo_bin("registry-retention").expect("the binary");
    command.env_clear().env("HOME", home).current_dir(home);
    command.args(["--registry", &server.url, "--rank-by", "semver", "--keep-last", "2", "--apply", "-v"]);
    let journal = format!("{}.journal", host(&server.url).replace(':', "-"));
    command.args(["--retries", "0", "--journal", &journal]);
    set(&mut command);
    let ran = Ran::from(command.output().expect("an exit"));
    assert!(!ran.out.contains(SECRET) && !ran.err.contains(SECRET), "a secret is shown: {ran:?}");
    ran
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("credentials-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("home")).expect("an empty folder");
    folder
}

#[test]
fn every_credential_source_is_used() {
    let folder = folder("places");
    let home = folder.join("home");
    let me = || vec![Account::all("me", SECRET)];
    for way in ["password-file", "token-file", "authfile", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "helper"] {
        let server = guarded(me());
        let config = write(&folder.join("config.json"), &docker_config(host(&server.url), "me", SECRET));
        let secret = write(&folder.join("secret"), &format!("{SECRET}\n"));
        let ran = apply(&server, &home, |command| match way {
            "password-file" => command.args(["--user", "me", "--password-file", &secret]),
            "token-file" => command.env("REGISTRY_USER", "me").args(["--token-file", &secret]),
            "authfile" => command.args(["--authfile", &config]),
            "helper" => {
                let script = format!(
                    "#!/bin/sh\nread host\n[ \"$host\" = '{}' ] || exit 1\necho '{{\"Username\":\"me\",\"Secret\":\"{SECRET}\"}}'\n",
                    host(&server.url)
                );
                let helper = folder.join("bin/docker-credential-retention");
                write(&helper, &script);
                std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
                let store =
                    format!(r#"{{"auths":{{"{}":{{}}}},"credsStore":"retention"}}"#, host(&server.url));
                write(&home.join(".docker/config.json"), &store);
                command.env("PATH", format!("{}:/usr/bin:/bin", folder.join("bin").display()))
            }
            "DOCKER_CONFIG" => command.env(way, &folder),
            _ => command.env(way, &config),
        });
        assert_eq!(ran.status, 0, "{way}: {ran:?}");
        assert_eq!(server.world().tags_of("app"), ["1.1.0", "1.2.0"], "{way}");
        assert_eq!(basic_pairs(&server.log()), [format!("me:{SECRET}")], "{way}");
    }
}

#[test]
fn options_override_environment_which_overrides_files() {
    let (folder, server) = (folder("order"), guarded(Vec::new()));
    let home = folder.join("home");
    let of = |user: &str| docker_config(host(&server.url), user, "x");
    let secret = write(&folder.join("secret"), "x");
    let authfile = write(&folder.join("flag.json"), &of("authfile"));
    let named = write(&folder.join("named.json"), &of("named"));
    write(&home.join(".docker/config.json"), &of("home"));
    let order = ["flags", "authfile", "variable", "named", "home"];
    let mut used = Vec::new();
    for first in 0..order.len() {
        server.clear_log();
        let has = |name: &str| order[first..].contains(&name);
        let ran = apply(&server, &home, |command| {
            if has("flags") {
                command.args(["--user", "flags", "--password-file", &secret]);
            }
            if has("authfile") {
                command.args(["--authfile", &authfile]);
            }
            if has("variable") {
                command.env("REGISTRY_USER", "variable").env("REGISTRY_PASSWORD", "y");
            }
            if has("named") {
                command.env("REGISTRY_AUTH_FILE", &named);
            }
            // Those of another kind of server stay out of it.
            command.env("FORGEJO_USER", "forgejo").env("FORGEJO_TOKEN", "z")
        });
        assert_eq!(ran.status, 6, "{ran:?}");
        used.extend(basic_pairs(&server.log()));
    }
    insta::assert_snapshot!(used.join("\n"), @"
    flags:x
    authfile:x
    variable:y
    named:x
    home:x
    ");
}

#[test]
fn host_absent_from_file_gets_no_credentials() {
    let (folder, server) = (folder("other-host"), guarded(vec![Account::all("me", SECRET)]));
    let file = write(&folder.join("auth.json"), &docker_config("other.example", "me", SECRET));
    let ran = apply(&server, &folder.join("home"), |command| command.args(["--authfile", &file]));
    assert_eq!(ran.status, 6, "{ran:?}");
    assert_eq!(basic_pairs(&server.log()), [""; 0]);
}

#[test]
fn user_and_secret_are_needed_together() {
    let (folder, server) = (folder("half"), guarded(vec![Account::all("me", SECRET)]));
    let secret = write(&folder.join("secret"), SECRET);
    let mut told = String::new();
    for arguments in [["--password-file", &*secret], ["--user", "me"]] {
        let ran = apply(&server, &folder.join("home"), |command| command.args(arguments));
        assert_eq!(ran.status, 2, "{ran:?}");
        told.push_str(&ran.err);
    }
    insta::assert_snapshot!(told, @"
    error: --password-file needs --user
    error: --user needs --password-file, REGISTRY_PASSWORD or the same with _FILE at the end
    ");
    assert_eq!(server.lines(), [""; 0]);
}

#[test]
fn forgejo_takes_token_of_docker_config() {
    for profile in BOTH {
        let job = Job::new("docker-config", incident(profile));
        let file = write(&job.folder.join("auth.json"), &docker_config(host(&job.server.url), OWNER, WRITE));
        let nothing = [("FORGEJO_TOKEN", ""), ("FORGEJO_USER", "")];
        let ran = job.run_with(&["--apply", "--authfile", &file], &nothing);
        assert_eq!((ran.status, job.tags("kms-website").len()), (0, 12), "{ran:?}");
    }
}
