//! Where credentials come from, in which order; where they are sent; and that they are never shown.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use assert_cmd::Command;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use registry_fixtures::credentials::{basic_pairs, docker_config};
use registry_fixtures::forgejo;
use registry_fixtures::registry::{Account, Auth, Fault, Grant, Profile, Reply, Server, World};

use crate::support::{
    ProgramOutput, command, fsck, host, images, images_with_lost_child, layer_digest, mask_snapshots,
    reference, registry, run,
};

const SECRET: &str = "correct-horse-battery-staple";

/// A registry with images that requires credentials.
fn guarded_registry(auth: Auth) -> Server {
    let mut world = World::new(Profile::V2_8).requiring(auth);
    images(&mut world);
    Server::start(world)
}

fn my_account() -> Vec<Account> {
    vec![Account::all("me", SECRET)]
}

fn registries_of_both_kinds() -> [Server; 2] {
    [guarded_registry(Auth::Basic(my_account())), guarded_registry(Auth::Token(my_account()))]
}

/// Writes a file and its folders; returns its path.
fn write_file(path: &Path, text: &str) -> String {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Sets variables with the right credentials.
fn with_credentials(command: &mut Command) -> &mut Command {
    command.env("REGISTRY_USER", "me").env("REGISTRY_PASSWORD", SECRET)
}

/// Probes a registry; fails the test when the output shows a secret or token.
fn probe(server: &Server, home: &Path, set_up: impl FnOnce(&mut Command) -> &mut Command) -> ProgramOutput {
    let mut command = command(home);
    command.args(["probe", &server.url, "--retries", "0", "-vv"]);
    set_up(&mut command);
    let ran = run(&mut command);
    for secret in [SECRET.to_owned(), STANDARD.encode(format!("me:{SECRET}"))] {
        assert!(!ran.out.contains(&secret) && !ran.err.contains(&secret), "a secret is shown: {}", ran.err);
    }
    assert!(!ran.err.contains("token-1"), "{}", ran.err);
    ran
}

#[test]
fn every_credential_source_is_used() {
    for server in registries_of_both_kinds() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let secret = write_file(&path("secret"), &format!("{SECRET}\n"));
        let config = docker_config(host(&server), "me", SECRET);
        let authfile = write_file(&path("auth.json"), &config);
        write_file(&path("run/containers/auth.json"), &config);
        write_file(&path("docker/config.json"), &config);
        write_file(&path("home/.docker/config.json"), &config);
        type Setup<'a> = Box<dyn FnOnce(&mut Command) -> &mut Command + 'a>;
        let environment = |name: &'static str, value: String| -> Setup<'_> {
            Box::new(move |command| command.env(name, value))
        };
        let sources: Vec<(&str, Setup<'_>)> = vec![
            ("flags", Box::new(|command| command.args(["--user", "me", "--password-file", &secret]))),
            (
                "--token-file",
                Box::new(|command| command.env("REGISTRY_USER", "me").args(["--token-file", &secret])),
            ),
            ("--user", Box::new(|command| command.args(["--user", "me"]).env("REGISTRY_PASSWORD", SECRET))),
            ("--authfile", Box::new(|command| command.args(["--authfile", &authfile]))),
            ("variables", Box::new(with_credentials)),
            (
                "_FILE",
                Box::new(|command| command.env("REGISTRY_USER", "me").env("REGISTRY_PASSWORD_FILE", &secret)),
            ),
            ("REGISTRY_AUTH_FILE", environment("REGISTRY_AUTH_FILE", authfile.clone())),
            ("XDG_RUNTIME_DIR", environment("XDG_RUNTIME_DIR", path("run").display().to_string())),
            ("DOCKER_CONFIG", environment("DOCKER_CONFIG", path("docker").display().to_string())),
            ("HOME", environment("HOME", path("home").display().to_string())),
        ];
        for (name, set_up) in sources {
            server.clear_log();
            let ran = probe(&server, folder.path(), set_up);
            assert_eq!(ran.status, 0, "{name}: {ran:?}");
            assert_eq!(basic_pairs(&server.log()), [format!("me:{SECRET}")], "{name}");
        }
        let ran = probe(&server, folder.path(), |command| command);
        assert_eq!(ran.status, 8);
        assert!(ran.out.contains("these credentials do not suffice, or none were given"), "{}", ran.out);
    }
}

