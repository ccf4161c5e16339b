//! Parses cron expressions: exactly those that the API server accepts in a CronJob.
//!
//! The grammar is that of `ParseStandard` in robfig/cron v3, with its leniency: `,` is a field without values, `*-7` is a
//! star, numbers may have a plus sign. `tests/faults/schedule.rs` compares both.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::field::{Field, Fields};
use super::go_duration;
use super::invalid::{CronField, FieldRule, InvalidCron};

/// A valid cron expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronExpression {
    text: String,
    pub(super) rule: Rule,
}

/// The meaning of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Local times.
    Fields(Fields),
    /// `@every`: whole seconds, at least one.
    Every(Duration),
}

impl CronExpression {
    /// Parses an expression such as `30 2 * * mon-fri`, `@daily` or `@every 1h30m`.
    ///
    /// # Errors
    ///
    /// If Kubernetes' CronJob does not accept the expression. The error names the field, the rule and a correct example.
    pub fn parse(text: &str) -> Result<Self, InvalidCron> {
        if text.is_empty() {
            return Err(InvalidCron::Empty);
        }
        // The API server searches the whole text.
        if text.contains("TZ") {
            return Err(InvalidCron::ContainsZone);
        }
        let rule = match text.starts_with('@') {
            true => parse_descriptor(text)?,
            false => Rule::Fields(parse_fields(text)?),
        };
        Ok(Self { text: text.to_owned(), rule })
    }

    /// The expression as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for CronExpression {
    type Err = InvalidCron;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for CronExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse_descriptor(text: &str) -> Result<Rule, InvalidCron> {
    let fields = match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => return parse_every(text),
    };
    parse_fields(fields).map(Rule::Fields)
}

fn parse_every(text: &str) -> Result<Rule, InvalidCron> {
    let interval = text
        .strip_prefix("@every ")
        .ok_or_else(|| InvalidCron::UnknownDescriptor { text: text.to_owned() })?;
    let nanoseconds =
        go_duration::parse(interval).map_err(|_| InvalidCron::Interval { text: interval.to_owned() })?;
    let seconds = u64::try_from(nanoseconds / 1_000_000_000).unwrap_or(0);
    Ok(Rule::Every(Duration::from_secs(seconds.max(1))))
}

fn parse_fields(text: &str) -> Result<Fields, InvalidCron> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [minute, hour, day_of_month, month, day_of_week] = fields[..] else {
        return Err(InvalidCron::FieldCount { found: fields.len() });
    };
    Ok(Fields {
        minute: parse_field(CronField::Minute, minute)?,
        hour: parse_field(CronField::Hour, hour)?,
        day_of_month: parse_field(CronField::DayOfMonth, day_of_month)?,
        month: parse_field(CronField::Month, month)?,
        day_of_week: parse_field(CronField::DayOfWeek, day_of_week)?,
    })
}

fn parse_field(field: CronField, text: &str) -> Result<Field, InvalidCron> {
    text.split(',').filter(|element| !element.is_empty()).try_fold(Field::EMPTY, |values, element| {
        let range = parse_range(field, element).map_err(|rule| InvalidCron::Field {
            field,
            text: element.to_owned(),
            rule,
        })?;
        Ok(values.union(range))
    })
}

/// One element of a list: `*`, a value or a range, with an optional step.
fn parse_range(field: CronField, text: &str) -> Result<Field, FieldRule> {
    let (range, step) = match text.split('/').collect::<Vec<_>>()[..] {
        [range] => (range, None),
        [range, step] => (range, Some(step)),
        _ => return Err(FieldRule::TooManySlashes),
    };
    let bounds: Vec<&str> = range.split('-').collect();
    let is_star = matches!(bounds[0], "*" | "?");
    let (start, mut end) = match bounds[..] {
        // What follows a star and a hyphen is ignored.
        _ if is_star => (field.min(), field.max()),
        [value] => parse_value(field, value).map(|value| (value, value))?,
        [start, end] => (parse_value(field, start)?, parse_value(field, end)?),
        _ => return Err(FieldRule::TooManyHyphens),
    };
    let step = step.map(parse_step).transpose()?;
    if step.is_some() && bounds.len() == 1 {
        // `5/10` is `5-59/10`.
        end = field.max();
    }
    if start < field.min() {
        return Err(FieldRule::BelowMinimum { value: start, min: field.min() });
    }
    if end > field.max() {
        return Err(FieldRule::AboveMaximum { value: end, max: field.max() });
    }
    if start > end {
        return Err(FieldRule::Reversed { start, end });
    }
    let step = step.unwrap_or(1);
    Ok(Field::range(start, end, step).with_star(is_star && step == 1))
}

fn parse_value(field: CronField, text: &str) -> Result<u64, FieldRule> {
    // Go's lower case of the Turkish İ is i.
    let lower = text.replace('\u{130}', "i").to_ascii_lowercase();
    if let Some(index) = field.names().iter().position(|name| *name == lower) {
        return Ok(field.min() + index as u64);
    }
    parse_number(text).ok_or_else(|| FieldRule::NotAValue(text.to_owned()))
}

fn parse_step(text: &str) -> Result<u64, FieldRule> {
    parse_number(text).filter(|step| *step > 0).ok_or_else(|| FieldRule::InvalidStep(text.to_owned()))
}

/// A number as Go's `strconv.Atoi` parses it, with 64 bits, if it is not negative.
fn parse_number(text: &str) -> Option<u64> {
    text.parse::<i64>().ok()?.try_into().ok()
}
