//! Many single operations, few requests.
//!
//! One task a kind of operation takes what arrives within [`LINGER`], and everything that has
//! arrived while the request before was under way, and sends it as one request. Under load the
//! requests grow by themselves, and a lonely operation waits some milliseconds.

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::time::Duration;

use eventcenter_sdk::name::TopicName;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::Error;

/// How long an operation waits for company.
const LINGER: Duration = Duration::from_millis(5);

/// How heavy one request may get. KRaft refuses a metadata transaction of more than 10,000
/// records, and a topic weighs one for itself, one a partition and one a configuration key.
const HEAVIEST: usize = 4_000;

/// How many operations may wait before those who bring them wait too.
const QUEUE: usize = 1_024;

/// A kind of operation that Kafka takes for many topics at once.
pub(super) trait Batched: Send + Sync + 'static {
    /// What is asked for one topic.
    type Operation: Send + 'static;
    /// What is answered for one topic.
    type Answer: Send + 'static;

    /// The topic; one request names each topic at most once.
    fn topic(operation: &Self::Operation) -> &TopicName;

    /// Number of records in Kafka's metadata that the operation may make.
    fn weight(operation: &Self::Operation) -> usize;

    /// Sends one request and returns the answers in the order of the operations.
    fn send(
        &self,
        operations: Vec<Self::Operation>,
    ) -> impl Future<Output = Vec<Result<Self::Answer, Error>>> + Send;
}

struct Waiting<B: Batched> {
    operation: B::Operation,
    answer: oneshot::Sender<Result<B::Answer, Error>>,
}

/// Where single operations are handed in.
pub(super) struct Batcher<B: Batched> {
    queue: mpsc::Sender<Waiting<B>>,
}

impl<B: Batched> Batcher<B> {
    /// Starts the task, which ends when the batcher is dropped and all that waits is answered.
    pub(super) fn start(kind: B) -> Self {
        let (queue, arriving) = mpsc::channel(QUEUE);
        tokio::spawn(run(kind, arriving));
        Self { queue }
    }

    /// Waits for the answer to one operation.
    pub(super) async fn call(&self, operation: B::Operation) -> Result<B::Answer, Error> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(Waiting { operation, answer }).await.map_err(|_| Error::Closed)?;
        answered.await.map_err(|_| Error::Closed)?
    }
}

async fn run<B: Batched>(kind: B, mut arriving: mpsc::Receiver<Waiting<B>>) {
    let mut held: VecDeque<Waiting<B>> = VecDeque::new();
    loop {
        let first = match held.pop_front() {
            Some(first) => first,
            None => match arriving.recv().await {
                Some(first) => first,
                None => return,
            },
        };
        let batch = gather(first, &mut held, &mut arriving).await;
        let (operations, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.operation, waiting.answer)).unzip();
        for (answer, result) in answers.into_iter().zip(kind.send(operations).await) {
            // Whoever asked may have gone: then nobody misses the answer.
            drop(answer.send(result));
        }
    }
}

/// Takes from the queue until it has been quiet for a moment or the request is heavy enough.
/// What does not fit is held for the next one, in order.
async fn gather<B: Batched>(
    first: Waiting<B>,
    held: &mut VecDeque<Waiting<B>>,
    arriving: &mut mpsc::Receiver<Waiting<B>>,
) -> Vec<Waiting<B>> {
    let deadline = Instant::now() + LINGER;
    let mut topics = HashSet::from([B::topic(&first.operation).clone()]);
    let mut weight = B::weight(&first.operation);
    let mut batch = vec![first];
    let mut candidates = std::mem::take(held);
    loop {
        let next = match candidates.pop_front() {
            Some(next) => next,
            None => match timeout_at(deadline, arriving.recv()).await {
                Ok(Some(next)) => next,
                Ok(None) | Err(_) => return batch,
            },
        };
        let heavier = weight + B::weight(&next.operation);
        if heavier > HEAVIEST {
            held.push_back(next);
            held.append(&mut candidates);
            return batch;
        }
        if !topics.insert(B::topic(&next.operation).clone()) {
            held.push_back(next);
            continue;
        }
        weight = heavier;
        batch.push(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// Notes the requests and answers each operation with its own number.
    struct Noted(Arc<Mutex<Vec<Vec<usize>>>>);

    impl Batched for Noted {
        type Operation = (TopicName, usize, usize);
        type Answer = usize;

        fn topic(operation: &Self::Operation) -> &TopicName {
            &operation.0
        }

        fn weight(operation: &Self::Operation) -> usize {
            operation.2
        }

        async fn send(&self, operations: Vec<Self::Operation>) -> Vec<Result<usize, Error>> {
            let numbers: Vec<usize> = operations.iter().map(|operation| operation.1).collect();
            self.0.lock().expect("not poisoned").push(numbers.clone());
            tokio::task::yield_now().await;
            numbers.into_iter().map(Ok).collect()
        }
    }

    async fn requests(operations: Vec<(&str, usize)>) -> Vec<Vec<usize>> {
        let noted = Arc::default();
        let batcher = Batcher::start(Noted(Arc::clone(&noted)));
        let calls = operations
            .into_iter()
            .enumerate()
            .map(|(number, (topic, weight))| batcher.call((topic.parse().expect("a name"), number, weight)));
        let answers = futures::future::join_all(calls).await;
        for (number, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.expect("answered"), number, "each has its own answer");
        }
        noted.lock().expect("not poisoned").clone()
    }

    #[tokio::test]
    async fn what_arrives_together_is_sent_together() {
        assert_eq!(requests(vec![("a", 1), ("b", 1), ("c", 1)]).await, [vec![0, 1, 2]]);
    }

    #[tokio::test]
    async fn a_heavy_batch_is_split_and_the_order_is_kept() {
        let heavy = HEAVIEST / 2;
        assert_eq!(
            requests(vec![("a", heavy), ("b", heavy), ("c", 1), ("d", 1)]).await,
            [vec![0, 1], vec![2, 3]]
        );
        assert_eq!(
            requests(vec![("a", HEAVIEST * 2), ("b", 1)]).await,
            [vec![0], vec![1]],
            "too heavy goes alone"
        );
    }

    #[tokio::test]
    async fn one_request_names_a_topic_once() {
        assert_eq!(
            requests(vec![("a", 1), ("a", 1), ("b", 1), ("a", 1)]).await,
            [vec![0, 2], vec![1], vec![3]]
        );
    }
}