#[test]
fn options_override_environment_which_overrides_files() {
    let server = guarded_registry(Auth::Basic(Vec::new()));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let config_of = |user: &str| docker_config(host(&server), user, "x");
    let secret = write_file(&path("secret"), "x");
    let (flag, named) = (
        write_file(&path("flag.json"), &config_of("authfile")),
        write_file(&path("named.json"), &config_of("named")),
    );
    write_file(&path("run/containers/auth.json"), &config_of("run"));
    write_file(&path("docker/config.json"), &config_of("docker"));
    write_file(&path("home/.docker/config.json"), &config_of("home"));
    let sources = ["flags", "authfile", "file", "variable", "named", "run", "docker", "home"];
    let mut used = Vec::new();
    for first in 0..sources.len() {
        server.clear_log();
        let has = |name: &str| sources[first..].contains(&name);
        probe(&server, &path("home"), |command| {
            if has("flags") {
                command.args(["--user", "flags", "--password-file", &secret]);
            }
            if has("authfile") {
                command.args(["--authfile", &flag]);
            }
            if has("file") {
                command.env("REGISTRY_PASSWORD_FILE", &secret);
            }
            if has("variable") {
                command
                    .env("REGISTRY_USER", if has("file") { "file" } else { "variable" })
                    .env("REGISTRY_PASSWORD", "y");
            }
            if has("named") {
                command.env("REGISTRY_AUTH_FILE", &named);
            }
            if has("run") {
                command.env("XDG_RUNTIME_DIR", path("run"));
            }
            if has("docker") {
                command.env("DOCKER_CONFIG", path("docker"));
            }
            command
        });
        used.extend(basic_pairs(&server.log()));
    }
    insta::assert_snapshot!(used.join("\n"), @"
    flags:x
    authfile:x
    file:x
    variable:y
    named:x
    run:x
    docker:x
    home:x
    ");
    let help = fsck(&["probe", "--help"]).out;
    let (_, help) = help.split_once("Credentials come from").unwrap();
    let (help, _) = help.split_once("Exit status").unwrap();
    insta::assert_snapshot!(help.split_whitespace().collect::<Vec<_>>().join(" "), @"the first of these that is there: --user with --password-file; --authfile; with --forgejo FORGEJO_USER with FORGEJO_TOKEN_FILE or FORGEJO_TOKEN; REGISTRY_USER with REGISTRY_PASSWORD_FILE or REGISTRY_PASSWORD (--user in place of either user); REGISTRY_AUTH_FILE; containers/auth.json in XDG_RUNTIME_DIR when it has any for this host; docker's config.json, with its helpers, in DOCKER_CONFIG or ~/.docker.");
}

#[test]
fn credential_helper_is_asked() {
    for kind in ["credHelpers", "credsStore"] {
        let server = guarded_registry(Auth::Basic(my_account()));
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            "#!/bin/sh\nread host\n[ \"$host\" = '{}' ] || exit 1\necho '{{\"Username\":\"me\",\"Secret\":\"{SECRET}\"}}'\n",
            host(&server)
        );
        let helper = folder.path().join("bin/docker-credential-probe");
        write_file(&helper, &script);
        std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
        let config = match kind {
            "credHelpers" => format!(r#"{{"credHelpers":{{"{}":"probe"}}}}"#, host(&server)),
            _ => format!(r#"{{"auths":{{"{}":{{}}}},"credsStore":"probe"}}"#, host(&server)),
        };
        write_file(&folder.path().join("home/.docker/config.json"), &config);
        let path = format!("{}:/usr/bin:/bin", folder.path().join("bin").display());
        let ran = probe(&server, &folder.path().join("home"), |command| command.env("PATH", path));
        assert_eq!(ran.status, 0, "{kind}: {ran:?}");
    }
}

#[test]
fn host_absent_from_file_gets_no_credentials() {
    let server = guarded_registry(Auth::Basic(my_account()));
    let folder = tempfile::tempdir().unwrap();
    write_file(
        &folder.path().join(".docker/config.json"),
        &docker_config("other.example:5000", "me", SECRET),
    );
    assert_eq!(probe(&server, folder.path(), |command| command).status, 8);
    assert_eq!(basic_pairs(&server.log()), Vec::<String>::new());
}

#[test]
fn unusable_credential_files_exit_16_and_are_named() {
    let _masked = mask_snapshots();
    let server = guarded_registry(Auth::Basic(my_account()));
    let folder = tempfile::tempdir().unwrap();
    let bad = format!(r#"{{"auths":{{"{}":{{"auth":"{SECRET}"}}}}}}"#, host(&server));
    let mut errors = String::new();
    for (name, text) in [("a.json", "no json"), ("c.json", &*bad)] {
        let path = write_file(&folder.path().join(name), text);
        let ran = probe(&server, folder.path(), |command| command.args(["--authfile", &path]));
        assert_eq!(ran.status, 16);
        errors.push_str(&ran.err);
    }
    for (name, text) in [("empty", "  \n"), ("absent", "")] {
        let path = folder.path().join(name);
        if name == "empty" {
            write_file(&path, text);
        }
        let ran = probe(&server, folder.path(), |command| command.env("REGISTRY_PASSWORD_FILE", &path));
        assert_eq!(ran.status, 16);
        errors.push_str(&ran.err);
    }
    insta::assert_snapshot!(errors, @"
    ERROR cannot use FOLDER/a.json: Unable to read config
    ERROR cannot use FOLDER/c.json: Unable to decode credential
    ERROR FOLDER/empty is empty
    ERROR cannot read FOLDER/absent: No such file or directory (os error 2)
    ");
    assert!(server.log().is_empty());
}

#[test]
fn wrong_password_exits_8_and_is_not_shown() {
    let _masked = mask_snapshots();
    for auth in [Auth::Basic, Auth::Token] {
        let server = guarded_registry(auth(vec![Account::all("me", "other")]));
        let home = tempfile::tempdir().unwrap();
        let ran = probe(&server, home.path(), with_credentials);
        assert_eq!(ran.status, 8);
        assert!(ran.out.contains("refused with status 401"), "{}", ran.out);
    }
}

#[test]
fn closed_catalog_exits_8_without_repositories_file() {
    let _masked = mask_snapshots();
    let pull = Grant::new("repository:*", &["pull"]);
    let server = guarded_registry(Auth::Token(vec![Account::of("me", SECRET, vec![pull])]));
    let home = tempfile::tempdir().unwrap();
    let ran = probe(&server, home.path(), with_credentials);
    assert_eq!(ran.status, 8);
    insta::assert_snapshot!(ran.out, @"
    /v2/_catalog could not be read: GET /v2/_catalog: refused with status 401: these credentials do not suffice, or none were given
    asked http://HOST, not read completely: 0 repositories, 0 of 0 tags, 0 manifests of which 0 indexes, 0 configs and layers (0 B)
    registry-fsck probe: broken_tags=0 unknown_tags=0 errors=0 warnings=0 infos=0 repairable=0 tags=0 unread=1 exit_status=8 seconds=…
    ");
    let names = write_file(&home.path().join("names"), "team/app\nweb\n");
    let ran = probe(&server, home.path(), |command| {
        with_credentials(command).args(["--repositories-file", &names])
    });
    assert_eq!(ran.status, 0, "{}", ran.out);
}

#[test]
fn sending_credentials_over_http_warns() {
    let home = tempfile::tempdir().unwrap();
    let mut command = command(home.path());
    command.args(["probe", "http://registry.invalid", "--retries", "0", "--timeout", "5s"]);
    let without = run(&mut command);
    assert!(without.status == 8 && !without.err.contains("unencrypted"), "{}", without.err);
    let with = run(with_credentials(&mut command));
    assert!(with.err.contains("credentials go to registry.invalid unencrypted"), "{}", with.err);
    let server = guarded_registry(Auth::Basic(my_account()));
    let local = probe(&server, home.path(), with_credentials);
    assert!(!local.err.contains("unencrypted"), "{}", local.err);
}

#[test]
fn redirect_to_other_host_carries_no_credentials() {
    let elsewhere = registry(|world| drop(world.push_image("store", Some("x"), "four")));
    let server = guarded_registry(Auth::Basic(my_account()));
    let target = format!("{}/v2/store/blobs/{}", elsewhere.url, layer_digest("four"));
    let layer = format!("/v2/web/blobs/{}", layer_digest("four"));
    server.set_hook(move |_, ask, _| {
        let has_credentials = ask.header("authorization").is_some();
        (ask.path == layer && has_credentials)
            .then(|| Fault::Instead(Reply::new(307).with("location", target.clone())))
    });
    let home = tempfile::tempdir().unwrap();
    for depth in ["blobs", "content"] {
        let ran = probe(&server, home.path(), |command| with_credentials(command).args(["--depth", depth]));
        assert_eq!(ran.status, 0, "{ran:?}");
    }
    assert_eq!(elsewhere.log().len(), 2);
    assert!(elsewhere.log().iter().all(|ask| ask.header("authorization").is_none()));
}

#[test]
fn foreign_token_service_gets_no_password() {
    let _masked = mask_snapshots();
    let foreign = registry(|_| {});
    let server = guarded_registry(Auth::Token(my_account()));
    server.world().realm = Some(format!("{}/auth/token", foreign.url));
    let home = tempfile::tempdir().unwrap();
    let ran = probe(&server, home.path(), with_credentials);
    assert_eq!(ran.status, 8);
    insta::assert_snapshot!(ran.out, @"
    http://HOST could not be read: the token service of http://HOST is http://HOST, another host; credentials do not go there unless it is named: --token-service http://HOST
    asked http://HOST, not read completely: 0 repositories, 0 of 0 tags, 0 manifests of which 0 indexes, 0 configs and layers (0 B)
    registry-fsck probe: broken_tags=0 unknown_tags=0 errors=0 warnings=0 infos=0 repairable=0 tags=0 unread=1 exit_status=8 seconds=…
    ");
    assert!(foreign.log().is_empty());
}

/// A registry, and the token service on another port that it names and whose tokens it knows.
fn registry_with_foreign_token_service(accounts: Vec<Account>) -> [Server; 2] {
    let service = guarded_registry(Auth::Token(accounts.clone()));
    let server = guarded_registry(Auth::Token(accounts));
    {
        let mut world = server.world();
        world.realm = Some(format!("{}/auth/token", service.url));
        for number in 1..=20 {
            let all = ["repository:web:pull", "repository:team/app:pull", "registry:catalog:*"];
            world.add_token(&format!("token-{number}"), &all);
        }
    }
    [server, service]
}

// https://github.com/docker/sbx-releases/issues/535, https://github.com/portainer/portainer/issues/2956: registries of GitLab and
// Docker Hub could not be probed or verified.
#[test]
fn named_foreign_token_service_gives_tokens() {
    let [server, service] = registry_with_foreign_token_service(my_account());
    let home = tempfile::tempdir().unwrap();
    let ran = probe(&server, home.path(), |command| {
        with_credentials(command).args(["--token-service", &service.url])
    });
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(basic_pairs(&service.log()), [format!("me:{SECRET}")]);
    assert_eq!(basic_pairs(&server.log()), [""; 0]);
    let ran = probe(&server, home.path(), |command| {
        with_credentials(command).args(["--token-service", "http://gitlab.example"])
    });
    assert_eq!(ran.status, 16);
    assert!(ran.err.contains("over https only"), "{}", ran.err);
}

#[test]
fn identity_token_is_used() {
    let server =
        guarded_registry(Auth::Token(vec![Account::all("me", "nothing").with_identity_token(SECRET)]));
    let home = tempfile::tempdir().unwrap();
    let token = format!(r#"{{"auths":{{"{}":{{"identitytoken":"{SECRET}"}}}}}}"#, host(&server));
    write_file(&home.path().join(".docker/config.json"), &token);
    let ran = probe(&server, home.path(), |command| command);
    assert_eq!(ran.status, 0, "{ran:?}");
}

// Keys as podman writes them with `podman login host/namespace` (containers-auth.json(5)).
#[test]
fn most_specific_key_of_auth_file_wins() {
    for auth in [Auth::Basic, Auth::Token] {
        let server = guarded_registry(auth(my_account()));
        let home = tempfile::tempdir().unwrap();
        let pair = STANDARD.encode(format!("me:{SECRET}"));
        let wrong = STANDARD.encode("me:wrong");
        let host = host(&server);
        let text = format!(
            r#"{{"auths":{{"{host}/team":{{"auth":"{pair}"}},"{host}/team/other":{{"auth":"{wrong}"}},"{host}/web":{{"auth":"{pair}"}}}}}}"#
        );
        let file = write_file(&home.path().join("auth.json"), &text);
        let verify = |image: &str| {
            let mut command = command(home.path());
            run(command.args(["verify", &format!("{host}/{image}"), "--authfile", &file, "--retries", "0"]))
        };
        for (image, status) in [("team/app:v1", 0), ("web", 0), ("team/other:v1", 8), ("else:v1", 8)] {
            let ran = verify(image);
            assert_eq!(ran.status, status, "{image}: {ran:?}");
        }
        let names = write_file(&home.path().join("names"), "team/app\nweb\n");
        let ran = probe(&server, home.path(), |command| {
            command.args(["--authfile", &file, "--repositories-file", &names])
        });
        assert_eq!(ran.status, 0, "{ran:?}");
    }
}

#[test]
fn bug_user_option_works_with_forgejo_token() {
    let server = forgejo::Server::start(forgejo::World::example(forgejo::Profile::V15, 1_790_000_000));
    let home = tempfile::tempdir().unwrap();
    let owner = forgejo::OWNER;
    let mut command = command(home.path());
    command.args(["probe", &server.url, "--forgejo", "--owner", owner, "--user", owner, "--retries", "0"]);
    let ran = run(command.env("FORGEJO_TOKEN", forgejo::READ));
    assert_eq!(ran.status, 0, "{ran:?}");
}

#[test]
fn bug_password_of_one_registry_is_not_sent_to_two() {
    let (one, two) = (guarded_registry(Auth::Basic(my_account())), registry(images_with_lost_child));
    let home = tempfile::tempdir().unwrap();
    let images = [reference(&one, "web"), reference(&two, "web")];
    let mut command = command(home.path());
    command.args(["verify", &images[0], "--same-as", &images[1]]);
    let ran = run(with_credentials(&mut command));
    assert_eq!(ran.status, 16);
    insta::assert_snapshot!(ran.err, @"ERROR these images are on 2 registries, and --user and REGISTRY_PASSWORD are credentials of one: give those of each in a file (--authfile, or docker's config.json)");
    assert!(one.log().is_empty() && two.log().is_empty());
}
