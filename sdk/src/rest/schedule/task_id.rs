//! The ids of tasks in paths.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How many characters of a refused text an error shows.
const MAX_SHOWN_CHARS: usize = 100;

/// The id of a ScheduledTask: `NAMESPACE.NAME`.
///
/// A namespace contains no dot, so the first dot ends it; the name may contain further ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskId {
    namespace: String,
    name: String,
}

impl TaskId {
    /// The id of a task in Kubernetes.
    ///
    /// # Errors
    /// The namespace or the name is none of Kubernetes.
    pub fn new(namespace: &str, name: &str) -> Result<Self, InvalidTaskId> {
        let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let is_label = |text: &str| {
            text.bytes().all(is_allowed)
                && is_edge(text.as_bytes().first())
                && is_edge(text.as_bytes().last())
        };
        let is_valid = namespace.len() <= 63
            && is_label(namespace)
            && name.len() <= 253
            && name.split('.').all(is_label);
        match is_valid {
            true => Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() }),
            false => {
                Err(InvalidTaskId(format!("{namespace}.{name}").chars().take(MAX_SHOWN_CHARS).collect()))
            }
        }
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A text is not the id of a task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the id of a task: write NAMESPACE.NAME, such as shop.nightly")]
pub struct InvalidTaskId(String);

impl FromStr for TaskId {
    type Err = InvalidTaskId;

    fn from_str(text: &str) -> Result<Self, InvalidTaskId> {
        let (namespace, name) = text
            .split_once('.')
            .ok_or_else(|| InvalidTaskId(text.chars().take(MAX_SHOWN_CHARS).collect()))?;
        Self::new(namespace, name)
    }
}

impl TryFrom<String> for TaskId {
    type Error = InvalidTaskId;

    fn try_from(text: String) -> Result<Self, InvalidTaskId> {
        text.parse()
    }
}

impl From<TaskId> for String {
    fn from(id: TaskId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}", self.namespace, self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_namespace_and_a_name() {
        for (text, namespace, name) in [
            ("shop.nightly", "shop", "nightly"),
            ("shop-1.nightly.v2", "shop-1", "nightly.v2"),
            ("0.1", "0", "1"),
        ] {
            let id: TaskId = text.parse().unwrap();
            assert_eq!((id.namespace(), id.name(), id.to_string().as_str()), (namespace, name, text));
            assert_eq!(serde_json::from_str::<TaskId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        }
        for text in [
            "",
            ".",
            "shop",
            "shop.",
            ".nightly",
            "Shop.x",
            "shop.X",
            "a/b.c",
            "shop.a..b",
            "../a.b",
            "a.b/c",
        ] {
            assert!(text.parse::<TaskId>().is_err(), "{text}");
        }
        let error = "nightly".parse::<TaskId>().unwrap_err().to_string();
        assert_eq!(error, r#""nightly" is not the id of a task: write NAMESPACE.NAME, such as shop.nightly"#);
    }
}
