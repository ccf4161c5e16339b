//! The paths in the webhook configurations: which tokens are accepted, and when a path is replaced.
//!
//! Every function depends only on its arguments, time and randomness included.

use std::time::Duration;

use jiff::Timestamp;

use super::outcome::ReviewType;
use super::path_token::{PathToken, SECRET_BYTES};
use crate::kubernetes::{WebhookConfiguration, WebhookConfigurationKind};

/// How long a replaced token is still accepted: another API server may not have read the new one. An API server reads a
/// changed configuration within milliseconds.
pub(super) const REPLACED_TOKEN_LIFETIME: Duration = Duration::from_secs(30);

/// The maximum age of a token. An API server shows the path in the error of a review that could not be sent.
pub(super) const MAX_TOKEN_AGE: Duration = Duration::from_hours(1);

/// What to do with the paths of a configuration.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PathStep {
    /// Nothing before this time, unless something changes.
    Wait(Timestamp),
    /// Write this path into every webhook.
    Write(String),
}

/// Splits a path into the webhook and the text after it, which may be a token.
pub(super) fn split(path: &str) -> Option<(WebhookConfigurationKind, &str)> {
    [WebhookConfigurationKind::Validating, WebhookConfigurationKind::Mutating].into_iter().find_map(|kind| {
        let rest = path.strip_prefix(root(kind))?;
        if rest.is_empty() { Some((kind, rest)) } else { Some((kind, rest.strip_prefix('/')?)) }
    })
}

/// The review that the webhooks of a configuration request.
pub(super) fn review_type(kind: WebhookConfigurationKind) -> ReviewType {
    match kind {
        WebhookConfigurationKind::Validating => ReviewType::Validate,
        WebhookConfigurationKind::Mutating => ReviewType::Mutate,
    }
}

/// The path without a token.
fn root(kind: WebhookConfigurationKind) -> &'static str {
    match kind {
        WebhookConfigurationKind::Validating => "/validate",
        WebhookConfigurationKind::Mutating => "/mutate",
    }
}

/// The token of a path, if it has one and belongs to this kind of configuration.
fn token(kind: WebhookConfigurationKind, path: &str) -> Option<PathToken> {
    let (found, rest) = split(path)?;
    (found == kind).then(|| PathToken::parse(rest)).flatten()
}

/// The tokens of a configuration, without repetitions.
pub(super) fn tokens(configuration: &WebhookConfiguration) -> Vec<PathToken> {
    let mut all = Vec::new();
    for webhook in &configuration.webhooks {
        match token(configuration.kind, webhook.endpoint.path()) {
            Some(token) if !all.contains(&token) => all.push(token),
            _ => {}
        }
    }
    all
}

/// The next step. All webhooks of a configuration have the same token. It is replaced if it was issued before
/// `renew_before`, or is older than [`MAX_TOKEN_AGE`].
pub(super) fn next(
    configuration: &WebhookConfiguration,
    renew_before: Timestamp,
    now: Timestamp,
    secret: [u8; SECRET_BYTES],
) -> PathStep {
    let write = |token: &PathToken| {
        PathStep::Write(format!("{}/{}", root(configuration.kind), token.to_path_segment()))
    };
    let newest = tokens(configuration).into_iter().max_by_key(PathToken::issued_at);
    let Some(newest) = newest else { return write(&PathToken::issue(now, secret)) };
    let expiry = newest.issued_at() + MAX_TOKEN_AGE;
    // Milliseconds, as in the token: otherwise a token would be older than the millisecond in which it was issued.
    let is_outdated = newest.issued_at().as_millisecond() < renew_before.as_millisecond();
    let due = if is_outdated { renew_before.min(expiry) } else { expiry };
    if due <= now {
        return write(&PathToken::issue(now, secret));
    }
    let has_newest = |path: &str| token(configuration.kind, path).is_some_and(|token| token == newest);
    if configuration.webhooks.iter().all(|webhook| has_newest(webhook.endpoint.path())) {
        PathStep::Wait(due)
    } else {
        write(&newest)
    }
}

/// The tokens that a replica accepts: those of the configurations, and the replaced ones for a short time.
#[derive(Debug, Default)]
pub(super) struct AcceptedTokens {
    current: Vec<(WebhookConfigurationKind, PathToken)>,
    /// With the time until which they are accepted.
    replaced: Vec<(WebhookConfigurationKind, PathToken, Timestamp)>,
}

impl AcceptedTokens {
    /// Accepts the tokens of a configuration as they are now.
    pub(super) fn observe(&mut self, kind: WebhookConfigurationKind, tokens: Vec<PathToken>, now: Timestamp) {
        let until = now + REPLACED_TOKEN_LIFETIME;
        let mut others = Vec::new();
        for (known, token) in std::mem::take(&mut self.current) {
            if known != kind {
                others.push((known, token));
            } else if !tokens.contains(&token) {
                self.replaced.push((known, token, until));
            }
        }
        others.extend(tokens.into_iter().map(|token| (kind, token)));
        self.current = others;
        self.replaced.retain(|(_, _, until)| *until > now);
    }

    /// Whether the API server may call with this token. Compares it with all tokens, so the duration tells nothing.
    pub(super) fn contains(&self, kind: WebhookConfigurationKind, token: &PathToken, now: Timestamp) -> bool {
        let current = self.current.iter().map(|(known, accepted)| *known == kind && accepted == token);
        let replaced = self
            .replaced
            .iter()
            .map(|(known, accepted, until)| *known == kind && *until > now && accepted == token);
        current.chain(replaced).fold(false, |any, is_same| any | is_same)
    }
}

#[cfg(test)]
mod tests;
