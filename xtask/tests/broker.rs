//! A broker in both profiles: started, stopped, killed, paused and restarted on its port and data.

use std::path::Path;

use anyhow::Result;
use xtask::{
    artefacts::{Artefacts, KafkaLibs},
    console::Console,
    kafka::{BrokerOptions, KafkaBroker, Profile},
    paths, probe,
};

const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";

fn libs() -> Result<KafkaLibs> {
    let repository = paths::repository()?;
    let folder = Artefacts::new(&repository, &Console::stderr())?.kafka_libs()?;
    Ok(KafkaLibs::new(&folder, &repository))
}

fn start(folder: &Path, profile: Profile, options: &BrokerOptions) -> Result<KafkaBroker> {
    KafkaBroker::start(folder, &libs()?, profile, options)
}

#[test]
fn a_plaintext_broker_keeps_port_and_topics_over_a_restart_and_a_crash() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut broker = start(folder.path(), Profile::Plaintext, &BrokerOptions::default())?;
    let bootstrap = broker.bootstrap();
    broker.tool(TOPICS, &["--create", "--topic", "kept"])?;

    broker.restart()?;
    assert_eq!(broker.bootstrap(), bootstrap);
    assert_eq!(broker.tool(TOPICS, &["--list"])?.trim(), "kept");

    let old = broker.identity().cloned();
    broker.kill()?;
    assert!(old.is_some_and(|old| !old.is_alive()));
    assert!(!probe::kafka_answers(broker.port()));
    broker.start_again()?;
    assert_eq!(broker.tool(TOPICS, &["--list"])?.trim(), "kept");

    broker.pause()?;
    assert!(!probe::kafka_answers(broker.port()), "the broker answers while it is paused");
    broker.resume()?;
    assert!(probe::kafka_answers(broker.port()));
    assert!(!broker.has_died()?);

    broker.stop()?;
    assert_eq!(broker.pid(), None);
    assert!(!probe::kafka_answers(broker.port()));
    Ok(())
}

#[test]
fn a_scram_broker_refuses_what_no_acl_allows() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut broker = start(folder.path(), Profile::Scram, &BrokerOptions::default())?;
    let as_user = |user: &str, class: &str, arguments: &[&str]| {
        let config = broker.client_properties(user).display().to_string();
        broker.tool(class, &[&["--command-config", &config], arguments].concat())
    };
    as_user("admin", TOPICS, &["--create", "--topic", "secret"])?;
    assert_eq!(as_user("admin", TOPICS, &["--list"])?.trim(), "secret");
    assert_eq!(as_user("alice", TOPICS, &["--list"])?.trim(), "", "she sees no topic");
    let refused = as_user("alice", TOPICS, &["--create", "--topic", "hers"]).expect_err("no ACL allows it");
    assert!(refused.to_string().contains("Authorization failed"), "{refused}");

    let acl = ["--add", "--allow-principal", "User:alice", "--operation", "Create", "--topic", "hers"];
    as_user("admin", "org.apache.kafka.tools.AclCommand", &acl)?;
    as_user("alice", TOPICS, &["--create", "--topic", "hers"])?;

    broker.restart()?;
    let config = broker.client_properties("admin").display().to_string();
    let topics = broker.tool(TOPICS, &["--command-config", &config, "--list"])?;
    assert_eq!(topics.split_whitespace().collect::<Vec<_>>(), ["hers", "secret"]);
    Ok(())
}

#[test]
fn a_broker_can_have_other_properties_and_another_advertised_port() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let options = BrokerOptions {
        properties: vec![("num.partitions".into(), "5".into())],
        advertised_port: Some(xtask::port::free()?),
        ..BrokerOptions::default()
    };
    let broker = start(folder.path(), Profile::Plaintext, &options)?;
    assert_eq!(broker.bootstrap(), format!("127.0.0.1:{}", options.advertised_port.unwrap_or_default()));
    assert!(probe::kafka_answers(broker.port()));
    let properties = std::fs::read_to_string(folder.path().join("server.properties"))?;
    assert!(properties.ends_with("num.partitions=5\n"), "{properties}");
    Ok(())
}

#[test]
fn the_error_of_a_broker_that_cannot_start_has_the_reason() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let options = BrokerOptions {
        properties: vec![("num.network.threads".into(), "none".into())],
        ..BrokerOptions::default()
    };
    let error = start(folder.path(), Profile::Plaintext, &options).expect_err("the property is no number");
    let error = format!("{error:#}");
    assert!(error.contains("Kafka does not start") && error.contains("num.network.threads"), "{error}");
    Ok(())
}
