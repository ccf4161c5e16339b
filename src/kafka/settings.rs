//! The settings of a connection to one Kafka cluster, including secrets.

use std::collections::BTreeMap;
use std::fmt;

use crate::api::{KafkaCluster, SaslMechanism};

/// The keys of a Secret of type `kubernetes.io/tls`.
const CERTIFICATE: &str = "tls.crt";
const PRIVATE_KEY: &str = "tls.key";

/// A text that logs, statuses, Events and errors must not contain.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Marks a text as secret.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    fn reveal(&self) -> String {
        self.0.clone()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The settings of a connection. Equal settings result in the same connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `host:port` of the brokers for the first connection.
    pub bootstrap_servers: Vec<String>,
    /// TLS, `None` for plain text.
    pub tls: Option<TlsSettings>,
    /// SASL credentials, `None` for no authentication by SASL.
    pub credentials: Option<Credentials>,
}

/// The certificates for TLS, as PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// The trusted CA certificates; `None` for the system's.
    pub ca_certificates: Option<String>,
    /// The operator's client certificate and private key, `None` for no client authentication by TLS.
    pub client_certificate: Option<(String, Secret)>,
}

/// SASL credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The SASL mechanism.
    pub mechanism: SaslMechanism,
    /// The user name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// A Secret that a KafkaCluster names, in the operator's namespace, and the keys that are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretKeys {
    /// Name of the Secret.
    pub name: String,
    /// The keys.
    pub keys: Vec<String>,
}

/// The texts of Secrets, by the name of the Secret and the key.
pub type SecretTexts = BTreeMap<(String, String), String>;

impl Settings {
    /// The Secrets that the settings of a cluster need.
    #[must_use]
    pub fn secrets(cluster: &KafkaCluster) -> Vec<SecretKeys> {
        let of = |name: &str, keys: [&str; 2]| {
            let keys = keys.into_iter().filter(|key| !key.is_empty()).map(ToOwned::to_owned).collect();
            SecretKeys { name: name.to_owned(), keys }
        };
        let tls = cluster.spec.tls.as_ref();
        let authorities =
            tls.and_then(|tls| tls.ca_secret.as_ref()).map(|secret| of(&secret.name, [&secret.key, ""]));
        let certificate = tls
            .and_then(|tls| tls.certificate_secret.as_ref())
            .map(|secret| of(&secret.name, [CERTIFICATE, PRIVATE_KEY]));
        let credentials = cluster.spec.sasl.as_ref().map(|sasl| &sasl.secret);
        let credentials =
            credentials.map(|secret| of(&secret.name, [&secret.username_key, &secret.password_key]));
        authorities.into_iter().chain(certificate).chain(credentials).collect()
    }

    /// The settings of a cluster with the texts of [`Settings::secrets`].
    #[must_use]
    pub fn of(cluster: &KafkaCluster, texts: &SecretTexts) -> Self {
        let text = |name: &str, key: &str| {
            texts.get(&(name.to_owned(), key.to_owned())).cloned().unwrap_or_default()
        };
        let tls = cluster.spec.tls.as_ref().map(|tls| TlsSettings {
            ca_certificates: tls.ca_secret.as_ref().map(|secret| text(&secret.name, &secret.key)),
            client_certificate: tls.certificate_secret.as_ref().map(|secret| {
                (text(&secret.name, CERTIFICATE), Secret::new(text(&secret.name, PRIVATE_KEY)))
            }),
        });
        let credentials = cluster.spec.sasl.as_ref().map(|sasl| Credentials {
            mechanism: sasl.mechanism,
            username: text(&sasl.secret.name, &sasl.secret.username_key),
            password: Secret::new(text(&sasl.secret.name, &sasl.secret.password_key)),
        });
        Self { bootstrap_servers: cluster.spec.bootstrap_servers.clone(), tls, credentials }
    }

    /// The settings as librdkafka's configuration properties.
    pub(super) fn properties(&self) -> Vec<(String, String)> {
        let mut properties = vec![
            ("bootstrap.servers", self.bootstrap_servers.join(",")),
            ("client.id", "eventcenter".into()),
            // Reconnects to a broker within a second after it is back.
            ("reconnect.backoff.ms", "100".into()),
            ("reconnect.backoff.max.ms", "1000".into()),
            ("socket.keepalive.enable", "true".into()),
            // Otherwise librdkafka logs an error when a broker closes an idle connection.
            ("log.connection.close", "false".into()),
        ];
        let protocol = match (&self.tls, &self.credentials) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        properties.push(("security.protocol", protocol.into()));
        if let Some(tls) = &self.tls {
            if let Some(certificates) = &tls.ca_certificates {
                properties.push(("ssl.ca.pem", certificates.clone()));
            }
            if let Some((certificate, key)) = &tls.client_certificate {
                properties.push(("ssl.certificate.pem", certificate.clone()));
                properties.push(("ssl.key.pem", key.reveal()));
            }
        }
        if let Some(credentials) = &self.credentials {
            let mechanism = match credentials.mechanism {
                SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
                SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
                SaslMechanism::Plain => "PLAIN",
            };
            properties.push(("sasl.mechanism", mechanism.into()));
            properties.push(("sasl.username", credentials.username.clone()));
            properties.push(("sasl.password", credentials.password.reveal()));
        }
        properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_contains_no_secrets() {
        let settings = Settings {
            bootstrap_servers: vec!["a:1".into(), "b:2".into()],
            tls: Some(TlsSettings {
                ca_certificates: None,
                client_certificate: Some(("cert".into(), Secret::new("hidden".into()))),
            }),
            credentials: Some(Credentials {
                mechanism: SaslMechanism::ScramSha512,
                username: "operator".into(),
                password: Secret::new("hidden".into()),
            }),
        };
        assert!(!format!("{settings:?}").contains("hidden"));
        let properties = settings.properties();
        let value =
            |name: &str| properties.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        assert_eq!(value("security.protocol"), Some("sasl_ssl"));
        assert_eq!(value("bootstrap.servers"), Some("a:1,b:2"));
        assert_eq!(value("sasl.password"), Some("hidden"));
    }
}
