//! The flags that select records.

use anyhow::bail;
use clap::Args;
use jiff::Zoned;

use super::super::resource_arg::TargetArg;
use super::time_arg;
use crate::domain::audit::{Action, Filter, Outcome};

/// Selects the records that meet all conditions.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Filters")]
pub(super) struct FilterArgs {
    /// The user name of the actor, exactly.
    #[arg(long, value_name = "USER")]
    actor: Option<String>,
    /// The action, such as Update or DeleteTopic.
    #[arg(long, value_name = "ACTION")]
    action: Option<Action>,
    /// The target: KIND/NAME, or KIND for all resources of a kind.
    #[arg(long, value_name = "KIND/NAME")]
    target: Option<String>,
    /// The namespace of the target.
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<String>,
    /// The outcome: Allowed, Denied, Started, Succeeded or Failed.
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<Outcome>,
    /// A text in the user name, the target, the reason, the message or the request id, ignoring case.
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// The earliest time: 30m, 2h, 7d, today, yesterday, 2026-11-21, 2026-11-21T10:00 (local), 2026-11-21T10:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
}

/// Selects among the records that exist already.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Filters")]
pub(super) struct PastFilterArgs {
    #[command(flatten)]
    common: FilterArgs,
    /// The time before which the records were written, in the same formats.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only starts without a recorded end.
    #[arg(long)]
    open: bool,
}

impl FilterArgs {
    /// The filter of these flags.
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

impl PastFilterArgs {
    /// The filter of these flags.
    pub(super) fn filter(&self, now: &Zoned) -> anyhow::Result<Filter> {
        let until = self.until.as_deref().map(|text| time_arg::parse(text, now)).transpose()?;
        let filter = Filter { until, open: self.open, ..self.common.filter(now)? };
        if let (Some(since), Some(until)) = (filter.since, filter.until)
            && since >= until
        {
            bail!("--since is {since:.0} and --until {until:.0}: nothing lies between them");
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
    fn flags_become_a_filter_and_parameters() {
        let common = FilterArgs {
            actor: Some("alice".into()),
            action: Some(Action::Update),
            target: Some("etopic/orders".into()),
            outcome: Some(Outcome::Denied),
            since: Some("2h".into()),
            text: Some(String::new()),
            ..FilterArgs::default()
        };
        let past = PastFilterArgs { common, until: Some("1h".into()), open: true };
        let filter = past.filter(&now()).expect("a filter");
        let parameters: Vec<String> =
            filter.query().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            parameters.join(" "),
            "actor=alice action=Update kind=EventTopic name=orders outcome=Denied open=true since=2026-11-21T10:00:00Z \
             until=2026-11-21T11:00:00Z"
        );
    }

    #[test]
    fn an_empty_time_range_is_refused() {
        let common = FilterArgs { since: Some("1h".into()), ..FilterArgs::default() };
        let past = PastFilterArgs { common, until: Some("2h".into()), open: false };
        let error = past.filter(&now()).expect_err("it is empty").to_string();
        assert!(error.contains("nothing lies between them"), "{error}");
    }
}
