//! Many patterns of event types as one automaton.

use std::collections::HashMap;

use super::pattern::{Segment, TypePattern};

/// Index of a state.
type StateId = u32;

/// Number of a segment that occurs literally in a pattern.
type Symbol = u32;

/// A position in the patterns that begin alike.
#[derive(Clone, Debug, Default)]
struct State {
    /// The states after a literal segment, in the order of the symbols.
    literals: Vec<(Symbol, StateId)>,
    /// The state after `*`.
    one: Option<StateId>,
    /// The ids of patterns that end here.
    ends: Vec<u32>,
    /// The ids of patterns that end with `>` after this state.
    rests: Vec<u32>,
}

/// Patterns of event types, matched at once: each segment of a type is read once, whatever the number of patterns.
///
/// It is a nondeterministic automaton over segments, a trie of the patterns. At most 2^n states are active after n segments, one for each
/// choice of literal or `*`, and a pattern has at most 8 segments. A deterministic one could have exponentially many states.
#[derive(Clone, Debug)]
pub struct TypeAutomaton {
    symbols: HashMap<Box<str>, Symbol>,
    states: Vec<State>,
}

/// The buffers of a match. Reusing them saves allocations.
#[derive(Clone, Debug, Default)]
pub struct TypeMatches {
    active: Vec<StateId>,
    next: Vec<StateId>,
    ids: Vec<u32>,
}

impl TypeAutomaton {
    /// Compiles patterns. Several may have the same id: of these, one suffices.
    #[must_use]
    pub fn compile<'p>(patterns: impl IntoIterator<Item = (u32, &'p TypePattern)>) -> Self {
        let mut automaton = Self { symbols: HashMap::new(), states: vec![State::default()] };
        for (id, pattern) in patterns {
            automaton.add(id, pattern);
        }
        automaton.states.shrink_to_fit();
        automaton
    }

    fn add(&mut self, id: u32, pattern: &TypePattern) {
        let mut state = 0;
        for segment in pattern.segments() {
            state = match segment {
                Segment::Literal(text) => self.after_literal(state, text),
                Segment::One => self.after_one(state),
                Segment::Rest => return self.states[state as usize].rests.push(id),
            };
        }
        self.states[state as usize].ends.push(id);
    }

    fn after_literal(&mut self, state: StateId, text: &str) -> StateId {
        let symbol = match self.symbols.get(text) {
            Some(symbol) => *symbol,
            None => {
                let symbol = index(self.symbols.len());
                self.symbols.insert(text.into(), symbol);
                symbol
            }
        };
        let new = index(self.states.len());
        let literals = &mut self.states[state as usize].literals;
        match literals.binary_search_by_key(&symbol, |(symbol, _)| *symbol) {
            Ok(place) => literals[place].1,
            Err(place) => {
                literals.insert(place, (symbol, new));
                self.states.push(State::default());
                new
            }
        }
    }

    fn after_one(&mut self, state: StateId) -> StateId {
        let new = index(self.states.len());
        if let Some(one) = self.states[state as usize].one {
            return one;
        }
        self.states[state as usize].one = Some(new);
        self.states.push(State::default());
        new
    }

    /// The ids of the patterns that match a type, each once, the smallest first.
    pub fn find<'m>(&self, event_type: &str, matches: &'m mut TypeMatches) -> &'m [u32] {
        let TypeMatches { active, next, ids } = matches;
        ids.clear();
        active.clear();
        active.push(0);
        for segment in event_type.split('.') {
            let symbol = self.symbols.get(segment).copied();
            next.clear();
            for state in active.iter() {
                let state = &self.states[*state as usize];
                ids.extend_from_slice(&state.rests);
                next.extend(state.one);
                let after_literal = symbol.and_then(|symbol| {
                    let place = state.literals.binary_search_by_key(&symbol, |(symbol, _)| *symbol);
                    place.ok().map(|place| state.literals[place].1)
                });
                next.extend(after_literal);
            }
            std::mem::swap(active, next);
            if active.is_empty() {
                break;
            }
        }
        for state in active.iter() {
            ids.extend_from_slice(&self.states[*state as usize].ends);
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

/// An index as it is stored. Four billion states do not fit into memory.
fn index(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    fn check(patterns: &[(u32, &str)], event_type: &str, expected: Expect) {
        let parsed: Vec<(u32, TypePattern)> = patterns
            .iter()
            .map(|(id, text)| (*id, TypePattern::parse("types", text).expect("a pattern")))
            .collect();
        let automaton = TypeAutomaton::compile(parsed.iter().map(|(id, pattern)| (*id, pattern)));
        expected.assert_eq(&format!("{:?}", automaton.find(event_type, &mut TypeMatches::default())));
    }

    #[test]
    fn each_pattern_that_matches_is_found_once() {
        let patterns = [
            (0, "order.created"),
            (1, "order.*"),
            (2, "*.created"),
            (3, "order.>"),
            (4, ">"),
            (1, "order.paid"),
            (5, "*.*.v1"),
        ];
        check(&patterns, "order.created", expect!["[0, 1, 2, 3, 4]"]);
        check(&patterns, "order.paid", expect!["[1, 3, 4]"]);
        check(&patterns, "order.created.v1", expect!["[3, 4, 5]"]);
        check(&patterns, "order", expect!["[4]"]);
        check(&patterns, "", expect!["[4]"]);
        check(&[], "order.created", expect!["[]"]);
    }

    fn segment() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["a", "b", "c", "*"])
    }

    fn pattern() -> impl Strategy<Value = String> {
        (prop::collection::vec(segment(), 1..6), any::<bool>()).prop_map(|(mut segments, has_rest)| {
            if has_rest {
                segments.push(">");
            }
            segments.join(".")
        })
    }

    proptest! {
        #[test]
        fn the_automaton_finds_what_each_pattern_matches_by_itself(
            patterns in prop::collection::vec(pattern(), 0..40),
            event_type in prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "d", ""]), 1..8),
        ) {
            let event_type = event_type.join(".");
            let patterns: Vec<TypePattern> = patterns.iter().map(|text| TypePattern::parse("types", text).expect("a pattern")).collect();
            let numbered = || (0_u32..).zip(&patterns);
            let expected: Vec<u32> = numbered().filter(|(_, one)| one.matches(&event_type)).map(|(id, _)| id).collect();
            let automaton = TypeAutomaton::compile(numbered());
            let mut matches = TypeMatches::default();
            prop_assert_eq!(automaton.find(&event_type, &mut matches), expected);
        }
    }
}
