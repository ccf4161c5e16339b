//! CEL expressions over events. See <https://cel.dev>.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use cel::common::ast::{Expr, operators};
use cel::{Context, Env, IdedExpr, Program};
use eventcenter_sdk::{CloudEvent, Reason};

use crate::domain::Refusal;
use crate::domain::cel_value::to_cel;

/// Maximum length of an expression in bytes.
const MAX_LENGTH: usize = 2048;

/// The operators and functions, whose cost is bounded by the size of their arguments. Those with `@` are what macros are compiled to.
const FUNCTIONS: [&str; 27] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::NOT_STRICTLY_FALSE,
    operators::IN,
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "int",
    "uint",
    "double",
    "string",
];

/// The functions and macros. One environment serves all evaluations: making it costs more than an evaluation.
static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// An expression whose value is whether a subscriber wants an event. Its variables are `event`, a map of the attributes, and `data`.
///
/// The cost of an evaluation is bounded by the product of the length of the expression and the size of the event: comprehensions
/// (`all`, `exists`, `exists_one`) are not nested and read only their item of the data; `map` and `filter`, which copy lists, are
/// refused, and so is `matches`, which compiles a regular expression for each event.
#[derive(Debug)]
pub struct Expression {
    source: String,
    program: Program,
    reads: Reads,
}

/// The variables that an expression reads.
#[derive(Clone, Copy, Debug, Default)]
struct Reads {
    event: bool,
    data: bool,
}

/// An event with the values that expressions read, which are made once for all expressions.
#[derive(Debug)]
pub struct EventView<'e> {
    event: &'e CloudEvent,
    attributes: OnceCell<cel::Value>,
    data: OnceCell<cel::Value>,
}

impl<'e> EventView<'e> {
    /// A view of an event.
    #[must_use]
    pub fn new(event: &'e CloudEvent) -> Self {
        Self { event, attributes: OnceCell::new(), data: OnceCell::new() }
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &'e CloudEvent {
        self.event
    }

    fn attributes(&self) -> cel::Value {
        let value = self.attributes.get_or_init(|| {
            let attributes = self.event.attributes();
            let attributes: HashMap<String, cel::Value> =
                attributes.map(|(name, value)| (name.to_owned(), value.to_owned().into())).collect();
            attributes.into()
        });
        value.clone()
    }

    fn data(&self) -> cel::Value {
        self.data.get_or_init(|| to_cel(self.event.data())).clone()
    }
}

