//! Connections whose client has not been identified. If there are too many, the oldest is closed, so that clients which send
//! nothing cannot use up the connections of the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// The connections of a server whose clients have not been identified, the oldest first.
#[derive(Debug)]
pub(super) struct UnidentifiedConnections {
    max: usize,
    connections: Mutex<Connections>,
}

#[derive(Debug, Default)]
struct Connections {
    next: u64,
    open: BTreeMap<u64, CancellationToken>,
}

/// An extension of each request of a server that limits the connections of unidentified clients.
#[derive(Clone, Debug)]
pub struct ClientIdentification(Arc<Registration>);

/// A registered connection. It ends when it is dropped.
#[derive(Debug)]
struct Registration {
    number: u64,
    all: Arc<UnidentifiedConnections>,
    closed: CancellationToken,
}

impl UnidentifiedConnections {
    /// At most this many.
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, connections: Mutex::default() })
    }

    /// Registers a new connection. Closes the oldest if there are too many.
    pub(super) fn register(self: &Arc<Self>) -> ClientIdentification {
        let closed = CancellationToken::new();
        let mut connections = self.connections.lock();
        let number = connections.next;
        connections.next += 1;
        connections.open.insert(number, closed.clone());
        if connections.open.len() > self.max
            && let Some((_, oldest)) = connections.open.pop_first()
        {
            oldest.cancel();
        }
        ClientIdentification(Arc::new(Registration { number, all: Arc::clone(self), closed }))
    }
}

impl ClientIdentification {
    /// The client is identified: its connection is not closed in favour of others.
    pub fn confirm(&self) {
        self.0.all.connections.lock().open.remove(&self.0.number);
    }

    /// Waits until the connection is to be closed.
    pub(super) async fn closed(&self) {
        self.0.closed.cancelled().await;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.all.connections.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_unidentified_connection_is_closed() {
        let all = UnidentifiedConnections::new(2);
        let [identified, oldest, second] = [(); 3].map(|()| {
            let connection = all.register();
            if all.connections.lock().next == 1 {
                connection.confirm();
            }
            connection
        });
        let is_closed = |connection: &ClientIdentification| connection.0.closed.is_cancelled();
        assert!(!is_closed(&oldest));
        let third = all.register();
        assert_eq!([&identified, &oldest, &second, &third].map(is_closed), [false, true, false, false]);
        drop(second);
        let _fourth = all.register();
        assert!(!is_closed(&third), "a connection that has ended does not count");
    }
}
