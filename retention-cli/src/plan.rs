//! The verbs `plan` and `explain`: an inventory and a policy into a plan, printed or kept.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use jiff::Timestamp;
use registry_core::retention::{self as core, Plan, Record, SourceKind};
use registry_core::text::NaturalOrder;

use crate::args::{ExplainArgs, PlanArgs};
use crate::exit::{self, Failure};
use crate::render::Explained;
use crate::{policy, render};

/// Most bytes of a recorded inventory.
const INVENTORY_MAX: u64 = 1 << 30;

/// Plans, prints, keeps.
///
/// # Errors
/// When the inventory or the policy cannot be used, or the plan cannot be written.
pub fn run(args: &PlanArgs) -> Result<u8, Failure> {
    let Some(path) = &args.recorded.inventory else { return crate::run::plan(args) };
    let record = record(path)?;
    let policy =
        policy::settle(&args.policy, record.source.kind, args.undo_window).map_err(Failure::Usage)?;
    let plan = make(&record, &policy, args.common.at);
    if let Some(path) = &args.plan_file {
        keep(path, &plan)
            .with_context(|| format!("cannot write the plan {}", path.display()))
            .map_err(Failure::Io)?;
    }
    render::plan(&args.common, &plan, None).context("cannot print the plan").map_err(Failure::Io)?;
    let mut tally = exit::Tally::default();
    tally.plan(&plan, &args.answer, false);
    Ok(tally.status())
}

/// Explains why a package, a tag or a digest stays or goes.
///
/// # Errors
/// As [`run`]; and when nothing of that name is there.
pub fn explain(args: &ExplainArgs) -> Result<u8, Failure> {
    let (plans, tally) = match &args.recorded.inventory {
        Some(path) => {
            let record = record(path)?;
            let policy = policy::settle(&args.policy, record.source.kind, false).map_err(Failure::Usage)?;
            (vec![make(&record, &policy, args.common.at)], exit::Tally::default())
        }
        None => crate::run::explain(args)?,
    };
    let mut missed = None;
    let mut is_found = false;
    for plan in &plans {
        let found = render::explain(&args.common, plan, &args.subject, plans.len() > 1);
        match found.context("cannot print").map_err(Failure::Io)? {
            Explained::Rows => is_found = true,
            Explained::Package { name, tags } => missed = missed.or(Some((name, tags))),
            Explained::Nothing => {}
        }
    }
    if is_found || plans.is_empty() {
        return Ok(tally.status());
    }
    if let Some((name, tags)) = missed {
        return Err(Failure::Usage(no_such_version(&args.subject, &name, tags)));
    }
    let names = plans.iter().flat_map(|plan| &plan.packages).map(|package| package.name.as_str());
    let names: Vec<_> = names.take(10).collect();
    Err(Failure::Usage(anyhow!(
        "nothing is called {:?}; the packages are {}",
        args.subject,
        names.join(", ")
    )))
}

/// Tags named to somebody who named one that is not there.
const NEAREST: usize = 5;

/// That a package has nothing of the name that was given, and the tags that are most like it.
fn no_such_version(subject: &str, package: &str, mut tags: Vec<String>) -> anyhow::Error {
    let wanted = subject.rsplit(':').next().unwrap_or_default().to_lowercase();
    tags.sort_by_cached_key(|tag| {
        (strsim::damerau_levenshtein(&wanted, &tag.to_lowercase()), NaturalOrder::of(tag))
    });
    tags.truncate(NEAREST);
    let has = match &tags[..] {
        [] => "has no tags".to_owned(),
        [one] => format!("has the tag {one}"),
        _ => format!("has tags such as {}", tags.join(", ")),
    };
    anyhow!("nothing is called {subject:?}; package {package} {has}")
}

/// Plans, and says what matches nothing.
pub fn make(record: &Record, policy: &core::Policy, at: Option<Timestamp>) -> Plan {
    warn_of_unmatched(record, policy);
    plan_of(record, policy, at)
}

