//! Signatures: what one process of the operator tells another through Kubernetes.
//!
//! Whoever may write a resource can write anything into it, and while the webhook is not installed nobody
//! keeps them from it. A seal is an Ed25519 signature (RFC 8032) over everything that is asserted, with the name
//! of the assertion and of its subject, so that none can be used for another purpose or on another resource.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::api::{ApprovalAction, Approver, Decision, GovernedKind};

/// What is asserted. All of it is signed, in canonical JSON (RFC 8785).
#[derive(Debug, Serialize)]
#[serde(tag = "statement")]
pub enum Statement<'a> {
    /// The webhook has seen these users ask for this content.
    Request {
        /// The resource's kind.
        kind: GovernedKind,
        /// Its namespace.
        namespace: &'a str,
        /// Its name.
        name: &'a str,
        /// What else the request says.
        request: &'a super::request::Asserted,
    },
    /// The webhook has seen this user decide.
    Approval {
        /// The namespace.
        namespace: &'a str,
        /// The kind of the resource that is decided on.
        kind: GovernedKind,
        /// Its name.
        name: &'a str,
        /// Its uid; none if it does not exist yet.
        uid: Option<&'a str>,
        /// Its generation; none if it does not exist yet.
        generation: Option<i64>,
        /// What is to be done.
        action: ApprovalAction,
        /// The content.
        hash: &'a str,
        /// What was decided.
        decision: Decision,
        /// Who decided.
        approver: &'a Approver,
        /// When.
        at: Timestamp,
        /// Why.
        comment: Option<&'a str>,
    },
    /// The operator has found this content approved, and has put it in force.
    Approved {
        /// The resource's kind.
        kind: GovernedKind,
        /// Its uid.
        uid: &'a str,
        /// The content.
        hash: &'a str,
        /// The generation that it was.
        generation: i64,
        /// The ControllerRevision that keeps it.
        revision: Option<&'a str>,
        /// When it took effect.
        at: Timestamp,
    },
}

impl Statement<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"eventcenter.io/seal/v1\n".to_vec();
        bytes.extend(serde_json_canonicalizer::to_vec(self).expect("a statement is a JSON object"));
        bytes
    }
}

/// The private half. It is not shown.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    id: String,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What should be a key is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no Ed25519 key: 64 hexadecimal digits are expected")]
pub struct NotAKey;

/// Version and parts of a seal: `v1.KEY.SIGNATURE`.
const VERSION: &str = "v1";

impl SigningKey {
    /// The key of a seed (RFC 8032) of 32 bytes, in hexadecimal.
    ///
    /// # Errors
    /// It is something else.
    pub fn of_seed(seed: &str) -> Result<Self, NotAKey> {
        let seed = unhex(seed.trim()).filter(|seed| seed.len() == 32).ok_or(NotAKey)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| NotAKey)?;
        let id = id(pair.public_key().as_ref());
        Ok(Self { pair, id })
    }

    /// The public half, in hexadecimal.
    #[must_use]
    pub fn public(&self) -> String {
        hex(self.pair.public_key().as_ref())
    }

    /// Whether a seal names this key. That does not say that it is good.
    #[must_use]
    pub fn is_named_by(&self, seal: &str) -> bool {
        seal.split('.').nth(1) == Some(&self.id)
    }

    /// Signs bytes that cannot be taken for a statement: those of a checkpoint, which begin with its origin.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(bytes).as_ref());
        signature
    }

    /// Signs a statement.
    #[must_use]
    pub fn seal(&self, statement: &Statement<'_>) -> String {
        format!("{VERSION}.{}.{}", self.id, hex(self.pair.sign(&statement.bytes()).as_ref()))
    }
}

/// The public halves of those who are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicKeys(BTreeMap<String, Vec<u8>>);

impl PublicKeys {
    /// Reads keys in hexadecimal, separated by white space. What is none is left out: nothing is believed for it.
    #[must_use]
    pub fn read(text: &str) -> Self {
        Self(text.split_whitespace().filter_map(public).map(|key| (id(&key), key)).collect())
    }

    /// How many words of a text [`PublicKeys::read`] leaves out.
    #[must_use]
    pub fn unreadable(text: &str) -> usize {
        text.split_whitespace().filter(|word| public(word).is_none()).count()
    }

    /// Believes these too; see [`PublicKeys::read`].
    pub fn extend(&mut self, text: &str) {
        self.0.extend(Self::read(text).0);
    }

    /// Whether nobody is believed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a statement was signed by one of them.
    #[must_use]
    pub fn verify(&self, statement: &Statement<'_>, seal: &str) -> bool {
        let mut parts = seal.split('.');
        let (Some(VERSION), Some(id), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        let (Some(key), Some(signature)) = (self.0.get(id), unhex(signature)) else { return false };
        UnparsedPublicKey::new(&ED25519, key).verify(&statement.bytes(), &signature).is_ok()
    }
}

/// A public key in hexadecimal.
fn public(text: &str) -> Option<Vec<u8>> {
    unhex(text).filter(|key| key.len() == 32)
}

/// The name of a public key, by which it is found.
fn id(public: &[u8]) -> String {
    hex(&Sha256::digest(public)[..4])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(digit: char) -> SigningKey {
        SigningKey::of_seed(&digit.to_string().repeat(64)).expect("a key")
    }

    fn statement<'a>(uid: &'a str, hash: &'a str) -> Statement<'a> {
        let (kind, at) = (GovernedKind::EventTopic, Timestamp::UNIX_EPOCH);
        Statement::Approved { kind, uid, hash, generation: 1, revision: None, at }
    }

    #[test]
    fn only_what_was_signed_by_a_known_key_is_believed() {
        let (ours, other) = (key('1'), key('2'));
        let keys = PublicKeys::read(&format!("{}\nnonsense", ours.public()));
        let seal = ours.seal(&statement("u", "h"));
        assert!(keys.verify(&statement("u", "h"), &seal));
        assert!(!keys.verify(&statement("other", "h"), &seal));
        assert!(!keys.verify(&statement("u", "other"), &seal));
        assert!(!keys.verify(&statement("u", "h"), &other.seal(&statement("u", "h"))));
        assert!(!PublicKeys::default().verify(&statement("u", "h"), &seal));
        for broken in
            ["", "v1", "v1.x.y", &seal.replace("v1", "v2"), &format!("{seal}.x"), &seal[..seal.len() - 2]]
        {
            assert!(!keys.verify(&statement("u", "h"), broken), "{broken}");
        }
        let both = PublicKeys::read(&format!("{} {}", other.public(), ours.public()));
        assert!(both.verify(&statement("u", "h"), &seal), "keys change one after the other");
    }

    #[test]
    fn what_is_no_key_is_counted() {
        let (one, two) = (key('1').public(), key('2').public());
        for (text, count) in [
            (String::new(), 0),
            (format!("{one}\n{two}\n"), 0),
            (format!("{one}{two}\n"), 1),
            (format!("keys: {one}"), 1),
            (format!("{}\nnonsense", &one[2..]), 2),
        ] {
            assert_eq!(PublicKeys::unreadable(&text), count, "{text}");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        let shown = format!("{:?}", key('7'));
        assert!(!shown.contains("7777"), "{shown}");
        assert!(SigningKey::of_seed("7").is_err());
    }
}
