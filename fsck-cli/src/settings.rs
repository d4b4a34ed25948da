//! Reads files that the command line names: the baseline, the ignore file and the list of repositories.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use globset::GlobBuilder;
use jiff::civil::Date;
use registry_cli::file::read_text;
use registry_core::audit::{Code, Ignore, Report, SCHEMA};
use registry_core::oci::RepositoryName;
use registry_core::text::escape;
use serde::Deserialize;
use serde_json::error::Category;

/// Most bytes of a file that is named on the command line.
pub const MAX_BYTES: u64 = 1 << 30;

/// Reads an earlier report.
///
/// # Errors
/// When it cannot be read, or is no report of this schema.
pub fn read_baseline(path: &Path) -> anyhow::Result<Report> {
    #[derive(Deserialize)]
    struct Head {
        schema: Option<String>,
    }
    let text =
        read_text(path, MAX_BYTES).with_context(|| format!("cannot read the baseline {}", path.display()))?;
    let head: Head = serde_json::from_str(&text).map_err(|error| match error.classify() {
        Category::Data => {
            anyhow!("the baseline {} is no report (write one with --output json)", path.display())
        }
        _ => anyhow!("the baseline {} is no JSON: {error}", path.display()),
    })?;
    match head.schema.as_deref() {
        Some(SCHEMA) => {}
        Some(other) => bail!("the baseline {} has schema {other:?}; {SCHEMA:?} is needed", path.display()),
        None => bail!(
            "the baseline {} is no report: it has no schema (write one with --output json)",
            path.display()
        ),
    }
    serde_json::from_str(&text).map_err(|error| {
        anyhow!("the baseline {} is no report of schema {SCHEMA:?}: {error}", path.display())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IgnoreFile {
    #[serde(default)]
    ignore: Vec<IgnoreEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IgnoreEntry {
    code: String,
    repository: String,
    reason: String,
    expires: toml::Value,
}

/// Reads an ignore file.
///
/// # Errors
/// When it cannot be read, or an entry lacks a key, has an unknown one, or an empty reason.
pub fn read_ignore_file(path: &Path) -> anyhow::Result<Vec<Ignore>> {
    let text = read_text(path, MAX_BYTES)
        .with_context(|| format!("cannot read the ignore file {}", path.display()))?;
    let file: IgnoreFile = toml::from_str(&text).map_err(|error| {
        anyhow!("the ignore file {} is unusable: {}", path.display(), message_with_line(&text, &error))
    })?;
    let numbered = file.ignore.into_iter().enumerate();
    numbered
        .map(|(number, entry)| {
            parse_ignore(&entry)
                .with_context(|| format!("entry {} of the ignore file {}", number + 1, path.display()))
        })
        .collect()
}

/// The message of an error on one line, such as `line 4: unknown field …`.
fn message_with_line(text: &str, error: &toml::de::Error) -> String {
    let line =
        error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
    let message = error.message().replace('\n', " ");
    line.map_or_else(|| message.clone(), |line| format!("line {line}: {message}"))
}

fn parse_ignore(entry: &IgnoreEntry) -> anyhow::Result<Ignore> {
    let code: Code = entry.code.parse().map_err(|error| anyhow!("{:?}: {error}", entry.code))?;
    let glob = GlobBuilder::new(&entry.repository).literal_separator(false).build()?;
    if entry.reason.trim().is_empty() {
        bail!("the reason is empty: say why this finding may stay");
    }
    let expires = match &entry.expires {
        toml::Value::String(text) => text.clone(),
        toml::Value::Datetime(date) => date.to_string(),
        other => bail!("expires is {}, and a date such as 2027-01-31 is needed", other.type_str()),
    };
    let expires: Date = expires
        .parse()
        .map_err(|_| anyhow!("expires is {expires:?}, and a date such as 2027-01-31 is needed"))?;
    Ok(Ignore { code, repository: glob.compile_matcher(), reason: entry.reason.clone(), expires })
}

/// Reads a list of repositories, one per line; `#` begins a comment line.
///
/// # Errors
/// When it cannot be read, has a line that is no repository name, or names none.
pub fn read_repositories(path: &Path) -> anyhow::Result<Vec<String>> {
    let text = read_text(path, MAX_BYTES).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().map(str::trim).enumerate();
    let names = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).map(|(number, line)| {
        RepositoryName::new(line).map(|_| line.to_owned()).map_err(|_| {
            anyhow!("line {} of {}: {:?} is no repository name", number + 1, path.display(), escape(line))
        })
    });
    let names: Vec<String> = names.collect::<anyhow::Result<_>>()?;
    if names.is_empty() {
        return Err(anyhow!("{} names no repository", path.display()));
    }
    Ok(names)
}
