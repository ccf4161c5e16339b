//! ConfigMaps with schemas: only those with the label `SCHEMA_LABEL`.

use std::collections::{BTreeMap, BTreeSet};

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt};

use super::timeout::in_time;
use super::{KubeClient, WriteError, write};
use crate::api::{ConfigMapKey, EventType, SCHEMA_LABEL};

impl KubeClient {
    /// The texts that the event types of a resource refer to in ConfigMaps. A text is missing if the ConfigMap, its
    /// label or the key is missing: an EventTopic cannot make the operator read any other ConfigMap.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn get_schema_texts<'a>(
        &self,
        beside: &impl kube::Resource,
        event_types: impl IntoIterator<Item = &'a EventType>,
    ) -> Result<BTreeMap<ConfigMapKey, String>, WriteError> {
        let keys: BTreeSet<&ConfigMapKey> = event_types
            .into_iter()
            .filter_map(|declared| declared.schema_from.as_ref())
            .map(|from| &from.config_map_key_ref)
            .collect();
        let maps = Api::<ConfigMap>::namespaced(self.client.clone(), &beside.namespace().unwrap_or_default());
        let (mut texts, mut last): (_, Option<(&str, Option<ConfigMap>)>) = (BTreeMap::new(), None);
        // The keys are sorted, so each ConfigMap is read once.
        for key in keys {
            if last.as_ref().is_none_or(|(name, _)| *name != key.name) {
                let map = match is_object_name(&key.name) {
                    true => in_time(maps.get_opt(&key.name)).await,
                    false => Ok(None),
                };
                let map = map.map_err(write::failed("reading a ConfigMap with schemas"))?;
                last = Some((&key.name, map.filter(is_labelled)));
            }
            let data = last.as_ref().and_then(|(_, map)| map.as_ref()?.data.as_ref());
            if let Some(text) = data.and_then(|data| data.get(&key.key)) {
                texts.insert(key.clone(), text.clone());
            }
        }
        Ok(texts)
    }

    /// Namespace and name of each ConfigMap with schemas that is added, changed or deleted. Only metadata is watched.
    pub fn watch_schemas(&self) -> impl Stream<Item = (String, String)> + Send + use<> {
        let maps = Api::<PartialObjectMeta<ConfigMap>>::all(self.client.clone());
        let labelled = watcher::Config::default().labels(&format!("{SCHEMA_LABEL}=true"));
        watcher(maps, labelled).default_backoff().filter_map(|event| async {
            match event {
                Ok(Event::Apply(map) | Event::InitApply(map) | Event::Delete(map)) => {
                    Some((map.namespace().unwrap_or_default(), map.name_any()))
                }
                Ok(Event::Init | Event::InitDone) => None,
                Err(error) => {
                    tracing::warn!(%error, "watching ConfigMaps with schemas failed; retrying");
                    None
                }
            }
        })
    }
}

/// Whether a text can be the name of an object. Resources that were stored before the definition had a pattern may contain others,
/// and the client does not escape names in URLs.
fn is_object_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.'))
        && !name.starts_with('.')
}

fn is_labelled(map: &ConfigMap) -> bool {
    map.labels().get(SCHEMA_LABEL).is_some_and(|value| value == "true")
}
