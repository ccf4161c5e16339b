//! Audit records and signed checkpoints.

use eventcenter::domain::audit::checkpoint::{Checkpoint, TrustedKeys, origin};
use eventcenter::domain::audit::drop::DroppedRecords;
use eventcenter::domain::audit::verify::Columns;
use eventcenter::domain::audit::{Filter, Record, canonical_json};
use eventcenter::domain::signature::SigningKey;

use crate::harness::Target;

/// The keys and a signed note of `tests/data/v0`.
pub(crate) const KEYS: &str = include_str!("../data/v0/audit-keys.txt");
pub(crate) const NOTE: &str = include_str!("../data/v0/team-a.note");
pub(crate) const INSTALLATION: &str = "eventcenter";
pub(crate) const LOG: &str = "team-a";

#[test]
fn checkpoints() {
    let (keys, origin) = (TrustedKeys::parse(KEYS), origin(INSTALLATION, &LOG.parse().unwrap()));
    let signed = Checkpoint::verify(NOTE, &origin, &keys).unwrap();
    let earlier = include_str!("corpus/checkpoint/earlier");
    let signed = [signed, Checkpoint::verify(earlier, &origin, &keys).unwrap()];
    Target::new("checkpoint", 16, 4 * 1024).fuzz(
        |input| {
            let note = String::from_utf8_lossy(input);
            let verified = Checkpoint::verify(&note, &origin, &keys);
            (Checkpoint::parse_unverified(&note), verified)
        },
        |_, (parsed, verified)| {
            if let Ok(verified) = verified {
                assert_eq!(parsed.as_ref(), Ok(&verified));
                assert!(signed.contains(&verified), "nobody signed {verified:?}");
            }
            if let Ok(parsed) = parsed {
                let key = SigningKey::from_seed(&"5c".repeat(32)).unwrap();
                let keys = TrustedKeys::parse(&key.public_key());
                let note = parsed.sign(&key);
                assert_eq!(Checkpoint::verify(&note, &parsed.origin, &keys), Ok(parsed));
            }
        },
    );
}

#[test]
fn public_keys_of_checkpoints() {
    Target::new("checkpoint_keys", 8, 4 * 1024).fuzz(
        |input| TrustedKeys::parse(&String::from_utf8_lossy(input)),
        |_, keys| {
            let written = keys.verifier_keys("eventcenter/audit/shop").join("\n");
            assert_eq!(TrustedKeys::parse(&written), keys);
        },
    );
}

/// The largest integer for which all smaller ones are doubles as well.
const MAX_SAFE_INTEGER: u64 = 1 << 53;

#[test]
fn records() {
    Target::new("record", 200, 16 * 1024).fuzz(
        |input| (serde_json::from_slice::<Record>(input), Columns::parse(input)),
        |_, (record, columns)| {
            let Ok(record) = record else { return };
            let columns = columns.expect("a record has columns");
            assert_eq!((columns.id, columns.actor), (record.id.to_string(), record.actor.user.clone()));
            // RFC 8785 has no larger integers. No log has as many records.
            if record.seq > MAX_SAFE_INTEGER {
                return;
            }
            let body = canonical_json(&record);
            let again: Record = serde_json::from_slice(&body).expect("a record is JSON");
            assert_eq!(canonical_json(&again), body);
            let _ = DroppedRecords::parse(&record);
            assert!(Filter::default().matches(&record, false));
            let own = Filter {
                actor: Some(record.actor.user.clone()),
                outcome: Some(record.outcome),
                since: Some(record.time),
                text: record.message.clone(),
                ..Filter::default()
            };
            assert!(own.matches(&record, false), "{own}");
        },
    );
}
