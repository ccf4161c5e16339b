//! Whether a log without a finding is known to be as it was written.

use std::fmt;
use std::time::Duration;

use super::finding::{Finding, Records, printable};
use super::verified::{DropEvidence, Verified};

/// What has to be known of a log, besides that nothing in it contradicts anything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// The longest time for which the operator leaves records unsigned; `None` if no signature is required.
    pub signing_delay: Option<Duration>,
}

/// What is not known of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assessment {
    /// Shows that the log was tampered with.
    pub findings: Vec<Finding>,
    /// Prevents that the log counts as verified.
    pub unverified: Vec<Unverified>,
}

/// Why a log without a finding may still differ from what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// No trusted checkpoint matches the log.
    NoCheckpoint {
        /// The number of records.
        size: u64,
    },
    /// Records are not signed for longer than the operator takes to sign them.
    NotSigned {
        /// The first of them.
        from: u64,
        /// The end of them, exclusive.
        to: u64,
        /// The time between the earliest and the latest of them.
        span: Duration,
        /// The time that the operator takes.
        signing_delay: Duration,
    },
    /// The record of the drop of the first records is not signed.
    DropNotSigned {
        /// The first record that exists.
        first: u64,
        /// The position of the record of the drop.
        seq: u64,
    },
    /// An export leaves records out, and does not contain the record of the drop of the first records.
    DropOmitted {
        /// The first record that exists.
        first: u64,
    },
    /// An export has a filter, so that it does not show every record. Nothing proves that it has every record that matches.
    Filtered {
        /// The filter.
        filter: String,
        /// The number of records that were left out.
        omitted: u64,
        /// The number of records of the export, with those that were left out.
        all: u64,
    },
}

impl Verified {
    /// The number of records at the end that are not signed.
    #[must_use]
    pub fn unsigned(&self) -> u64 {
        self.size - self.signed.clamp(self.first, self.size)
    }

    /// Names what is not known of the log.
    #[must_use]
    pub fn assess(&self, requirements: Requirements) -> Assessment {
        let mut assessment = Assessment::default();
        let (first, signing_delay) = (self.first, requirements.signing_delay);
        if let Some(signing_delay) = signing_delay {
            assessment.unverified.extend(self.assess_signatures(signing_delay));
        }
        match self.drop {
            DropEvidence::NothingDropped => {}
            DropEvidence::NotRecorded => assessment.findings.push(Finding::DropNotRecorded { first }),
            DropEvidence::Unknown => assessment.unverified.push(Unverified::DropOmitted { first }),
            DropEvidence::Recorded { seq } if signing_delay.is_some() && seq >= self.signed => {
                assessment.unverified.push(Unverified::DropNotSigned { first, seq });
            }
            DropEvidence::Recorded { .. } => {}
        }
        assessment
    }

    fn assess_signatures(&self, signing_delay: Duration) -> Option<Unverified> {
        let Self { signed, size, .. } = *self;
        if self.checkpoints == 0 || (signed == 0 && size > 0) {
            return Some(Unverified::NoCheckpoint { size });
        }
        let (earliest, latest) = self.unsigned_times?;
        let span = Duration::from_micros(latest.abs_diff(earliest));
        let from = signed.max(self.first);
        (span > signing_delay).then_some(Unverified::NotSigned { from, to: size, span, signing_delay })
    }
}

impl fmt::Display for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCheckpoint { size: 0 } => {
                write!(f, "no checkpoint with a trusted signature covers the log, which has no records")
            }
            Self::NoCheckpoint { size } => write!(
                f,
                "no checkpoint with a trusted signature covers the {size} records: nothing shows that they are as they \
                 were written"
            ),
            Self::NotSigned { from, to, span, signing_delay } => write!(
                f,
                "{} are not signed, although they were written within {}: the operator signs after {} at most",
                Records(*from, *to),
                Length(*span),
                Length(*signing_delay)
            ),
            Self::DropNotSigned { first, seq } => write!(
                f,
                "{} are missing: record {seq} says that the retention dropped them, but is not signed",
                Records(0, *first)
            ),
            Self::DropOmitted { first } => write!(
                f,
                "{} are missing: the export does not contain the record which shows that the retention dropped them",
                Records(0, *first)
            ),
            Self::Filtered { filter, omitted, all } => write!(
                f,
                "the export has the filter {} and leaves out {omitted} of {all} records: nothing shows that they do not \
                 match",
                printable(filter)
            ),
        }
    }
}

/// A duration in one unit, rounded down.
struct Length(Duration);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            0 => write!(f, "{} ms", self.0.as_millis()),
            seconds @ 1..=119 => write!(f, "{seconds} s"),
            seconds @ 120..=7_199 => write!(f, "{} min", seconds / 60),
            seconds @ 7_200..=172_799 => write!(f, "{} h", seconds / 3_600),
            seconds => write!(f, "{} days", seconds / 86_400),
        }
    }
}
