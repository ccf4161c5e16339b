//! Tables of addresses, entries, URLs and headers.

mod address;
mod header;
mod pattern;
mod policy;
mod url;

use std::fmt::Write as _;

use super::*;

fn policy(hosts: &[&str]) -> HostPolicy {
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    HostPolicy::of(&"shop".parse().expect("a tenant"), &hosts).expect("valid entries")
}

fn lines(answers: impl IntoIterator<Item = (String, String)>) -> String {
    answers.into_iter().fold(String::new(), |mut lines, (question, answer)| {
        writeln!(lines, "{question} -> {answer}").expect("a String");
        lines
    })
}
