//! Signed checkpoints: C2SP tlog-checkpoint (three lines: origin, size, root in base64) as a C2SP signed-note with Ed25519.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eventcenter_sdk::merkle::Hash;
use eventcenter_sdk::rest::audit::LogName;
use sha2::{Digest, Sha256};

use crate::domain::approval::SigningKey;

/// How long a note may be, in bytes; ours have some hundred.
const LONGEST: usize = 16 * 1024;

/// What Ed25519 is called in verifier keys and in the ids of keys.
const ED25519_KIND: u8 = 1;

/// How long an origin may be, in bytes: it is shown to people.
const LONGEST_NAME: usize = 512;

/// What a line with a signature begins with.
const SIGNATURE: &str = "\u{2014} ";

/// What is said of a log: that it had so many records, with that root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log of which installation; also the name of the key that signs.
    pub origin: String,
    /// The number of records.
    pub size: u64,
    /// The root of the tree.
    pub root: Hash,
}

/// The origin of a log: `INSTALLATION/audit/LOG`.
#[must_use]
pub fn origin(installation: &str, log: &LogName) -> String {
    format!("{installation}/audit/{log}")
}

/// Whether an installation may be called this: an origin is a line of a note and the name of a key, and is shown to people.
#[must_use]
pub fn is_installation(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/:".contains(&byte);
    (1..=200).contains(&name.len()) && name.bytes().all(is_allowed)
}

/// A text is no checkpoint, or nobody who is believed has signed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotBelieved {
    /// It has another form.
    #[error("this is no signed checkpoint: {0}")]
    Malformed(&'static str),
    /// It is about another log.
    #[error("this checkpoint is about {found:?}, not about {expected:?}")]
    OtherLog {
        /// What it is about.
        found: String,
        /// What it should be about.
        expected: String,
    },
    /// None of the known keys has signed it.
    #[error("none of the known keys has signed this checkpoint")]
    UnknownKey,
    /// One of the known keys is named, and the signature is not by it.
    #[error("the signature of this checkpoint is forged")]
    Forged,
}

/// Keys that are believed: public halves, each for every log of the installation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedKeys {
    keys: Vec<[u8; 32]>,
}

impl TrustedKeys {
    /// Reads keys, separated by white space: in hexadecimal, as they stand in the ConfigMap `eventcenter-seals`, or as verifier
    /// keys of C2SP (`NAME+ID+BASE64`). What is none is left out.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut keys = Vec::new();
        for word in text.split_whitespace() {
            let key =
                Hash::try_from(word.to_owned()).map(|bytes| bytes.0).ok().or_else(|| verifier_key(word));
            keys.extend(key.filter(|key| !keys.contains(key)));
        }
        Self { keys }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The verifier keys of C2SP for one origin.
    #[must_use]
    pub fn verifier_keys(&self, origin: &str) -> Vec<String> {
        let text = |key: &[u8; 32]| {
            let id: String = id(origin, key).iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{origin}+{id}+{}", STANDARD.encode(with_kind(key)))
        };
        self.keys.iter().map(text).collect()
    }
}

/// The key of a verifier key. Its name says which log somebody wrote it down for; its id has to be of that name.
fn verifier_key(text: &str) -> Option<[u8; 32]> {
    let mut parts = text.splitn(3, '+');
    let (name, named, key) = (parts.next()?, parts.next()?, parts.next()?);
    let key = STANDARD.decode(key).ok()?;
    let (kind, key) = key.split_first()?;
    let key: [u8; 32] = key.try_into().ok()?;
    let id: String = id(name, &key).iter().map(|byte| format!("{byte:02x}")).collect();
    (*kind == ED25519_KIND && id == named).then_some(key)
}

/// The id of a key of that name.
fn id(name: &str, key: &[u8; 32]) -> [u8; 4] {
    let digest = Sha256::new().chain_update(name).chain_update("\n").chain_update(with_kind(key)).finalize();
    [digest[0], digest[1], digest[2], digest[3]]
}

fn with_kind(key: &[u8; 32]) -> Vec<u8> {
    [&[ED25519_KIND], key.as_slice()].concat()
}

/// A signed note: a text, and who signed it.
struct Note<'a> {
    /// The last line break included: so it is signed.
    text: &'a str,
    signatures: Vec<Signature<'a>>,
}

struct Signature<'a> {
    name: &'a str,
    id: [u8; 4],
    /// However long: other kinds of keys have other lengths.
    bytes: Vec<u8>,
}

