//! Logs and metrics of the process: where lines go, how they look, and what `/metrics` renders.
//!
//! What is logged and counted is decided elsewhere; the rule is ids, plans, statuses and access words, and never card
//! data, e-mail addresses, names or secrets.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use quittance_stripe::client::{CallRecord, OnCall};
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;
use crate::failure::Failure;

/// Upper bounds of the histograms' buckets, in seconds.
const SECONDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0];
/// How often the recorder tidies up.
const UPKEEP: Duration = Duration::from_secs(5);

/// Sends log lines to the error stream. `RUST_LOG` decides what is logged, else `default_filter`.
pub fn start_logs(format: LogFormat, default_filter: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default_filter));
    let json = match format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Human => false,
        LogFormat::Json => true,
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process (tests) keeps the first.
    let _ = if json {
        lines.json().flatten_event(true).with_current_span(false).try_init()
    } else {
        lines.with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init()
    };
}

/// What renders `/metrics`.
pub type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// Starts the recorder and returns what renders it.
///
/// # Errors
/// When the process has another recorder already.
pub fn start_metrics() -> Result<Render, Failure> {
    let defect = |error: metrics_exporter_prometheus::BuildError| {
        Failure::problem(
            "metrics",
            format!("metrics cannot start: {error}"),
            "This is a defect of quittance: please report it.",
        )
    };
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .map_err(defect)?
        .install_recorder()
        .map_err(defect)?;
    tokio::spawn(upkeep(handle.clone()));
    Ok(Arc::new(move || handle.render()))
}

async fn upkeep(handle: PrometheusHandle) {
    loop {
        tokio::time::sleep(UPKEEP).await;
        handle.run_upkeep();
    }
}

/// A connection was refused, because all that may be open were.
pub fn connection_refused() {
    metrics::counter!("quittance_connections_refused_total").increment(1);
}

/// Counts the provider's calls.
#[must_use]
pub fn count_calls() -> OnCall {
    Arc::new(|call: CallRecord| {
        quittance_engine::telemetry::provider_call(call.endpoint, call.outcome, call.duration_ms);
    })
}
