//! Which events a subscriber wants.
//!
//! - [`TypePattern`]: event types with wildcards, such as `order.*`. [`TypeAutomaton`]: many of them at once.
//! - [`Condition`]: the filter of a subscription, in the dialects of the CloudEvents Subscriptions API and of Knative's Triggers, with
//!   patterns and CEL besides.
//! - [`Expression`]: a CEL expression over an event, with bounded cost.

mod automaton;
mod condition;
mod expression;
mod pattern;

pub use automaton::{TypeAutomaton, TypeMatches};
pub use condition::Condition;
pub use expression::{EventView, Expression};
pub use pattern::TypePattern;
