//! Runs and undos on a plain OCI registry, in both releases.

use std::path::PathBuf;

use assert_cmd::Command;
use registry_fixtures::registry::{Account, Auth, Fault, Grant, Profile, Server, World};

use crate::support::{ProgramOutput, empty_folder};

const BOTH: [Profile; 2] = [Profile::V2_8, Profile::V3];
const SECRET: &str = "0123456789abcdef";

struct Job {
    server: Server,
    folder: PathBuf,
}

/// Fourteen releases of two platforms, with `latest` on the fourth; images whose platform has a tag; single images.
fn releases(profile: Profile) -> World {
    let mut world = World::new(profile);
    for release in 1..=14 {
        let (tag, seeds) =
            (format!("1.{release}.0"), [format!("amd64 {release}"), format!("arm64 {release}")]);
        let tags: &[&str] = if release == 4 { &[&tag, "latest"] } else { &[&tag] };
        world.push_index("team/app", tags, &[&seeds[0], &seeds[1]]);
    }
    for release in 1..=3 {
        let amd64 =
            world.push_image("tool", Some(&format!("{release}.0.0-amd64")), &format!("tool {release}"));
        world.push_index_of("tool", &[&format!("{release}.0.0")], &[amd64]);
        let built = format!("2024-0{release}-01T00:00:00Z");
        world.push_image_of("api", Some(&format!("v{release}")), &format!("api {release}"), Some(&built));
    }
    world
}

impl Job {
    fn new(name: &str, world: World) -> Self {
        let folder = empty_folder(&format!("registry-{name}-{:?}", world.profile));
        Self { server: Server::start(world), folder }
    }

    fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> ProgramOutput {
        let mut command = Command::cargo_bin("registry-retention").expect("the binary");
        command.env_clear().current_dir(&self.folder).args(arguments).args(["--registry", &self.server.url]);
        command.env("TMPDIR", &self.folder).envs(environment.iter().copied());
        let ran =
            ProgramOutput::from(command.output().expect("an exit")).replace_text(&self.server.url, "URL");
        assert!(!ran.out.contains(SECRET) && !ran.err.contains(SECRET), "the token was printed: {ran:?}");
        ran
    }

    fn run(&self, arguments: &[&str]) -> ProgramOutput {
        self.run_with(arguments, &[])
    }

    fn tags(&self, name: &str) -> Vec<String> {
        self.server.world().tags_of(name)
    }

    fn all_tags(&self) -> Vec<Vec<String>> {
        ["team/app", "tool", "api"].map(|name| self.tags(name)).to_vec()
    }

    fn assert_whole(&self) {
        let mut world = self.server.world();
        for name in ["team/app", "tool", "api"] {
            for tag in world.tags_of(name) {
                assert!(world.is_pullable(name, &tag), "{name}:{tag} is broken");
            }
        }
    }

    /// The requests that may change something.
    fn changes(&self) -> Vec<String> {
        let is_change = |line: &String| !line.starts_with("GET ") && !line.starts_with("HEAD ");
        self.server.lines().into_iter().filter(is_change).collect()
    }
}

const SEMVER: [&str; 2] = ["--rank-by", "semver"];

#[test]
fn plan_only_reads_and_sends_one_preflight() {
    for profile in BOTH {
        let job = Job::new("plan", releases(profile));
        let ran = job.run(&[&["plan"], &SEMVER[..], &["--keep-last", "2", "--package", "t*"]].concat());
        assert_eq!(ran.status, 0, "{ran:?}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(ran.out, @"
            team/app: 3 images kept, 11 images to go, 0 rows left as they are
              delete 1.1.0: rank 14, beyond newest 2
              delete 1.10.0: rank 5, beyond newest 2
              delete 1.11.0: rank 4, beyond newest 2
              delete 1.12.0: rank 3, beyond newest 2
              delete 1.2.0: rank 13, beyond newest 2
              delete 1.3.0: rank 12, beyond newest 2
              delete 1.5.0: rank 10, beyond newest 2
              delete 1.6.0: rank 9, beyond newest 2
              delete 1.7.0: rank 8, beyond newest 2
              delete 1.8.0: rank 7, beyond newest 2
              delete 1.9.0: rank 6, beyond newest 2
            tool: 4 images kept, 2 images to go, 0 rows left as they are
              delete 1.0.0: rank 3, beyond newest 2
              delete 1.0.0-amd64: child of 1.0.0, which goes; below all that stay by rank
            16.10 KiB are needed only by what goes; garbage-collect frees what lost its manifest, and the rest with --delete-untagged (never with registry 2.x, which takes children of kept indexes along)
            registry-retention plan: packages=2 images_kept=7 images_deleted=13 versions_deleted=13 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=16487
            ");
        }
        let changes = job.changes();
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert!(changes[0].starts_with("DELETE /v2/team/app/manifests/sha256:"), "{changes:?}");
    }
}

