//! The token in the path at which the API server calls the webhook: `/validate/TOKEN` and `/mutate/TOKEN`.
//!
//! A client that knows the path can make up reviews, so only the webhook configurations contain it, which only the operator
//! and cluster administrators can read. Nothing logs a token.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use jiff::Timestamp;

/// The size of the secret in bytes.
pub(super) const SECRET_BYTES: usize = 32;

/// A token: when it was issued, and a secret. Comparisons take the same time for all tokens.
#[derive(Clone)]
pub(super) struct PathToken {
    /// Milliseconds since 1970, which are not secret.
    issued: i64,
    secret: [u8; SECRET_BYTES],
}

impl PathToken {
    /// A token with this random secret.
    pub(super) fn issue(at: Timestamp, secret: [u8; SECRET_BYTES]) -> Self {
        Self { issued: at.as_millisecond(), secret }
    }

    /// Parses `MILLISECONDS-SECRET`, as [`Self::to_path_segment`] writes it; `None` for any other text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (issued, secret) = text.split_once('-')?;
        let issued = issued.parse().ok().filter(|number| Timestamp::from_millisecond(*number).is_ok())?;
        let mut token = Self { issued, secret: [0; SECRET_BYTES] };
        hex::decode_to_slice(secret, &mut token.secret).ok()?;
        (token.to_path_segment() == text).then_some(token)
    }

    /// The last segment of the path: `MILLISECONDS-SECRET`, the secret as 64 lowercase hexadecimal digits.
    pub(super) fn to_path_segment(&self) -> String {
        format!("{}-{}", self.issued, hex::encode(self.secret))
    }

    /// When it was issued, in whole milliseconds.
    pub(super) fn issued_at(&self) -> Timestamp {
        Timestamp::from_millisecond(self.issued).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// A new random secret.
pub(super) fn random_secret() -> [u8; SECRET_BYTES] {
    let mut secret = [0; SECRET_BYTES];
    aws_lc_rs::rand::fill(&mut secret).expect("the system has randomness");
    secret
}

impl PartialEq for PathToken {
    fn eq(&self, other: &Self) -> bool {
        let is_same_time = verify_slices_are_equal(&self.issued.to_be_bytes(), &other.issued.to_be_bytes());
        let is_same_secret = verify_slices_are_equal(&self.secret, &other.secret);
        is_same_time.is_ok() & is_same_secret.is_ok()
    }
}

impl Eq for PathToken {}

impl fmt::Debug for PathToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PathToken(issued {}, hidden)", self.issued_at())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_parsed_only_as_it_is_written() {
        let token = PathToken::issue(Timestamp::from_second(1_800_000_000).expect("in range"), [0xa5; 32]);
        let text = token.to_path_segment();
        assert_eq!(text, format!("1800000000000-{}", "a5".repeat(32)));
        assert_eq!(PathToken::parse(&text), Some(token.clone()));
        assert_eq!(format!("{token:?}"), "PathToken(issued 2027-01-15T08:00:00Z, hidden)");
        let secret = "a5".repeat(32);
        for wrong in [
            String::new(),
            secret.clone(),
            format!("-{secret}"),
            format!("+1800000000000-{secret}"),
            format!("01800000000000-{secret}"),
            format!("-1800000000000-{secret}"),
            format!("{}-{secret}", i64::MAX),
            format!("1800000000000-{}", secret.to_uppercase()),
            format!("1800000000000-{}", &secret[2..]),
            format!("1800000000000-{secret}a5"),
            format!("1800000000000-{secret}/"),
            format!("1800000000 -{secret}"),
        ] {
            assert_eq!(PathToken::parse(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn tokens_are_equal_only_in_both_parts() {
        let at = |second| Timestamp::from_second(second).expect("in range");
        let mut other_secret = [7; 32];
        other_secret[31] = 8;
        let token = PathToken::issue(at(1), [7; 32]);
        assert_eq!(token, PathToken::issue(at(1), [7; 32]));
        assert_ne!(token, PathToken::issue(at(2), [7; 32]));
        assert_ne!(token, PathToken::issue(at(1), other_secret));
    }
}
