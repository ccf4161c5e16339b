//! Requests about configuration: altering topics', describing topics' and brokers'.

use std::time::Duration;

use crate::client::{AdminClient, Reply};
use crate::error::{BrokerError, ErrorCode, ItemResults, RequestError};
use crate::handle::Event;
use crate::input::{ObjectArray, c_names, c_string, order_by_name};
use crate::options::{AdminOperation, Request};
use crate::sys::{self, rd};

/// Changes of one topic's configuration. Keys that are not named keep their values (KIP-339).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicConfigAlteration {
    /// The topic's name.
    pub topic: String,
    /// The names and their new values (`SET`).
    pub set: Vec<(String, String)>,
    /// The names whose values are removed from the topic, so that the cluster's apply (`DELETE`). A name without a value is
    /// allowed.
    pub reset: Vec<String>,
}

/// The source of a configuration value (KIP-226).
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
    /// A source that this crate does not know, as the protocol's number.
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

/// One configuration entry of a topic or broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The name, for example `retention.ms`.
    pub name: String,
    /// The value; `None` if it has none or is sensitive.
    pub value: Option<String>,
    /// The source of the value.
    pub source: ConfigSource,
    /// Whether the value is sensitive, so that the broker never returns it.
    pub sensitive: bool,
    /// Whether the value can be changed only in the broker's configuration file.
    pub read_only: bool,
}

/// The configuration of one resource.
pub type ConfigEntries = Result<Vec<ConfigEntry>, BrokerError>;

/// The entries that a describe returns.
#[derive(Clone, Copy)]
enum EntrySelection {
    All,
    Overrides,
}

impl AdminClient {
    /// Changes single configuration values of topics (IncrementalAlterConfigs, KIP-339). The results are in the order of
    /// `alterations`; the changes of one topic are atomic.
    ///
    /// A success means that the controller has recorded the change; a describe may return the old value for a short time.
    ///
    /// # Errors
    /// For one topic, among others: an unknown name or an invalid value, a policy, a missing authorization, no such topic.
    /// For the request: see [`RequestError`]; a name both set and reset, or twice, is invalid input.
    pub async fn incremental_alter_configs(
        &self,
        alterations: &[TopicConfigAlteration],
        timeout: Duration,
    ) -> Result<ItemResults, RequestError> {
        if alterations.is_empty() {
            return Ok(Vec::new());
        }
        self.start_alter_configs(alterations, timeout)?.wait().await
    }

