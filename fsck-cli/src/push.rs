//! Metrics to a Pushgateway. Each source has a group of its own, so that runs over several registries do not take each
//! other's metrics away.

use std::sync::Arc;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use registry_core::audit::{Garbage, Report};
use registry_core::registry::{Http, Settings};

use crate::render::metrics;

/// Pushes the metrics of a report.
///
/// # Errors
/// When the Pushgateway takes them not.
pub fn metrics(address: &str, report: &Report, garbage: &[(Arc<str>, Garbage)]) -> anyhow::Result<()> {
    let settings = Settings { retries: 2, ..Settings::default() };
    let http = Http::new(settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for instance in metrics::instances(report) {
        let text = metrics::text(report, garbage, &|name| name == instance);
        let (base, command) = (address.trim_end_matches('/'), &report.command);
        // A name with slashes has to be in base64 (https://github.com/prometheus/pushgateway, README at v1.11.0).
        let instance = URL_SAFE.encode(instance);
        let url = format!("{base}/metrics/job/registry-fsck/command/{command}/instance@base64/{instance}");
        let put = http.put_text(&url, "text/plain; version=0.0.4", text);
        runtime.block_on(put).context("the Pushgateway does not take them")?;
    }
    Ok(())
}
