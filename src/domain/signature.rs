//! Ed25519 signatures (RFC 8032) over canonical JSON (RFC 8785).

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Separates seals from everything else that is signed with the same key.
const DOMAIN: &[u8] = b"eventcenter.io/seal/v1\n";

/// Version of a seal: `v1.KEY.SIGNATURE`.
const VERSION: &str = "v1";

/// A private key. Its `Debug` shows the key's id only.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    id: String,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A text is not an Ed25519 seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not an Ed25519 key: write 64 hexadecimal digits")]
pub struct InvalidKey;

impl SigningKey {
    /// The key of a 32-byte seed (RFC 8032), in hexadecimal.
    ///
    /// # Errors
    /// The text is not such a seed.
    pub fn from_seed(seed: &str) -> Result<Self, InvalidKey> {
        let seed = hex::decode(seed.trim()).ok().filter(|seed| seed.len() == 32).ok_or(InvalidKey)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| InvalidKey)?;
        let id = key_id(pair.public_key().as_ref());
        Ok(Self { pair, id })
    }

    /// The public key, in hexadecimal.
    #[must_use]
    pub fn public_key(&self) -> String {
        hex::encode(self.pair.public_key().as_ref())
    }

    /// Whether a seal names this key. The signature is not verified.
    #[must_use]
    pub fn is_named_by(&self, seal: &str) -> bool {
        seal.split('.').nth(1) == Some(&self.id)
    }

    /// Signs bytes that cannot be confused with a seal, such as a checkpoint, which begins with its origin.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(bytes).as_ref());
        signature
    }

    /// Seals a statement: `v1.KEY.SIGNATURE` over its canonical JSON.
    #[must_use]
    pub fn seal(&self, statement: &impl Serialize) -> String {
        format!("{VERSION}.{}.{}", self.id, hex::encode(self.pair.sign(&signed_bytes(statement)).as_ref()))
    }
}

/// The public keys of trusted signers, by key id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicKeys(BTreeMap<String, Vec<u8>>);

impl PublicKeys {
    /// Parses hexadecimal keys separated by white space. Words that are not keys are skipped; see
    /// [`PublicKeys::count_invalid`].
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(text.split_whitespace().filter_map(decode_key).map(|key| (key_id(&key), key)).collect())
    }

    /// The number of words of a text that [`PublicKeys::parse`] skips.
    #[must_use]
    pub fn count_invalid(text: &str) -> usize {
        text.split_whitespace().filter(|word| decode_key(word).is_none()).count()
    }

    /// Adds the keys of a text; see [`PublicKeys::parse`].
    pub fn extend(&mut self, text: &str) {
        self.0.extend(Self::parse(text).0);
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of the keys sealed this statement.
    #[must_use]
    pub fn verify(&self, statement: &impl Serialize, seal: &str) -> bool {
        let mut parts = seal.split('.');
        let (Some(VERSION), Some(id), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        let (Some(key), Ok(signature)) = (self.0.get(id), hex::decode(signature)) else { return false };
        UnparsedPublicKey::new(&ED25519, key).verify(&signed_bytes(statement), &signature).is_ok()
    }
}

fn signed_bytes(statement: &impl Serialize) -> Vec<u8> {
    let mut bytes = DOMAIN.to_vec();
    bytes.extend(serde_json_canonicalizer::to_vec(statement).expect("a statement is a JSON object"));
    bytes
}

fn decode_key(text: &str) -> Option<Vec<u8>> {
    hex::decode(text).ok().filter(|key| key.len() == 32)
}

/// The first four bytes of the key's SHA-256, in hexadecimal.
fn key_id(public: &[u8]) -> String {
    hex::encode(&Sha256::digest(public)[..4])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(digit: char) -> SigningKey {
        SigningKey::from_seed(&digit.to_string().repeat(64)).expect("a key")
    }

    fn statement(uid: &str, hash: &str) -> serde_json::Value {
        serde_json::json!({"statement": "Approved", "uid": uid, "hash": hash})
    }

    #[test]
    fn only_a_seal_of_a_trusted_key_verifies() {
        let (ours, other) = (key('1'), key('2'));
        let keys = PublicKeys::parse(&format!("{}\nnonsense", ours.public_key()));
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
        let both = PublicKeys::parse(&format!("{} {}", other.public_key(), ours.public_key()));
        assert!(both.verify(&statement("u", "h"), &seal), "keys are rotated one after the other");
    }

    #[test]
    fn invalid_keys_are_counted() {
        let (one, two) = (key('1').public_key(), key('2').public_key());
        for (text, count) in [
            (String::new(), 0),
            (format!("{one}\n{two}\n"), 0),
            (format!("{one}{two}\n"), 1),
            (format!("keys: {one}"), 1),
            (format!("{}\nnonsense", &one[2..]), 2),
        ] {
            assert_eq!(PublicKeys::count_invalid(&text), count, "{text}");
        }
    }

    #[test]
    fn debug_does_not_show_the_key() {
        let shown = format!("{:?}", key('7'));
        assert!(!shown.contains("7777"), "{shown}");
        assert!(SigningKey::from_seed("7").is_err());
    }
}
