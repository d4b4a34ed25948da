//! Where credentials come from, in which order, and where they are sent: as in registry-fsck, but with deletions.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use registry_fixtures::credentials::{basic_pairs, docker_config};
use registry_fixtures::forgejo::{OWNER, WRITE};
use registry_fixtures::program::ProgramOutput;
use registry_fixtures::registry::{Account, Auth, Profile, Server, World};

use crate::support::{BOTH, Job, empty_folder, incident};

const SECRET: &str = "correct-horse-battery-staple";

/// A registry that requires credentials, with three images, one of which is to be deleted.
fn guarded_registry(accounts: Vec<Account>) -> Server {
    let mut world = World::new(Profile::V3).requiring(Auth::Basic(accounts));
    for tag in ["1.0.0", "1.1.0", "1.2.0"] {
        world.push_image("app", Some(tag), tag);
    }
    Server::start(world)
}

fn host(url: &str) -> &str {
    url.trim_start_matches("http://")
}

/// Writes a file and its folders; returns its path.
fn write_file(path: &Path, text: &str) -> String {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Keeps the two newest images and deletes the others; `set_up` adds options and variables.
fn apply(server: &Server, home: &Path, set_up: impl FnOnce(&mut Command) -> &mut Command) -> ProgramOutput {
    let mut command = Command::cargo_bin("registry-retention").expect("the binary");
    command.env_clear().env("HOME", home).current_dir(home);
    command.args(["--registry", &server.url, "--rank-by", "semver", "--keep-last", "2", "--apply", "-v"]);
    let journal = format!("{}.journal", host(&server.url).replace(':', "-"));
    command.args(["--retries", "0", "--journal", &journal]);
    set_up(&mut command);
    let ran = ProgramOutput::from(command.output().expect("an exit"));
    assert!(!ran.out.contains(SECRET) && !ran.err.contains(SECRET), "a secret is shown: {ran:?}");
    ran
}

/// A folder with an empty home in it.
fn folder_with_home(name: &str) -> PathBuf {
    let folder = empty_folder(&format!("credentials-{name}"));
    std::fs::create_dir(folder.join("home")).unwrap();
    folder
}

#[test]
fn every_credential_source_is_used() {
    let folder = folder_with_home("places");
    let home = folder.join("home");
    let my_account = || vec![Account::all("me", SECRET)];
    for source in ["password-file", "token-file", "authfile", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "helper"]
    {
        let server = guarded_registry(my_account());
        let config = write_file(&folder.join("config.json"), &docker_config(host(&server.url), "me", SECRET));
        let secret = write_file(&folder.join("secret"), &format!("{SECRET}\n"));
        let ran = apply(&server, &home, |command| match source {
            "password-file" => command.args(["--user", "me", "--password-file", &secret]),
            "token-file" => command.env("REGISTRY_USER", "me").args(["--token-file", &secret]),
            "authfile" => command.args(["--authfile", &config]),
            "helper" => {
                let script = format!(
                    "#!/bin/sh\nread host\n[ \"$host\" = '{}' ] || exit 1\necho '{{\"Username\":\"me\",\"Secret\":\"{SECRET}\"}}'\n",
                    host(&server.url)
                );
                let helper = folder.join("bin/docker-credential-retention");
                write_file(&helper, &script);
                std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
                let store =
                    format!(r#"{{"auths":{{"{}":{{}}}},"credsStore":"retention"}}"#, host(&server.url));
                write_file(&home.join(".docker/config.json"), &store);
                command.env("PATH", format!("{}:/usr/bin:/bin", folder.join("bin").display()))
            }
            "DOCKER_CONFIG" => command.env(source, &folder),
            _ => command.env(source, &config),
        });
        assert_eq!(ran.status, 0, "{source}: {ran:?}");
        assert_eq!(server.world().tags_of("app"), ["1.1.0", "1.2.0"], "{source}");
        assert_eq!(basic_pairs(&server.log()), [format!("me:{SECRET}")], "{source}");
    }
}

#[test]
fn options_override_environment_which_overrides_files() {
    let (folder, server) = (folder_with_home("order"), guarded_registry(Vec::new()));
    let home = folder.join("home");
    let config_of = |user: &str| docker_config(host(&server.url), user, "x");
    let secret = write_file(&folder.join("secret"), "x");
    let authfile = write_file(&folder.join("flag.json"), &config_of("authfile"));
    let named = write_file(&folder.join("named.json"), &config_of("named"));
    write_file(&home.join(".docker/config.json"), &config_of("home"));
    let sources = ["flags", "authfile", "variable", "named", "home"];
    let mut used = Vec::new();
    for first in 0..sources.len() {
        server.clear_log();
        let has = |name: &str| sources[first..].contains(&name);
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
            // The credentials of a Forgejo are not used for a registry.
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
    let (folder, server) =
        (folder_with_home("other-host"), guarded_registry(vec![Account::all("me", SECRET)]));
    let file = write_file(&folder.join("auth.json"), &docker_config("other.example", "me", SECRET));
    let ran = apply(&server, &folder.join("home"), |command| command.args(["--authfile", &file]));
    assert_eq!(ran.status, 6, "{ran:?}");
    assert_eq!(basic_pairs(&server.log()), [""; 0]);
}

#[test]
fn user_and_secret_are_needed_together() {
    let (folder, server) = (folder_with_home("half"), guarded_registry(vec![Account::all("me", SECRET)]));
    let secret = write_file(&folder.join("secret"), SECRET);
    let mut errors = String::new();
    for arguments in [["--password-file", &*secret], ["--user", "me"]] {
        let ran = apply(&server, &folder.join("home"), |command| command.args(arguments));
        assert_eq!(ran.status, 2, "{ran:?}");
        errors.push_str(&ran.err);
    }
    insta::assert_snapshot!(errors, @"
    error: --password-file needs --user
    error: --user needs --password-file, REGISTRY_PASSWORD or the same with _FILE at the end
    ");
    assert_eq!(server.lines(), [""; 0]);
}

#[test]
fn forgejo_takes_token_of_docker_config() {
    for profile in BOTH {
        let job = Job::new("docker-config", incident(profile));
        let file =
            write_file(&job.folder.join("auth.json"), &docker_config(host(&job.server.url), OWNER, WRITE));
        let no_variables = [("FORGEJO_TOKEN", ""), ("FORGEJO_USER", "")];
        let ran = job.run_with(&["--apply", "--authfile", &file], &no_variables);
        assert_eq!((ran.status, job.tags("kms-website").len()), (0, 12), "{ran:?}");
    }
}
