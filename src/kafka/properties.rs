//! Parses the connection properties of the properties files of Kafka's own clients.

use super::error::Error;
use super::settings::{Credentials, Secret, Settings, TlsSettings};
use crate::api::SaslMechanism;

impl Settings {
    /// Parses a client's properties file. `bootstrap_servers` replace those of the file; `read_file` reads the file of CA
    /// certificates.
    ///
    /// # Errors
    /// An invalid line. The error does not contain its value, which may be a secret.
    pub fn from_properties(
        bootstrap_servers: Vec<String>,
        text: &str,
        read_file: impl Fn(&str) -> std::io::Result<String>,
    ) -> Result<Self, Error> {
        let mut properties = ClientProperties::default();
        for (key, value) in parse_lines(text)? {
            properties.set(&key, value)?;
        }
        let tls = match (properties.uses_tls, &properties.ca_location) {
            (true, Some(path)) => {
                let certificates = read_file(path)
                    .map_err(|error| Error::Settings(format!("ssl.ca.location {path}: {error}")))?;
                Some(TlsSettings { ca_certificates: Some(certificates), client_certificate: None })
            }
            (true, None) => Some(TlsSettings::default()),
            (false, _) => None,
        };
        Ok(Self { bootstrap_servers, tls, credentials: properties.credentials()? })
    }
}

#[derive(Default)]
struct ClientProperties {
    uses_tls: bool,
    uses_sasl: bool,
    mechanism: SaslMechanism,
    username: Option<String>,
    password: Option<String>,
    ca_location: Option<String>,
}

impl ClientProperties {
    fn set(&mut self, key: &str, value: String) -> Result<(), Error> {
        let invalid =
            |expected: &str| Err(Error::Settings(format!("{key}: invalid value: write {expected}")));
        match key {
            "security.protocol" => match value.to_ascii_uppercase().as_str() {
                "PLAINTEXT" => {}
                "SSL" => self.uses_tls = true,
                "SASL_PLAINTEXT" => self.uses_sasl = true,
                "SASL_SSL" => (self.uses_tls, self.uses_sasl) = (true, true),
                _ => return invalid("PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
            },
            "sasl.mechanism" => match value.as_str() {
                "SCRAM-SHA-512" => self.mechanism = SaslMechanism::ScramSha512,
                "SCRAM-SHA-256" => self.mechanism = SaslMechanism::ScramSha256,
                "PLAIN" => self.mechanism = SaslMechanism::Plain,
                _ => return invalid("SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN"),
            },
            "sasl.username" => self.username = Some(value),
            "sasl.password" => self.password = Some(value),
            "sasl.jaas.config" => {
                self.username = jaas_option(&value, "username");
                self.password = jaas_option(&value, "password");
            }
            "ssl.ca.location" => self.ca_location = Some(value),
            // Irrelevant for the connection.
            "bootstrap.servers" | "client.id" | "group.id" => {}
            _ => {
                return Err(Error::Settings(format!(
                    "{key}: unsupported property: use security.protocol, sasl.mechanism, sasl.username and \
                     sasl.password (or sasl.jaas.config), and ssl.ca.location"
                )));
            }
        }
        Ok(())
    }

    fn credentials(self) -> Result<Option<Credentials>, Error> {
        match (self.uses_sasl, self.username, self.password) {
            (false, ..) => Ok(None),
            (true, Some(username), Some(password)) => {
                Ok(Some(Credentials { mechanism: self.mechanism, username, password: Secret::new(password) }))
            }
            _ => Err(Error::Settings(
                "security.protocol: SASL needs credentials: set sasl.username and sasl.password, or sasl.jaas.config".into(),
            )),
        }
    }
}

/// Parses Java properties without escapes: `key=value`, comments, and lines that continue after a `\`.
fn parse_lines(text: &str) -> Result<Vec<(String, String)>, Error> {
    let joined = text.replace("\\\r\n", "").replace("\\\n", "");
    let lines = joined.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with(['#', '!']))
        .map(|line| {
            let (key, value) = line
                .split_once(['=', ':'])
                .ok_or_else(|| Error::Settings("a line has no `=`: write key=value".into()))?;
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

/// The quoted value of an option in a JAAS configuration.
fn jaas_option(jaas: &str, name: &str) -> Option<String> {
    let (_, rest) = jaas.split_once(&format!("{name}="))?;
    let quote = rest.chars().next().filter(|quote| ['"', '\''].contains(quote))?;
    let (value, _) = rest[1..].split_once(quote)?;
    Some(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expected: Expect) {
        let read_file = |path: &str| match path {
            "ca.pem" => Ok("the authorities".to_owned()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        expected.assert_eq(&match Settings::from_properties(vec!["kafka:9092".into()], text, read_file) {
            Ok(settings) => {
                let properties = settings.properties().into_iter();
                let security = properties
                    .filter(|(key, _)| key.contains("sasl") || key.contains("ssl") || key.contains("sec"));
                security.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
            }
            Err(error) => error.to_string(),
        });
    }

    #[test]
    fn properties_files_of_kafkas_clients_are_parsed() {
        check("", expect!["security.protocol=plaintext"]);
        check(
            "# comment\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism = SCRAM-SHA-256\nsasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\\n  username=\"alice\" password=\"a=b;c\";\n",
            expect![
                "security.protocol=sasl_plaintext sasl.mechanism=SCRAM-SHA-256 sasl.username=alice sasl.password=a=b;c"
            ],
        );
        check(
            "security.protocol: SASL_SSL\nsasl.username=bob\nsasl.password=secret\nssl.ca.location=ca.pem",
            expect![
                "security.protocol=sasl_ssl ssl.ca.pem=the authorities sasl.mechanism=SCRAM-SHA-512 sasl.username=bob sasl.password=secret"
            ],
        );
    }

    #[test]
    fn errors_name_the_property_without_its_value() {
        check(
            "sasl.pasword=secret",
            expect![
                "invalid Kafka connection settings: sasl.pasword: unsupported property: use security.protocol, sasl.mechanism, sasl.username and sasl.password (or sasl.jaas.config), and ssl.ca.location"
            ],
        );
        check(
            "security.protocol=SASL_SSL\nsasl.username=bob",
            expect![
                "invalid Kafka connection settings: security.protocol: SASL needs credentials: set sasl.username and sasl.password, or sasl.jaas.config"
            ],
        );
        check("secret", expect!["invalid Kafka connection settings: a line has no `=`: write key=value"]);
        check(
            "security.protocol=SSL\nssl.ca.location=nowhere.pem",
            expect!["invalid Kafka connection settings: ssl.ca.location nowhere.pem: entity not found"],
        );
    }
}
