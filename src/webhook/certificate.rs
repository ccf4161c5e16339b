//! Certificates: parsing, renewal decisions and issuance.
//!
//! Every function depends only on its arguments, the time included; only the keys are random.
//! The webhook's own authority signs one serving certificate, and one Secret holds both:
//!
//! - `ca.crt`: the authorities to trust, the newest first. An older one stays until it expires.
//! - `ca.key`: the key of the newest.
//! - `tls.crt`, `tls.key`: the serving certificate.
//!
//! A new authority signs only once the configurations trust it, see [`next`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

/// The Secret's keys.
pub(super) const AUTHORITIES: &str = "ca.crt";
pub(super) const AUTHORITY_KEY: &str = "ca.key";
pub(super) const SERVING: &str = "tls.crt";
pub(super) const SERVING_KEY: &str = "tls.key";

/// How long before issuance a certificate is valid, because clocks differ.
const BACKDATE: Duration = Duration::from_hours(1);

/// How long the API server may take to use a changed configuration.
const PROPAGATION_TIME: Duration = Duration::from_mins(1);

/// The validity of certificates. Each is renewed after two thirds of it.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// Of an authority.
    pub authority: Duration,
    /// Of a serving certificate.
    pub serving: Duration,
}

impl Lifetimes {
    /// How long a new authority has to be in the configurations before it signs.
    pub(super) fn propagation(self) -> Duration {
        PROPAGATION_TIME.min(self.authority / 20)
    }
}

/// A private key (PEM) that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key(String);

impl Key {
    pub(super) fn pem(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(hidden)")
    }
}

/// A parsed certificate.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) pem: String,
    der: CertificateDer<'static>,
    public_key: Vec<u8>,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    /// Its subject alternative names.
    pub(super) names: BTreeSet<String>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({:?}, {} to {})", self.names, self.from, self.to)
    }
}

/// The parsed Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Material {
    authorities: Vec<Certificate>,
    authority_key: Key,
    pub(super) serving: Certificate,
    pub(super) serving_key: Key,
}