#[test]
fn undo_restores_what_run_deleted() {
    for profile in BOTH {
        let job = Job::new("run", releases(profile));
        let before = job.all_tags();
        let dry = job.run(&[&SEMVER[..], &["--keep-last", "2"]].concat());
        assert_eq!((dry.status, job.all_tags()), (0, before.clone()), "{dry:?}");
        let run =
            job.run(&[&SEMVER[..], &["--keep-last", "2", "--apply", "--journal", "run.journal"]].concat());
        assert_eq!(run.status, 0, "{run:?}");
        let kept = [
            &["1.13.0", "1.14.0", "1.4.0", "latest"][..],
            &["2.0.0", "2.0.0-amd64", "3.0.0", "3.0.0-amd64"],
            &["v2", "v3"],
        ];
        assert_eq!(job.all_tags(), kept, "{profile:?}");
        job.assert_whole();
        let again = job.run(&[&SEMVER[..], &["--keep-last", "2", "--apply"]].concat());
        assert_eq!(again.status, 0, "{again:?}");
        assert_eq!(job.all_tags(), kept, "{profile:?}");
        let undone = job.run(&["undo", "run.journal"]);
        assert_eq!((undone.status, job.all_tags()), (0, before), "{undone:?}");
        job.assert_whole();
    }
}

#[test]
fn apply_follows_plan_file() {
    for profile in BOTH {
        let job = Job::new("apply", releases(profile));
        let arguments = [&["plan", "--plan-file", "plan.json", "--keep-last", "2"], &SEMVER[..]].concat();
        let planned = job.run(&arguments);
        assert_eq!(planned.status, 0, "{planned:?}");
        job.server.clear_log();
        let dry = job.run_with(&["apply", "plan.json"], &[("DRY_RUN", "true")]);
        assert_eq!((dry.status, job.changes().len()), (0, 1), "{dry:?}");
        let ran = job.run(&["apply", "plan.json"]);
        assert_eq!((ran.status, job.tags("team/app").len()), (0, 4), "{ran:?}");
        job.assert_whole();
        let other = Job::new("apply-elsewhere", releases(profile));
        let plan = job.folder.join("plan.json").display().to_string();
        let refused = other.run(&["apply", &plan]);
        assert_eq!((refused.status, other.changes().len()), (2, 0), "{refused:?}");
    }
}

#[test]
fn ranking_registry_by_push_time_is_refused() {
    for profile in BOTH {
        let job = Job::new("pushed", releases(profile));
        for arguments in [&[][..], &["--rank-by", "pushed"], &["plan"], &["--apply"]] {
            let ran = job.run(arguments);
            assert_eq!((ran.status, job.changes().len()), (2, 0), "{ran:?}");
            insta::allow_duplicates! {
                insta::assert_snapshot!(ran.err, @"error: a registry does not tell when an image was pushed; rank by something it knows: --rank-by semver or created");
            }
        }
    }
}

#[test]
fn dry_run_detects_registry_without_deletion() {
    for profile in BOTH {
        let mut world = releases(profile);
        world.is_delete_enabled = false;
        let job = Job::new("closed", world);
        for mode in [&[][..], &["--apply"]] {
            let ran = job.run(&[&SEMVER[..], &["--keep-last", "2"], mode].concat());
            assert_eq!((ran.status, job.tags("team/app").len()), (6, 15), "{ran:?}");
            insta::allow_duplicates! {
                insta::assert_snapshot!(ran.err, @"error: these credentials may not delete here: the registry deletes nothing (REGISTRY_STORAGE_DELETE_ENABLED is not set?)");
            }
        }
        let warned = job.run(&[&["plan", "--keep-last", "2"], &SEMVER[..]].concat());
        assert!(warned.status == 0 && warned.err.contains("deletes nothing"), "{warned:?}");
    }
}

#[test]
fn registry_credentials_need_user_and_token() {
    let guarded_job = |profile, auth: fn(Vec<Account>) -> Auth, grants: Option<Vec<Grant>>| {
        let account =
            grants.map_or_else(|| Account::all("me", SECRET), |grants| Account::of("me", SECRET, grants));
        Job::new("credentials", releases(profile).requiring(auth(vec![account])))
    };
    let arguments = [&["--keep-last", "2"], &SEMVER[..]].concat();
    let credentials = [("REGISTRY_USER", "me"), ("REGISTRY_PASSWORD", SECRET)];
    for profile in BOTH {
        for auth in [Auth::Basic as fn(Vec<Account>) -> Auth, Auth::Token] {
            let job = guarded_job(profile, auth, None);
            let ran = job.run_with(&arguments, &credentials);
            assert_eq!(ran.status, 0, "{ran:?}");
            let anonymous = job.run(&arguments);
            assert_eq!(anonymous.status, 6, "{anonymous:?}");
            let no_user = job.run_with(&arguments, &credentials[1..]);
            assert_eq!(no_user.status, 2, "{no_user:?}");
            insta::allow_duplicates! {
                insta::assert_snapshot!(no_user.err, @"error: a registry takes a token together with its user: --user NAME, or REGISTRY_USER");
            }
        }
        // A token that may delete in only one repository suffices when only that one loses images.
        let read = Grant::new("repository:*", &["pull"]);
        let catalog = Grant::new("registry:catalog", &["*"]);
        let delete = Grant::new("repository:team/app", &["delete"]);
        let job = guarded_job(profile, Auth::Token, Some(vec![read.clone(), catalog.clone(), delete]));
        let apply = [&SEMVER[..], &["--apply", "--package", "[at]*", "--keep-last", "3"]].concat();
        let ran = job.run_with(&apply, &credentials);
        assert_eq!((ran.status, job.tags("team/app").len()), (0, 5), "{ran:?}");
        let job = guarded_job(profile, Auth::Token, Some(vec![read, catalog]));
        let ran = job.run_with(&arguments, &credentials);
        assert_eq!((ran.status, job.tags("team/app").len()), (6, 15), "{ran:?}");
    }
}

