//! Requests about configuration: of topics, and of a broker to look at.

use std::time::Duration;

use crate::client::{AdminClient, Reply};
use crate::error::{BrokerError, ErrorCode, RequestError};
use crate::handle::Event;
use crate::input::{Objects, c_names, c_string, in_order};
use crate::options::{Api, Request};
use crate::sys::{self, rd};

/// Changes of one topic's configuration. Keys that are not named stay as they are (KIP-339).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicConfigAlteration {
    /// The topic's name.
    pub topic: String,
    /// Names and the values they shall have.
    pub set: Vec<(String, String)>,
    /// Names that shall have no value on the topic, so that the cluster's applies. Resetting what is not set is fine.
    pub reset: Vec<String>,
}

/// Where a configuration value comes from (KIP-226).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigSource {
    /// Set on the topic itself.
    DynamicTopic,
    /// Set at run time for this broker.
    DynamicBroker,
    /// Set at run time for all brokers.
    DynamicDefaultBroker,
    /// From the broker's `server.properties`.
    StaticBroker,
    /// Built into Kafka.
    Default,
    /// Set at run time for a broker's logger.
    DynamicBrokerLogger,
    /// A number of the protocol that this crate does not know.
    Other(i32),
}

/// `DYNAMIC_TOPIC_CONFIG` of the protocol.
const DYNAMIC_TOPIC: i32 = 1;

impl ConfigSource {
    fn from_protocol(source: i32) -> Self {
        match source {
            DYNAMIC_TOPIC => Self::DynamicTopic,
            2 => Self::DynamicBroker,
            3 => Self::DynamicDefaultBroker,
            4 => Self::StaticBroker,
            5 => Self::Default,
            6 => Self::DynamicBrokerLogger,
            other => Self::Other(other),
        }
    }
}

/// One configuration value, as the broker sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The name, for example `retention.ms`.
    pub name: String,
    /// The value; `None` when it has none, or is sensitive.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether the broker keeps the value secret.
    pub sensitive: bool,
    /// Whether the value can only be changed in a file.
    pub read_only: bool,
}

/// One resource's configuration, or why there is none.
pub type ConfigEntries = Result<Vec<ConfigEntry>, BrokerError>;

type Done = Vec<Result<(), BrokerError>>;

#[derive(Clone, Copy)]
enum Select {
    All,
    Overrides,
}

impl AdminClient {
    /// Changes single configuration values of topics (IncrementalAlterConfigs, KIP-339). The results are in the order of
    /// `alterations`; one topic's changes are made all or not at all.
    ///
    /// A success means that the controller has recorded the change; a describe can show the old value for a moment.
    ///
    /// # Errors
    /// For one topic, among others: an unknown name or an invalid value, a policy, a missing right, no such topic. For
    /// the request: see [`RequestError`]; a name both set and reset, or twice, is invalid input.
    pub async fn incremental_alter_configs(
        &self,
        alterations: &[TopicConfigAlteration],
        timeout: Duration,
    ) -> Result<Done, RequestError> {
        if alterations.is_empty() {
            return Ok(Vec::new());
        }
        self.start_alter(alterations, timeout)?.wait().await
    }

    fn start_alter(
        &self,
        alterations: &[TopicConfigAlteration],
        timeout: Duration,
    ) -> Result<Reply<Done>, RequestError> {
        let request = Request {
            operation: "IncrementalAlterConfigs",
            api: Api::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS,
            timeout,
            tells_broker: false,
        };
        let names: Vec<String> = alterations.iter().map(|alteration| alteration.topic.clone()).collect();
        let topic = rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
        let mut resources = resources(&request, topic, &names)?;
        for (alteration, resource) in alterations.iter().zip(resources.iter()) {
            alter(&request, alteration, resource)?;
        }
        self.start(
            request,
            // SAFETY: client, array, options and queue are alive during the call, which copies what it needs.
            |link, options| unsafe {
                rd::rd_kafka_IncrementalAlterConfigs(
                    link.client(),
                    resources.as_mut_ptr(),
                    resources.len(),
                    options.as_ptr(),
                    link.queue(),
                );
            },
            move |event| {
                // SAFETY: both functions are IncrementalAlterConfigs'.
                let results = unsafe {
                    event.results(
                        rd::rd_kafka_event_IncrementalAlterConfigs_result,
                        rd::rd_kafka_IncrementalAlterConfigs_result_resources,
                    )
                };
                decode(&request, &names, event, results, |resource| resource.error().map_or(Ok(()), Err))
            },
        )
    }

