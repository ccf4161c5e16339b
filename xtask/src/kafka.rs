//! A Kafka broker: one process, on loopback, with its data in a folder of the caller.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::{
    artefacts::KafkaLibs,
    port, probe,
    process::{self, Service},
    procfs::Identity,
    template,
};

const READY: Duration = Duration::from_secs(120);
const GRACE: Duration = Duration::from_secs(20);

/// The access control of the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// No authentication and no authorizer.
    Plaintext,
    /// SASL/SCRAM with the users of [`USERS`], and ACLs.
    Scram,
}

/// The users of [`Profile::Scram`] with their passwords, for SCRAM-SHA-512. `admin` is a super user (and may use
/// SCRAM-SHA-256 as well); the others need ACLs.
pub const USERS: [(&str, &str); 4] = [
    ("admin", "admin-secret"),
    ("eventcenter", "eventcenter-secret"),
    ("alice", "alice-secret"),
    ("bob", "bob-secret"),
];

/// The options of a broker.
#[derive(Debug, Clone, Default)]
pub struct BrokerOptions {
    /// The port to listen on; a free one if not given.
    pub port: Option<u16>,
    /// The port in `advertised.listeners`, for a proxy between clients and broker; by default the same port.
    pub advertised_port: Option<u16>,
    /// Broker properties that are added, or that replace those of the profile.
    pub properties: Vec<(String, String)>,
}

/// A broker. Dropping it kills it; its folder stays.
#[derive(Debug)]
pub struct KafkaBroker {
    libs: KafkaLibs,
    folder: PathBuf,
    port: u16,
    advertised_port: u16,
    service: Option<Service>,
}

impl KafkaBroker {
    /// Formats the storage in the folder and starts the broker. Returns when it is ready.
    pub fn start(folder: &Path, libs: &KafkaLibs, profile: Profile, options: &BrokerOptions) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        port::retry_if_taken(|| {
            let port = options.port.map_or_else(port::free, Ok)?;
            let data = folder.join("data");
            if data.exists() {
                fs::remove_dir_all(&data)?;
            }
            let mut broker = Self {
                libs: libs.clone(),
                folder: folder.clone(),
                port,
                advertised_port: options.advertised_port.unwrap_or(port),
                service: None,
            };
            broker.format(profile, options)?;
            broker.launch()?;
            Ok(broker)
        })
        .context("Kafka does not start")
    }

    fn format(&self, profile: Profile, options: &BrokerOptions) -> Result<()> {
        let template = match profile {
            Profile::Plaintext => "plaintext.properties.in",
            Profile::Scram => "scram.properties.in",
        };
        let template = fs::read_to_string(self.libs.setting(template))?;
        let mut properties = template::fill(
            &template,
            &[
                ("PORT", &self.port.to_string()),
                ("CONTROLLER_PORT", &port::free()?.to_string()),
                ("ADVERTISED_PORT", &self.advertised_port.to_string()),
                ("DATA_DIR", &self.folder.join("data").display().to_string()),
            ],
        )?;
        for (key, value) in &options.properties {
            properties.push_str(&format!("{key}={value}\n"));
        }
        fs::write(self.properties(), properties)?;

        let mut format = self.libs.java("kafka.tools.StorageTool", 256, "tool-log4j2.yaml");
        // Any 16 bytes in base64 are a valid cluster id, and it does not have to be unique.
        format.args(["format", "-t", "ZXZlbnRjZW50ZXItZGV2MQ", "-c"]).arg(self.properties());
        if profile == Profile::Scram {
            for (user, password) in USERS {
                format.arg("--add-scram").arg(format!("SCRAM-SHA-512=[name={user},password={password}]"));
                fs::write(self.client_properties(user), client_properties(user, password))?;
            }
            let (admin, password) = USERS[0];
            format.arg("--add-scram").arg(format!("SCRAM-SHA-256=[name={admin},password={password}]"));
        }
        process::run(format)?;
        Ok(())
    }

    fn properties(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    fn launch(&mut self) -> Result<()> {
        let mut command = self.libs.java("kafka.Kafka", 512, "broker-log4j2.yaml");
        command.arg(self.properties()).current_dir(&self.folder);
        let mut service = Service::start("Kafka", command, &self.log())?;
        let port = self.port;
        // Kafka logs the line once the broker is unfenced; before that it answers but cannot create topics.
        service.wait_ready(READY, |service| {
            let started = service.output()?.contains("Kafka Server started");
            Ok((started && probe::kafka_answers(port)).then_some(()))
        })?;
        self.service = Some(service);
        Ok(())
    }

    /// `HOST:PORT` for clients.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.advertised_port)
    }

    /// The port on which it listens, behind the proxy if there is one.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.service.as_ref().map(Service::pid)
    }

    /// Identifies its process, while it runs.
    pub fn identity(&self) -> Option<&Identity> {
        self.service.as_ref().map(Service::identity)
    }

    /// The file with its output.
    pub fn log(&self) -> PathBuf {
        self.folder.join("kafka.log")
    }

    /// Whether it has ended by itself.
    pub fn has_died(&mut self) -> Result<bool> {
        self.service.as_mut().map_or(Ok(false), |service| Ok(service.exited()?.is_some()))
    }

    /// A client's properties file (`--command-config`) that logs in as one of [`USERS`].
    pub fn client_properties(&self, user: &str) -> PathBuf {
        self.folder.join(format!("{user}.properties"))
    }

    /// Runs one of Kafka's own tools and returns what it printed. `--bootstrap-server` is added.
    pub fn tool(&self, class: &str, arguments: &[&str]) -> Result<String> {
        let mut tool = self.libs.tool(class);
        tool.args(["--bootstrap-server", &self.bootstrap()]).args(arguments);
        process::run(tool)
    }

    /// Shuts it down. The data stays.
    pub fn stop(&mut self) -> Result<()> {
        self.service.take().map_or(Ok(()), |service| service.stop(GRACE).map(drop))
    }

    /// Kills it with SIGKILL, as a crash would end it. The data stays.
    pub fn kill(&mut self) -> Result<()> {
        self.service.take().map_or(Ok(()), Service::kill)
    }

    /// Starts it again on the same port and data after [`stop`](Self::stop) or [`kill`](Self::kill).
    pub fn start_again(&mut self) -> Result<()> {
        if self.service.is_some() {
            return Ok(());
        }
        self.launch().context("Kafka does not start again")
    }

    /// Stops and starts it again on the same port and data.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.start_again()
    }

    /// Stops its process (SIGSTOP): connections stay open and no request is answered.
    pub fn pause(&self) -> Result<()> {
        self.service.as_ref().map_or(Ok(()), |service| service.signal(Signal::STOP))
    }

    /// Continues it after [`pause`](Self::pause).
    pub fn resume(&self) -> Result<()> {
        self.service.as_ref().map_or(Ok(()), |service| service.signal(Signal::CONT))
    }
}

fn client_properties(user: &str, password: &str) -> String {
    format!(
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\nsasl.jaas.config=\
         org.apache.kafka.common.security.scram.ScramLoginModule required username=\"{user}\" password=\"{password}\";\n"
    )
}
