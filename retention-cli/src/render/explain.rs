//! Why one package, tag or digest stays or goes: its rows, the indexes that name it, and theirs.

use std::io::{self, Write};

use registry_core::retention::{Action, PackagePlan, Plan, Version};
use registry_core::text::without_controls as safe;

/// Writes the explanation; false when nothing has that name.
pub fn write(plan: &Plan, subject: &str, several: bool, out: &mut dyn Write) -> io::Result<bool> {
    for package in &plan.packages {
        let Some(rest) = subject.strip_prefix(package.name.as_str()) else { continue };
        let wanted = |row: &&Version| match rest.as_bytes().first() {
            None => true,
            Some(b':') => row.version == rest[1..],
            Some(b'@') => row.digest.is_some_and(|digest| digest.to_string() == rest[1..]),
            Some(_) => false,
        };
        let rows: Vec<_> = package.versions.iter().filter(wanted).collect();
        if rows.is_empty() {
            continue;
        }
        if let Some(owner) = plan.source.owner.as_deref().filter(|_| several) {
            writeln!(out, "owner {}:", safe(owner))?;
        }
        if let Some(reason) = &package.reason {
            writeln!(out, "{}: nothing goes: {}", safe(&package.name), safe(reason))?;
        }
        for row in rows {
            explain(package, row, out)?;
        }
        return Ok(true);
    }
    Ok(false)
}

fn explain(package: &PackagePlan, row: &Version, out: &mut dyn Write) -> io::Result<()> {
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
