//! What was found out a moment ago, so that it need not be asked again. Bounded, in time and in number.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Answers that count for some seconds.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    answers: Mutex<HashMap<K, (Instant, V)>>,
    lasting: Duration,
    most: usize,
}

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    /// At most so many answers that last so long.
    pub(super) fn new(lasting: Duration, most: usize) -> Self {
        Self { answers: Mutex::default(), lasting, most }
    }

    /// The answer, if it is not too old.
    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.get_at(key, Instant::now())
    }

    fn get_at(&self, key: &K, now: Instant) -> Option<V> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(key).filter(|(until, _)| now < *until).map(|(_, answer)| answer.clone())
    }

    /// Keeps an answer. When there are too many, old ones go first, and then all.
    pub(super) fn keep(&self, key: K, answer: V) {
        self.keep_at(key, answer, Instant::now());
    }

    fn keep_at(&self, key: K, answer: V, now: Instant) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= self.most {
            answers.retain(|_, (until, _)| now < *until);
        }
        if answers.len() >= self.most {
            answers.clear();
        }
        answers.insert(key, (now + self.lasting, answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_for_a_while() {
        let (recent, begin) = (Recent::new(Duration::from_secs(5), 10), Instant::now());
        recent.keep_at("a", 1, begin);
        assert_eq!((recent.get_at(&"a", begin), recent.get_at(&"b", begin)), (Some(1), None));
        assert_eq!(recent.get_at(&"a", begin + Duration::from_millis(4_999)), Some(1));
        assert_eq!(recent.get_at(&"a", begin + Duration::from_secs(5)), None);
    }

    #[test]
    fn there_are_never_more_than_so_many() {
        let (recent, begin) = (Recent::new(Duration::from_secs(5), 10), Instant::now());
        for key in 0..1_000 {
            recent.keep_at(key, (), begin);
            assert!(recent.answers.lock().unwrap().len() <= 10);
            assert_eq!(recent.get_at(&key, begin), Some(()));
        }
    }
}
