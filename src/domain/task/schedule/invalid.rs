//! Why a cron expression is invalid, with the rule and a correct example.

use std::fmt;

use super::quote::quote;

/// A field of a cron expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CronField {
    /// Minute of the hour.
    Minute,
    /// Hour of the day.
    Hour,
    /// Day of the month.
    DayOfMonth,
    /// Month of the year.
    Month,
    /// Day of the week. Sunday is 0.
    DayOfWeek,
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl CronField {
    /// All fields in the order of an expression.
    pub const ALL: [Self; 5] = [Self::Minute, Self::Hour, Self::DayOfMonth, Self::Month, Self::DayOfWeek];

    /// The smallest value.
    #[must_use]
    pub fn min(self) -> u64 {
        match self {
            Self::Minute | Self::Hour | Self::DayOfWeek => 0,
            Self::DayOfMonth | Self::Month => 1,
        }
    }

    /// The greatest value.
    #[must_use]
    pub fn max(self) -> u64 {
        match self {
            Self::Minute => 59,
            Self::Hour => 23,
            Self::DayOfMonth => 31,
            Self::Month => 12,
            Self::DayOfWeek => 6,
        }
    }

    /// The names of its values, beginning with that of [`min`](Self::min). Empty if values have no names.
    #[must_use]
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Minute | Self::Hour | Self::DayOfMonth => &[],
            Self::Month => MONTHS,
            Self::DayOfWeek => WEEKDAYS,
        }
    }

    /// What a correct field contains, with an expression that has one.
    fn remedy(self) -> &'static str {
        match self {
            Self::Minute => r#"write minutes from 0 to 59, such as "*/15 * * * *""#,
            Self::Hour => r#"write hours from 0 to 23, such as "30 8-18 * * *""#,
            Self::DayOfMonth => r#"write days from 1 to 31, such as "30 2 1,15 * *""#,
            Self::Month => r#"write months from 1 to 12 or jan to dec, such as "30 2 1 */3 *""#,
            Self::DayOfWeek => {
                r#"write days from 0 (Sunday) to 6 (Saturday) or sun to sat, such as "30 2 * * mon-fri""#
            }
        }
    }
}

impl fmt::Display for CronField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day of month",
            Self::Month => "month",
            Self::DayOfWeek => "day of week",
        })
    }
}

/// The rule that a field violates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldRule {
    /// A value is neither a number nor a name.
    #[error("{} is neither a number nor a name of this field", quote(.0))]
    NotAValue(String),
    /// The step is no number.
    #[error("the step {} is not a positive number", quote(.0))]
    InvalidStep(String),
    /// The first value is below the minimum.
    #[error("{value} is below the minimum {min}")]
    BelowMinimum {
        /// The first value.
        value: u64,
        /// The minimum of the field.
        min: u64,
    },
    /// The last value is above the maximum.
    #[error("{value} is above the maximum {max}")]
    AboveMaximum {
        /// The last value.
        value: u64,
        /// The maximum of the field.
        max: u64,
    },
    /// A range begins after its end.
    #[error("a range does not begin ({start}) after its end ({end})")]
    Reversed {
        /// The first value.
        start: u64,
        /// The last value.
        end: u64,
    },
    /// A range has more than one hyphen.
    #[error("a range has one hyphen")]
    TooManyHyphens,
    /// A range has more than one slash.
    #[error("a range has at most one step")]
    TooManySlashes,
}

/// Why an expression is not one that Kubernetes' CronJob accepts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCron {
    /// The expression has no characters.
    #[error(r#"the expression is empty: write five fields, such as "30 2 * * *", or a descriptor such as "@daily""#)]
    Empty,
    /// The expression contains `TZ`.
    #[error(r#"the expression contains a time zone: set timeZone instead, and write only the fields, such as "30 2 * * *""#)]
    ContainsZone,
    /// The number of fields is not five.
    #[error(
        "the number of fields is {found}, not 5: write minute, hour, day of month, month and day of week, without seconds \
         and years, such as \"30 2 * * *\""
    )]
    FieldCount {
        /// The number of fields.
        found: usize,
    },
    /// A field is invalid.
    #[error("{field} {}: {rule}: {}", quote(text), field.remedy())]
    Field {
        /// The field.
        field: CronField,
        /// The invalid element of the field's list.
        text: String,
        /// The rule that it violates.
        rule: FieldRule,
    },
    /// The expression begins with `@` and is no descriptor.
    #[error(
        "{} is not a descriptor: write @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly, \
         or an interval such as \"@every 1h30m\"",
        quote(text)
    )]
    UnknownDescriptor {
        /// The expression.
        text: String,
    },
    /// What follows `@every` is no duration.
    #[error(
        "the interval {} is not a duration: write numbers with the units h, m and s, such as \"@every 1h30m\"",
        quote(text)
    )]
    Interval {
        /// What follows `@every `.
        text: String,
    },
}
