//! The text of `explain`: why one package, tag or digest stays or goes, and which indexes name it.

use std::io::{self, Write};

use registry_core::retention::{Action, PackagePlan, Plan, PlannedRow, SourceKind};
use registry_core::text::without_controls as safe;

use super::hints;
use super::text::action_word;

/// What a plan has for the subject of `explain`.
#[derive(Debug, PartialEq, Eq)]
pub enum Explained {
    /// Rows, which were explained.
    Rows,
    /// The package, but nothing of that name in it; with the tags of the package.
    Package { name: String, tags: Vec<String> },
    /// No package of that name.
    Nothing,
}

/// Whether two names are the same. Forgejo takes names of packages and tags in any case, and stores them in lower case
/// (`services/packages/container/manifest.go @ v15.0.3`).
fn is_same(kind: SourceKind, name: &str, other: &str) -> bool {
    name == other || (kind == SourceKind::Forgejo && name.eq_ignore_ascii_case(other))
}

/// Splits a subject into its package, and a tag or a digest.
fn parse_subject(subject: &str) -> (&str, Option<&str>, Option<&str>) {
    if let Some((package, digest)) = subject.split_once('@') {
        return (package, None, Some(digest));
    }
    match subject.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
        Some((package, tag)) => (package, Some(tag), None),
        None => (subject, None, None),
    }
}

/// Writes the explanation, if the plan has something of that name.
pub fn write(plan: &Plan, subject: &str, with_owner: bool, out: &mut dyn Write) -> io::Result<Explained> {
    let kind = plan.source.kind;
    let (name, tag, digest) = parse_subject(subject);
    let Some(package) = plan.packages.iter().find(|package| is_same(kind, &package.name, name)) else {
        return Ok(Explained::Nothing);
    };
    let is_wanted = |row: &&PlannedRow| match (tag, digest) {
        (Some(tag), _) => is_same(kind, &row.version, tag),
        (_, Some(wanted)) => row.digest.is_some_and(|digest| digest.to_string().eq_ignore_ascii_case(wanted)),
        (None, None) => true,
    };
    let rows: Vec<_> = package.versions.iter().filter(is_wanted).collect();
    let is_package = tag.is_none() && digest.is_none();
    if rows.is_empty() && !is_package {
        let tags = package.versions.iter().filter(|row| !row.version.contains(':'));
        let tags = tags.map(|row| row.version.clone()).collect();
        return Ok(Explained::Package { name: package.name.clone(), tags });
    }
    if let Some(owner) = plan.source.owner.as_deref().filter(|_| with_owner) {
        writeln!(out, "owner {}:", safe(owner))?;
    }
    if let Some(reason) = hints::package_reason(package) {
        writeln!(out, "{}: nothing goes: {}", safe(&package.name), safe(&reason))?;
    }
    for row in rows {
        explain_row(package, row, out)?;
    }
    Ok(Explained::Rows)
}

fn explain_row(package: &PackagePlan, row: &PlannedRow, out: &mut dyn Write) -> io::Result<()> {
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
        let rows = package.versions.iter().filter(|other| other.digest == Some(*parent));
        let texts: Vec<_> = rows
            .map(|other| {
                let (word, reasons) = (action_word(other.action), other.reasons.join("; "));
                format!("{} ({word}: {})", safe(&other.version), safe(&reasons))
            })
            .collect();
        writeln!(out, "  named by index {parent}: {}", texts.join(", "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse_subject;

    #[test]
    fn subject_is_package_with_tag_or_digest() {
        assert_eq!(parse_subject("team/app"), ("team/app", None, None));
        assert_eq!(parse_subject("team/app:v1"), ("team/app", Some("v1"), None));
        assert_eq!(parse_subject("team/app@sha256:ab"), ("team/app", None, Some("sha256:ab")));
        assert_eq!(parse_subject("team/app:v1@sha256:ab"), ("team/app:v1", None, Some("sha256:ab")));
    }
}
