//! Numbers and strings, and counts of anything.

use super::super::facts::Facts;
use super::super::node::{Count, End, Graph, Id, Kinds, Node};
use super::super::violation::Rule;
use super::{Prover, Report};

/// Up to here a double knows its neighbours among the integers.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Prover<'_> {
    /// The keywords for numbers and strings.
    pub(super) fn scalars(&self, facts: &Facts, goal: Id, report: &mut Report) -> bool {
        let mut shown = true;
        if facts.kinds.meets(Kinds::NUMBER) {
            shown &= self.number(facts, goal, report);
        }
        if facts.kinds.meets(Kinds::STRING) {
            shown &= self.string(facts, goal, report);
        }
        shown
    }

    fn number(&self, facts: &Facts, goal: Id, report: &mut Report) -> bool {
        let rules = &self.graph.node(goal).number;
        let whole = !facts.kinds.meets(Kinds::FRACTION);
        let mut shown = true;
        if let Some(wanted) = rules.lower {
            let wanted_end = lower(wanted, whole);
            if !known_lower(self.graph, facts).is_some_and(|known| is_above(known, wanted_end)) {
                shown = self.bound(
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
                shown = self.bound(
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
            // With fractions, implementations disagree about what a multiple is: then only the same divisor will do.
            let divides = |known: f64| {
                known == divisor || (divisor.fract() == 0.0 && known.fract() == 0.0 && known % divisor == 0.0)
            };
            let is_known = known.any(divides) || (whole && divisor == 1.0);
            if !is_known {
                shown = self.fail(facts, goal, "/multipleOf", Rule::MultipleOfChanged, report);
            }
        }
        shown
    }

    fn string(&self, facts: &Facts, goal: Id, report: &mut Report) -> bool {
        let rules = &self.graph.node(goal).string;
        let mut shown = true;
        if rules.length != Count::default() {
            let known = facts.count(self.graph, |node| &node.string.length);
            shown &= self.count(facts, goal, &known, &rules.length, ["/minLength", "/maxLength"], report);
        }
        if let Some(pattern) = &rules.pattern
            && !facts.nodes(self.graph).any(|node| node.string.pattern.as_ref() == Some(pattern))
        {
            shown = self.fail(facts, goal, "/pattern", Rule::PatternChanged, report);
        }
        let seven = self.graph.node(goal).seven;
        for (name, value) in &rules.hints {
            // In draft-07 a format is checked, in 2020-12 it is a remark.
            let is_known = |node: &Node| node.string.hints.get(name) == Some(value) && (node.seven || !seven);
            if !facts.nodes(self.graph).any(is_known) {
                shown = self.fail(facts, goal, &format!("/{name}"), Rule::FormatChanged, report);
            }
        }
        shown
    }

    /// How many characters, items or properties.
    pub(super) fn count(
        &self,
        facts: &Facts,
        goal: Id,
        known: &Count,
        wanted: &Count,
        [least, most]: [&str; 2],
        report: &mut Report,
    ) -> bool {
        let mut shown = true;
        if wanted.least > known.least {
            shown = self.fail(facts, goal, least, Rule::BoundTightened, report);
        }
        if wanted.most.is_some_and(|wanted| known.most.is_none_or(|known| known > wanted)) {
            shown = self.fail(facts, goal, most, Rule::BoundTightened, report);
        }
        shown
    }

    /// A bound may be written with another keyword than before.
    fn bound(&self, facts: &Facts, goal: Id, path: &str, keywords: &[&str], report: &mut Report) -> bool {
        let before = report.len();
        self.fail(facts, goal, path, Rule::BoundTightened, report);
        let mut written =
            facts.holds.iter().flat_map(|id| keywords.iter().map(move |keyword| (*id, *keyword)));
        if let Report::Full(differences) = report
            && let Some(difference) =
                differences.get_mut(before).filter(|difference| difference.was.is_none())
            && let Some((id, keyword)) = written.find(|(id, keyword)| self.written(*id, keyword).is_some())
        {
            difference.from = Some(self.place(id, keyword));
            difference.was = self.written(id, keyword).cloned();
        }
        false
    }
}

/// The end as the smallest integer within, where there are only integers.
fn lower(end: End, whole: bool) -> End {
    if !whole || end.at.abs() >= EXACT {
        return end;
    }
    let at = if end.open { end.at.floor() + 1.0 } else { end.at.ceil() };
    End { at, open: false, ..end }
}

/// The end as the largest integer within, where there are only integers.
fn upper(end: End, whole: bool) -> End {
    if !whole || end.at.abs() >= EXACT {
        return end;
    }
    let at = if end.open { end.at.ceil() - 1.0 } else { end.at.floor() };
    End { at, open: false, ..end }
}

fn is_above(known: End, wanted: End) -> bool {
    known.at > wanted.at || (known.at == wanted.at && (known.open || !wanted.open))
}

fn is_below(known: End, wanted: End) -> bool {
    known.at < wanted.at || (known.at == wanted.at && (known.open || !wanted.open))
}

fn known_lower(graph: &Graph, facts: &Facts) -> Option<End> {
    let whole = !facts.kinds.meets(Kinds::FRACTION);
    let ends = facts.nodes(graph).filter_map(|node| node.number.lower).map(|end| lower(end, whole));
    ends.reduce(|one, other| if is_above(one, other) { one } else { other })
}

fn known_upper(graph: &Graph, facts: &Facts) -> Option<End> {
    let whole = !facts.kinds.meets(Kinds::FRACTION);
    let ends = facts.nodes(graph).filter_map(|node| node.number.upper).map(|end| upper(end, whole));
    ends.reduce(|one, other| if is_below(one, other) { one } else { other })
}

/// Whether no number is left between the known ends.
pub(super) fn has_no_number(graph: &Graph, facts: &Facts) -> bool {
    let (Some(lower), Some(upper)) = (known_lower(graph, facts), known_upper(graph, facts)) else {
        return false;
    };
    lower.at > upper.at || (lower.at == upper.at && (lower.open || upper.open))
}
