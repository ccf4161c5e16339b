//! Which database.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// `sqlite:FILE` or `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…`. The password is not shown.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A file of an embedded SQLite.
    Sqlite(PathBuf),
    /// A PostgreSQL.
    Postgres(String),
}

/// A text names no database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write sqlite:FILE or postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
pub struct Malformed;

impl FromStr for StoreUrl {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text.split_once(':') {
            Some(("sqlite", file)) if !file.is_empty() => {
                Ok(Self::Sqlite(PathBuf::from(file.strip_prefix("//").unwrap_or(file))))
            }
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                Ok(Self::Postgres(text.to_owned()))
            }
            _ => Err(Malformed),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => write!(f, "sqlite:{}", file.display()),
            Self::Postgres(url) => {
                let (scheme, rest) = url.split_once("//").unwrap_or(("postgres:", ""));
                let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
                // Whatever else stands there may be a password too.
                write!(f, "{scheme}//{}", place.split('?').next().unwrap_or_default())
            }
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
