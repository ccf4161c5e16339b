//! The filter of a list of tasks.

use eventcenter_sdk::rest::schedule::TaskFilter;
use serde_json::Value;

use crate::api::EngineType;
use crate::domain::task::RunState;
use crate::rest::parameter::{QueryParameters, invalid_parameter};
use crate::rest::response::ApiError;

/// The engines and their words.
const ENGINES: [EngineType; 3] = [EngineType::CronJob, EngineType::Job, EngineType::Runner];

/// Reads the parameters of a filter.
pub(super) fn read(query: &mut QueryParameters) -> Result<TaskFilter, ApiError> {
    let suspended = match query.text("suspended")?.as_deref() {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(other) => {
            return Err(invalid_parameter("suspended", &format!("write true or false, not {other:?}")));
        }
    };
    let engine = query.text("engine")?;
    let words = ENGINES.map(|engine| format!("{engine:?}"));
    if let Some(engine) = engine.as_ref().filter(|engine| !words.contains(engine)) {
        return Err(invalid_parameter(
            "engine",
            &format!("{engine:?} is no engine: write one of {}", words.join(", ")),
        ));
    }
    let last_state: Option<RunState> = query.value("lastState")?;
    Ok(TaskFilter {
        namespace: query.text("namespace")?,
        prefix: query.text("prefix")?,
        engine,
        suspended,
        last_state: last_state.map(|state| state.to_string()),
    })
}

/// Whether a task as the API server has it matches a filter.
pub(super) fn matches(filter: &TaskFilter, task: &Value) -> bool {
    let text = |pointer: &str| task.pointer(pointer).and_then(Value::as_str);
    let is = |wanted: &Option<String>, pointer: &str| {
        wanted.as_deref().is_none_or(|wanted| text(pointer) == Some(wanted))
    };
    let is_suspended = task.pointer("/spec/suspend").and_then(Value::as_bool).unwrap_or_default();
    let name = text("/metadata/name").unwrap_or_default();
    is(&filter.namespace, "/metadata/namespace")
        && is(&filter.engine, "/status/engine/type")
        && is(&filter.last_state, "/status/last/state")
        && filter.prefix.as_ref().is_none_or(|prefix| name.starts_with(prefix.as_str()))
        && filter.suspended.is_none_or(|suspended| suspended == is_suspended)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde_json::json;

    use super::*;

    fn parse(query: &str) -> Result<TaskFilter, ApiError> {
        let uri = format!("/tasks?{query}").parse().unwrap();
        read(&mut QueryParameters::parse(&uri, &TaskFilter::PARAMETERS)?)
    }

    fn check(query: &str, expected: Expect) {
        let tasks = [
            json!({"metadata": {"namespace": "shop", "name": "nightly"}, "spec": {"suspend": true},
                "status": {"engine": {"type": "Runner"}, "last": {"state": "Failed"}}}),
            json!({"metadata": {"namespace": "shop", "name": "hourly"}, "spec": {}, "status": {"engine": {"type": "CronJob"}}}),
            json!({"metadata": {"namespace": "bank", "name": "nightly-2"}, "spec": {"suspend": false}}),
        ];
        let text = match parse(query) {
            Ok(filter) => {
                let matching = tasks.iter().filter(|task| matches(&filter, task));
                let names = matching.map(|task| task["metadata"]["name"].as_str().unwrap());
                names.collect::<Vec<_>>().join(" ")
            }
            Err(error) => error.message().to_owned(),
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn a_task_has_to_match_all_filters() {
        check("", expect!["nightly hourly nightly-2"]);
        check("prefix=nightly", expect!["nightly nightly-2"]);
        check("prefix=nightly&namespace=shop", expect!["nightly"]);
        check("suspended=true", expect!["nightly"]);
        check("suspended=false", expect!["hourly nightly-2"]);
        check("engine=CronJob", expect!["hourly"]);
        check("lastState=Failed&engine=Runner", expect!["nightly"]);
        check("lastState=Succeeded", expect![""]);
        check("engine=Cron", expect![[r#"engine: "Cron" is no engine: write one of CronJob, Job, Runner"#]]);
        check("suspended=yes", expect![[r#"suspended: write true or false, not "yes""#]]);
        check(
            "lastState=Done",
            expect![[
                r#"lastState: "Done" is unknown: write Requested, Queued, Ready, Running, Succeeded, Failed, TimedOut, Cancelled, Missed, Skipped"#
            ]],
        );
    }
}
