//! The five fields of a cron expression as sets of values.

use jiff::civil::Date;

/// The values of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    bits: u64,
    /// Whether the field contains `*` or `?` without a step above 1.
    pub(super) is_star: bool,
}

impl Field {
    pub(super) const EMPTY: Self = Self { bits: 0, is_star: false };

    /// The values `start`, `start + step`, … up to `end`, which is below 64.
    pub(super) fn range(start: u64, end: u64, step: u64) -> Self {
        let step = usize::try_from(step.max(1)).unwrap_or(usize::MAX);
        let bits = (start..=end).step_by(step).fold(0, |bits, value| bits | 1 << value);
        Self { bits, is_star: false }
    }

    pub(super) fn with_star(self, is_star: bool) -> Self {
        Self { is_star, ..self }
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self { bits: self.bits | other.bits, is_star: self.is_star || other.is_star }
    }

    pub(super) fn is_empty(self) -> bool {
        self.bits == 0
    }

    pub(super) fn contains(self, value: i8) -> bool {
        u32::try_from(value).is_ok_and(|value| self.bits & 1 << value != 0)
    }

    /// The smallest value from `start` on.
    pub(super) fn first_from(self, start: i8) -> Option<i8> {
        let bits = self.bits & u64::MAX.checked_shl(start.try_into().ok()?)?;
        (bits != 0).then(|| i8::try_from(bits.trailing_zeros()).expect("a position in 64 bits"))
    }

    /// The greatest value up to `end`.
    pub(super) fn last_to(self, end: i8) -> Option<i8> {
        let bits = self.bits & below(end.checked_add(1)?);
        (bits != 0).then(|| i8::try_from(bits.ilog2()).expect("a position in 64 bits"))
    }

    /// The number of values below `end`.
    pub(super) fn count_below(self, end: i8) -> u64 {
        u64::from((self.bits & below(end)).count_ones())
    }
}

/// A mask of the values below `end`.
fn below(end: i8) -> u64 {
    match u32::try_from(end) {
        Ok(end) => 1_u64.checked_shl(end).map_or(u64::MAX, |bit| bit - 1),
        Err(_) => 0,
    }
}

/// The fields of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) minute: Field,
    pub(super) hour: Field,
    pub(super) day_of_month: Field,
    pub(super) month: Field,
    pub(super) day_of_week: Field,
}

impl Fields {
    /// Whether a field has no value. Kubernetes accepts `,` as a field.
    pub(super) fn are_empty(&self) -> bool {
        let (day, weekday) = (self.day_of_month, self.day_of_week);
        let has_no_day = match day.is_star || weekday.is_star {
            true => day.is_empty() || weekday.is_empty(),
            false => day.is_empty() && weekday.is_empty(),
        };
        self.minute.is_empty() || self.hour.is_empty() || self.month.is_empty() || has_no_day
    }

    /// Whether the day of the month and the day of the week match. If both are restricted, one of them has to match.
    pub(super) fn match_day(&self, date: Date) -> bool {
        let day = self.day_of_month.contains(date.day());
        let weekday = self.day_of_week.contains(date.weekday().to_sunday_zero_offset());
        if self.day_of_month.is_star || self.day_of_week.is_star { day && weekday } else { day || weekday }
    }

    /// Whether the month and the day match.
    pub(super) fn match_date(&self, date: Date) -> bool {
        self.month.contains(date.month()) && self.match_day(date)
    }
}
