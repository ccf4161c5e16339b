//! What an EventTopic counts towards its tenant's quotas.

use super::{Declared, Observed};
use crate::api::EventTopic;
use crate::domain::quota::{Amount, Limits};
use crate::domain::refusal::Refusal;

/// The amount that a topic requests. An invalid retention size counts as unlimited.
#[must_use]
pub fn requested(topic: &EventTopic) -> Amount {
    let bytes = Declared::read(topic)
        .ok()
        .and_then(|declared| declared.config.get("retention.bytes")?.trim().parse().ok());
    Amount::of_topic(i64::from(topic.spec.partitions.max(0)), bytes)
}

/// The amount that a topic has, according to its status.
#[must_use]
pub fn granted(topic: &EventTopic) -> Amount {
    let Some(status) = topic.status.as_ref().filter(|status| status.topic_name.is_some()) else {
        return Amount::ZERO;
    };
    let bytes = status.config.get("retention.bytes").and_then(|bytes| bytes.parse().ok());
    Amount::of_topic(i64::from(status.partitions.unwrap_or_default()), bytes)
}

/// The amount of a topic in Kafka.
#[must_use]
pub fn observed(observed: &Observed) -> Amount {
    let bytes = observed.config.get("retention.bytes").and_then(|bytes| bytes.parse().ok());
    Amount::of_topic(i64::from(observed.partitions), bytes)
}

/// Checks a topic against the limits for single topics.
///
/// # Errors
/// `TenantQuotaExceeded`, with the maximum.
pub fn check_limits(topic: &EventTopic, declared: &Declared, limits: &Limits) -> Result<(), Refusal> {
    let status = topic.status.as_ref().filter(|status| status.topic_name.is_some());
    limits.check_config(&declared.config, status.map(|status| &status.config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Quotas;
    use crate::domain::testing::topic;
    use expect_test::{Expect, expect};

    fn check(quotas: &str, yaml: &str, expected: Expect) {
        let quotas: Quotas = serde_yaml::from_str(quotas).expect("quotas");
        let limits = Limits::parse(Some(&quotas)).expect("limits");
        let topic = topic(yaml);
        let declared = Declared::read(&topic).expect("a good declaration");
        expected.assert_eq(&match check_limits(&topic, &declared, &limits) {
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
                "TenantQuotaExceeded: spec.retention.time: the tenant's quotas.retentionTime is 30d, so each topic must set its retention time: set it to at most 30d"
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
    fn a_topic_must_set_its_retention_size() {
        check("retentionSize: 1Gi", "{retention: {size: 1Mi}}", expect!["allowed"]);
        check(
            "retentionSize: 1Gi",
            "{retention: {size: unlimited}}",
            expect![
                "TenantQuotaExceeded: spec.retention.size: the tenant has quotas.retentionSize, so each topic must set its retention size"
            ],
        );
    }

    #[test]
    fn current_values_may_stay() {
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
}
