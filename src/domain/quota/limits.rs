//! Limits of a tenant, and the check of single topics.

use std::collections::BTreeMap;

use eventcenter_sdk::Reason;

use crate::api::Quotas;
use crate::domain::quantity;
use crate::domain::refusal::Refusal;

/// The quotas of a tenant. `None` means no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of EventTopics.
    pub topics: Option<i64>,
    /// Maximum number of ScheduledTasks.
    pub tasks: Option<i64>,
    /// Maximum number of partitions of all topics.
    pub partitions: Option<i64>,
    /// Maximum retention size of all topics, in bytes.
    pub retention_bytes: Option<i64>,
    /// Maximum retention time of a topic, in milliseconds and as written in the spec.
    pub retention_time: Option<(i64, String)>,
    /// Maximum message size of a topic, in bytes and as written in the spec.
    pub message_size: Option<(i64, String)>,
}

/// Configuration of a topic by Kafka's names.
type Config = BTreeMap<String, String>;

const RETENTION_TIME: &str = "retention.ms";
const RETENTION_SIZE: &str = "retention.bytes";
const MESSAGE_SIZE: &str = "max.message.bytes";

impl Limits {
    /// Parses the quotas of a Tenant.
    ///
    /// # Errors
    /// A number exceeds 64 bits.
    pub fn parse(quotas: Option<&Quotas>) -> Result<Self, Refusal> {
        let Some(quotas) = quotas else { return Ok(Self::default()) };
        let parse_quantity = |field: &str, text: &Option<String>, read: fn(&str) -> Option<i64>| {
            let Some(text) = text else { return Ok(None) };
            let number = read(text).filter(|number| *number >= 0).ok_or_else(|| {
                let detail = format!("{text:?} exceeds 64 bits: write a smaller number");
                Refusal::at(Reason::InvalidResource, format!("spec.quotas.{field}"), detail)
            })?;
            Ok(Some((number, text.clone())))
        };
        Ok(Self {
            topics: quotas.topics,
            tasks: quotas.tasks,
            partitions: quotas.partitions,
            retention_bytes: parse_quantity("retentionSize", &quotas.retention_size, quantity::parse_bytes)?
                .map(|(bytes, _)| bytes),
            retention_time: parse_quantity("retentionTime", &quotas.retention_time, quantity::parse_millis)?,
            message_size: parse_quantity("messageSize", &quotas.message_size, quantity::parse_bytes)?,
        })
    }

    /// Whether a quota counts over all topics of the tenant.
    #[must_use]
    pub fn are_counted(&self) -> bool {
        [self.topics, self.partitions, self.retention_bytes].iter().any(Option::is_some)
    }

    /// Checks the configuration of one topic, by Kafka's names. `current` is the configuration in Kafka, if the topic
    /// exists: its values may stay.
    ///
    /// # Errors
    /// `TenantQuotaExceeded`, with the maximum.
    pub fn check_config(&self, config: &Config, current: Option<&Config>) -> Result<(), Refusal> {
        let value = |key: &str| config.get(key).map(|value| value.trim().parse::<i64>());
        let has_already = |key: &str| current.is_some_and(|current| current.get(key) == config.get(key));
        let refuse = |field, detail: String| Err(Refusal::at(Reason::TenantQuotaExceeded, field, detail));

        if let Some((most, written)) = &self.retention_time
            && !has_already(RETENTION_TIME)
        {
            match value(RETENTION_TIME) {
                Some(Ok(time)) if (0..=*most).contains(&time) => {}
                Some(_) => {
                    return refuse(
                        "spec.retention.time",
                        format!(
                            "the tenant's quotas.retentionTime is {written}: keep records for at most \
                         {written}, or ask the platform's administrator for more"
                        ),
                    );
                }
                None => {
                    return refuse(
                        "spec.retention.time",
                        format!(
                            "the tenant's quotas.retentionTime is {written}, so each topic must set its retention time: set it to at most {written}"
                        ),
                    );
                }
            }
        }
        if let Some((most, written)) = &self.message_size
            && !has_already(MESSAGE_SIZE)
            && let Some(size) = value(MESSAGE_SIZE)
            && !size.is_ok_and(|size| size <= *most)
        {
            return refuse(
                "spec.config",
                format!(
                    "{MESSAGE_SIZE}: the tenant's quotas.messageSize is {written}: allow messages of at most \
                 {most} bytes, or ask the platform's administrator for more"
                ),
            );
        }
        if self.retention_bytes.is_some()
            && !has_already(RETENTION_SIZE)
            && !value(RETENTION_SIZE).is_some_and(|size| size.is_ok_and(|size| size >= 0))
        {
            return refuse(
                "spec.retention.size",
                "the tenant has quotas.retentionSize, so each topic must set its retention size".into(),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_beyond_64_bits_is_refused() {
        let quotas: Quotas = serde_yaml::from_str("retentionSize: 999999999999999999Pi").expect("quotas");
        let refusal = Limits::parse(Some(&quotas)).expect_err("too large");
        expect_test::expect![[
            r#"InvalidResource: spec.quotas.retentionSize: "999999999999999999Pi" exceeds 64 bits: write a smaller number"#
        ]]
        .assert_eq(&refusal.to_string());
    }
}
