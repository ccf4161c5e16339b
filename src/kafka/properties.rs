//! The properties files of Kafka's own clients, as far as they say how to log in.

use super::{Credentials, Error, Secret, Settings, TlsSettings};
use crate::api::SaslMechanism;

impl Settings {
    /// Reads what a client's properties file says, for these brokers. `read` reads a file that it
    /// names.
    ///
    /// # Errors
    /// A line that is not understood. Its value is not quoted: it may be a secret.
    pub fn from_properties(
        bootstrap: Vec<String>,
        text: &str,
        read: impl Fn(&str) -> std::io::Result<String>,
    ) -> Result<Self, Error> {
        let mut file = File::default();
        for (key, value) in pairs(text)? {
            file.set(&key, value)?;
        }
        let tls = match (file.encrypted, &file.authorities) {
            (true, Some(path)) => {
                let authorities = read(path)
                    .map_err(|error| Error::Settings(format!("ssl.ca.location {path}: {error}")))?;
                Some(TlsSettings { authorities: Some(authorities), certificate: None })
            }
            (true, None) => Some(TlsSettings::default()),
            (false, _) => None,
        };
        Ok(Self { bootstrap, tls, credentials: file.credentials()? })
    }
}

#[derive(Default)]
struct File {
    encrypted: bool,
    logs_in: bool,
    mechanism: SaslMechanism,
    username: Option<String>,
    password: Option<String>,
    authorities: Option<String>,
}

impl File {
    fn set(&mut self, key: &str, value: String) -> Result<(), Error> {
        let unknown = |expected: &str| Err(Error::Settings(format!("{key}: write {expected}")));
        match key {
            "security.protocol" => match value.to_ascii_uppercase().as_str() {
                "PLAINTEXT" => {}
                "SSL" => self.encrypted = true,
                "SASL_PLAINTEXT" => self.logs_in = true,
                "SASL_SSL" => (self.encrypted, self.logs_in) = (true, true),
                _ => return unknown("PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
            },
            "sasl.mechanism" => match value.as_str() {
                "SCRAM-SHA-512" => self.mechanism = SaslMechanism::ScramSha512,
                "SCRAM-SHA-256" => self.mechanism = SaslMechanism::ScramSha256,
                "PLAIN" => self.mechanism = SaslMechanism::Plain,
                _ => return unknown("SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN"),
            },
            "sasl.username" => self.username = Some(value),
            "sasl.password" => self.password = Some(value),
            "sasl.jaas.config" => {
                self.username = quoted(&value, "username");
                self.password = quoted(&value, "password");
            }
            "ssl.ca.location" => self.authorities = Some(value),
            // Of a client that does something else.
            "bootstrap.servers" | "client.id" | "group.id" => {}
            _ => {
                return Err(Error::Settings(format!(
                    "{key} is not understood: write security.protocol, sasl.mechanism, sasl.username and \
                     sasl.password (or sasl.jaas.config), and ssl.ca.location"
                )));
            }
        }
        Ok(())
    }

    fn credentials(self) -> Result<Option<Credentials>, Error> {
        match (self.logs_in, self.username, self.password) {
            (false, ..) => Ok(None),
            (true, Some(username), Some(password)) => {
                Ok(Some(Credentials { mechanism: self.mechanism, username, password: Secret::new(password) }))
            }
            _ => Err(Error::Settings(
                "security.protocol asks for a login: write sasl.username and sasl.password, or sasl.jaas.config".into(),
            )),
        }
    }
}

/// Java's properties, without its escapes: `key=value`, comments, and lines that go on after a `\`.
fn pairs(text: &str) -> Result<Vec<(String, String)>, Error> {
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

/// The text in quotes after `name=`.
fn quoted(jaas: &str, name: &str) -> Option<String> {
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
        let read = |path: &str| match path {
            "ca.pem" => Ok("the authorities".to_owned()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        expected.assert_eq(&match Settings::from_properties(vec!["kafka:9092".into()], text, read) {
            Ok(settings) => {
                let properties = settings.properties().into_iter();
                let ours = properties
                    .filter(|(key, _)| key.contains("sasl") || key.contains("ssl") || key.contains("sec"));
                ours.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
            }
            Err(error) => error.to_string(),
        });
    }

    #[test]
    fn files_of_kafkas_clients_are_read() {
        check("", expect!["security.protocol=plaintext"]);
        check(
            "# who\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism = SCRAM-SHA-256\nsasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\\n  username=\"alice\" password=\"a=b;c\";\n",
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
    fn what_is_not_understood_is_named_without_its_value() {
        check(
            "sasl.pasword=secret",
            expect![
                "the connection to Kafka cannot be made: sasl.pasword is not understood: write security.protocol, sasl.mechanism, sasl.username and sasl.password (or sasl.jaas.config), and ssl.ca.location"
            ],
        );
        check(
            "security.protocol=SASL_SSL\nsasl.username=bob",
            expect![
                "the connection to Kafka cannot be made: security.protocol asks for a login: write sasl.username and sasl.password, or sasl.jaas.config"
            ],
        );
        check(
            "secret",
            expect!["the connection to Kafka cannot be made: a line has no `=`: write key=value"],
        );
        check(
            "security.protocol=SSL\nssl.ca.location=nowhere.pem",
            expect!["the connection to Kafka cannot be made: ssl.ca.location nowhere.pem: entity not found"],
        );
    }
}
