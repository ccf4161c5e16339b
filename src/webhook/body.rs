//! Reading a request's body. Memory is reserved for bytes that have arrived, not for those that were announced.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Maximum size of a review: both versions of an object, each at most 1.5 MiB (etcd) or 3 MiB (API server), and JSON.
pub(super) const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// Maximum number of bytes of reviews in memory, besides one review of the maximum size.
const MAX_TOTAL_BYTES: usize = 4 * MAX_BODY_BYTES;

/// Timeout of reading a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a body was not read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    /// The body has more bytes than a review.
    #[error("the body has more than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// The connection ended before the body did.
    #[error("the body ended early")]
    Incomplete,
    /// The body, or memory for it, took too long.
    #[error("the body did not arrive in time")]
    TooLate,
}

/// Reads bodies, and limits the memory that they take together.
#[derive(Clone, Debug)]
pub(super) struct BodyReader {
    bytes: Arc<Semaphore>,
    /// One body at a time continues without a reservation. Otherwise bodies that have arrived in part could wait for each
    /// other's memory.
    overflow: Arc<Semaphore>,
    timeout: Duration,
}

/// A body in memory.
#[derive(Debug)]
pub(super) struct ReceivedBody {
    pub(super) bytes: Vec<u8>,
    _reservations: Vec<OwnedSemaphorePermit>,
}

impl Default for BodyReader {
    fn default() -> Self {
        Self::with_limits(MAX_TOTAL_BYTES, BODY_TIMEOUT)
    }
}

impl BodyReader {
    fn with_limits(bytes: usize, timeout: Duration) -> Self {
        Self { bytes: Arc::new(Semaphore::new(bytes)), overflow: Arc::new(Semaphore::new(1)), timeout }
    }

    /// Reads a body.
    pub(super) async fn read(&self, body: Body) -> Result<ReceivedBody, BodyError> {
        timeout(self.timeout, self.receive(body)).await.unwrap_or(Err(BodyError::TooLate))
    }

    async fn receive(&self, body: Body) -> Result<ReceivedBody, BodyError> {
        let mut received = Vec::new();
        let mut reservation: Option<OwnedSemaphorePermit> = None;
        let mut overflow: Option<OwnedSemaphorePermit> = None;
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| BodyError::Incomplete)?;
            if received.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(BodyError::TooLarge);
            }
            if overflow.is_none() {
                let size = u32::try_from(chunk.len()).map_err(|_| BodyError::TooLarge)?;
                tokio::select! {
                    biased;
                    permit = Arc::clone(&self.bytes).acquire_many_owned(size) => {
                        let permit = permit.expect("it is never closed");
                        match &mut reservation {
                            Some(reserved) => reserved.merge(permit),
                            None => reservation = Some(permit),
                        }
                    }
                    permit = Arc::clone(&self.overflow).acquire_owned() => {
                        overflow = Some(permit.expect("it is never closed"));
                    }
                }
            }
            received.extend_from_slice(&chunk);
        }
        Ok(ReceivedBody { bytes: received, _reservations: reservation.into_iter().chain(overflow).collect() })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::channel::mpsc;
    use futures::future::try_join_all;
    use futures::{SinkExt, stream};

    use super::*;

    fn chunks(sizes: &[usize]) -> Body {
        let chunks: Vec<Result<Vec<u8>, Infallible>> =
            sizes.iter().map(|size| Ok(vec![b'x'; *size])).collect();
        Body::from_stream(stream::iter(chunks))
    }

    #[tokio::test]
    async fn a_body_is_read_whole_up_to_the_maximum() {
        let reader = BodyReader::default();
        for sizes in [&[][..], &[1, 2, 3], &[MAX_BODY_BYTES]] {
            let body = reader.read(chunks(sizes)).await.expect("it is read");
            assert_eq!(body.bytes.len(), sizes.iter().sum::<usize>());
        }
        assert_eq!(reader.read(chunks(&[MAX_BODY_BYTES, 1])).await.err(), Some(BodyError::TooLarge));
        assert_eq!(reader.bytes.available_permits(), MAX_TOTAL_BYTES, "memory is released");
    }

    /// Twenty bodies of 60 bytes share 100 bytes. Each has arrived in part before the next one begins, and all are read.
    #[tokio::test]
    async fn bodies_do_not_wait_for_each_other_in_a_circle() {
        let reader = BodyReader::with_limits(100, BODY_TIMEOUT);
        let bodies = (0..20).map(|_| {
            let reader = reader.clone();
            async move { reader.read(chunks(&[20, 20, 20])).await.map(|body| body.bytes.len()) }
        });
        assert_eq!(try_join_all(bodies).await, Ok(vec![60; 20]));
        assert_eq!((reader.bytes.available_permits(), reader.overflow.available_permits()), (100, 1));
    }

    /// A client that sends slowly holds what it has sent, and not for longer than the timeout.
    #[tokio::test]
    async fn a_slow_body_holds_only_what_has_arrived() {
        let reader = BodyReader::with_limits(100, Duration::from_millis(500));
        let (mut sender, receiver) = mpsc::channel::<Result<Vec<u8>, Infallible>>(1);
        let slow = tokio::spawn({
            let reader = reader.clone();
            async move { reader.read(Body::from_stream(receiver)).await.err() }
        });
        sender.send(Ok(vec![b'x'; 10])).await.expect("it is read");
        while reader.bytes.available_permits() == 100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(reader.bytes.available_permits(), 90);
        let other = reader.read(chunks(&[80])).await.map(|body| body.bytes.len());
        assert_eq!(other, Ok(80));
        assert_eq!(slow.await.expect("no panic"), Some(BodyError::TooLate));
        assert_eq!(reader.bytes.available_permits(), 100);
    }
}
