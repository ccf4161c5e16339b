//! The deliveries of one partition that have not ended: which may begin, and which offset may be committed.

use std::collections::{HashMap, VecDeque};

/// The deliveries of one partition for one subscription that have not ended.
///
/// Events of the same key are delivered one after the other, in the order of their offsets; others at the same time, up to a limit. A
/// delivery ends when the subscriber has accepted the event, or Kafka its dead letter; until then it may be repeated any number of times. The
/// offset that may be committed is that of the first event whose delivery has not ended, so a crash repeats at most the window.
///
/// Each operation takes constant time, and the memory is that of the events between the committed offset and the last one.
#[derive(Debug)]
pub struct DeliveryWindow<E> {
    /// The events from the first one on that has not ended. Their numbers are consecutive.
    entries: VecDeque<Entry<E>>,
    /// The number of the first entry.
    first: u64,
    /// The number of the last event of each key that has not ended.
    last_of_key: HashMap<u64, u64>,
    /// The numbers of events that may be delivered, in the order in which they became so.
    ready: VecDeque<u64>,
    in_flight: usize,
    /// The offset after the last event that was seen, of those that need no delivery as well.
    end: i64,
}

#[derive(Debug)]
struct Entry<E> {
    offset: i64,
    key: Option<u64>,
    /// `None` once its delivery has ended.
    event: Option<E>,
    /// The number of the next event of the key.
    next_of_key: Option<u64>,
}

/// A delivery that has begun. [`DeliveryWindow::finish`] ends it.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a delivery that is not finished stops the offset"]
pub struct Delivery {
    number: u64,
    /// The offset of the event.
    pub offset: i64,
}

impl<E> DeliveryWindow<E> {
    /// An empty window that begins at an offset.
    #[must_use]
    pub fn new(offset: i64) -> Self {
        Self {
            entries: VecDeque::new(),
            first: 0,
            last_of_key: HashMap::new(),
            ready: VecDeque::new(),
            in_flight: 0,
            end: offset,
        }
    }

    /// Adds the event at an offset. `key` is a hash of its key, `None` if its order does not matter: events of different keys with the
    /// same hash are delivered one after the other, which costs time only. An event before [`Self::end`] was added already, and is ignored.
    pub fn push(&mut self, offset: i64, key: Option<u64>, event: E) {
        if offset < self.end {
            return;
        }
        self.end = offset + 1;
        let number = self.first + self.entries.len() as u64;
        self.entries.push_back(Entry { offset, key, event: Some(event), next_of_key: None });
        let before = key.and_then(|key| self.last_of_key.insert(key, number));
        match before.and_then(|before| self.entry_mut(before)) {
            Some(before) => before.next_of_key = Some(number),
            None => self.ready.push_back(number),
        }
    }

    /// Passes over events that need no delivery, up to an offset.
    pub fn skip_to(&mut self, offset: i64) {
        self.end = self.end.max(offset);
    }

    /// Begins the next delivery. `None` if `limit` deliveries have begun and not ended, or all events wait for others of their key.
    pub fn begin(&mut self, limit: usize) -> Option<Delivery> {
        if self.in_flight >= limit {
            return None;
        }
        let number = self.ready.pop_front()?;
        let offset = self.entry_mut(number)?.offset;
        self.in_flight += 1;
        Some(Delivery { number, offset })
    }

    /// The event of a delivery.
    #[must_use]
    pub fn event(&self, delivery: &Delivery) -> Option<&E> {
        self.entries.get(self.index(delivery.number)?)?.event.as_ref()
    }

    /// Ends a delivery. Returns its event. The next event of its key may be delivered.
    pub fn finish(&mut self, delivery: Delivery) -> Option<E> {
        let number = delivery.number;
        let entry = self.entry_mut(number)?;
        let (event, key, next) = (entry.event.take()?, entry.key, entry.next_of_key);
        self.in_flight -= 1;
        match (next, key) {
            (Some(next), _) => self.ready.push_back(next),
            (None, Some(key)) => drop(self.last_of_key.remove(&key)),
            (None, None) => {}
        }
        while self.entries.front().is_some_and(|entry| entry.event.is_none()) {
            self.entries.pop_front();
            self.first += 1;
        }
        Some(event)
    }

    /// The offset that may be committed: all events before it have been delivered, or need no delivery.
    #[must_use]
    pub fn committable(&self) -> i64 {
        self.entries.front().map_or(self.end, |entry| entry.offset)
    }

    /// The offset after the last event that was added or passed over.
    #[must_use]
    pub const fn end(&self) -> i64 {
        self.end
    }

    /// Number of events in memory, among them those that were delivered after one that was not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether all deliveries have ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of deliveries that have begun and not ended.
    #[must_use]
    pub const fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn index(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }

