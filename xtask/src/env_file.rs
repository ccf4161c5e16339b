//! The file with the environment variables for a shell, and the quoting of a shell.

use std::fmt::Write as _;

/// A word quoted for a POSIX shell.
pub fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A word, quoted only if a shell would otherwise change it.
pub fn quote_if_needed(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { quote(word) }
}

/// The text of the file: `KEY='value'` a line, then one line that exports them and puts `tools` on the path.
pub fn render(variables: &[(String, String)], tools: &str) -> String {
    let mut text = String::from("# Written by `cargo xtask up`. Read it with: . target/dev/env\n");
    for (key, value) in variables {
        let _ = writeln!(text, "{key}={}", quote(value));
    }
    let keys: Vec<&str> = variables.iter().map(|(key, _)| key.as_str()).collect();
    let _ = writeln!(text, "export {} PATH={}:\"$PATH\"", keys.join(" "), quote(tools));
    text
}

/// Parses the assignments of [`render`].
pub fn parse(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| {
            let (key, value) = line.split_once("='")?;
            let named = !key.is_empty()
                && key.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
            named.then(|| Some((key.to_owned(), value.strip_suffix('\'')?.replace(r"'\''", "'"))))?
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_is_the_inverse_of_render() {
        let variables: Vec<(String, String)> =
            [("KUBECONFIG", "/a b/it's $HOME"), ("EMPTY", ""), ("N_1", "x=y")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .to_vec();
        assert_eq!(parse(&render(&variables, "/tools")), variables);
    }

    #[test]
    fn a_shell_reads_the_same_values() {
        let variables = vec![("KEY".to_owned(), "it's `$HOME` \"\\".to_owned())];
        let script = format!(
            "{}\nsh -c 'printf %s \"$KEY\"; printf \" %s\" \"${{PATH%%:*}}\"'",
            render(&variables, "/to ols")
        );
        let output = std::process::Command::new("sh").args(["-c", &script]).output().expect("sh is there");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "it's `$HOME` \"\\ /to ols");
    }

    #[test]
    fn words_are_quoted_only_where_needed() {
        assert_eq!(quote_if_needed("--a=b/c:1"), "--a=b/c:1");
        assert_eq!(quote_if_needed("a b"), "'a b'");
        assert_eq!(quote_if_needed(""), "''");
    }
}