#[test]
fn empty_registry_needs_no_permission() {
    for profile in BOTH {
        let job = Job::new("empty", World::new(profile));
        let ran = job.run(&[&SEMVER[..], &["--apply"]].concat());
        assert_eq!((ran.status, job.changes().len()), (0, 0), "{ran:?}");
    }
}

#[test]
fn registry_address_with_path_is_refused() {
    let job = Job::new("path", releases(Profile::V3));
    let url = format!("{}/team", job.server.url);
    let mut command = Command::cargo_bin("registry-retention").expect("the binary");
    command.env_clear().current_dir(&job.folder).args(["--registry", &url, "--apply"]).args(SEMVER);
    let output = command.output().expect("an exit");
    let err = String::from_utf8_lossy(&output.stderr).replace(&job.server.url, "URL");
    assert_eq!((output.status.code(), job.server.lines().len()), (Some(2), 0));
    insta::assert_snapshot!(err, @r#"error: "URL/team" is no address of a server: a registry is at the root of its host; choose repositories by their names instead"#);
}

#[test]
fn run_survives_slow_and_failing_registry() {
    for profile in BOTH {
        let job = Job::new("stumbling", releases(profile));
        let mut stumbled = std::collections::BTreeSet::new();
        job.server.set_hook(move |_, ask, number| {
            let is_first = stumbled.insert((ask.method.clone(), ask.path.clone(), ask.query.clone()));
            match number % 5 {
                _ if !is_first || number % 3 != 0 => None,
                0 => Some(Fault::Status(500)),
                1 => Some(Fault::Truncated),
                2 => Some(Fault::Wait(0)),
                3 => Some(Fault::Lost),
                _ => Some(Fault::Reset),
            }
        });
        let ran = job.run(&[&SEMVER[..], &["--keep-last", "2", "--apply"]].concat());
        assert_eq!((ran.status, job.tags("team/app").len()), (0, 4), "{profile:?} {ran:?}");
        job.assert_whole();
    }
}

// https://github.com/docker/sbx-releases/issues/535, https://github.com/portainer/portainer/issues/2956: registries whose token service
// is on another host, as those of GitLab, could not be cleaned.
#[test]
fn foreign_token_service_gets_password_only_when_named() {
    let accounts = || vec![Account::all("me", SECRET)];
    let job = Job::new("service", releases(Profile::V3).requiring(Auth::Token(accounts())));
    let service = Server::start(World::new(Profile::V3).requiring(Auth::Token(accounts())));
    {
        let mut world = job.server.world();
        world.realm = Some(format!("{}/auth/token", service.url));
        for number in 1..=20 {
            let mut accesses = vec!["registry:catalog:*".to_owned()];
            for name in ["team/app", "tool", "api"] {
                accesses.extend(["pull", "delete"].map(|action| format!("repository:{name}:{action}")));
            }
            let accesses: Vec<&str> = accesses.iter().map(String::as_str).collect();
            world.add_token(&format!("token-{number}"), &accesses);
        }
    }
    let credentials = [("REGISTRY_USER", "me"), ("REGISTRY_PASSWORD", SECRET)];
    let arguments = [&SEMVER[..], &["--apply", "--quiet", "--keep-last", "2"]].concat();
    let ran = job.run_with(&arguments, &credentials);
    let error = ran.err.replace(&service.url, "SERVICE");
    assert_eq!((ran.status, service.log().len()), (2, 0), "{ran:?}");
    insta::assert_snapshot!(error, @"error: the token service of URL is SERVICE, another host; credentials do not go there unless it is named: --token-service SERVICE");
    let ran = job.run_with(&[&arguments[..], &["--token-service", &service.url]].concat(), &credentials);
    assert_eq!((ran.status, job.tags("team/app").len()), (0, 4), "{ran:?}");
    job.assert_whole();
}
