//! How much work a comparison may be: counted in steps, because a decision has no clock.

/// The work that is left, and how deeply calls are nested.
///
/// A step costs about a microsecond, whatever the schemas look like. The same pair always takes the same number of
/// steps, so a schema is never refused on a busy machine and accepted on an idle one.
#[derive(Debug)]
pub(super) struct Fuel {
    left: u32,
    nested: u32,
    deepest: u32,
}

/// There is no fuel left, and so no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spent;

impl Fuel {
    /// Fuel for this many steps, and calls nested up to this depth.
    pub(super) fn new(steps: u32, deepest: u32) -> Self {
        Self { left: steps, nested: 0, deepest }
    }

    /// Takes one step.
    pub(super) fn burn(&mut self) -> Result<(), Spent> {
        self.burn_many(1)
    }

    /// Takes several steps, for what costs as much as its length.
    pub(super) fn burn_many(&mut self, steps: usize) -> Result<(), Spent> {
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        self.left = self.left.checked_sub(steps).ok_or(Spent)?;
        Ok(())
    }

    /// Goes one call deeper. False, and no deeper, where that would endanger the stack.
    pub(super) fn enter(&mut self) -> bool {
        let fits = self.nested < self.deepest;
        self.nested += u32::from(fits);
        fits
    }

    /// Comes back from a call that [`Fuel::enter`] allowed.
    pub(super) fn leave(&mut self) {
        self.nested = self.nested.saturating_sub(1);
    }

    /// The steps that are left.
    pub(super) fn left(&self) -> u32 {
        self.left
    }
}