    /// Tells all configuration values that apply to topics, about 35 each (DescribeConfigs, KIP-133 and KIP-226). The
    /// results are in the order of `topics`.
    ///
    /// The broker that answers is the one that the cluster names as controller, which in KRaft is any live broker; it
    /// answers from its own copy of the metadata, which lags the controller's a little.
    ///
    /// # Errors
    /// For one topic: it does not exist, or a missing right. For the request: see [`RequestError`].
    pub async fn describe_configs(
        &self,
        topics: &[String],
        timeout: Duration,
    ) -> Result<Vec<ConfigEntries>, RequestError> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let topic = rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
        self.start_describe(topic, topics.to_vec(), Select::All, timeout)?.wait().await
    }

    /// As [`AdminClient::describe_configs`], but only the values that are set on the topics themselves
    /// ([`ConfigSource::DynamicTopic`]). The broker sends all of them nevertheless; what is left out is not copied.
    ///
    /// # Errors
    /// As for [`AdminClient::describe_configs`].
    pub async fn describe_config_overrides(
        &self,
        topics: &[String],
        timeout: Duration,
    ) -> Result<Vec<ConfigEntries>, RequestError> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let topic = rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
        self.start_describe(topic, topics.to_vec(), Select::Overrides, timeout)?.wait().await
    }

    /// Tells the configuration of one broker (DescribeConfigs), for example `authorizer.class.name`. It is asked of that
    /// broker itself.
    ///
    /// # Errors
    /// From the broker: a missing right on the cluster. For the request: see [`RequestError`]; for a broker that does not
    /// exist, and is waited for, a timeout.
    pub async fn describe_broker_configs(
        &self,
        broker: i32,
        timeout: Duration,
    ) -> Result<ConfigEntries, RequestError> {
        let resource = rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_BROKER;
        let reply = self.start_describe(resource, vec![broker.to_string()], Select::All, timeout)?;
        Ok(reply.wait().await?.pop().unwrap_or_else(|| Err(BrokerError::unanswered())))
    }

    fn start_describe(
        &self,
        kind: rd::rd_kafka_ResourceType_t,
        names: Vec<String>,
        select: Select,
        timeout: Duration,
    ) -> Result<Reply<Vec<ConfigEntries>>, RequestError> {
        let request = Request {
            operation: "DescribeConfigs",
            api: Api::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS,
            timeout,
            tells_broker: false,
        };
        let mut resources = resources(&request, kind, &names)?;
        self.start(
            request,
            // SAFETY: client, array, options and queue are alive during the call, which copies what it needs.
            |link, options| unsafe {
                rd::rd_kafka_DescribeConfigs(
                    link.client(),
                    resources.as_mut_ptr(),
                    resources.len(),
                    options.as_ptr(),
                    link.queue(),
                );
            },
            move |event| {
                // SAFETY: both functions are DescribeConfigs'.
                let results = unsafe {
                    event.results(
                        rd::rd_kafka_event_DescribeConfigs_result,
                        rd::rd_kafka_DescribeConfigs_result_resources,
                    )
                };
                decode(&request, &names, event, results, |resource| match resource.error() {
                    Some(error) => Err(error),
                    None => Ok(resource.entries(select)),
                })
            },
        )
    }
}

fn resources(
    request: &Request,
    kind: rd::rd_kafka_ResourceType_t,
    names: &[String],
) -> Result<Objects<rd::rd_kafka_ConfigResource_t>, RequestError> {
    // SAFETY: the function that frees what `rd_kafka_ConfigResource_new` makes.
    let mut array = unsafe { Objects::new(names.len(), rd::rd_kafka_ConfigResource_destroy) };
    for name in c_names(request, names.iter().map(String::as_str))? {
        // SAFETY: the name is NUL-terminated and copied.
        let resource = unsafe { rd::rd_kafka_ConfigResource_new(kind, name.as_ptr()) };
        // SAFETY: just made, or null.
        if !unsafe { array.push(resource) } {
            return Err(request.invalid(&name.to_string_lossy(), "refused by librdkafka"));
        }
    }
    Ok(array)
}

fn alter(
    request: &Request,
    alteration: &TopicConfigAlteration,
    resource: *mut rd::rd_kafka_ConfigResource_t,
) -> Result<(), RequestError> {
    use rd::rd_kafka_AlterConfigOpType_t::{
        RD_KAFKA_ALTER_CONFIG_OP_TYPE_DELETE as DELETE, RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET as SET,
    };
    let topic = &alteration.topic;
    let set = alteration.set.iter().map(|(name, value)| (name, Some(value)));
    let reset = alteration.reset.iter().map(|name| (name, None));
    let mut seen = std::collections::HashSet::new();
    for (name, value) in set.chain(reset) {
        if !seen.insert(name) {
            return Err(request.invalid(topic, format!("{name:?} is named twice")));
        }
        let c_name = c_string(request, topic, name)?;
        let c_value = value.map(|value| c_string(request, topic, value)).transpose()?;
        let (operation, value) = match &c_value {
            Some(value) => (SET, value.as_ptr()),
            None => (DELETE, std::ptr::null()),
        };
        // SAFETY: the resource is alive, in the array of the caller; name and value are NUL-terminated and copied.
        let error = unsafe {
            rd::rd_kafka_ConfigResource_add_incremental_config(resource, c_name.as_ptr(), operation, value)
        };
        if !error.is_null() {
            // SAFETY: the error is alive.
            let message = unsafe { rd::rd_kafka_error_string(error) };
            // SAFETY: belongs to the error.
            let message = unsafe { sys::text(message) }.unwrap_or_default().into_owned();
            // SAFETY: ours, destroyed once; the message is a copy.
            unsafe { rd::rd_kafka_error_destroy(error) };
            return Err(request.invalid(topic, message));
        }
    }
    Ok(())
}