    fn start_alter_configs(
        &self,
        alterations: &[TopicConfigAlteration],
        timeout: Duration,
    ) -> Result<Reply<ItemResults>, RequestError> {
        let request = Request {
            operation: "IncrementalAlterConfigs",
            admin_operation: AdminOperation::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS,
            timeout,
            has_operation_timeout: false,
        };
        let names: Vec<String> = alterations.iter().map(|alteration| alteration.topic.clone()).collect();
        let topic = rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
        let mut resources = resources(&request, topic, &names)?;
        for (alteration, resource) in alterations.iter().zip(resources.iter()) {
            add_alterations(&request, alteration, resource)?;
        }
        self.start(
            request,
            // SAFETY: client, array, options and queue are alive during the call, which copies the array and the options.
            |handle, options| unsafe {
                rd::rd_kafka_IncrementalAlterConfigs(
                    handle.client(),
                    resources.as_mut_ptr(),
                    resources.len(),
                    options.as_ptr(),
                    handle.queue(),
                );
            },
            move |event| {
                // SAFETY: both functions belong to IncrementalAlterConfigs.
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

    /// All configuration values that apply to topics, about 35 each (DescribeConfigs, KIP-133 and KIP-226). The results are
    /// in the order of `topics`.
    ///
    /// The request goes to the broker that the cluster advertises as controller, which with KRaft is any live broker. It
    /// answers from its own copy of the metadata, which lags slightly behind the controller's.
    ///
    /// # Errors
    /// For one topic: it does not exist, or a missing authorization. For the request: see [`RequestError`].
    pub async fn describe_configs(
        &self,
        topics: &[String],
        timeout: Duration,
    ) -> Result<Vec<ConfigEntries>, RequestError> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let topic = rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
        self.start_describe_configs(topic, topics.to_vec(), EntrySelection::All, timeout)?.wait().await
    }

    /// Like [`AdminClient::describe_configs`], but only the values that are set on the topics themselves
    /// ([`ConfigSource::DynamicTopic`]). The broker still sends all values; the others are not copied.
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
        self.start_describe_configs(topic, topics.to_vec(), EntrySelection::Overrides, timeout)?.wait().await
    }

    /// The configuration of one broker (DescribeConfigs), for example `authorizer.class.name`. The request goes to that
    /// broker.
    ///
    /// # Errors
    /// From the broker: a missing authorization on the cluster. For the request: see [`RequestError`]; a broker that does not
    /// exist results in a timeout.
    pub async fn describe_broker_configs(
        &self,
        broker: i32,
        timeout: Duration,
    ) -> Result<ConfigEntries, RequestError> {
        let resource = rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_BROKER;
        let reply =
            self.start_describe_configs(resource, vec![broker.to_string()], EntrySelection::All, timeout)?;
        Ok(reply.wait().await?.pop().unwrap_or_else(|| Err(BrokerError::missing_from_response())))
    }

    fn start_describe_configs(
        &self,
        resource_type: rd::rd_kafka_ResourceType_t,
        names: Vec<String>,
        selection: EntrySelection,
        timeout: Duration,
    ) -> Result<Reply<Vec<ConfigEntries>>, RequestError> {
        let request = Request {
            operation: "DescribeConfigs",
            admin_operation: AdminOperation::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS,
            timeout,
            has_operation_timeout: false,
        };
        let mut resources = resources(&request, resource_type, &names)?;
        self.start(
            request,
            // SAFETY: client, array, options and queue are alive during the call, which copies the array and the options.
            |handle, options| unsafe {
                rd::rd_kafka_DescribeConfigs(
                    handle.client(),
                    resources.as_mut_ptr(),
                    resources.len(),
                    options.as_ptr(),
                    handle.queue(),
                );
            },
            move |event| {
                // SAFETY: both functions belong to DescribeConfigs.
                let results = unsafe {
                    event.results(
                        rd::rd_kafka_event_DescribeConfigs_result,
                        rd::rd_kafka_DescribeConfigs_result_resources,
                    )
                };
                decode(&request, &names, event, results, |resource| match resource.error() {
                    Some(error) => Err(error),
                    None => Ok(resource.entries(selection)),
                })
            },
        )
    }
}

fn resources(
    request: &Request,
    resource_type: rd::rd_kafka_ResourceType_t,
    names: &[String],
) -> Result<ObjectArray<rd::rd_kafka_ConfigResource_t>, RequestError> {
    // SAFETY: `rd_kafka_ConfigResource_destroy` frees an object of `rd_kafka_ConfigResource_new`.
    let mut array = unsafe { ObjectArray::new(names.len(), rd::rd_kafka_ConfigResource_destroy) };
    for name in c_names(request, names.iter().map(String::as_str))? {
        // SAFETY: the name is NUL-terminated and copied.
        let resource = unsafe { rd::rd_kafka_ConfigResource_new(resource_type, name.as_ptr()) };
        // SAFETY: `resource` was just created and has no other pointer, or is null.
        if !unsafe { array.push(resource) } {
            return Err(request.invalid(&name.to_string_lossy(), "refused by librdkafka"));
        }
    }
    Ok(array)
}

/// Adds the changes of one topic to librdkafka's object of the topic.
fn add_alterations(
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
    let mut unique = std::collections::HashSet::new();
    for (name, value) in set.chain(reset) {
        if !unique.insert(name) {
            return Err(request.invalid(topic, format!("{name:?} is named twice")));
        }
        let c_name = c_string(request, topic, name)?;
        let c_value = value.map(|value| c_string(request, topic, value)).transpose()?;
        let (operation, value) = match &c_value {
            Some(value) => (SET, value.as_ptr()),
            None => (DELETE, std::ptr::null()),
        };
        // SAFETY: the caller's array keeps the resource alive; name and value are NUL-terminated and copied.
        let error = unsafe {
            rd::rd_kafka_ConfigResource_add_incremental_config(resource, c_name.as_ptr(), operation, value)
        };
        if !error.is_null() {
            // SAFETY: the caller owns the error, which is alive.
            let message = unsafe { rd::rd_kafka_error_string(error) };
            // SAFETY: the error owns the text.
            let message = unsafe { sys::text(message) }.unwrap_or_default().into_owned();
            // SAFETY: the caller owns the error and destroys it once; the message is a copy.
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
    read: impl Fn(&ResourceRef<'_>) -> Result<T, BrokerError>,
) -> Result<ItemResults<T>, RequestError> {
    let results = results.ok_or_else(|| request.mismatch())?;
    let results = results.iter().filter_map(|resource| ResourceRef::new(event, *resource));
    Ok(order_by_name(names, results.map(|resource| (resource.name(), read(&resource)))))
}

/// One resource of a response, borrowed from its event.
struct ResourceRef<'e> {
    resource: *const rd::rd_kafka_ConfigResource_t,
    event: &'e Event,
}

impl<'e> ResourceRef<'e> {
    /// `None` for a null pointer: librdkafka leaves one if the broker's response lacks a resource.
    fn new(event: &'e Event, resource: *const rd::rd_kafka_ConfigResource_t) -> Option<Self> {
        (!resource.is_null()).then_some(Self { resource, event })
    }

    fn name(&self) -> String {
        // SAFETY: the event is alive and owns the resource.
        let name = unsafe { rd::rd_kafka_ConfigResource_name(self.resource) };
        // SAFETY: the resource owns the text.
        let name = unsafe { sys::text(name) };
        name.unwrap_or_default().into_owned()
    }

    fn error(&self) -> Option<BrokerError> {
        // SAFETY: the event is alive and owns the resource.
        let code = unsafe { sys::rd_kafka_ConfigResource_error(self.resource) };
        if code == 0 {
            return None;
        }
        // SAFETY: as above.
        let message = unsafe { rd::rd_kafka_ConfigResource_error_string(self.resource) };
        // SAFETY: the resource owns the text.
        let message = unsafe { sys::text(message) };
        Some(BrokerError::new(ErrorCode::from_c(code), message.as_deref()))
    }

    fn entries(&self, selection: EntrySelection) -> Vec<ConfigEntry> {
        let mut count = 0;
        // SAFETY: the event is alive and owns the resource.
        let entries = unsafe { rd::rd_kafka_ConfigResource_configs(self.resource, &mut count) };
        // SAFETY: an array of `count` entries that the resource owns.
        let entries = unsafe { sys::slice(entries, count) };
        let entries = entries.iter().filter_map(|entry| EntryRef::new(self.event, *entry));
        match selection {
            EntrySelection::All => entries.map(|entry| entry.read()).collect(),
            EntrySelection::Overrides => {
                entries.filter(|entry| entry.source() == DYNAMIC_TOPIC).map(|entry| entry.read()).collect()
            }
        }
    }
}

/// One entry of a response, borrowed from its event.
struct EntryRef<'e> {
    entry: *const rd::rd_kafka_ConfigEntry_t,
    _event: &'e Event,
}

impl<'e> EntryRef<'e> {
    fn new(event: &'e Event, entry: *const rd::rd_kafka_ConfigEntry_t) -> Option<Self> {
        (!entry.is_null()).then_some(Self { entry, _event: event })
    }

    fn source(&self) -> i32 {
        // SAFETY: the event is alive and owns the entry.
        unsafe { sys::rd_kafka_ConfigEntry_source(self.entry) }
    }

    fn read(&self) -> ConfigEntry {
        // SAFETY: the event is alive and owns the entry.
        let name = unsafe { rd::rd_kafka_ConfigEntry_name(self.entry) };
        // SAFETY: the entry owns the text.
        let name = unsafe { sys::text(name) };
        // SAFETY: the event is alive and owns the entry.
        let value = unsafe { rd::rd_kafka_ConfigEntry_value(self.entry) };
        // SAFETY: the text is null, or owned by the entry.
        let value = unsafe { sys::text(value) };
        // SAFETY: the event is alive and owns the entry.
        let sensitive = unsafe { rd::rd_kafka_ConfigEntry_is_sensitive(self.entry) };
        // SAFETY: the event is alive and owns the entry.
        let read_only = unsafe { rd::rd_kafka_ConfigEntry_is_read_only(self.entry) };
        ConfigEntry {
            name: name.unwrap_or_default().into_owned(),
            value: value.map(|value| value.into_owned()),
            source: ConfigSource::from_protocol(self.source()),
            // librdkafka returns -1 if the protocol version lacks the field.
            sensitive: sensitive == 1,
            read_only: read_only == 1,
        }
    }
}
