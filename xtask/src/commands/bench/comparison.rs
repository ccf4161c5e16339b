//! The result of `bench admission`: the webhook's reviews, and applies with the webhook beside applies without.

use serde_json::{Value, json};

use super::{
    generator::Latency,
    goal::number,
    report::{goals, shares},
    row::{Row, round},
    sampler::processors,
};
use crate::commands::table::{Align, Table};

/// The result of `bench admission`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    pub(crate) count: u32,
    pub(crate) tenants: u32,
    pub(crate) topics: u32,
    pub(crate) writers: u32,
    /// Steps before the webhook was installed.
    pub(crate) before: Vec<Row>,
    /// Steps with the webhook, with preparation and direct reviews.
    pub(crate) steps: Vec<Row>,
    /// Steps after the webhook was removed.
    pub(crate) after: Vec<Row>,
}

/// A figure with the webhook, and without it before and after.
struct Figure<'a> {
    step: &'a str,
    what: &'static str,
    unit: &'static str,
    before: f64,
    after: f64,
    with: f64,
}

impl Figure<'_> {
    fn added(&self) -> f64 {
        self.with - f64::midpoint(self.before, self.after)
    }

    fn show(&self, value: f64) -> String {
        format!("{}{}", number(value), self.unit)
    }
}

impl Report {
    /// Whether every apply had the expected answer.
    pub(crate) fn is_complete(&self) -> bool {
        self.rows().all(Row::is_complete)
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        let (first, then) = self.steps.split_at(self.steps.len().min(2));
        first.iter().chain(&self.before).chain(then).chain(&self.after)
    }