/// Plans.
pub fn plan_of(record: &Record, policy: &core::Policy, at: Option<Timestamp>) -> Plan {
    let now = at.unwrap_or_else(Timestamp::now);
    core::plan(record.source.clone(), record.packages(), policy, now, env!("CARGO_PKG_VERSION"))
}

/// Says what of a policy matches nothing, and that there is nothing at all.
pub fn warn_of_unmatched(record: &Record, policy: &core::Policy) {
    if record.packages.is_empty() && policy.packages.is_empty() && record.source.kind == SourceKind::Forgejo {
        let owner = record.source.owner.as_deref().unwrap_or_default();
        render::warn(&format!("owner {owner} has no container packages that these credentials may see"));
    }
    let packages = record.packages.iter().filter(|package| policy.covers(&package.name));
    for pattern in &policy.packages {
        if !packages.clone().any(|package| pattern.is_match(&package.name)) {
            render::warn(&format!("no package matches {:?}", pattern.as_str()));
        }
    }
    for pattern in &policy.keep_tags {
        let mut tags = packages.clone().flat_map(|package| &package.versions);
        if pattern.as_str() != "latest" && !tags.any(|row| pattern.is_match(&row.version)) {
            render::warn(&format!("no tag matches the keep pattern {:?}", pattern.as_str()));
        }
    }
    for (number, rule) in policy.rules.iter().enumerate() {
        let matches = |package: &core::RecordedPackage| {
            let mut tags = package.versions.iter().filter(|row| !row.version.contains(':'));
            tags.any(|row| rule.is_match(&package.name, &row.version))
        };
        if !packages.clone().any(matches) {
            let (package, tags) = (rule.package.as_str(), rule.tags.as_str());
            let by = rule.group_by.as_ref();
            let by = by.map_or_else(String::new, |by| format!(", group-by {:?}", by.as_str()));
            render::warn(&format!(
                "no tag matches rule {} (package {package:?}, tags {tags:?}{by})",
                number + 1
            ));
        }
    }
    for lost in &policy.assume_lost {
        let is_it = |package: &&core::RecordedPackage| {
            let tag = lost.strip_prefix(package.name.as_str()).and_then(|rest| rest.strip_prefix(':'));
            package.versions.iter().any(|row| Some(row.version.as_str()) == tag)
        };
        if !packages.clone().any(|package| is_it(&package)) {
            render::warn(&format!("no tag is called {lost:?}, as --assume-lost has it"));
        }
    }
}

fn record(path: &Path) -> Result<Record, Failure> {
    let read = || Ok::<_, anyhow::Error>(Record::read(&text_of(path, INVENTORY_MAX)?)?);
    read().with_context(|| format!("cannot use the inventory {}", path.display())).map_err(Failure::Usage)
}

/// The text of a file that is not larger than so many bytes.
///
/// # Errors
/// When it cannot be read, or is larger.
pub fn text_of(path: &Path, most: u64) -> anyhow::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let open = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    if open.take(most + 1).read_to_string(&mut text)? as u64 > most {
        bail!("it is larger than {} MiB", most >> 20);
    }
    Ok(text)
}

/// Writes a file of JSON so that nobody finds half of one.
///
/// # Errors
/// When it cannot be written.
pub fn keep(path: &Path, value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    replace(path, &text, false)
}

/// Writes a file so that a reader sees the old one or the new one; only its owner may read it unless it is public.
///
/// # Errors
/// When it cannot be written.
pub fn replace(path: &Path, bytes: &[u8], is_public: bool) -> anyhow::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let made = tempfile::Builder::new().prefix(".registry-retention-").tempfile_in(folder);
    // The error of that crate names its own file, which helps nobody.
    let mut file =
        made.map_err(|error| anyhow!("no file can be made in {}: {}", folder.display(), error.kind()))?;
    file.write_all(bytes)?;
    #[cfg(unix)]
    if is_public {
        use std::os::unix::fs::PermissionsExt as _;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
