//! Messages of the operator itself. Business events are not its business.

use eventcenter_sdk::name::TopicName;

use super::{Error, Kafka};

impl Kafka {
    /// Appends a message to a topic and waits until all replicas that are in sync have it.
    ///
    /// # Errors
    /// Kafka does not answer, or does not take it. It may be there all the same.
    pub async fn append(&self, topic: &TopicName, key: &str, value: &str) -> Result<(), Error> {
        let append = self.link.client.produce(topic.as_ref(), key.as_bytes(), value.as_bytes());
        let done = self.link.note("Produce", 1, async { append.await.map(|()| vec![Ok(())]) }).await;
        done.into_iter().collect()
    }
}