impl<'a> Note<'a> {
    fn read(note: &'a str) -> Result<Self, NotBelieved> {
        if note.len() > LONGEST {
            return Err(NotBelieved::Malformed("it is too long"));
        }
        if note.chars().any(|char| char < ' ' && char != '\n') {
            return Err(NotBelieved::Malformed("it has characters that cannot be seen"));
        }
        let end = note.rfind("\n\n").ok_or(NotBelieved::Malformed("it has no signatures"))?;
        let (text, lines) = (&note[..=end], &note[end + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NotBelieved::Malformed("its last line has no end"))?;
        let signatures = lines.split('\n').map(Signature::read).collect::<Option<_>>();
        let signatures = signatures.ok_or(NotBelieved::Malformed("a signature has another form"))?;
        Ok(Self { text, signatures })
    }

    /// Whether one of these keys, by that name, has signed it. Signatures of others are passed over; but where one of the keys
    /// is named, it has to have signed.
    fn signed_by(&self, name: &str, keys: &TrustedKeys) -> Result<(), NotBelieved> {
        let mut found = Err(NotBelieved::UnknownKey);
        for signature in self.signatures.iter().filter(|signature| signature.name == name) {
            let mut named = keys.keys.iter().filter(|key| id(name, key) == signature.id).peekable();
            if named.peek().is_none() {
                continue;
            }
            let mut keys = named.map(|key| UnparsedPublicKey::new(&ED25519, key));
            match keys.any(|key| key.verify(self.text.as_bytes(), &signature.bytes).is_ok()) {
                true => found = Ok(()),
                false => return Err(NotBelieved::Forged),
            }
        }
        found
    }
}

impl<'a> Signature<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (name, signature) = line.strip_prefix(SIGNATURE)?.split_once(' ')?;
        let signature = STANDARD.decode(signature).ok()?;
        let (id, bytes) = signature.split_first_chunk::<4>()?;
        (is_key_name(name) && !bytes.is_empty()).then(|| Self { name, id: *id, bytes: bytes.to_vec() })
    }
}

/// Whether a key may have this name.
fn is_key_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= LONGEST_NAME
        && !name.contains(|char: char| char.is_whitespace() || char == '+')
}

impl Checkpoint {
    /// The signed note.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> String {
        let text = self.text();
        let public = Hash::try_from(key.public()).expect("a public key has 32 bytes, in hexadecimal");
        let signature = [id(&self.origin, &public.0).as_slice(), &key.sign(text.as_bytes())].concat();
        format!("{text}\n{SIGNATURE}{} {}\n", self.origin, STANDARD.encode(signature))
    }

    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.0))
    }

    /// Reads a note without believing it.
    ///
    /// # Errors
    /// It has another form.
    pub fn read(note: &str) -> Result<Self, NotBelieved> {
        Self::of(&Note::read(note)?)
    }

    /// Reads a note that was signed by a key that is believed, about this origin.
    ///
    /// # Errors
    /// It is about something else, or was signed by nobody who is believed.
    pub fn believed(note: &str, origin: &str, keys: &TrustedKeys) -> Result<Self, NotBelieved> {
        let note = Note::read(note)?;
        let checkpoint = Self::of(&note)?;
        if checkpoint.origin != origin {
            return Err(NotBelieved::OtherLog { found: checkpoint.origin, expected: origin.to_owned() });
        }
        note.signed_by(origin, keys)?;
        Ok(checkpoint)
    }

    /// What a note says. Lines after the third are for extensions, of which we know none.
    fn of(note: &Note<'_>) -> Result<Self, NotBelieved> {
        let mut lines = note.text.split_terminator('\n');
        let mut line = || lines.next().filter(|line| !line.is_empty());
        let origin = line().filter(|origin| is_key_name(origin));
        let origin = origin.ok_or(NotBelieved::Malformed("the first line is no origin"))?;
        let size = line().and_then(size).ok_or(NotBelieved::Malformed("the second line is no size"))?;
        let root = line().and_then(|line| STANDARD.decode(line).ok()).and_then(|root| root.try_into().ok());
        let root = Hash(root.ok_or(NotBelieved::Malformed("the third line is no root"))?);
        match lines.all(|line| !line.is_empty()) {
            true => Ok(Self { origin: origin.to_owned(), size, root }),
            false => Err(NotBelieved::Malformed("a line is empty")),
        }
    }
}

/// A number in its one form: digits, and no zero before them.
fn size(text: &str) -> Option<u64> {
    text.parse().ok().filter(|size: &u64| size.to_string() == text)
}

#[cfg(test)]
mod tests;
