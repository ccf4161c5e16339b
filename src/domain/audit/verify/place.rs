//! Records that do not stand where they belong.

use super::Finding;

/// A record that says that its place is further back. Whether it was swapped, or others are missing, is known when it is known
/// what stands there.
#[derive(Debug)]
pub(super) struct Pending {
    /// Where it stands.
    pub(super) place: u64,
    /// Where it says that it belongs.
    pub(super) said: u64,
    /// What it is if it was neither swapped nor are others missing before it.
    pub(super) finding: Finding,
    /// Places are kept beside the records; otherwise it is their order that counts.
    pub(super) is_ordered: bool,
    /// Others that stand where they belong have come after it.
    pub(super) is_alone: bool,
}

/// What is known then.
pub(super) enum Step {
    /// Nothing yet.
    Wait,
    /// What happened.
    Found(Finding),
}

impl Pending {
    /// What stands at a place after it.
    pub(super) fn step(&mut self, place: u64, said: u64) -> Step {
        let stands_right = said == place;
        if place == self.said && said == self.place {
            return Step::Found(Finding::Swapped { first: self.place, second: place });
        }
        if self.is_ordered {
            // As far from its place as the first one: they were moved, to where others had been.
            let are_moved = said > place && said - place == self.said - self.place;
            return match (place < self.said, are_moved) {
                (true, _) => Step::Wait,
                (false, true) => Step::Found(self.missing()),
                (false, false) => Step::Found(self.finding.clone()),
            };
        }
        // By their order alone: as long as the others stand right, it is this one that does not.
        if stands_right && place < self.said {
            self.is_alone = true;
            return Step::Wait;
        }
        let is_inserted = stands_right || said == self.place;
        Step::Found(if is_inserted { self.finding.clone() } else { self.unsettled() })
    }

    /// Nothing comes any more that could tell.
    pub(super) fn unsettled(&self) -> Finding {
        match self.is_ordered || self.is_alone {
            true => self.finding.clone(),
            false => self.missing(),
        }
    }

    fn missing(&self) -> Finding {
        Finding::Missing { from: self.place, to: self.said - 1 }
    }
}