fn decode<T>(
    request: &Request,
    names: &[String],
    event: &Event,
    results: Option<&[*const rd::rd_kafka_ConfigResource_t]>,
    outcome: impl Fn(&Resource<'_>) -> Result<T, BrokerError>,
) -> Result<Vec<Result<T, BrokerError>>, RequestError> {
    let results = results.ok_or_else(|| request.mismatch())?;
    let results = results.iter().filter_map(|resource| Resource::of(event, *resource));
    Ok(in_order(names, results.map(|resource| (resource.name(), outcome(&resource)))))
}

/// One resource of an answer, borrowed from its event.
struct Resource<'e> {
    resource: *const rd::rd_kafka_ConfigResource_t,
    event: &'e Event,
}

impl<'e> Resource<'e> {
    /// `None` for a hole in the array: librdkafka leaves one where the broker left a resource out.
    fn of(event: &'e Event, resource: *const rd::rd_kafka_ConfigResource_t) -> Option<Self> {
        (!resource.is_null()).then_some(Self { resource, event })
    }

    fn name(&self) -> String {
        // SAFETY: the resource belongs to the event, which is alive.
        let name = unsafe { rd::rd_kafka_ConfigResource_name(self.resource) };
        // SAFETY: belongs to the resource.
        let name = unsafe { sys::text(name) };
        name.unwrap_or_default().into_owned()
    }

    fn error(&self) -> Option<BrokerError> {
        // SAFETY: the resource belongs to the event, which is alive.
        let code = unsafe { sys::rd_kafka_ConfigResource_error(self.resource) };
        if code == 0 {
            return None;
        }
        // SAFETY: as above.
        let message = unsafe { rd::rd_kafka_ConfigResource_error_string(self.resource) };
        // SAFETY: belongs to the resource.
        let message = unsafe { sys::text(message) };
        Some(BrokerError::new(ErrorCode::from_c(code), message.as_deref()))
    }

    fn entries(&self, select: Select) -> Vec<ConfigEntry> {
        let mut count = 0;
        // SAFETY: the resource belongs to the event, which is alive.
        let entries = unsafe { rd::rd_kafka_ConfigResource_configs(self.resource, &mut count) };
        // SAFETY: an array of `count` entries that belongs to the resource.
        let entries = unsafe { sys::slice(entries, count) };
        let entries = entries.iter().filter_map(|entry| Entry::of(self.event, *entry));
        match select {
            Select::All => entries.map(|entry| entry.read()).collect(),
            Select::Overrides => {
                entries.filter(|entry| entry.source() == DYNAMIC_TOPIC).map(|entry| entry.read()).collect()
            }
        }
    }
}

/// One entry of an answer, borrowed from its event.
struct Entry<'e> {
    entry: *const rd::rd_kafka_ConfigEntry_t,
    _event: &'e Event,
}

impl<'e> Entry<'e> {
    fn of(event: &'e Event, entry: *const rd::rd_kafka_ConfigEntry_t) -> Option<Self> {
        (!entry.is_null()).then_some(Self { entry, _event: event })
    }

    fn source(&self) -> i32 {
        // SAFETY: the entry belongs to the event, which is alive.
        unsafe { sys::rd_kafka_ConfigEntry_source(self.entry) }
    }

    fn read(&self) -> ConfigEntry {
        // SAFETY: the entry belongs to the event, which is alive.
        let name = unsafe { rd::rd_kafka_ConfigEntry_name(self.entry) };
        // SAFETY: belongs to the entry.
        let name = unsafe { sys::text(name) };
        // SAFETY: the entry is alive.
        let value = unsafe { rd::rd_kafka_ConfigEntry_value(self.entry) };
        // SAFETY: belongs to the entry, or is null.
        let value = unsafe { sys::text(value) };
        // SAFETY: the entry is alive.
        let sensitive = unsafe { rd::rd_kafka_ConfigEntry_is_sensitive(self.entry) };
        // SAFETY: the entry is alive.
        let read_only = unsafe { rd::rd_kafka_ConfigEntry_is_read_only(self.entry) };
        ConfigEntry {
            name: name.unwrap_or_default().into_owned(),
            value: value.map(|value| value.into_owned()),
            source: ConfigSource::from_protocol(self.source()),
            // librdkafka says -1 when the protocol version has no such field.
            sensitive: sensitive == 1,
            read_only: read_only == 1,
        }
    }
}
