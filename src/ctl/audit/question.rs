//! What is asked of a log, by flags.

use anyhow::bail;
use clap::Args;
use jiff::Zoned;

use super::super::resource_arg::TargetArg;
use super::moment;
use crate::domain::audit::{Action, Filter, Outcome};

/// Which records are meant: those to which all of this applies.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Filters")]
pub(super) struct About {
    /// Who it was: the user, exactly.
    #[arg(long, value_name = "USER")]
    actor: Option<String>,
    /// What was asked for or done, such as Update or DeleteTopic.
    #[arg(long, value_name = "ACTION")]
    action: Option<Action>,
    /// What it was about: KIND/NAME, or KIND for all of them.
    #[arg(long, value_name = "KIND/NAME")]
    target: Option<String>,
    /// The namespace of what it was about.
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<String>,
    /// How it ended: Allowed, Denied, Started, Succeeded or Failed.
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<Outcome>,
    /// A text in the user, the target, the reason, the message or the request's id, in whatever case.
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// From then on: 30m, 2h, 7d, today, yesterday, 2026-11-21, 2026-11-21T10:00 (local), 2026-11-21T10:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
}

/// The same of what has happened already.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Filters")]
pub(super) struct Question {
    #[command(flatten)]
    about: About,
    /// Before then, in the same forms.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only what was started and has no recorded end.
    #[arg(long)]
    open: bool,
}

impl About {
    /// What is asked for.
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
            since: self.since.as_deref().map(|text| moment::read(text, now)).transpose()?,
            text: self.text.clone().filter(|text| !text.is_empty()),
            ..Filter::default()
        })
    }
}

impl Question {
    /// What is asked for.
    pub(super) fn filter(&self, now: &Zoned) -> anyhow::Result<Filter> {
        let until = self.until.as_deref().map(|text| moment::read(text, now)).transpose()?;
        let filter = Filter { until, open: self.open, ..self.about.filter(now)? };
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
        let about = About {
            actor: Some("alice".into()),
            action: Some(Action::Update),
            target: Some("etopic/orders".into()),
            outcome: Some(Outcome::Denied),
            since: Some("2h".into()),
            text: Some(String::new()),
            ..About::default()
        };
        let question = Question { about, until: Some("1h".into()), open: true };
        let filter = question.filter(&now()).expect("a filter");
        let told: Vec<String> =
            filter.query().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            told.join(" "),
            "actor=alice action=Update kind=EventTopic name=orders outcome=Denied open=true since=2026-11-21T10:00:00Z \
             until=2026-11-21T11:00:00Z"
        );
    }

    #[test]
    fn an_empty_span_is_told() {
        let about = About { since: Some("1h".into()), ..About::default() };
        let question = Question { about, until: Some("2h".into()), open: false };
        let error = question.filter(&now()).expect_err("it is empty").to_string();
        assert!(error.contains("nothing lies between them"), "{error}");
    }
}
