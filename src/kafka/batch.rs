//! Collects single operations into few requests.
//!
//! For each type of request, one task sends the operations that arrive within [`LINGER`], and all that arrived while the
//! previous request was in flight, as one request. So requests grow with the load, and a single operation waits only some
//! milliseconds.

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::time::Duration;

use eventcenter_sdk::name::TopicName;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::error::Error;

/// How long an operation waits for others.
const LINGER: Duration = Duration::from_millis(5);

/// The maximum weight of one request. KRaft refuses a metadata transaction of more than 10,000 records; a topic needs one for
/// itself, one per partition and one per configuration key.
pub(super) const MAX_WEIGHT: usize = 4_000;

/// The minimum weight of an operation. It limits a request to 1,000 operations.
pub(super) const MIN_WEIGHT: usize = 4;

/// The number of queued operations above which callers wait for a place in the queue.
const QUEUE_CAPACITY: usize = 1_024;

/// A request to Kafka that contains operations on many topics.
pub(super) trait BatchRequest: Send + Sync + 'static {
    /// The operation on one topic.
    type Operation: Send + 'static;
    /// The result of one operation.
    type Output: Send + 'static;

    /// The operation's topic; one request contains each topic at most once.
    fn topic(operation: &Self::Operation) -> &TopicName;

    /// An upper bound for the records that the operation adds to Kafka's metadata.
    fn weight(operation: &Self::Operation) -> usize;

    /// Sends one request and returns the results in the order of the operations.
    fn send(
        &self,
        operations: Vec<Self::Operation>,
    ) -> impl Future<Output = Vec<Result<Self::Output, Error>>> + Send;
}

struct PendingOperation<R: BatchRequest> {
    operation: R::Operation,
    result: oneshot::Sender<Result<R::Output, Error>>,
}

/// Collects the operations of one type of request.
pub(super) struct Batcher<R: BatchRequest> {
    queue: mpsc::Sender<PendingOperation<R>>,
}

impl<R: BatchRequest> Batcher<R> {
    /// Starts the task. It ends after the batcher is dropped and all pending operations have their results.
    pub(super) fn start(request: R) -> Self {
        let (queue, receiver) = mpsc::channel(QUEUE_CAPACITY);
        tokio::spawn(run(request, receiver));
        Self { queue }
    }

    /// Adds an operation to the next request and waits for its result.
    pub(super) async fn execute(&self, operation: R::Operation) -> Result<R::Output, Error> {
        let (sender, result) = oneshot::channel();
        self.queue.send(PendingOperation { operation, result: sender }).await.map_err(|_| Error::Closed)?;
        result.await.map_err(|_| Error::Closed)?
    }
}

async fn run<R: BatchRequest>(request: R, mut queue: mpsc::Receiver<PendingOperation<R>>) {
    let mut deferred: VecDeque<PendingOperation<R>> = VecDeque::new();
    loop {
        let first = match deferred.pop_front() {
            Some(first) => first,
            None => match queue.recv().await {
                Some(first) => first,
                None => return,
            },
        };
        let batch = collect(first, &mut deferred, &mut queue).await;
        let (operations, senders): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|pending| (pending.operation, pending.result)).unzip();
        for (sender, result) in senders.into_iter().zip(request.send(operations).await) {
            // An error means that the caller has dropped its future.
            drop(sender.send(result));
        }
    }
}

/// Takes operations from the queue until [`LINGER`] has elapsed or the request has its maximum weight. The operations that do
/// not fit are deferred to the next request, in order.
async fn collect<R: BatchRequest>(
    first: PendingOperation<R>,
    deferred: &mut VecDeque<PendingOperation<R>>,
    queue: &mut mpsc::Receiver<PendingOperation<R>>,
) -> Vec<PendingOperation<R>> {
    let deadline = Instant::now() + LINGER;
    let mut topics = HashSet::from([R::topic(&first.operation).clone()]);
    let mut weight = R::weight(&first.operation);
    let mut batch = vec![first];
    let mut candidates = std::mem::take(deferred);
    loop {
        let next = match candidates.pop_front() {
            Some(next) => next,
            None => match timeout_at(deadline, queue.recv()).await {
                Ok(Some(next)) => next,
                Ok(None) | Err(_) => return batch,
            },
        };
        let total = weight + R::weight(&next.operation);
        if total > MAX_WEIGHT {
            deferred.push_back(next);
            deferred.append(&mut candidates);
            return batch;
        }
        if !topics.insert(R::topic(&next.operation).clone()) {
            deferred.push_back(next);
            continue;
        }
        weight = total;
        batch.push(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::sync::Arc;

    /// Records the requests and returns each operation's number as its result.
    struct RecordedRequests(Arc<Mutex<Vec<Vec<usize>>>>);

    impl BatchRequest for RecordedRequests {
        type Operation = (TopicName, usize, usize);
        type Output = usize;

        fn topic(operation: &Self::Operation) -> &TopicName {
            &operation.0
        }

        fn weight(operation: &Self::Operation) -> usize {
            operation.2
        }

        async fn send(&self, operations: Vec<Self::Operation>) -> Vec<Result<usize, Error>> {
            let numbers: Vec<usize> = operations.iter().map(|operation| operation.1).collect();
            self.0.lock().push(numbers.clone());
            tokio::task::yield_now().await;
            numbers.into_iter().map(Ok).collect()
        }
    }

    async fn requests(operations: Vec<(&str, usize)>) -> Vec<Vec<usize>> {
        let recorded = Arc::default();
        let batcher = Batcher::start(RecordedRequests(Arc::clone(&recorded)));
        let calls = operations.into_iter().enumerate().map(|(number, (topic, weight))| {
            batcher.execute((topic.parse().expect("a name"), number, weight))
        });
        let results = futures::future::join_all(calls).await;
        for (number, result) in results.into_iter().enumerate() {
            assert_eq!(result.expect("a result"), number, "each operation has its own result");
        }
        recorded.lock().clone()
    }

    #[tokio::test]
    async fn concurrent_operations_are_sent_in_one_request() {
        assert_eq!(requests(vec![("a", 1), ("b", 1), ("c", 1)]).await, [vec![0, 1, 2]]);
    }

    #[tokio::test]
    async fn a_batch_over_the_maximum_weight_is_split_in_order() {
        let half = MAX_WEIGHT / 2;
        assert_eq!(
            requests(vec![("a", half), ("b", half), ("c", 1), ("d", 1)]).await,
            [vec![0, 1], vec![2, 3]]
        );
        assert_eq!(
            requests(vec![("a", MAX_WEIGHT * 2), ("b", 1)]).await,
            [vec![0], vec![1]],
            "an operation over the maximum is sent alone"
        );
    }

    #[tokio::test]
    async fn a_request_contains_a_topic_once() {
        assert_eq!(
            requests(vec![("a", 1), ("a", 1), ("b", 1), ("a", 1)]).await,
            [vec![0, 2], vec![1], vec![3]]
        );
    }
}
