//! Parses the body of a record without copying it: a log may have millions.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;

use super::stored::Columns;

/// The compared members of a body. Other members are ignored.
#[derive(Deserialize)]
pub(super) struct ParsedBody<'a> {
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    pub(super) seq: u64,
    #[serde(borrow)]
    pub(super) tenant: Cow<'a, str>,
    pub(super) time: Timestamp,
    #[serde(borrow)]
    actor: Actor<'a>,
    #[serde(borrow)]
    pub(super) action: Cow<'a, str>,
    #[serde(borrow)]
    target: Option<Target<'a>>,
    #[serde(borrow)]
    outcome: Cow<'a, str>,
    #[serde(borrow)]
    completes: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Actor<'a> {
    #[serde(borrow)]
    user: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Target<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// A text that is borrowed inside of an `Option` too.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> ParsedBody<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }

    fn into_columns(self) -> Columns {
        let (kind, namespace, name) = match self.target {
            Some(Target { kind, namespace, name }) => (Some(kind), namespace, Some(name)),
            None => (None, None, None),
        };
        Columns {
            id: self.id.into_owned(),
            time: self.time.as_microsecond(),
            actor: self.actor.user.into_owned(),
            action: self.action.into_owned(),
            kind: kind.map(Cow::into_owned),
            namespace: namespace.map(|Text(namespace)| namespace.into_owned()),
            name: name.map(Cow::into_owned),
            outcome: self.outcome.into_owned(),
            completes: self.completes.map(|Text(completes)| completes.into_owned()),
        }
    }

    /// The name of the first column with another value.
    pub(super) fn first_difference(&self, columns: &Columns) -> Option<&'static str> {
        let target = self.target.as_ref();
        let namespace = target.and_then(|target| target.namespace.as_ref());
        let completes = self.completes.as_ref();
        let compared = [
            ("id", self.id == columns.id),
            ("time", self.time.as_microsecond() == columns.time),
            ("actor", self.actor.user == columns.actor),
            ("action", self.action == columns.action),
            ("kind", target.map(|target| &*target.kind) == columns.kind.as_deref()),
            ("namespace", namespace.map(|text| &*text.0) == columns.namespace.as_deref()),
            ("name", target.map(|target| &*target.name) == columns.name.as_deref()),
            ("outcome", self.outcome == columns.outcome),
            ("completes", completes.map(|text| &*text.0) == columns.completes.as_deref()),
        ];
        compared.into_iter().find(|(_, is_same)| !is_same).map(|(column, _)| column)
    }
}

impl Columns {
    /// Parses the columns of a record.
    ///
    /// # Errors
    /// The body is not a record.
    pub fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        ParsedBody::parse(body).map(ParsedBody::into_columns)
    }
}