    /// The figures of steps that ran both with the webhook and without it.
    fn figures(&self) -> Vec<Figure<'_>> {
        let mut figures = Vec::new();
        for (before, after) in self.before.iter().zip(&self.after) {
            let same = |row: &&Row| before.name.strip_suffix(&row.name).is_some();
            let Some(with) = self.steps.iter().find(same) else { continue };
            let mut add = |what, unit, of: &dyn Fn(&Row) -> f64| {
                let step = with.name.as_str();
                figures.push(Figure {
                    step,
                    what,
                    unit,
                    before: of(before),
                    after: of(after),
                    with: of(with),
                });
            };
            let cpu = |process| {
                move |row: &Row| milliseconds(row.cpu(process)) / f64::from(row.outcome.count.max(1))
            };
            add("apply p50", " ms", &|row| answer(row, |times| times.p50));
            add("apply p99", " ms", &|row| answer(row, |times| times.p99));
            add("applies", "/s", &Row::rate);
            add("API server CPU an apply", " ms", &cpu("apiserver"));
            add("etcd CPU an apply", " ms", &cpu("controlplane"));
            add("webhook CPU an apply", " ms", &cpu("operator"));
        }
        figures
    }

    /// As JSON.
    pub(crate) fn json(&self) -> Value {
        let rows = |rows: &[Row]| rows.iter().map(Row::json).collect::<Vec<_>>();
        let figure = |figure: &Figure<'_>| {
            json!({
                "step": figure.step,
                "what": figure.what,
                "unit": figure.unit.trim(),
                "before": round(figure.before),
                "after": round(figure.after),
                "with": round(figure.with),
                "added": round(figure.added()),
            })
        };
        json!({
            "processors": processors(),
            "writers": self.writers,
            "tenants": self.tenants,
            "topics": self.topics,
            "steps": rows(&self.steps),
            "beforeTheWebhook": rows(&self.before),
            "afterTheWebhook": rows(&self.after),
            "added": self.figures().iter().map(figure).collect::<Vec<_>>(),
        })
    }

    /// As tables.
    pub(crate) fn text(&self) -> String {
        let Self { count, tenants, topics, writers, .. } = self;
        format!(
            "{count} applies among {topics} topics of {tenants} tenants, {writers} writers; before and after: without the \
             webhook\n\n{}\nReviews, by the webhook's own metrics\n\n{}\nGoals\n\n{}\nDifference that the \
             webhook makes to an apply, to the mean of before and after\n\n{}\n{}",
            self.costs(),
            self.reviews(),
            goals(&self.steps),
            self.added(),
            shares(self.rows()),
        )
    }

    fn costs(&self) -> String {
        let mut table = Table::new(&[
            ("STEP", Align::Left),
            ("REQUESTS", Align::Right),
            ("WALL", Align::Right),
            ("RATE", Align::Right),
            ("P50", Align::Right),
            ("P99", Align::Right),
            ("WEBHOOK CPU", Align::Right),
            ("PEAK RSS", Align::Right),
            ("API SERVER CPU", Align::Right),
            ("ETCD CPU", Align::Right),
        ]);
        for row in self.rows() {
            let time = |pick: fn(Latency) -> f64| {
                let time = row.outcome.answer_seconds.map(pick);
                time.map_or("–".to_owned(), |time| format!("{:.1} ms", milliseconds(time)))
            };
            let is_a_load = row.outcome.answer_seconds.is_some();
            let load = |text: String| if is_a_load { text } else { "–".to_owned() };
            let there =
                |process: &str, text: String| if row.rss(process) > 0.0 { text } else { "–".to_owned() };
            let cpu = |process: &str| there(process, format!("{:.2} s", row.cpu(process)));
            table.row(&[
                &row.name,
                &load(row.outcome.done.to_string()),
                &format!("{:.2} s", row.outcome.wall_seconds),
                &load(format!("{:.0}/s", row.rate())),
                &time(|times| times.p50),
                &time(|times| times.p99),
                &cpu("operator"),
                &there("operator", format!("{:.1} MiB", row.rss("operator"))),
                &cpu("apiserver"),
                &cpu("controlplane"),
            ]);
        }
        table.to_string()
    }

    fn reviews(&self) -> String {
        let mut table = Table::new(&[
            ("STEP", Align::Left),
            ("REVIEWS", Align::Right),
            ("RATE", Align::Right),
            ("P50", Align::Right),
            ("P99", Align::Right),
            ("MAX", Align::Right),
            ("REFUSED", Align::Right),
        ]);
        for row in self.steps.iter().filter(|row| row.reviews.count() > 0.0) {
            let durations = &row.reviews.durations;
            let time = |seconds: Option<f64>| {
                seconds.map_or("–".to_owned(), |seconds| format!("{} ms", number(milliseconds(seconds))))
            };
            let most = match durations.bound() {
                Some(bound) if bound.is_infinite() => "more".to_owned(),
                bound => format!("≤ {}", time(bound)),
            };
            table.row(&[
                &row.name,
                &number(row.reviews.count()),
                &format!("{:.0}/s", row.reviews_rate()),
                &time(durations.quantile(0.5)),
                &time(durations.quantile(0.99)),
                &most,
                &number(row.reviews.refused),
            ]);
        }
        table.to_string()
    }

    fn added(&self) -> String {
        let mut table = Table::new(&[
            ("STEP", Align::Left),
            ("FIGURE", Align::Left),
            ("BEFORE", Align::Right),
            ("AFTER", Align::Right),
            ("WITH THE WEBHOOK", Align::Right),
            ("ADDED", Align::Right),
        ]);
        let mut last = "";
        for figure in &self.figures() {
            let step = if figure.step == last { "" } else { figure.step };
            last = figure.step;
            let [before, after, with] =
                [figure.before, figure.after, figure.with].map(|value| figure.show(value));
            table.row(&[step, figure.what, &before, &after, &with, &figure.show(figure.added())]);
        }
        table.to_string()
    }
}

fn milliseconds(seconds: f64) -> f64 {
    seconds * 1000.0
}

fn answer(row: &Row, pick: fn(Latency) -> f64) -> f64 {
    row.outcome.answer_seconds.map_or(0.0, |times| milliseconds(pick(times)))
}
