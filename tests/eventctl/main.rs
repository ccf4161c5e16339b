//! `eventctl` as a person and a pipeline run it, without a cluster: output and exit codes.

// A test that panics reports the failure.
#![allow(clippy::panic, clippy::unwrap_used)]

mod approval;
mod lint;
mod lint_output;
mod schema;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use expect_test::Expect;
use tempfile::TempDir;

const ORDER: &str = r#"{"type": "object", "properties": {"id": {"type": "integer"}, "note": {"type": "string"}}, "required": ["id"]}"#;
const WITH_STATUS: &str = r#"{"type": "object", "properties": {"id": {"type": "integer"}, "note": {"type": "string"}, "status": {"type": "string"}}, "required": ["id"]}"#;
const BROKEN: &str =
    r#"{"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id", "at"]}"#;

/// A folder with files, in which the program runs.
struct Folder(TempDir);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self(folder)
    }

    /// The exit code, and what was written to standard output and standard error.
    fn run(&self, arguments: &str, input: &str) -> (i32, String, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_eventctl"))
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that does not read its input may exit before the input is written.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn check(&self, arguments: &str, code: i32, expected: &Expect) {
        let (found, out, err) = self.run(arguments, "");
        expected.assert_eq(&format!("{out}{err}"));
        assert_eq!(found, code, "{arguments}");
    }
}

fn topic(spec: &str) -> String {
    format!(
        "apiVersion: eventcenter.io/v1alpha1\nkind: EventTopic\nmetadata: {{name: orders, namespace: shop}}\nspec: {spec}\n"
    )
}
