//! Records that are not at their position.

use super::finding::Finding;

/// A record whose body states a later position. Later records show whether it was swapped, or whether others are missing.
#[derive(Debug)]
pub(super) struct Misplaced {
    /// The position of the record.
    pub(super) seq: u64,
    /// The position that its body states.
    pub(super) stated_seq: u64,
    /// The finding unless the record was swapped or others are missing before it.
    pub(super) finding: Finding,
    /// The source has positions of its own, as a database; in an export only the order counts.
    pub(super) has_positions: bool,
    /// Records at their own position have followed.
    pub(super) is_alone: bool,
}

/// The conclusion from a later record.
pub(super) enum Conclusion {
    /// More records are required.
    Undecided,
    /// The log was tampered with in this way.
    Decided(Finding),
}

impl Misplaced {
    /// Considers the record at a later position.
    pub(super) fn observe(&mut self, seq: u64, stated_seq: u64) -> Conclusion {
        let is_in_place = stated_seq == seq;
        if seq == self.stated_seq && stated_seq == self.seq {
            return Conclusion::Decided(Finding::Swapped { first: self.seq, second: seq });
        }
        if self.has_positions {
            // Shifted as far as the first record: both were moved into the positions of deleted ones.
            let is_shifted = stated_seq > seq && stated_seq - seq == self.stated_seq - self.seq;
            return match (seq < self.stated_seq, is_shifted) {
                (true, _) => Conclusion::Undecided,
                (false, true) => Conclusion::Decided(self.missing()),
                (false, false) => Conclusion::Decided(self.finding.clone()),
            };
        }
        // By order alone: as long as the other records are in place, only this one is not.
        if is_in_place && seq < self.stated_seq {
            self.is_alone = true;
            return Conclusion::Undecided;
        }
        let is_inserted = is_in_place || stated_seq == self.seq;
        Conclusion::Decided(if is_inserted { self.finding.clone() } else { self.conclude() })
    }

    /// The conclusion without any later record.
    pub(super) fn conclude(&self) -> Finding {
        match self.has_positions || self.is_alone {
            true => self.finding.clone(),
            false => self.missing(),
        }
    }

    fn missing(&self) -> Finding {
        Finding::Missing { from: self.seq, to: self.stated_seq - 1 }
    }
}
