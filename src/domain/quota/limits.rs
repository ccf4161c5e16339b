//! A tenant's limits, and what one topic may ask for by itself.

use eventcenter_sdk::Reason;

use crate::api::{EventTopic, Quotas};
use crate::domain::Refusal;
use crate::domain::topic::{Declared, quantity};

/// A tenant's limits as numbers; none means no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Number of EventTopics.
    pub topics: Option<i64>,
    /// Number of partitions of all topics.
    pub partitions: Option<i64>,
    /// Bytes that all topics may keep.
    pub retention_bytes: Option<i64>,
    /// The longest retention time of a topic, in milliseconds, and how it was written.
    pub retention_time: Option<(i64, String)>,
    /// The largest message of a topic, in bytes, and how it was written.
    pub message_size: Option<(i64, String)>,
}

const RETENTION_TIME: &str = "retention.ms";
const RETENTION_SIZE: &str = "retention.bytes";
const MESSAGE_SIZE: &str = "max.message.bytes";

impl Limits {
    /// Reads a declaration.
    ///
    /// # Errors
    /// A number too large for 64 bits.
    pub fn read(quotas: Option<&Quotas>) -> Result<Self, Refusal> {
        let Some(quotas) = quotas else { return Ok(Self::default()) };
        let parse = |field: &str, text: &Option<String>, read: fn(&str) -> Option<i64>| {
            let Some(text) = text else { return Ok(None) };
            let number = read(text).filter(|number| *number >= 0).ok_or_else(|| {
                let detail = format!("{text:?} is no number that fits into 64 bits: write a smaller one");
                Refusal::at(Reason::InvalidResource, format!("spec.quotas.{field}"), detail)
            })?;
            Ok(Some((number, text.clone())))
        };
        Ok(Self {
            topics: quotas.topics,
            partitions: quotas.partitions,
            retention_bytes: parse("retentionSize", &quotas.retention_size, quantity::size)?
                .map(|(bytes, _)| bytes),
            retention_time: parse("retentionTime", &quotas.retention_time, quantity::time)?,
            message_size: parse("messageSize", &quotas.message_size, quantity::size)?,
        })
    }

    /// Judges what a topic asks for by itself. What Kafka has on the topic already may stay.
    ///
    /// # Errors
    /// `TenantQuotaExceeded`, with the largest value that is allowed.
    pub fn allow(&self, topic: &EventTopic, declared: &Declared) -> Result<(), Refusal> {
        let value = |key: &str| declared.config.get(key).map(|value| value.trim().parse::<i64>());
        let exists = topic.status.as_ref().filter(|status| status.topic_name.is_some());
        let has_already =
            |key: &str| exists.is_some_and(|status| status.config.get(key) == declared.config.get(key));
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
                            "the tenant's quotas.retentionTime is {written}, so each topic has to say \
                         how long it keeps records: set it to at most {written}"
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
                "the tenant has quotas.retentionSize, so each topic has to say how many bytes it \
                 keeps of each partition: set it"
                    .into(),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::topic;
    use expect_test::{Expect, expect};

    fn check(quotas: &str, yaml: &str, expected: Expect) {
        let quotas: Quotas = serde_yaml::from_str(quotas).expect("quotas");
        let limits = Limits::read(Some(&quotas));
        let topic = topic(yaml);
        let declared = Declared::read(&topic).expect("a good declaration");
        expected.assert_eq(&match limits.and_then(|limits| limits.allow(&topic, &declared)) {
            Ok(()) => "allowed".to_owned(),
            Err(refusal) => refusal.to_string(),
        });
    }

    #[test]
    fn retention_time() {
        check("retentionTime: 30d", "retention: {time: 30d}", expect!["allowed"]);
        check(
            "retentionTime: 30d",
            "retention: {time: 31d}",
            expect![
                "TenantQuotaExceeded: spec.retention.time: the tenant's quotas.retentionTime is 30d: keep records for at most 30d, or ask the platform's administrator for more"
            ],
        );
        check(
            "retentionTime: 30d",
            "retention: {time: unlimited}",
            expect![
                "TenantQuotaExceeded: spec.retention.time: the tenant's quotas.retentionTime is 30d: keep records for at most 30d, or ask the platform's administrator for more"
            ],
        );
        check(
            "retentionTime: 30d",
            "{config: {retention.ms: '99999999999'}}",
            expect![
                "TenantQuotaExceeded: spec.retention.time: the tenant's quotas.retentionTime is 30d: keep records for at most 30d, or ask the platform's administrator for more"
            ],
        );
        check(
            "retentionTime: 30d",
            "{}",
            expect![
                "TenantQuotaExceeded: spec.retention.time: the tenant's quotas.retentionTime is 30d, so each topic has to say how long it keeps records: set it to at most 30d"
            ],
        );
    }

    #[test]
    fn message_size() {
        check("messageSize: 1Mi", "{config: {max.message.bytes: 1048576}}", expect!["allowed"]);
        check("messageSize: 1Mi", "{}", expect!["allowed"]);
        check(
            "messageSize: 1Mi",
            "{config: {max.message.bytes: 1048577}}",
            expect![
                "TenantQuotaExceeded: spec.config: max.message.bytes: the tenant's quotas.messageSize is 1Mi: allow messages of at most 1048576 bytes, or ask the platform's administrator for more"
            ],
        );
    }

    #[test]
    fn retention_size_has_to_be_said() {
        check("retentionSize: 1Gi", "{retention: {size: 1Mi}}", expect!["allowed"]);
        check(
            "retentionSize: 1Gi",
            "{retention: {size: unlimited}}",
            expect![
                "TenantQuotaExceeded: spec.retention.size: the tenant has quotas.retentionSize, so each topic has to say how many bytes it keeps of each partition: set it"
            ],
        );
    }

    #[test]
    fn what_a_topic_has_already_may_stay() {
        check(
            "retentionTime: 1d",
            "{retention: {time: 7d}, status: {topicName: shop.orders, config: {retention.ms: '604800000'}}}",
            expect!["allowed"],
        );
        check("retentionTime: 1d", "{status: {topicName: shop.orders}}", expect!["allowed"]);
        check(
            "retentionTime: 1d",
            "{retention: {time: 8d}, status: {topicName: shop.orders, config: {retention.ms: '604800000'}}}",
            expect![
                "TenantQuotaExceeded: spec.retention.time: the tenant's quotas.retentionTime is 1d: keep records for at most 1d, or ask the platform's administrator for more"
            ],
        );
    }

    #[test]
    fn a_limit_that_is_no_number_is_refused() {
        check(
            "retentionSize: 999999999999999999Pi",
            "{}",
            expect![[
                r#"InvalidResource: spec.quotas.retentionSize: "999999999999999999Pi" is no number that fits into 64 bits: write a smaller one"#
            ]],
        );
    }
}
