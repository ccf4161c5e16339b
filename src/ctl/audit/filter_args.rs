//! The flags that filter records.

use anyhow::bail;
use clap::Args;
use jiff::Zoned;

use super::super::resource_arg::TargetArg;
use super::time_arg;
use crate::domain::audit::{Action, Filter, Outcome};

/// Filters of records. A record has to match all of them.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Filters")]
pub(super) struct FilterArgs {
    /// User name of the actor; exact match.
    #[arg(long, value_name = "USER")]
    actor: Option<String>,
    /// Action, such as Update or DeleteTopic.
    #[arg(long, value_name = "ACTION")]
    action: Option<Action>,
    /// Target: KIND/NAME, or KIND for all of the kind.
    #[arg(long, value_name = "KIND/NAME")]
    target: Option<String>,
    /// Namespace of the target.
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<String>,
    /// Outcome: Allowed, Denied, Started, Succeeded or Failed.
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<Outcome>,
    /// Text in the user name, the target, the reason, the message or the request id; case-insensitive.
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Not before this time: 30m, 2h, 7d (ago), today, yesterday, 2026-11-21, 2026-11-21T10:00 (local), 2026-11-21T10:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
}

/// Filters of records, with an end of the time range.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Filters")]
pub(super) struct RangeFilterArgs {
    #[command(flatten)]
    filters: FilterArgs,
    /// Before this time, in the same formats as --since.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only effects that were started and have no recorded end.
    #[arg(long)]
    open: bool,
}

impl FilterArgs {
    /// The filter. Relative times refer to `now`.
    pub(super) fn filter(&self, now: &Zoned) -> anyhow::Result<Filter> {
        let target = self.target.as_deref().map(TargetArg::parse).transpose()?;
        let (kind, name) = target.map_or((None, None), |target| (Some(target.kind), target.name));
        Ok(Filter {
            actor: self.actor.clone(),
            action: self.action.map(|action| action.as_str().to_owned()),
            kind,
            namespace: self.namespace.clone(),
            name,
            outcome: self.outcome,
            since: self.since.as_deref().map(|text| time_arg::parse(text, now)).transpose()?,
            text: self.text.clone().filter(|text| !text.is_empty()),
            ..Filter::default()
        })
    }
}

impl RangeFilterArgs {
    /// The filter. Relative times refer to `now`.
    pub(super) fn filter(&self, now: &Zoned) -> anyhow::Result<Filter> {
        let until = self.until.as_deref().map(|text| time_arg::parse(text, now)).transpose()?;
        let filter = Filter { until, open: self.open, ..self.filters.filter(now)? };
        if let (Some(since), Some(until)) = (filter.since, filter.until)
            && since >= until
        {
            bail!("--since {since:.0} is not before --until {until:.0}: the time range is empty");
        }
        Ok(filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Zoned {
        "2026-11-21T12:00:00+00:00[UTC]".parse().expect("a time")
    }

    #[test]
    fn flags_are_converted_to_query_parameters() {
        let filters = FilterArgs {
            actor: Some("alice".into()),
            action: Some(Action::Update),
            target: Some("etopic/orders".into()),
            outcome: Some(Outcome::Denied),
            since: Some("2h".into()),
            text: Some(String::new()),
            ..FilterArgs::default()
        };
        let arguments = RangeFilterArgs { filters, until: Some("1h".into()), open: true };
        let filter = arguments.filter(&now()).expect("a filter");
        let query: Vec<String> =
            filter.query().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            query.join(" "),
            "actor=alice action=Update kind=EventTopic name=orders outcome=Denied open=true since=2026-11-21T10:00:00Z \
             until=2026-11-21T11:00:00Z"
        );
    }

    #[test]
    fn an_empty_time_range_is_refused() {
        let filters = FilterArgs { since: Some("1h".into()), ..FilterArgs::default() };
        let arguments = RangeFilterArgs { filters, until: Some("2h".into()), open: false };
        let error = arguments.filter(&now()).expect_err("an empty range").to_string();
        assert!(error.contains("the time range is empty"), "{error}");
    }
}
