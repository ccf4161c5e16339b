//! The admission webhook: its responses to clients, on a stage that all of these tests share.

mod answer;
mod rights;
