//! Limits the work of a comparison. Work is counted in steps, because a decision has no clock.

/// Remaining steps and current recursion depth.
///
/// A step takes about a microsecond, whatever the schemas look like. The same pair always takes the same number of
/// steps, so a schema is never refused on a busy machine and accepted on an idle one.
#[derive(Debug)]
pub(super) struct Fuel {
    remaining: u32,
    depth: u32,
    max_depth: u32,
}

/// The steps are used up, so there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutOfFuel;

impl Fuel {
    /// Fuel for this many steps and this recursion depth.
    pub(super) fn new(steps: u32, max_depth: u32) -> Self {
        Self { remaining: steps, depth: 0, max_depth }
    }

    /// Consumes steps. Operations whose cost depends on a length consume several.
    pub(super) fn consume(&mut self, steps: usize) -> Result<(), OutOfFuel> {
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        self.remaining = self.remaining.checked_sub(steps).ok_or(OutOfFuel)?;
        Ok(())
    }

    /// Enters a recursive call. Returns false, without entering, at the maximum depth.
    pub(super) fn enter(&mut self) -> bool {
        let fits = self.depth < self.max_depth;
        self.depth += u32::from(fits);
        fits
    }

    /// Leaves a call entered with [`Fuel::enter`].
    pub(super) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// The remaining steps.
    pub(super) fn remaining(&self) -> u32 {
        self.remaining
    }
}