/// Why a Secret is invalid. No variant contains a value.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidSecret {
    #[error("the key {0} is missing or not text")]
    Missing(&'static str),
    #[error("the key {0} does not contain a certificate in PEM")]
    NotACertificate(&'static str),
    #[error("the key {0} does not contain a supported private key in PEM")]
    NotAKey(&'static str),
    #[error("the private key {0} does not match the certificate")]
    Mismatch(&'static str),
}

/// A certificate could not be issued.
#[derive(Debug, thiserror::Error)]
pub(super) enum IssueError {
    #[error("issuing a certificate: {0}")]
    Rcgen(#[from] rcgen::Error),
    #[error("parsing the issued certificate: {0}")]
    InvalidSecret(#[from] InvalidSecret),
}

/// The next step of the certificates' rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Issue an authority and a serving certificate; trust no other authority.
    Everything,
    /// Issue a new authority, trusted beside the existing one.
    Authority,
    /// Issue a new serving certificate.
    Serving,
    /// Remove expired authorities.
    Forget,
    /// Nothing to do before this time, unless something changes.
    Wait(Timestamp),
}

impl Step {
    /// The description in the audit record.
    pub(super) fn description(&self) -> &'static str {
        match self {
            Self::Everything => "issued an authority and a certificate; no other authority is trusted",
            Self::Authority => "issued a new authority, trusted beside the previous one",
            Self::Serving => "issued a new certificate",
            Self::Forget => "removed expired authorities",
            Self::Wait(_) => "nothing",
        }
    }
}

/// The next step. `published`: the newest authority has been in all configurations for long enough that every API server
/// trusts it.
pub(super) fn next(
    stored: Option<&Material>,
    names: &BTreeSet<String>,
    published: bool,
    now: Timestamp,
) -> Step {
    let Some(stored) = stored else { return Step::Everything };
    let newest = stored.newest();
    if newest.is_due(now) {
        return Step::Authority;
    }
    if stored.authorities.iter().any(|authority| authority.to <= now) {
        return Step::Forget;
    }
    let all: Vec<&Certificate> = stored.authorities.iter().collect();
    if !names.iter().all(|name| stored.serving.is_accepted(&all, name, now)) {
        // No client accepts the current certificate, so there is no reason to wait.
        return Step::Serving;
    }
    let by_newest = names.iter().all(|name| stored.serving.is_accepted(&[newest], name, now));
    if published && (!by_newest || stored.serving.is_due(now)) {
        return Step::Serving;
    }
    let events = stored.authorities.iter().map(|authority| authority.to);
    let events = events.chain([newest.renewal_time(), stored.serving.renewal_time(), stored.serving.to]);
    Step::Wait(events.filter(|time| *time > now).min().unwrap_or(now))
}

/// Issues the certificates of a step.
pub(super) fn issue(
    step: &Step,
    before: Option<&Material>,
    names: &BTreeSet<String>,
    lifetimes: Lifetimes,
    now: Timestamp,
) -> Result<Option<Material>, IssueError> {
    let before = before.filter(|_| *step != Step::Everything);
    Ok(match (step, before) {
        (Step::Wait(_), _) => None,
        (_, None) => {
            let (authority, authority_key) = new_authority(lifetimes.authority, now)?;
            let (serving, serving_key) = new_serving(&authority, &authority_key, names, lifetimes, now)?;
            Some(Material { authorities: vec![authority], authority_key, serving, serving_key })
        }
        (Step::Authority, Some(before)) => {
            let (authority, authority_key) = new_authority(lifetimes.authority, now)?;
            let known = before.authorities.iter().filter(|authority| authority.to > now).cloned();
            let authorities = std::iter::once(authority).chain(known).collect();
            Some(Material { authorities, authority_key, ..before.clone() })
        }
        (Step::Forget, Some(before)) => {
            let mut after = before.clone();
            after.authorities.retain(|authority| authority.to > now);
            Some(after)
        }
        (Step::Serving | Step::Everything, Some(before)) => {
            let mut names = names.clone();
            if !before.serving.is_due(now) {
                // Only a name was missing. Keep the names of other replicas, or two replicas would renew in turns.
                names.extend(before.serving.names.iter().cloned());
            }
            let (serving, serving_key) =
                new_serving(before.newest(), &before.authority_key, &names, lifetimes, now)?;
            Some(Material { serving, serving_key, ..before.clone() })
        }
    })
}

impl Material {
    /// Parses a Secret's data.
    pub(super) fn read(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, InvalidSecret> {
        let authorities = Certificate::read_all(text(data, AUTHORITIES)?, AUTHORITIES)?;
        let authority_key = Key(text(data, AUTHORITY_KEY)?.to_owned());
        let pair =
            KeyPair::from_pem(authority_key.pem()).map_err(|_| InvalidSecret::NotAKey(AUTHORITY_KEY))?;
        if authorities.first().is_none_or(|newest| newest.public_key != pair.public_key_raw()) {
            return Err(InvalidSecret::Mismatch(AUTHORITY_KEY));
        }
        let (serving, serving_key) = read_serving(data)?;
        let pair = KeyPair::from_pem(serving_key.pem()).map_err(|_| InvalidSecret::NotAKey(SERVING_KEY))?;
        if serving.public_key != pair.public_key_raw() {
            return Err(InvalidSecret::Mismatch(SERVING_KEY));
        }
        Ok(Self { authorities, authority_key, serving, serving_key })
    }

    /// Serializes to a Secret's data.
    pub(super) fn data(&self) -> BTreeMap<String, Vec<u8>> {
        [
            (AUTHORITIES, self.bundle()),
            (AUTHORITY_KEY, self.authority_key.pem().to_owned()),
            (SERVING, self.serving.pem.clone()),
            (SERVING_KEY, self.serving_key.pem().to_owned()),
        ]
        .map(|(key, text)| (key.to_owned(), text.into_bytes()))
        .into()
    }

    /// The authority that signs.
    pub(super) fn newest(&self) -> &Certificate {
        self.authorities.first().expect("parsing and issuing leave at least one")
    }

    /// The authorities to trust, in PEM.
    pub(super) fn bundle(&self) -> String {
        self.authorities.iter().map(|authority| authority.pem.as_str()).collect()
    }
}

/// Parses the serving certificate of a Secret, also that of another issuer.
pub(super) fn read_serving(data: &BTreeMap<String, Vec<u8>>) -> Result<(Certificate, Key), InvalidSecret> {
    let mut chain = Certificate::read_all(text(data, SERVING)?, SERVING)?;
    let mut serving = chain.swap_remove(0);
    // Including the intermediate certificates.
    text(data, SERVING)?.clone_into(&mut serving.pem);
    Ok((serving, Key(text(data, SERVING_KEY)?.to_owned())))
}

fn text<'a>(data: &'a BTreeMap<String, Vec<u8>>, key: &'static str) -> Result<&'a str, InvalidSecret> {
    let text = data.get(key).and_then(|value| std::str::from_utf8(value).ok());
    text.filter(|text| !text.trim().is_empty()).ok_or(InvalidSecret::Missing(key))
}

impl Certificate {
    /// The certificates in a PEM text; at least one.
    fn read_all(pem: &str, key: &'static str) -> Result<Vec<Self>, InvalidSecret> {
        let mut all = Vec::new();
        for block in blocks(pem) {
            all.push(Self::read(block).ok_or(InvalidSecret::NotACertificate(key))?);
        }
        if all.is_empty() { Err(InvalidSecret::NotACertificate(key)) } else { Ok(all) }
    }

    fn read(pem: &str) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let (_, x509) = parse_x509_certificate(&der).ok()?;
        let time = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
        let (from, to) = (time(x509.validity().not_before)?, time(x509.validity().not_after)?);
        let public_key = x509.public_key().subject_public_key.data.to_vec();
        let names = match x509.subject_alternative_name().ok()? {
            None => BTreeSet::new(),
            Some(alternatives) => alternatives.value.general_names.iter().filter_map(name).collect(),
        };
        Some(Self { pem: format!("{pem}\n"), public_key, from, to, names, der })
    }

    /// When to renew it.
    fn renewal_time(&self) -> Timestamp {
        let (from, to) = (self.from.as_second(), self.to.as_second());
        Timestamp::from_second(from + (to - from) * 2 / 3).unwrap_or(self.to)
    }

    fn is_due(&self, now: Timestamp) -> bool {
        now >= self.renewal_time()
    }

    /// Whether a client that trusts these authorities accepts the certificate for this name.
    fn is_accepted(&self, authorities: &[&Self], name: &str, now: Timestamp) -> bool {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            if roots.add(authority.der.clone()).is_err() {
                return false;
            }
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build() else {
            return false;
        };
        let Ok(name) = ServerName::try_from(name) else { return false };
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        verifier.verify_server_cert(&self.der, &[], &name, &[], now).is_ok()
    }
}

/// Whether a certificate (DER) has this common name in its subject, and no other.
pub(super) fn has_common_name(certificate: &[u8], name: &str) -> bool {
    let Ok((_, certificate)) = parse_x509_certificate(certificate) else { return false };
    let mut names = certificate.subject().iter_common_name().map(|common| common.as_str().ok());
    names.next() == Some(Some(name)) && names.next().is_none()
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
        },
        _ => None,
    }
}

/// The certificate blocks of a PEM text.
fn blocks(pem: &str) -> impl Iterator<Item = &str> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    pem.split_inclusive(END).filter_map(|part| Some(&part[part.find(BEGIN)?..]))
}

