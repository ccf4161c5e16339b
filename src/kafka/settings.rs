//! How to reach one Kafka cluster, secrets included.

use std::fmt;

use crate::api::SaslMechanism;

/// Text that no log, status, Event or error may show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text from being shown.
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

/// Everything a connection needs; two equal settings make the same connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `host:port` of the brokers to ask first.
    pub bootstrap: Vec<String>,
    /// Encryption, if any.
    pub tls: Option<TlsSettings>,
    /// Credentials, if any.
    pub credentials: Option<Credentials>,
}

/// Certificates, PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// The authorities to trust; none means the system's.
    pub authorities: Option<String>,
    /// The operator's own certificate and key.
    pub certificate: Option<(String, Secret)>,
}

/// User name and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// How the password is proven.
    pub mechanism: SaslMechanism,
    /// The user name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

impl Settings {
    /// The same in librdkafka's words.
    pub(super) fn properties(&self) -> Vec<(String, String)> {
        let mut properties = vec![
            ("bootstrap.servers", self.bootstrap.join(",")),
            ("client.id", "eventcenter".into()),
            // A broker that comes back is found again within a second.
            ("reconnect.backoff.ms", "100".into()),
            ("reconnect.backoff.max.ms", "1000".into()),
            ("socket.keepalive.enable", "true".into()),
            // Without this an idle connection is closed by the broker and logged as a failure.
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
            if let Some(authorities) = &tls.authorities {
                properties.push(("ssl.ca.pem", authorities.clone()));
            }
            if let Some((certificate, key)) = &tls.certificate {
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
    fn secrets_are_not_shown() {
        let settings = Settings {
            bootstrap: vec!["a:1".into(), "b:2".into()],
            tls: Some(TlsSettings {
                authorities: None,
                certificate: Some(("cert".into(), Secret::new("hidden".into()))),
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
            |name: &str| properties.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!(value("security.protocol"), Some("sasl_ssl"));
        assert_eq!(value("bootstrap.servers"), Some("a:1,b:2"));
        assert_eq!(value("sasl.password"), Some("hidden"));
    }
}
