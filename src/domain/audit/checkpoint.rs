//! Signed checkpoints: C2SP tlog-checkpoint (three lines: origin, size, root hash in base64) as a C2SP signed-note with
//! Ed25519.
//!
//! <https://c2sp.org/tlog-checkpoint>, <https://c2sp.org/signed-note>

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::domain::signature::SigningKey;
use eventcenter_sdk::merkle::Hash;
use eventcenter_sdk::rest::audit::LogName;

/// Maximum size of a note, in bytes. Ours have a few hundred.
pub const MAX_NOTE_BYTES: usize = 16 * 1024;

/// Signature type of Ed25519 in verifier keys and key ids.
const ED25519_TYPE: u8 = 1;

/// Maximum length of an origin, in bytes: it is shown to people.
const MAX_KEY_NAME_BYTES: usize = 512;

/// Prefix of a signature line.
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// The state of a log at one time: its number of records and the root hash of its tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Identifies the log, see [`origin`]; also the name of the signing key.
    pub origin: String,
    /// The number of records.
    pub size: u64,
    /// The root hash of the tree.
    pub root: Hash,
}

/// The origin of a log: `INSTALLATION/audit/LOG`.
#[must_use]
pub fn origin(installation: &str, log: &LogName) -> String {
    format!("{installation}/audit/{log}")
}

/// Whether this is a valid name of an installation: up to 200 letters, digits and `-._/:`. It becomes part of an origin, which
/// is a line of a note and the name of a key.
#[must_use]
pub fn is_valid_installation(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/:".contains(&byte);
    (1..=200).contains(&name.len()) && name.bytes().all(is_allowed)
}

/// A note is not a checkpoint of the expected log with a trusted signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note has another format.
    #[error("not a signed checkpoint: {0}")]
    Malformed(&'static str),
    /// The checkpoint belongs to another log.
    #[error("the origin is {found:?}, expected is {expected:?}")]
    WrongOrigin {
        /// Its origin.
        found: String,
        /// The origin of the log.
        expected: String,
    },
    /// No signature is by a trusted key.
    #[error("it is not signed by a trusted key")]
    UntrustedKey,
    /// A signature names a trusted key but was not made by it.
    #[error("the signature is invalid")]
    InvalidSignature,
}

/// Trusted public keys; each signs for all logs of an installation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedKeys {
    keys: Vec<[u8; 32]>,
}

impl TrustedKeys {
    /// Parses keys separated by white space: hexadecimal, as in the ConfigMap `eventcenter-seals`, or C2SP verifier keys
    /// (`NAME+ID+BASE64`). Other words are ignored.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut keys = Vec::new();
        for word in text.split_whitespace() {
            let key = hex_key(word).or_else(|| parse_verifier_key(word));
            keys.extend(key.filter(|key| !keys.contains(key)));
        }
        Self { keys }
    }

    /// Whether no key is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys as C2SP verifier keys for an origin.
    #[must_use]
    pub fn verifier_keys(&self, origin: &str) -> Vec<String> {
        let text = |key: &[u8; 32]| {
            let id = hex::encode(key_id(origin, key));
            format!("{origin}+{id}+{}", STANDARD.encode(with_type_byte(key)))
        };
        self.keys.iter().map(text).collect()
    }
}

fn hex_key(text: &str) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    hex::decode_to_slice(text, &mut key).ok()?;
    Some(key)
}

/// Parses a C2SP verifier key, whose id has to match its name and key. The name itself is ignored: a key is trusted for all
/// logs.
fn parse_verifier_key(text: &str) -> Option<[u8; 32]> {
    let mut parts = text.splitn(3, '+');
    let (name, id, key) = (parts.next()?, parts.next()?, parts.next()?);
    let key = STANDARD.decode(key).ok()?;
    let (signature_type, key) = key.split_first()?;
    let key: [u8; 32] = key.try_into().ok()?;
    (*signature_type == ED25519_TYPE && hex::encode(key_id(name, &key)) == id).then_some(key)
}

/// The id of a key with this name.
fn key_id(name: &str, key: &[u8; 32]) -> [u8; 4] {
    let digest =
        Sha256::new().chain_update(name).chain_update("\n").chain_update(with_type_byte(key)).finalize();
    [digest[0], digest[1], digest[2], digest[3]]
}

fn with_type_byte(key: &[u8; 32]) -> Vec<u8> {
    [&[ED25519_TYPE], key.as_slice()].concat()
}

/// A parsed signed note.
struct SignedNote<'a> {
    /// The signed text, including its last line break.
    text: &'a str,
    signatures: Vec<Signature<'a>>,
}

struct Signature<'a> {
    name: &'a str,
    id: [u8; 4],
    /// Of any length: other signature types have other lengths.
    bytes: Vec<u8>,
}

