//! The watches of what the platform's administrator declares: tenants and clusters.

use std::fmt::Debug;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::core::object::HasStatus;
use kube::runtime::watcher::{self, Event};
use serde::Serialize;

use super::queue::{Fingerprint, WorkQueue};
use super::{Context, Watched};

/// The resources of a kind that are worth a reconcile. On the way `learn` is called whenever what
/// all of them together say may have changed.
pub(super) fn watched<K>(
    context: &Arc<Context>,
    events: impl Stream<Item = Result<Event<Watched<K>>, watcher::Error>> + Send + 'static,
    queue: fn(&Context) -> &WorkQueue<Watched<K>>,
    learn: fn(&Context),
) -> impl Stream<Item = Result<Watched<K>, watcher::Error>> + Send + 'static
where
    K: kube::Resource<DynamicType = ()> + HasStatus + Clone + Debug + Send + 'static,
    K::Status: Serialize,
{
    let context = Arc::clone(context);
    events.filter_map(move |event| {
        let notices = |resource: &Watched<K>| {
            queue(&context).should_reconcile(resource, false, Fingerprint::shown(resource))
        };
        let passed = match event {
            Ok(Event::Apply(resource)) => notices(&resource).then(|| {
                learn(&context);
                Ok(resource)
            }),
            Ok(Event::InitApply(resource)) => notices(&resource).then_some(Ok(resource)),
            Ok(Event::Delete(resource)) => {
                queue(&context).forget(&resource);
                learn(&context);
                None
            }
            Ok(Event::InitDone) => {
                learn(&context);
                None
            }
            Ok(Event::Init) => None,
            Err(error) => Some(Err(error)),
        };
        std::future::ready(passed)
    })
}
