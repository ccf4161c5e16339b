//! The operators of the tests, and their metrics.

use std::path::Path;

use xtask::operator::OperatorOptions;

/// The program.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_eventcenter"))
}

/// Options with short intervals. An operator finds drift soon, and trusts soon what Kafka shows after a change of its own.
pub(crate) fn options(kubeconfig: &Path) -> OperatorOptions {
    let mut options = OperatorOptions::new(program(), kubeconfig);
    let arguments = [
        ["--resync-interval", "1s"],
        ["--heartbeat-interval", "1s"],
        ["--kafka-settle-time", "1s"],
        ["--task-status-interval", "1s"],
    ]
    .concat();
    options.arguments = arguments.into_iter().map(String::from).collect();
    options
}

/// The sum of the samples of a metric that have these labels (`kind="EventTopic"`).
pub(crate) fn sum(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    metrics
        .lines()
        .filter_map(|line| line.strip_prefix(name))
        .filter(|rest| rest.starts_with('{') || rest.starts_with(' '))
        .filter(|rest| labels.iter().all(|label| rest.contains(label)))
        .filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}