impl<'a> SignedNote<'a> {
    fn parse(note: &'a str) -> Result<Self, CheckpointError> {
        if note.len() > MAX_NOTE_BYTES {
            return Err(CheckpointError::Malformed("the note is too long"));
        }
        if note.chars().any(|char| char < ' ' && char != '\n') {
            return Err(CheckpointError::Malformed("the note contains control characters"));
        }
        let end = note.rfind("\n\n").ok_or(CheckpointError::Malformed("the note has no signature"))?;
        let (text, lines) = (&note[..=end], &note[end + 2..]);
        let lines =
            lines.strip_suffix('\n').ok_or(CheckpointError::Malformed("the last line is incomplete"))?;
        let signatures = lines.split('\n').map(Signature::parse).collect::<Option<_>>();
        let signatures = signatures.ok_or(CheckpointError::Malformed("a signature line is malformed"))?;
        Ok(Self { text, signatures })
    }

    /// Verifies that a trusted key with this name signed the note. Signatures of other keys are ignored, but each signature
    /// that names a trusted key has to be valid.
    fn verify_signature(&self, name: &str, keys: &TrustedKeys) -> Result<(), CheckpointError> {
        let mut result = Err(CheckpointError::UntrustedKey);
        for signature in self.signatures.iter().filter(|signature| signature.name == name) {
            let mut named = keys.keys.iter().filter(|key| key_id(name, key) == signature.id).peekable();
            if named.peek().is_none() {
                continue;
            }
            let mut keys = named.map(|key| UnparsedPublicKey::new(&ED25519, key));
            match keys.any(|key| key.verify(self.text.as_bytes(), &signature.bytes).is_ok()) {
                true => result = Ok(()),
                false => return Err(CheckpointError::InvalidSignature),
            }
        }
        result
    }
}

impl<'a> Signature<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (name, signature) = line.strip_prefix(SIGNATURE_PREFIX)?.split_once(' ')?;
        let signature = STANDARD.decode(signature).ok()?;
        let (id, bytes) = signature.split_first_chunk::<4>()?;
        (is_valid_key_name(name) && !bytes.is_empty()).then(|| Self { name, id: *id, bytes: bytes.to_vec() })
    }
}

/// Whether this is a valid key name.
fn is_valid_key_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_KEY_NAME_BYTES
        && !name.contains(|char: char| char.is_whitespace() || char == '+')
}

impl Checkpoint {
    /// Signs the checkpoint and returns the signed note.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> String {
        let text = self.text();
        let public = hex_key(&key.public_key()).expect("a public key is 32 bytes in hexadecimal");
        let signature = [key_id(&self.origin, &public).as_slice(), &key.sign(text.as_bytes())].concat();
        format!("{text}\n{SIGNATURE_PREFIX}{} {}\n", self.origin, STANDARD.encode(signature))
    }

    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.0))
    }

    /// Parses a signed note without verifying its signature.
    ///
    /// # Errors
    /// The note is malformed.
    pub fn parse_unverified(note: &str) -> Result<Self, CheckpointError> {
        Self::from_note(&SignedNote::parse(note)?)
    }

    /// Parses a signed note and verifies its origin and signature.
    ///
    /// # Errors
    /// The note is malformed, has another origin, or is not signed by a trusted key.
    pub fn verify(note: &str, origin: &str, keys: &TrustedKeys) -> Result<Self, CheckpointError> {
        let note = SignedNote::parse(note)?;
        let checkpoint = Self::from_note(&note)?;
        if checkpoint.origin != origin {
            return Err(CheckpointError::WrongOrigin {
                found: checkpoint.origin,
                expected: origin.to_owned(),
            });
        }
        note.verify_signature(origin, keys)?;
        Ok(checkpoint)
    }

    /// Parses the text of a note. Lines after the third are extensions, which are ignored.
    fn from_note(note: &SignedNote<'_>) -> Result<Self, CheckpointError> {
        let mut lines = note.text.split_terminator('\n');
        let mut line = || lines.next().filter(|line| !line.is_empty());
        let origin = line().filter(|origin| is_valid_key_name(origin));
        let origin = origin.ok_or(CheckpointError::Malformed("the first line is not an origin"))?;
        let size =
            line().and_then(parse_size).ok_or(CheckpointError::Malformed("the second line is not a size"))?;
        let root = line().and_then(|line| STANDARD.decode(line).ok()).and_then(|root| root.try_into().ok());
        let root = Hash(root.ok_or(CheckpointError::Malformed("the third line is not a root hash"))?);
        match lines.all(|line| !line.is_empty()) {
            true => Ok(Self { origin: origin.to_owned(), size, root }),
            false => Err(CheckpointError::Malformed("a line is empty")),
        }
    }
}

/// Parses a decimal number without leading zeros.
fn parse_size(text: &str) -> Option<u64> {
    text.parse().ok().filter(|size: &u64| size.to_string() == text)
}

#[cfg(test)]
mod tests;
