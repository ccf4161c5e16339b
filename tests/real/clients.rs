//! Kafka's console clients at the broker with SASL/SCRAM.

use std::io::Write;
use std::process::Stdio;

use crate::stage;
use crate::support::until;

/// Writes one record. Returns the output of the client.
pub(crate) async fn produce(user: &'static str, topic: &str, record: &str) -> String {
    let arguments = ["--topic", topic, "--request-required-acks", "all"];
    run(user, "org.apache.kafka.tools.ConsoleProducer", &arguments, record).await
}

/// Retries to write one record until the broker applies the ACL that allows it.
pub(crate) async fn produce_until_allowed(user: &'static str, topic: &str, record: &str) {
    let tried = until(async || {
        let output = produce(user, topic, record).await;
        if output.contains("AuthorizationException") { Err(output) } else { Ok(()) }
    });
    tried.await.expect("the user may write");
}

/// Reads the first record in a consumer group. Returns the output of the client.
pub(crate) async fn consume(user: &'static str, topic: &str, group: &str) -> String {
    let arguments = [
        "--topic",
        topic,
        "--group",
        group,
        "--from-beginning",
        "--max-messages",
        "1",
        "--timeout-ms",
        "20000",
    ];
    run(user, "org.apache.kafka.tools.consumer.ConsoleConsumer", &arguments, "").await
}

async fn run(user: &'static str, class: &'static str, arguments: &[&str], input: &str) -> String {
    let environment = stage::environment();
    let mut tool = environment.libs().tool(class);
    tool.args(["--bootstrap-server", &environment.sasl_bootstrap, "--command-config"]);
    tool.arg(environment.sasl_clients.join(format!("{user}.properties"))).args(arguments);
    tool.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let input = input.to_owned();
    let task = tokio::task::spawn_blocking(move || {
        let mut child = tool.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A client that was refused may have exited.
            drop(writeln!(stdin, "{input}"));
        }
        child.wait_with_output()
    });
    let output = task.await.expect("no panic").expect("the client runs");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}
