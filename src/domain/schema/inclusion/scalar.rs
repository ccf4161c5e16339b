//! Proofs for numbers, strings and lengths.

use super::super::draft::Draft;
use super::super::facts::Facts;
use super::super::node::{Bound, CountRange, Graph, Id, Node, TypeSet};
use super::super::violation::Rule;
use super::{Prover, Report};

/// 2^53: up to here a double represents every integer.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Prover<'_> {
    /// Proves the keywords for numbers and strings.
    pub(super) fn prove_scalars(&self, facts: &Facts, goal: Id, report: &mut Report) -> bool {
        let mut proven = true;
        if facts.types.intersects(TypeSet::NUMBER) {
            proven &= self.prove_number(facts, goal, report);
        }
        if facts.types.intersects(TypeSet::STRING) {
            proven &= self.prove_string(facts, goal, report);
        }
        proven
    }

    fn prove_number(&self, facts: &Facts, goal: Id, report: &mut Report) -> bool {
        let rules = &self.graph.node(goal).number;
        let whole = !facts.types.intersects(TypeSet::FRACTION);
        let mut proven = true;
        if let Some(wanted) = rules.lower {
            let wanted_end = lower(wanted, whole);
            if !known_lower(self.graph, facts).is_some_and(|known| is_above(known, wanted_end)) {
                proven = self.fail_bound(
                    facts,
                    goal,
                    &format!("/{}", wanted.keyword),
                    &["/minimum", "/exclusiveMinimum"],
                    report,
                );
            }
        }
        if let Some(wanted) = rules.upper {
            let wanted_end = upper(wanted, whole);
            if !known_upper(self.graph, facts).is_some_and(|known| is_below(known, wanted_end)) {
                proven = self.fail_bound(
                    facts,
                    goal,
                    &format!("/{}", wanted.keyword),
                    &["/maximum", "/exclusiveMaximum"],
                    report,
                );
            }
        }
        if let Some(divisor) = rules.multiple_of {
            let mut known = facts.nodes(self.graph).filter_map(|node| node.number.multiple_of);
            // Implementations disagree about multiples of fractions, so only the same divisor is accepted.
            let divides = |known: f64| {
                known == divisor || (divisor.fract() == 0.0 && known.fract() == 0.0 && known % divisor == 0.0)
            };
            let is_known = known.any(divides) || (whole && divisor == 1.0);
            if !is_known {
                proven = self.fail(facts, goal, "/multipleOf", Rule::MultipleOfChanged, report);
            }
        }
        proven
    }

    fn prove_string(&self, facts: &Facts, goal: Id, report: &mut Report) -> bool {
        let rules = &self.graph.node(goal).string;
        let mut proven = true;
        if rules.length != CountRange::default() {
            let known = facts.count(self.graph, |node| &node.string.length);
            proven &=
                self.prove_count(facts, goal, &known, &rules.length, ["/minLength", "/maxLength"], report);
        }
        if let Some(pattern) = &rules.pattern
            && !facts.nodes(self.graph).any(|node| node.string.pattern.as_ref() == Some(pattern))
        {
            proven = self.fail(facts, goal, "/pattern", Rule::PatternChanged, report);
        }
        let draft = self.graph.node(goal).draft;
        for (name, value) in &rules.annotations {
            // `format` is an assertion in draft-07 and an annotation in 2020-12.
            let is_known = |node: &Node| {
                node.string.annotations.get(name) == Some(value)
                    && (node.draft == Draft::Seven || draft != Draft::Seven)
            };
            if !facts.nodes(self.graph).any(is_known) {
                proven = self.fail(facts, goal, &format!("/{name}"), Rule::FormatChanged, report);
            }
        }
        proven
    }

    /// Proves a range of a length.
    pub(super) fn prove_count(
        &self,
        facts: &Facts,
        goal: Id,
        known: &CountRange,
        wanted: &CountRange,
        [least, most]: [&str; 2],
        report: &mut Report,
    ) -> bool {
        let mut proven = true;
        if wanted.min > known.min {
            proven = self.fail(facts, goal, least, Rule::BoundTightened, report);
        }
        if wanted.max.is_some_and(|wanted| known.max.is_none_or(|known| known > wanted)) {
            proven = self.fail(facts, goal, most, Rule::BoundTightened, report);
        }
        proven
    }

    /// Reports a bound, which the facts may express with another keyword.
    fn fail_bound(
        &self,
        facts: &Facts,
        goal: Id,
        path: &str,
        keywords: &[&str],
        report: &mut Report,
    ) -> bool {
        let before = report.len();
        self.fail(facts, goal, path, Rule::BoundTightened, report);
        let mut written =
            facts.holds.iter().flat_map(|id| keywords.iter().map(move |keyword| (*id, *keyword)));
        if let Report::Full(differences) = report
            && let Some(difference) =
                differences.get_mut(before).filter(|difference| difference.was.is_none())
            && let Some((id, keyword)) =
                written.find(|(id, keyword)| self.source_value(*id, keyword).is_some())
        {
            difference.from = Some(self.pointer_to(id, keyword));
            difference.was = self.source_value(id, keyword).cloned();
        }
        false
    }
}

/// A lower bound, rounded up to an integer if only integers are possible.
fn lower(end: Bound, whole: bool) -> Bound {
    if !whole || end.value.abs() >= EXACT {
        return end;
    }
    let value = if end.is_exclusive { end.value.floor() + 1.0 } else { end.value.ceil() };
    Bound { value, is_exclusive: false, ..end }
}

/// An upper bound, rounded down to an integer if only integers are possible.
fn upper(end: Bound, whole: bool) -> Bound {
    if !whole || end.value.abs() >= EXACT {
        return end;
    }
    let value = if end.is_exclusive { end.value.ceil() - 1.0 } else { end.value.floor() };
    Bound { value, is_exclusive: false, ..end }
}

fn is_above(known: Bound, wanted: Bound) -> bool {
    known.value > wanted.value
        || (known.value == wanted.value && (known.is_exclusive || !wanted.is_exclusive))
}

fn is_below(known: Bound, wanted: Bound) -> bool {
    known.value < wanted.value
        || (known.value == wanted.value && (known.is_exclusive || !wanted.is_exclusive))
}

fn known_lower(graph: &Graph, facts: &Facts) -> Option<Bound> {
    let whole = !facts.types.intersects(TypeSet::FRACTION);
    let ends = facts.nodes(graph).filter_map(|node| node.number.lower).map(|end| lower(end, whole));
    ends.reduce(|one, other| if is_above(one, other) { one } else { other })
}

fn known_upper(graph: &Graph, facts: &Facts) -> Option<Bound> {
    let whole = !facts.types.intersects(TypeSet::FRACTION);
    let ends = facts.nodes(graph).filter_map(|node| node.number.upper).map(|end| upper(end, whole));
    ends.reduce(|one, other| if is_below(one, other) { one } else { other })
}

/// Whether no number lies between the known bounds.
pub(super) fn has_no_number(graph: &Graph, facts: &Facts) -> bool {
    let (Some(lower), Some(upper)) = (known_lower(graph, facts), known_upper(graph, facts)) else {
        return false;
    };
    lower.value > upper.value || (lower.value == upper.value && (lower.is_exclusive || upper.is_exclusive))
}
