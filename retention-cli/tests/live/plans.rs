//! Plan files that were edited, made for another server, too old or in the future; and clocks that differ.

use registry_core::retention::Plan;
use registry_fixtures::forgejo::{Fault, Profile};

use crate::assert_output_snapshot;
use crate::support::{BOTH, Job, incident, without_requests};

/// A job with a plan file, and the text of the file.
fn job_with_plan(name: &str) -> (Job, String) {
    let job = Job::new(name, incident(BOTH[1]));
    let ran = job.run(&["plan", "--plan-file", "plan.json", "--keep-last", "10"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let text = std::fs::read_to_string(job.folder.join("plan.json")).unwrap();
    (job, text)
}

/// A changed plan with a matching digest.
fn resealed_plan(text: &str, change: impl FnOnce(&mut Plan)) -> String {
    let mut plan: Plan = serde_json::from_str(text).unwrap();
    change(&mut plan);
    plan.plan_digest = plan.own_digest().to_string();
    serde_json::to_string(&plan).unwrap()
}

#[test]
fn edited_plan_is_refused() {
    let (job, text) = job_with_plan("edited");
    let output = |text: &str| {
        std::fs::write(job.folder.join("plan.json"), text).unwrap();
        job.run_without_effect(&["apply", "plan.json"], &[])
    };
    assert_output_snapshot!(output(&text.replacen("\"keep\"", "\"delete\"", 1)), @"
    error: cannot use the plan plan.json: it was changed after it was planned; plan anew
    exit 2
    ");
    assert_output_snapshot!(output(&text.replacen("\"keep_last\": 10", "\"keep_last\": 1", 1)), @"
    error: cannot use the plan plan.json: it was changed after it was planned; plan anew
    exit 2
    ");
    assert_output_snapshot!(output(&text[..text.len() / 2]).replace(|sign: char| sign.is_ascii_digit(), "N"), @"
    error: cannot use the plan plan.json: it is no plan: EOF while parsing a string at line NNN column NN
    exit N
    ");
    assert_output_snapshot!(output("{}"), @"
    error: cannot use the plan plan.json: it is no plan: missing field `schema` at line 1 column 2
    exit 2
    ");
    assert_output_snapshot!(output(""), @"
    error: cannot use the plan plan.json: it is no plan: EOF while parsing a value at line 1 column 0
    exit 2
    ");
    let schema = resealed_plan(&text, |plan| plan.schema = "registry-retention/plan/2".into());
    assert_output_snapshot!(output(&schema), @r#"
    error: cannot use the plan plan.json: its schema is "registry-retention/plan/2", and "registry-retention/plan/1" is the only one known
    exit 2
    "#);
    let version = resealed_plan(&text, |plan| plan.tool_version = "0.0.1".into());
    assert_output_snapshot!(output(&version), @"
    error: cannot use the plan plan.json: version 0.0.1 of this program planned it, and this is 0.1.0; plan anew
    exit 2
    ");
    assert_output_snapshot!(job.run_without_effect(&["apply", "nowhere.json"], &[]), @"
    error: cannot open nowhere.json: No such file or directory (os error 2)
    exit 2
    ");
    // The unchanged plan is accepted.
    std::fs::write(job.folder.join("plan.json"), &text).unwrap();
    let ran = job.run(&["apply", "plan.json"]);
    assert_eq!((ran.status, job.tags("kms-website").len()), (0, 12), "{ran:?}");
}

#[test]
fn plan_for_other_owner_or_server_is_refused() {
    let (job, _) = job_with_plan("elsewhere");
    job.server.world().add_user("other");
    job.server.clear_log();
    let other = job.run_without_effect(&["apply", "plan.json"], &[("FORGEJO_OWNER", "other")]);
    assert_output_snapshot!(other, @"
    error: it was made for URL, owner viktor, and the command line names another server or owner
    exit 2
    ");
    assert_eq!(job.server.lines(), [""; 0]);
    let elsewhere = Job::new("elsewhere-2", incident(BOTH[1]));
    let output = job.run_without_effect(&["apply", "plan.json"], &[("FORGEJO_HOST", &elsewhere.server.url)]);
    assert_output_snapshot!(output, @"
    error: it was made for URL, owner viktor, and the command line names another server or owner
    exit 2
    ");
    assert_eq!(elsewhere.changes(), [""; 0]);
    // The release of the server must be the same.
    job.server.world().profile = Profile::V11;
    assert_output_snapshot!(job.run_without_effect(&["apply", "plan.json"], &[]), @"
    error: the server is 11.0.15 now and was 15.0.3 when this was planned; plan anew
    exit 2
    ");
}

#[test]
fn too_old_and_future_plans_are_refused() {
    let (job, text) = job_with_plan("age");
    let output = |hours: i64, arguments: &[&str]| {
        let at = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours);
        std::fs::write(job.folder.join("plan.json"), resealed_plan(&text, |plan| plan.planned_at = at))
            .unwrap();
        job.run_without_effect(&[&["apply", "plan.json"], arguments].concat(), &[])
    };
    assert_output_snapshot!(output(25, &[]), @"
    error: cannot use the plan plan.json: it was made N s ago, and 86400 s is the most; plan anew (--max-plan-age says how old it may be)
    exit 2
    ");
    assert_output_snapshot!(output(2, &["--max-plan-age", "1h"]), @"
    error: cannot use the plan plan.json: it was made N s ago, and 3600 s is the most; plan anew (--max-plan-age says how old it may be)
    exit 2
    ");
    assert_output_snapshot!(output(-2, &[]), @"
    error: cannot use the plan plan.json: it was planned at TIME, which is in the future; is the clock of this machine right?
    exit 2
    ");
    assert_output_snapshot!(output(0, &["--max-plan-age", "-1h"]), @"
    error: unexpected argument '-1' found

      tip: to pass '-1' as a value, use '-- -1'

    Usage: registry-retention apply [OPTIONS] <FILE>

    For more information, try '--help'.
    exit 2
    ");
}

#[test]
fn dry_run_variable_disarms_apply_subcommand() {
    let (job, _) = job_with_plan("disarmed");
    let ran = job.run_with(&["apply", "plan.json", "--quiet"], &[("DRY_RUN", "true")]);
    assert_eq!(job.changes(), [""; 0]);
    assert_output_snapshot!(ran.as_text(), @"
    registry-retention plan: packages=3 images_kept=20 images_deleted=3 versions_deleted=3 left=28 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=4287
    warning: DRY_RUN=true disarms apply: nothing is deleted
    exit 0
    ");
}

#[test]
fn rows_pushed_in_future_rank_newest() {
    for profile in BOTH {
        let mut world = incident(profile);
        world.now += 2 * 86400;
        world.push_image("api", Some("tomorrow"), "tomorrow");
        world.now -= 2 * 86400;
        let job = Job::new("future", world);
        let arguments = ["--package", "api", "--keep-last", "1"];
        let output = job.run_without_effect(&[&arguments[..], &["-v"]].concat(), &[]);
        assert_output_snapshot!(without_requests(&output), @"
        URL, owner viktor; dry run: nothing is deleted
        api: 1 image kept, 3 images to go, 0 rows left as they are
          delete v3, N d old: rank 2, beyond newest 1 (final)
          delete v2, N d old: rank 3, beyond newest 1 (final)
          delete v1, N d old: rank 4, beyond newest 1 (final)
          keep   tomorrow: newest 1 of 1
        1.36 KiB are needed only by what goes; the server's own collector frees them later
        registry-retention plan: packages=1 images_kept=1 images_deleted=3 versions_deleted=3 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=1395
        13 requests were made
        exit 0
        ");
        let at = (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * 30)).to_string();
        let past =
            job.run_without_effect(&[&arguments[..], &["--at", &at, "--keep-within", "1h"]].concat(), &[]);
        assert_output_snapshot!(past, @"
        URL, owner viktor; dry run: nothing is deleted
        api: 4 images kept, 0 images to go, 0 rows left as they are
        registry-retention plan: packages=1 images_kept=4 images_deleted=0 versions_deleted=0 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=0
        exit 0
        ");
    }
}

#[test]
fn future_time_is_refused_with_apply() {
    let job = Job::new("at", incident(BOTH[1]));
    let arguments =
        ["--package", "api", "--keep-last", "1", "--keep-within", "30d", "--at", "2999-01-01T00:00:00Z"];
    assert_output_snapshot!(job.run_without_effect(&[&arguments[..], &["--apply"]].concat(), &[]), @"
    error: --at TIME is in the future, where everything is older; nothing is deleted by it
    exit 2
    ");
    assert_eq!(job.server.lines(), [""; 0]);
    // A dry run may look ahead, but its plan is not applied before its time.
    assert_output_snapshot!(job.run_without_effect(&arguments, &[]).lines().last().unwrap(), @"exit 0");
    let plan = job.run_without_effect(&[&["plan", "--plan-file", "plan.json"], &arguments[..]].concat(), &[]);
    assert_eq!(plan.lines().last(), Some("exit 0"));
    assert_output_snapshot!(job.run_without_effect(&["apply", "plan.json"], &[]), @"
    error: cannot use the plan plan.json: it was planned at TIME, which is in the future; is the clock of this machine right?
    exit 2
    ");
    assert_output_snapshot!(job.run_without_effect(&["--at", "yesterday"], &[]).lines().next().unwrap(), @"error: invalid value 'yesterday' for '--at <TIME>': failed to parse four digit integer as year: invalid digit, expected 0-9 but got y");
}

#[test]
fn clock_skew_forbids_deletion_by_age() {
    let job = Job::new("clocks", incident(BOTH[1]));
    let shift_server_clock = |hours: i64| {
        job.server.set_hook(move |world, ask, _| {
            let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours);
            let date = at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            let is_version = ask.path == "/api/forgejo/v1/version";
            is_version.then(|| Fault::Instead(world.answer(ask).with_header("date", date)))
        });
    };
    shift_server_clock(3);
    let by_age = ["--package", "api", "--keep-last", "1", "--keep-within", "1h", "--quiet"];
    assert_output_snapshot!(job.run_without_effect(&by_age, &[]), @"
    registry-retention plan: packages=1 images_kept=1 images_deleted=2 versions_deleted=2 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=930
    warning: the clock of the server is N s ahead of the clock of this machine, so ages are wrong
    exit 0
    ");
    assert_output_snapshot!(job.run_without_effect(&[&by_age[..], &["--apply"]].concat(), &[]), @"
    registry-retention plan: packages=1 images_kept=1 images_deleted=2 versions_deleted=2 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=930
    warning: the clock of the server is N s ahead of the clock of this machine, so ages are wrong
    error: the clock of the server is N s ahead of the clock of this machine, so ages are wrong; this policy goes by age, so nothing is deleted
    exit 1
    ");
    std::fs::write(job.folder.join("rules.toml"), "version = 1\n[[rules]]\nkeep-within = \"1h\"\n").unwrap();
    let rules = ["--package", "api", "--keep-last", "1", "--quiet", "--apply", "--config", "rules.toml"];
    assert_output_snapshot!(job.run_without_effect(&rules, &[]), @"
    registry-retention plan: packages=1 images_kept=1 images_deleted=2 versions_deleted=2 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=930
    warning: the clock of the server is N s ahead of the clock of this machine, so ages are wrong
    error: the clock of the server is N s ahead of the clock of this machine, so ages are wrong; this policy goes by age, so nothing is deleted
    exit 1
    ");
    job.run(&[&["plan", "--plan-file", "plan.json"], &by_age[..]].concat());
    assert_eq!(job.run_without_effect(&["apply", "plan.json"], &[]).lines().last(), Some("exit 1"));
    shift_server_clock(-3);
    assert_output_snapshot!(job.run_without_effect(&["plan", "--quiet", "--package", "api"], &[]), @"
    registry-retention plan: packages=1 images_kept=3 images_deleted=0 versions_deleted=0 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=0
    warning: the clock of the server is N s behind the clock of this machine, so ages are wrong
    exit 0
    ");
    // Ranks compare only times of the server, so its clock does not matter.
    let ran = job.run(&["--package", "api", "--keep-last", "1", "--quiet", "--apply"]);
    assert_eq!((ran.status, job.tags("api").len()), (0, 1), "{ran:?}");
}