fn new_authority(life: Duration, now: Timestamp) -> Result<(Certificate, Key), IssueError> {
    let pair = KeyPair::generate()?;
    let mut params = parameters(Vec::new(), life, now)?;
    params.distinguished_name.push(DnType::CommonName, format!("eventcenter webhook authority {now}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    finish(&params.self_signed(&pair)?, &pair, AUTHORITIES)
}

fn new_serving(
    authority: &Certificate,
    authority_key: &Key,
    names: &BTreeSet<String>,
    lifetimes: Lifetimes,
    now: Timestamp,
) -> Result<(Certificate, Key), IssueError> {
    let issuer = Issuer::from_ca_cert_der(&authority.der, KeyPair::from_pem(authority_key.pem())?)?;
    let remaining = authority.to.duration_since(now).try_into().unwrap_or_default();
    let pair = KeyPair::generate()?;
    let mut params = parameters(names.iter().cloned().collect(), lifetimes.serving.min(remaining), now)?;
    params.distinguished_name.push(DnType::CommonName, "eventcenter webhook");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    finish(&params.signed_by(&pair, &issuer)?, &pair, SERVING)
}

fn parameters(names: Vec<String>, life: Duration, now: Timestamp) -> Result<CertificateParams, IssueError> {
    let mut params = CertificateParams::new(names)?;
    let now = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or_default());
    let from = now.saturating_sub(BACKDATE.min(life / 10));
    params.not_before = date_time_ymd(1970, 1, 1) + from;
    params.not_after = date_time_ymd(1970, 1, 1) + (now + life);
    params.distinguished_name = rcgen::DistinguishedName::new();
    Ok(params)
}

fn finish(
    issued: &rcgen::Certificate,
    pair: &KeyPair,
    key: &'static str,
) -> Result<(Certificate, Key), IssueError> {
    let mut all = Certificate::read_all(&issued.pem(), key)?;
    Ok((all.swap_remove(0), Key(pair.serialize_pem())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIMES: Lifetimes =
        Lifetimes { authority: Duration::from_secs(1_000_000), serving: Duration::from_secs(100_000) };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("in range")
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn issued(step: &Step, before: Option<&Material>, names: &BTreeSet<String>, now: Timestamp) -> Material {
        issue(step, before, names, LIFETIMES, now)
            .expect("it can be issued")
            .expect("the step issues something")
    }

    #[test]
    fn issued_certificates_are_parsed_and_accepted() {
        let names = names(&["webhook.system.svc", "127.0.0.1"]);
        assert_eq!(next(None, &names, false, at(0)), Step::Everything);
        let first = issued(&Step::Everything, None, &names, at(0));
        assert_eq!(Material::read(&first.data()).expect("valid data"), first);
        assert_eq!(first.serving.names, names);
        assert!(matches!(next(Some(&first), &names, true, at(0)), Step::Wait(_)));
        assert!(!first.serving.is_accepted(&[first.newest()], "another.svc", at(0)));
        assert!(!first.serving.is_accepted(&[first.newest()], "127.0.0.1", at(100_001)), "it has expired");
    }

    /// However late the publication is observed, clients that trust the published authorities accept the serving
    /// certificate, and no step is repeated.
    #[test]
    fn the_serving_certificate_is_always_trusted() {
        for delay in [0, 6_000, 30_000] {
            let names = names(&["127.0.0.1"]);
            let mut stored = issued(&Step::Everything, None, &names, at(0));
            let (mut trusted, mut published_at) = (stored.bundle(), 0);
            let (mut now, mut steps) = (0, 0);
            while now < 2_500_000 {
                if stored.bundle() != trusted && now >= published_at + delay {
                    trusted = stored.bundle();
                }
                let known = Certificate::read_all(&trusted, AUTHORITIES).expect("PEM");
                let known: Vec<&Certificate> = known.iter().collect();
                assert!(stored.serving.is_accepted(&known, "127.0.0.1", at(now)), "at {now}");
                match next(Some(&stored), &names, stored.bundle() == trusted, at(now)) {
                    Step::Wait(until) => {
                        let waited = until.as_second() - at(now).as_second();
                        assert!(waited > 0, "at {now}");
                        now += waited.min(5_000);
                    }
                    step => {
                        steps += 1;
                        published_at = now;
                        stored = issued(&step, Some(&stored), &names, at(now));
                    }
                }
            }
            // A serving certificate about every 66,000 s; an authority every 650,000 s, and its removal later.
            assert!((35..50).contains(&steps), "{steps} steps");
        }
    }

    #[test]
    fn a_new_authority_signs_only_once_it_is_published() {
        let names = names(&["127.0.0.1"]);
        let old = issued(&Step::Everything, None, &names, at(0));
        let due = old.newest().renewal_time();
        assert_eq!(next(Some(&old), &names, true, due), Step::Authority);
        let both = issued(&Step::Authority, Some(&old), &names, due);
        assert_eq!(both.authorities.len(), 2);
        assert_eq!(both.serving, old.serving);
        // The serving certificate of the test has expired long ago, so renew it as it would have been.
        let both = Material { serving: issued(&Step::Serving, Some(&old), &names, due).serving, ..both };
        assert!(matches!(next(Some(&both), &names, false, due), Step::Wait(_)));
        assert_eq!(next(Some(&both), &names, true, due), Step::Serving);
        let after = issued(&Step::Serving, Some(&both), &names, due);
        assert!(after.serving.is_accepted(&[after.newest()], "127.0.0.1", due));
        let expired = at(1_000_001);
        assert_eq!(next(Some(&after), &names, true, expired), Step::Forget);
        assert_eq!(issued(&Step::Forget, Some(&after), &names, expired).authorities.len(), 1);
    }

    #[test]
    fn a_missing_name_is_added_and_an_unused_one_is_dropped_at_the_next_renewal() {
        let (one, other) = (names(&["one.svc"]), names(&["other.svc"]));
        let first = issued(&Step::Everything, None, &one, at(0));
        assert_eq!(next(Some(&first), &other, false, at(10)), Step::Serving);
        let both = issued(&Step::Serving, Some(&first), &other, at(10));
        assert_eq!(both.serving.names, names(&["one.svc", "other.svc"]));
        assert!(matches!(next(Some(&both), &one, true, at(10)), Step::Wait(_)));
        let due = both.serving.renewal_time();
        assert_eq!(issued(&Step::Serving, Some(&both), &other, due).serving.names, other);
    }

    #[test]
    fn errors_of_an_invalid_secret_do_not_show_it() {
        let names = names(&["127.0.0.1"]);
        let (good, other) =
            (issued(&Step::Everything, None, &names, at(0)), issued(&Step::Everything, None, &names, at(0)));
        let broken = |key: &str, value: &[u8]| {
            let mut data = good.data();
            data.insert(key.to_owned(), value.to_vec());
            Material::read(&data).expect_err("it is broken").to_string()
        };
        for key in [AUTHORITIES, AUTHORITY_KEY, SERVING, SERVING_KEY] {
            assert_eq!(broken(key, b""), format!("the key {key} is missing or not text"));
            assert_eq!(broken(key, &[0xff, 0xfe]), format!("the key {key} is missing or not text"));
            let error = broken(key, b"sesame");
            assert!(error.contains(key) && error.contains("in PEM") && !error.contains("sesame"), "{error}");
        }
        for key in [AUTHORITY_KEY, SERVING_KEY] {
            let error = broken(key, &other.data()[key]);
            assert_eq!(error, format!("the private key {key} does not match the certificate"));
        }
        let shown = format!("{good:?}");
        assert!(!shown.contains("PRIVATE") && !shown.contains("BEGIN"), "{shown}");
    }
}
