//! Metrics in the Prometheus text format: to a file for a textfile collector, and to a Pushgateway. What they tell is the
//! programs' matter.

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

/// What becomes of metrics that a group of a Pushgateway has already
/// (<https://github.com/prometheus/pushgateway>, README at v1.11.0).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlierMetrics {
    /// All of them go.
    Replaced,
    /// Those of other names stay.
    Kept,
}

/// What a Pushgateway keeps together, and replaces together.
#[derive(Debug, Clone)]
pub struct Group {
    /// Labels of its grouping key, after `job`.
    pub labels: Vec<(&'static str, String)>,
    /// Its metrics.
    pub text: String,
}

/// The metrics of a run.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// The label `job` of what is pushed.
    pub job: &'static str,
    /// All metrics, for a file.
    pub text: String,
    /// The same by groups, for a Pushgateway.
    pub groups: Vec<Group>,
    /// What becomes of the earlier metrics of a group.
    pub earlier: EarlierMetrics,
}

impl MetricsPlaces {
    /// Whether metrics are wanted at all.
    pub const fn are_wanted(&self) -> bool {
        self.metrics_file.is_some() || self.pushgateway.is_some()
    }

    /// Writes metrics where they are wanted; what could not be. One place that fails does not hinder the other.
    pub fn publish(&self, metrics: &Metrics) -> Vec<anyhow::Error> {
        let to_file = self.metrics_file.iter().map(|path| {
            let write = file::replace(path, Readers::All, |out| Ok(out.write_all(metrics.text.as_bytes())?));
            write.with_context(|| format!("cannot write the metrics file {}", escape_os(path.as_os_str())))
        });
        let to_gateway =
            self.pushgateway.iter().map(|address| push(address, metrics).context("cannot push metrics"));
        to_file.chain(to_gateway).filter_map(Result::err).collect()
    }
}

fn push(address: &str, metrics: &Metrics) -> anyhow::Result<()> {
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

/// A label of a grouping key as parts of a path. A value that could not stand there has to be in base64.
fn label_path(name: &str, value: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_,".contains(&byte);
    if !value.is_empty() && value.bytes().all(is_plain) {
        format!("{name}/{value}")
    } else {
        // An empty value is one sign of padding.
        let value = if value.is_empty() { "=".to_owned() } else { URL_SAFE.encode(value) };
        format!("{name}@base64/{value}")
    }
}

/// Begins a metric: what it tells, and that it is a gauge.
pub fn gauge(out: &mut String, name: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
}

#[cfg(test)]
mod tests {
    use super::label_path;

    #[test]
    fn a_value_that_is_no_part_of_a_path_is_in_base64() {
        assert_eq!(label_path("owner", "team-a,team_b"), "owner/team-a,team_b");
        assert_eq!(label_path("instance", "/srv"), "instance@base64/L3Nydg==");
        assert_eq!(label_path("instance", ".."), "instance@base64/Li4=");
        assert_eq!(label_path("instance", ""), "instance@base64/=");
    }
}
