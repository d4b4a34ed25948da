//! Publishes metrics in the Prometheus text format: to a file for a textfile collector, and to a Pushgateway. The programs define
//! the metrics.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use clap::Args;
use registry_core::registry::{Http, Settings};
use registry_core::text::escape_os;

use crate::file::{self, Readers};

/// The media type of the text format.
const MEDIA_TYPE: &str = "text/plain; version=0.0.4";

/// Where metrics go.
#[derive(Debug, Args)]
pub struct MetricsPlaces {
    /// Write metrics to this file, for the textfile collector of a node exporter
    #[arg(long, value_name = "PATH")]
    pub metrics_file: Option<PathBuf>,

    /// Push metrics to this Pushgateway, one group for each source
    #[arg(long, value_name = "URL")]
    pub pushgateway: Option<String>,
}

/// What happens to the metrics that a group of a Pushgateway already has
/// (<https://github.com/prometheus/pushgateway>, README at v1.11.0).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlierMetrics {
    /// All of them are removed.
    Replaced,
    /// Metrics with other names stay.
    Kept,
}

/// Metrics that a Pushgateway keeps and replaces together.
#[derive(Debug, Clone)]
pub struct Group {
    /// Labels of the grouping key, after `job`.
    pub labels: Vec<(&'static str, String)>,
    /// The metrics of the group.
    pub text: String,
}

/// The metrics of a run.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// The label `job` in a Pushgateway.
    pub job: &'static str,
    /// All metrics, for a file.
    pub text: String,
    /// The same metrics by group, for a Pushgateway.
    pub groups: Vec<Group>,
    /// What happens to the earlier metrics of a group.
    pub earlier: EarlierMetrics,
}

impl MetricsPlaces {
    /// Whether any place for metrics was named.
    pub const fn are_wanted(&self) -> bool {
        self.metrics_file.is_some() || self.pushgateway.is_some()
    }

    /// Writes metrics to the named places, each whether or not the other fails; returns what failed.
    pub fn publish(&self, metrics: &Metrics) -> Vec<anyhow::Error> {
        let to_file = self.metrics_file.iter().map(|path| {
            let write = file::replace(path, Readers::All, |out| Ok(out.write_all(metrics.text.as_bytes())?));
            write.with_context(|| format!("cannot write the metrics file {}", escape_os(path.as_os_str())))
        });
        let to_gateway = self
            .pushgateway
            .iter()
            .map(|address| push_to_gateway(address, metrics).context("cannot push metrics"));
        to_file.chain(to_gateway).filter_map(Result::err).collect()
    }
}

fn push_to_gateway(address: &str, metrics: &Metrics) -> anyhow::Result<()> {
    let http = Http::new(Settings { retries: 2, ..Settings::default() })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for group in &metrics.groups {
        let mut url = format!("{}/metrics/job/{}", address.trim_end_matches('/'), metrics.job);
        for (name, value) in &group.labels {
            // Writing to a string cannot fail.
            let _ = write!(url, "/{}", label_path(name, value));
        }
        let text = group.text.clone();
        let pushed = match metrics.earlier {
            EarlierMetrics::Replaced => runtime.block_on(http.put_text(&url, MEDIA_TYPE, text)),
            EarlierMetrics::Kept => runtime.block_on(http.post_text(&url, MEDIA_TYPE, text)),
        };
        pushed.context("the Pushgateway does not take them")?;
    }
    Ok(())
}

/// Writes a label of a grouping key as path segments. A value is encoded in base64 if it is empty or has characters other than
/// letters, digits, `-`, `_` and `,`.
fn label_path(name: &str, value: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_,".contains(&byte);
    if !value.is_empty() && value.bytes().all(is_plain) {
        format!("{name}/{value}")
    } else {
        // An empty value is written as a single padding character.
        let value = if value.is_empty() { "=".to_owned() } else { URL_SAFE.encode(value) };
        format!("{name}@base64/{value}")
    }
}

/// Writes the header of a gauge: its help and its type.
pub fn write_gauge_header(out: &mut String, name: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
}

#[cfg(test)]
mod tests {
    use super::label_path;

    #[test]
    fn label_value_that_is_no_path_segment_is_base64() {
        assert_eq!(label_path("owner", "team-a,team_b"), "owner/team-a,team_b");
        assert_eq!(label_path("instance", "/srv"), "instance@base64/L3Nydg==");
        assert_eq!(label_path("instance", ".."), "instance@base64/Li4=");
        assert_eq!(label_path("instance", ""), "instance@base64/=");
    }
}