    fn entry_mut(&mut self, number: u64) -> Option<&mut Entry<E>> {
        let index = self.index(number)?;
        self.entries.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A window with the events 10 to 14 of these keys.
    fn window(keys: [Option<u64>; 5]) -> DeliveryWindow<usize> {
        let mut window = DeliveryWindow::new(10);
        for (index, (offset, key)) in (10..).zip(keys).enumerate() {
            window.push(offset, key, index);
        }
        window
    }

    fn begin_all(window: &mut DeliveryWindow<usize>, limit: usize) -> Vec<Delivery> {
        std::iter::from_fn(|| window.begin(limit)).collect()
    }

    fn offsets(deliveries: &[Delivery]) -> Vec<i64> {
        deliveries.iter().map(|delivery| delivery.offset).collect()
    }

    #[test]
    fn events_of_a_key_are_delivered_one_after_the_other() {
        let mut window = window([Some(1), Some(1), Some(2), None, None]);
        let mut begun = begin_all(&mut window, 10);
        assert_eq!(offsets(&begun), [10, 12, 13, 14]);
        assert_eq!(window.finish(begun.remove(0)), Some(0));
        assert_eq!(offsets(&begin_all(&mut window, 10)), [11]);
    }

    #[test]
    fn the_committable_offset_is_that_of_the_first_event_that_has_not_ended() {
        let mut window = window([None; 5]);
        let mut begun = begin_all(&mut window, 10);
        assert_eq!(window.committable(), 10);
        window.finish(begun.remove(1));
        assert_eq!((window.committable(), window.len()), (10, 5));
        window.finish(begun.remove(0));
        assert_eq!((window.committable(), window.len()), (12, 3));
        for delivery in begun {
            window.finish(delivery);
        }
        assert_eq!((window.committable(), window.is_empty()), (15, true));
        window.skip_to(20);
        assert_eq!(window.committable(), 20);
    }

    #[test]
    fn events_that_need_no_delivery_are_committed_with_those_before_them() {
        let mut window = DeliveryWindow::new(0);
        window.push(3, None, "a");
        window.skip_to(7);
        assert_eq!((window.committable(), window.end()), (3, 7));
        let delivery = window.begin(1).expect("a delivery");
        assert_eq!(window.event(&delivery), Some(&"a"));
        assert_eq!(window.finish(delivery), Some("a"));
        assert_eq!(window.committable(), 7);
    }

    #[test]
    fn an_event_that_is_read_again_is_ignored() {
        let mut window = window([None; 5]);
        window.push(12, None, 99);
        assert_eq!((window.len(), window.end()), (5, 15));
    }

    #[test]
    fn no_more_deliveries_begin_than_the_limit() {
        let mut window = window([None; 5]);
        let mut begun = begin_all(&mut window, 2);
        assert_eq!((begun.len(), window.in_flight()), (2, 2));
        window.finish(begun.remove(0));
        assert_eq!(offsets(&begin_all(&mut window, 2)), [12]);
    }

    proptest! {
        /// Whatever the order in which deliveries end: each event is delivered once, those of a key in order and one at a time, and the
        /// committable offset is that of the first that has not ended.
        #[test]
        fn each_event_is_delivered_once_and_in_the_order_of_its_key(
            keys in prop::collection::vec(prop::option::of(0_u64..4), 1..60),
            gaps in prop::collection::vec(0_i64..3, 60),
            choices in prop::collection::vec(any::<prop::sample::Index>(), 60),
            limit in 1_usize..8,
        ) {
            let mut window = DeliveryWindow::new(0);
            let (mut offset, mut expected) = (0, Vec::new());
            for (key, gap) in keys.iter().zip(&gaps) {
                offset += gap;
                window.push(offset, *key, *key);
                expected.push(offset);
                offset += 1;
            }
            let (mut begun, mut ended, mut last) = (Vec::new(), Vec::new(), HashMap::new());
            for choice in choices.iter().cycle() {
                while let Some(delivery) = window.begin(limit) {
                    begun.push(delivery);
                }
                prop_assert!(begun.len() <= limit);
                let mut in_flight: Vec<u64> =
                    begun.iter().filter_map(|delivery| window.event(delivery).copied().flatten()).collect();
                let number = in_flight.len();
                in_flight.sort_unstable();
                in_flight.dedup();
                prop_assert_eq!(in_flight.len(), number, "two deliveries of one key");
                if begun.is_empty() {
                    break;
                }
                let delivery = begun.swap_remove(choice.index(begun.len()));
                let at = delivery.offset;
                if let Some(key) = window.finish(delivery).flatten() {
                    prop_assert!(last.insert(key, at).is_none_or(|before| before < at));
                }
                ended.push(at);
                let first = expected.iter().copied().find(|offset| !ended.contains(offset));
                prop_assert_eq!(window.committable(), first.unwrap_or(offset));
            }
            ended.sort_unstable();
            prop_assert_eq!(ended, expected);
            prop_assert!(window.is_empty() && window.last_of_key.is_empty());
        }
    }
}