impl Expression {
    /// Compiles the expression in a field.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn compile(field: &str, source: &str) -> Result<Self, Refusal> {
        let refuse = |rule: String| Refusal::at(Reason::InvalidResource, field, rule);
        if source.len() > MAX_LENGTH {
            return Err(refuse(format!("has {} bytes: shorten it to {MAX_LENGTH}", source.len())));
        }
        let program = ENVIRONMENT.compile(source).map_err(|errors| {
            let first = errors.errors.first().map(|error| error.msg.clone()).unwrap_or_default();
            refuse(format!("is not a CEL expression: {first}"))
        })?;
        let mut reads = Reads::default();
        check(program.expression(), None, &mut reads).map_err(refuse)?;
        Ok(Self { source: source.to_owned(), program, reads })
    }

    /// Whether the expression is true for an event.
    ///
    /// # Errors
    /// Why it has no value that is true or false, such as a key that the data does not have.
    pub fn evaluate(&self, view: &EventView<'_>) -> Result<bool, String> {
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        if self.reads.event {
            context.add_variable_from_value("event", view.attributes());
        }
        if self.reads.data {
            context.add_variable_from_value("data", view.data());
        }
        match self.program.execute(&context) {
            Ok(cel::Value::Bool(value)) => Ok(value),
            Ok(other) => Err(format!("its value has the type {:?}, not bool", other.type_of())),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Its text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}

/// Checks that an expression uses what it may, and that its cost is bounded. `item` is the variable of the comprehension that evaluates it.
fn check(expression: &IdedExpr, item: Option<&str>, reads: &mut Reads) -> Result<(), String> {
    match &expression.expr {
        Expr::Unspecified | Expr::Literal(_) => Ok(()),
        Expr::Ident(name) => check_variable(name, item, reads),
        Expr::Select(select) => check(&select.operand, item, reads),
        Expr::Call(call) => {
            check_function(&call.func_name)?;
            let mut arguments = call.target.as_deref().into_iter().chain(&call.args);
            arguments.try_for_each(|argument| check(argument, item, reads))
        }
        Expr::List(list) => list.elements.iter().try_for_each(|element| check(element, item, reads)),
        Expr::Map(_) | Expr::Struct(_) => {
            Err("maps cannot be made in a filter: compare their values".to_owned())
        }
        Expr::Comprehension(comprehension) => {
            if item.is_some() {
                return Err("all, exists or exists_one inside another one costs the square of the event's size: use one after the other".to_owned());
            }
            if matches!(comprehension.accu_init.expr, Expr::List(_)) {
                return Err("map and filter copy lists: use exists, exists_one or all".to_owned());
            }
            check(&comprehension.iter_range, None, reads)?;
            let item = Some(comprehension.iter_var.as_str());
            let repeated = [&comprehension.loop_cond, &comprehension.loop_step, &comprehension.result];
            repeated.into_iter().try_for_each(|part| check(part, item, reads))
        }
    }
}

fn check_variable(name: &str, item: Option<&str>, reads: &mut Reads) -> Result<(), String> {
    match name {
        _ if item == Some(name) || name.starts_with('@') => Ok(()),
        "event" => {
            reads.event = true;
            Ok(())
        }
        "data" if item.is_some() => Err(format!(
            "data inside all, exists or exists_one costs the square of the event's size: compare {}, or read data outside",
            item.unwrap_or_default()
        )),
        "data" => {
            reads.data = true;
            Ok(())
        }
        _ => Err(format!("there is no variable {name}: use event, such as event.type, or data")),
    }
}

fn check_function(name: &str) -> Result<(), String> {
    match name {
        "matches" => {
            Err("matches compiles a regular expression for each event: use startsWith, endsWith or contains"
                .to_owned())
        }
        _ if FUNCTIONS.contains(&name) => Ok(()),
        _ => Err(format!(
            "there is no function {name}: use size, contains, startsWith, endsWith, int, uint, double, string or has"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use serde_json::json;

    fn event() -> CloudEvent {
        let event = json!({
            "specversion": "1.0", "id": "e1", "source": "shop", "type": "Order.Created.v1", "subject": "order/7",
            "data": {"amount": 250, "currency": "EUR", "items": [{"sku": "a", "price": 3.5}, {"sku": "b", "price": 90}]},
        });
        CloudEvent::from_json(event).expect("an event")
    }

    fn check(source: &str, expected: Expect) {
        let text = match Expression::compile("cel", source) {
            Ok(expression) => match expression.evaluate(&EventView::new(&event())) {
                Ok(value) => value.to_string(),
                Err(error) => format!("no value: {error}"),
            },
            Err(refusal) => refusal.message(),
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn an_expression_reads_attributes_and_data() {
        check("event.type == 'Order.Created.v1' && data.amount > 100", expect!["true"]);
        check("data.amount > 1000", expect!["false"]);
        check("event.subject.startsWith('order/') && data.currency in ['EUR', 'USD']", expect!["true"]);
        check("has(data.coupon) && data.coupon == 'x'", expect!["false"]);
        check("data.items.exists(item, item.sku == 'b' && item.price > 50)", expect!["true"]);
        check("data.items.all(item, item.price > 50)", expect!["false"]);
        check("data.items.exists_one(item, item.sku == 'a')", expect!["true"]);
        check("size(data.items) == 2 && data.items[0].sku == 'a'", expect!["true"]);
    }

    #[test]
    fn an_expression_without_a_boolean_value_matches_nothing() {
        check("data.coupon == 'x'", expect!["no value: No such key: coupon"]);
        check("data.amount", expect!["no value: its value has the type Int, not bool"]);
        check(
            "data.amount > 'x'",
            expect!["no value: found no matching overload for '_>_' applied to '(int, string)'"],
        );
        check("data.amount / 0 == 1", expect!["no value: Division by zero of Int(250)"]);
    }

    #[test]
    fn an_expression_with_unbounded_cost_or_unknown_names_is_refused() {
        check(
            "data.amount >",
            expect![
                "cel: is not a CEL expression: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
            ],
        );
        check(
            "type == 'x'",
            expect!["cel: there is no variable type: use event, such as event.type, or data"],
        );
        check(
            "event.type.matches('^Order')",
            expect![
                "cel: matches compiles a regular expression for each event: use startsWith, endsWith or contains"
            ],
        );
        check(
            "now() > 1",
            expect![
                "cel: there is no function now: use size, contains, startsWith, endsWith, int, uint, double, string or has"
            ],
        );
        check(
            "data.items.exists(a, data.items.exists(b, a.sku == b.sku))",
            expect![
                "cel: all, exists or exists_one inside another one costs the square of the event's size: use one after the other"
            ],
        );
        check(
            "data.items.exists(a, a.tags.exists(b, b == 'x'))",
            expect![
                "cel: all, exists or exists_one inside another one costs the square of the event's size: use one after the other"
            ],
        );
        check(
            "data.items.exists(a, a.sku == data.main)",
            expect![
                "cel: data inside all, exists or exists_one costs the square of the event's size: compare a, or read data outside"
            ],
        );
        check(
            "size(data.items.filter(a, a.price > 1)) > 1",
            expect!["cel: map and filter copy lists: use exists, exists_one or all"],
        );
        check(
            "data.items.map(a, a.price) == [1]",
            expect!["cel: map and filter copy lists: use exists, exists_one or all"],
        );
        check("{'a': 1} == data", expect!["cel: maps cannot be made in a filter: compare their values"]);
        check(&"1 < 2 && ".repeat(300), expect!["cel: has 2700 bytes: shorten it to 2048"]);
    }
}
