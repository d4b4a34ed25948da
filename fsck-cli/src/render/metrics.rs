//! Metrics of a report in the Prometheus text format.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use registry_cli::metrics::{EarlierMetrics, Group, Metrics, write_gauge_header};
use registry_core::audit::{AuditedKind, AuditedSource, Code, Garbage, Report};

/// The metrics of a report. Each source has its own group, so that runs over other registries do not replace its metrics.
pub fn report_metrics(report: &Report, garbage: &[(Arc<str>, Garbage)]) -> Metrics {
    let groups = instances(report).into_iter().map(|instance| Group {
        labels: vec![("command", report.command.clone()), ("instance", instance.to_owned())],
        text: text(report, garbage, &|name| name == instance),
    });
    Metrics {
        job: env!("CARGO_PKG_NAME"),
        text: text(report, garbage, &|_| true),
        groups: groups.collect(),
        earlier: EarlierMetrics::Replaced,
    }
}

/// The value of a metric for a source.
type Value<'a> = &'a dyn Fn(&AuditedSource) -> String;

/// The names of all sources of a report, and of those that could not be opened.
fn instances(report: &Report) -> BTreeSet<&str> {
    let sources = report.sources.iter().map(|source| &*source.name);
    sources.chain(report.unread.iter().map(|unread| &*unread.source)).collect()
}

/// The metrics of the sources with a wanted name.
fn text(report: &Report, garbage: &[(Arc<str>, Garbage)], is_wanted: &dyn Fn(&str) -> bool) -> String {
    let mut out = String::new();
    let sources = || report.sources.iter().filter(|source| is_wanted(&source.name));
    let count_broken =
        |source: &AuditedSource| report.broken_tags.iter().filter(|tag| tag.source == source.name).count();
    let count_unknown =
        |source: &AuditedSource| report.unknown_tags.iter().filter(|tag| tag.source == source.name).count();
    let is_unlisted = |source: &AuditedSource| {
        report.unread.iter().any(|unread| {
            unread.source == source.name
                && matches!(&*unread.path, "." | "repositories" | "blobs" | "/v2/_catalog")
        })
    };
    let metrics: [(&str, &str, Value<'_>); 7] = [
        ("registry_manifest_integrity_failures", "Tags that cannot be pulled whole.", &|source| {
            count_broken(source).to_string()
        }),
        (
            "registry_manifest_integrity_catalog_accessible",
            "Whether the repositories could be listed (1) or not (0).",
            &|source| u8::from(!is_unlisted(source)).to_string(),
        ),
        ("registry_manifest_integrity_repos_checked", "Repositories looked at.", &|source| {
            source.repositories.to_string()
        }),
        ("registry_manifest_integrity_tags_checked", "Tags judged whole or broken.", &|source| {
            if source.kind == AuditedKind::Registry && report.sources.len() == 1 {
                // A probe checks one registry, and only some of its tags.
                return report.coverage.tags_checked.to_string();
            }
            source.tags.saturating_sub(count_unknown(source) as u64).to_string()
        }),
        ("registry_manifest_integrity_indexes_checked", "Image indexes looked at.", &|source| {
            source.indexes.to_string()
        }),
        (
            "registry_manifest_integrity_last_run_timestamp",
            "When this run began, in seconds since 1970.",
            &|_| report.started_at.as_second().to_string(),
        ),
        ("registry_unknown_tags", "Tags of which it is not known whether they can be pulled.", &|source| {
            count_unknown(source).to_string()
        }),
    ];
    for (name, help, value) in metrics {
        write_gauge_header(&mut out, name, help);
        for source in sources() {
            let _ = writeln!(out, "{name}{{instance=\"{}\"}} {}", escape_label(&source.name), value(source));
        }
        // A root that could not be opened has no source; its alert must still fire.
        for unread in report
            .unread
            .iter()
            .filter(|unread| report.sources.iter().all(|source| source.name != unread.source))
            .filter(|unread| is_wanted(&unread.source))
        {
            let value = match name {
                "registry_manifest_integrity_catalog_accessible" => "0".to_owned(),
                "registry_manifest_integrity_last_run_timestamp" => report.started_at.as_second().to_string(),
                _ => continue,
            };
            let _ = writeln!(out, "{name}{{instance=\"{}\"}} {value}", escape_label(&unread.source));
        }
    }
    write_findings(&mut out, report, is_wanted);
    write_garbage(&mut out, garbage, is_wanted);
    if let Some(requests) = report.coverage.requests {
        let name = "registry_probe_requests_total";
        write_gauge_header(&mut out, name, "Requests that this run sent.");
        for source in sources() {
            let _ = writeln!(out, "{name}{{instance=\"{}\"}} {requests}", escape_label(&source.name));
        }
    }
    let name = "registry_run_duration_seconds";
    write_gauge_header(&mut out, name, "How long this run took.");
    for source in sources() {
        let _ = writeln!(
            out,
            "{name}{{instance=\"{}\"}} {:.3}",
            escape_label(&source.name),
            report.duration_seconds
        );
    }
    out
}

fn write_findings(out: &mut String, report: &Report, is_wanted: &dyn Fn(&str) -> bool) {
    let name = "registry_findings";
    write_gauge_header(out, name, "Findings by code (docs/findings.md).");
    let mut counts: BTreeMap<(&str, Code), u64> = BTreeMap::new();
    for finding in &report.findings {
        *counts.entry((&finding.source, finding.code)).or_default() += 1;
    }
    for source in report.sources.iter().filter(|source| is_wanted(&source.name)) {
        for code in Code::ALL {
            let count = counts.get(&(&*source.name, *code)).copied().unwrap_or(0);
            let _ = writeln!(
                out,
                "{name}{{instance=\"{}\",code=\"{code}\"}} {count}",
                escape_label(&source.name)
            );
        }
    }
}

/// A source whose garbage is not known has no such metric.
fn write_garbage(out: &mut String, garbage: &[(Arc<str>, Garbage)], is_wanted: &dyn Fn(&str) -> bool) {
    let name = "registry_garbage_bytes";
    write_gauge_header(out, name, "Bytes that nothing references, by what frees them.");
    for (source, garbage) in garbage.iter().filter(|(source, _)| is_wanted(source)) {
        for (kind, bytes) in [
            ("unreferenced", garbage.unreferenced.bytes),
            ("untagged", garbage.untagged.bytes),
            ("stale_uploads", garbage.stale_upload_bytes),
        ] {
            let _ = writeln!(out, "{name}{{instance=\"{}\",kind=\"{kind}\"}} {bytes}", escape_label(source));
        }
    }
}

/// The value of a label, with backslash, quote and newline escaped.
fn escape_label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
