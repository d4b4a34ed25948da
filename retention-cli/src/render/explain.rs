//! Why one package, tag or digest stays or goes: its rows, the indexes that name it, and theirs.

use std::io::{self, Write};

use registry_core::retention::{Action, PackagePlan, Plan, PlannedRow, SourceKind};
use registry_core::text::without_controls as safe;

use super::hints;

/// What a plan has of a subject that was to be explained.
#[derive(Debug, PartialEq, Eq)]
pub enum Explained {
    /// It was explained.
    Rows,
    /// The package is there, and has nothing of that name: its tags.
    Package { name: String, tags: Vec<String> },
    /// No package of that name is there.
    Nothing,
}

/// Whether two names are one; Forgejo takes names of packages and tags in any case, and keeps them in lower case
/// (`services/packages/container/manifest.go @ v15.0.3`).
fn is_same(kind: SourceKind, one: &str, other: &str) -> bool {
    one == other || (kind == SourceKind::Forgejo && one.eq_ignore_ascii_case(other))
}

/// The package, and a tag or a digest in it, that a subject names.
fn parse(subject: &str) -> (&str, Option<&str>, Option<&str>) {
    if let Some((package, digest)) = subject.split_once('@') {
        return (package, None, Some(digest));
    }
    match subject.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
        Some((package, tag)) => (package, Some(tag), None),
        None => (subject, None, None),
    }
}

/// Writes the explanation, if there is anything of that name.
pub fn write(plan: &Plan, subject: &str, several: bool, out: &mut dyn Write) -> io::Result<Explained> {
    let kind = plan.source.kind;
    let (name, tag, digest) = parse(subject);
    let Some(package) = plan.packages.iter().find(|package| is_same(kind, &package.name, name)) else {
        return Ok(Explained::Nothing);
    };
    let wanted = |row: &&PlannedRow| match (tag, digest) {
        (Some(tag), _) => is_same(kind, &row.version, tag),
        (_, Some(wanted)) => row.digest.is_some_and(|digest| digest.to_string().eq_ignore_ascii_case(wanted)),
        (None, None) => true,
    };
    let rows: Vec<_> = package.versions.iter().filter(wanted).collect();
    let is_whole = tag.is_none() && digest.is_none();
    if rows.is_empty() && !is_whole {
        let tags = package.versions.iter().filter(|row| !row.version.contains(':'));
        let tags = tags.map(|row| row.version.clone()).collect();
        return Ok(Explained::Package { name: package.name.clone(), tags });
    }
    if let Some(owner) = plan.source.owner.as_deref().filter(|_| several) {
        writeln!(out, "owner {}:", safe(owner))?;
    }
    if let Some(reason) = hints::reason(package) {
        writeln!(out, "{}: nothing goes: {}", safe(&package.name), safe(&reason))?;
    }
    for row in rows {
        explain(package, row, out)?;
    }
    Ok(Explained::Rows)
}

fn explain(package: &PackagePlan, row: &PlannedRow, out: &mut dyn Write) -> io::Result<()> {
    let action = match row.action {
        Action::Keep => "is kept",
        Action::Delete => "goes",
        Action::Leave => "is left",
    };
    let separator = if row.version.contains(':') { '@' } else { ':' };
    writeln!(
        out,
        "{}{separator}{} {action}: {}",
        safe(&package.name),
        safe(&row.version),
        safe(&row.reasons.join("; "))
    )?;
    if let Some(digest) = row.digest {
        let others = package
            .versions
            .iter()
            .filter(|other| other.digest == row.digest && other.version != row.version);
        let others: Vec<_> = others.map(|other| safe(&other.version)).collect();
        let also =
            if others.is_empty() { String::new() } else { format!(", also listed as {}", others.join(", ")) };
        writeln!(out, "  manifest {digest}{also}")?;
    }
    for parent in &row.parents {
        let carriers = package.versions.iter().filter(|other| other.digest == Some(*parent));
        let carriers: Vec<_> = carriers
            .map(|other| {
                let word = match other.action {
                    Action::Keep => "kept",
                    Action::Delete => "goes",
                    Action::Leave => "left",
                };
                format!("{} ({word}: {})", safe(&other.version), safe(&other.reasons.join("; ")))
            })
            .collect();
        writeln!(out, "  named by index {parent}: {}", carriers.join(", "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_subject_is_a_package_and_what_is_asked_of_it() {
        assert_eq!(parse("team/app"), ("team/app", None, None));
        assert_eq!(parse("team/app:v1"), ("team/app", Some("v1"), None));
        assert_eq!(parse("team/app@sha256:ab"), ("team/app", None, Some("sha256:ab")));
        assert_eq!(parse("team/app:v1@sha256:ab"), ("team/app:v1", None, Some("sha256:ab")));
    }
}
