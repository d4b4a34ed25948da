//! Metrics in the Prometheus text format, for a textfile collector or a Pushgateway.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use registry_cli::metrics::{EarlierMetrics, Group, Metrics, gauge};
use registry_core::audit::{AuditedKind, AuditedSource, Code, Garbage, Report};

/// The metrics of a report, in a group for each source: runs over several registries do not take each other's metrics away.
pub fn of_report(report: &Report, garbage: &[(Arc<str>, Garbage)]) -> Metrics {
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

/// What one metric says of one source.
type Value<'a> = &'a dyn Fn(&AuditedSource) -> String;

/// The names of all that a report tells of: its sources, and what was named and could not be opened.
fn instances(report: &Report) -> BTreeSet<&str> {
    let sources = report.sources.iter().map(|source| &*source.name);
    sources.chain(report.unread.iter().map(|unread| &*unread.source)).collect()
}

/// The metrics of those sources whose name is wanted.
fn text(report: &Report, garbage: &[(Arc<str>, Garbage)], is_wanted: &dyn Fn(&str) -> bool) -> String {
    let mut out = String::new();
    let sources = || report.sources.iter().filter(|source| is_wanted(&source.name));
    let count = |of: usize| of.to_string();
    let broken = |source: &AuditedSource| {
        count(report.broken_tags.iter().filter(|tag| tag.source == source.name).count())
    };
    let unknown = |source: &AuditedSource| {
        count(report.unknown_tags.iter().filter(|tag| tag.source == source.name).count())
    };
    let hidden = |source: &AuditedSource| {
        report.unread.iter().any(|unread| {
            unread.source == source.name
                && matches!(&*unread.path, "." | "repositories" | "blobs" | "/v2/_catalog")
        })
    };
    let metrics: [(&str, &str, Value<'_>); 7] = [
        ("registry_manifest_integrity_failures", "Tags that cannot be pulled whole.", &broken),
        (
            "registry_manifest_integrity_catalog_accessible",
            "Whether the repositories could be listed (1) or not (0).",
            &|source| u8::from(!hidden(source)).to_string(),
        ),
        ("registry_manifest_integrity_repos_checked", "Repositories looked at.", &|source| {
            source.repositories.to_string()
        }),
        ("registry_manifest_integrity_tags_checked", "Tags judged whole or broken.", &|source| {
            if source.kind == AuditedKind::Registry && report.sources.len() == 1 {
                // A probe looks at one registry, and chooses among its tags.
                return report.coverage.tags_checked.to_string();
            }
            let unknown = report.unknown_tags.iter().filter(|tag| tag.source == source.name).count() as u64;
            source.tags.saturating_sub(unknown).to_string()
        }),
        ("registry_manifest_integrity_indexes_checked", "Image indexes looked at.", &|source| {
            source.indexes.to_string()
        }),
        (
            "registry_manifest_integrity_last_run_timestamp",
            "When this run began, in seconds since 1970.",
            &|_| report.started_at.as_second().to_string(),
        ),
        ("registry_unknown_tags", "Tags of which it is not known whether they can be pulled.", &unknown),
    ];
    for (name, help, value) in metrics {
        gauge(&mut out, name, help);
        for source in sources() {
            let _ = writeln!(out, "{name}{{instance=\"{}\"}} {}", label(&source.name), value(source));
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
            let _ = writeln!(out, "{name}{{instance=\"{}\"}} {value}", label(&unread.source));
        }
    }
    findings(&mut out, report, is_wanted);
    bytes(&mut out, garbage, is_wanted);
    if let Some(requests) = report.coverage.requests {
        let name = "registry_probe_requests_total";
        gauge(&mut out, name, "Requests that this run sent.");
        for source in sources() {
            let _ = writeln!(out, "{name}{{instance=\"{}\"}} {requests}", label(&source.name));
        }
    }
    let name = "registry_run_duration_seconds";
    gauge(&mut out, name, "How long this run took.");
    for source in sources() {
        let _ =
            writeln!(out, "{name}{{instance=\"{}\"}} {:.3}", label(&source.name), report.duration_seconds);
    }
    out
}

fn findings(out: &mut String, report: &Report, is_wanted: &dyn Fn(&str) -> bool) {
    let name = "registry_findings";
    gauge(out, name, "Findings by code (docs/findings.md).");
    let mut counts: BTreeMap<(&str, Code), u64> = BTreeMap::new();
    for finding in &report.findings {
        *counts.entry((&finding.source, finding.code)).or_default() += 1;
    }
    for source in report.sources.iter().filter(|source| is_wanted(&source.name)) {
        for code in Code::ALL {
            let count = counts.get(&(&*source.name, *code)).copied().unwrap_or(0);
            let _ = writeln!(out, "{name}{{instance=\"{}\",code=\"{code}\"}} {count}", label(&source.name));
        }
    }
}

/// Of a source whose garbage is not known nothing is said.
fn bytes(out: &mut String, garbage: &[(Arc<str>, Garbage)], is_wanted: &dyn Fn(&str) -> bool) {
    let name = "registry_garbage_bytes";
    gauge(out, name, "Bytes that nothing references, by what frees them.");
    for (source, garbage) in garbage.iter().filter(|(source, _)| is_wanted(source)) {
        for (kind, bytes) in [
            ("unreferenced", garbage.unreferenced.bytes),
            ("untagged", garbage.untagged.bytes),
            ("stale_uploads", garbage.stale_upload_bytes),
        ] {
            let _ = writeln!(out, "{name}{{instance=\"{}\",kind=\"{kind}\"}} {bytes}", label(source));
        }
    }
}

/// A label's value: backslash, quote and newline escaped.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
