//! Text with `@NAME@` placeholders.

use anyhow::{Result, bail};

/// Replaces every placeholder. A placeholder without a value, or a value without a placeholder, is an error.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> Result<String> {
    let mut text = template.to_owned();
    for (name, value) in values {
        let placeholder = format!("@{name}@");
        if !template.contains(&placeholder) {
            bail!("the template has no placeholder {placeholder}");
        }
        text = text.replace(&placeholder, value);
    }
    if let Some(name) = placeholder(&text) {
        bail!("the placeholder @{name}@ has no value");
    }
    Ok(text)
}

fn placeholder(text: &str) -> Option<&str> {
    let name = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    text.lines().find_map(|line| {
        let pieces: Vec<&str> = line.split('@').collect();
        let inner = pieces.get(1..pieces.len().saturating_sub(1)).unwrap_or_default();
        inner.iter().copied().find(|word| name(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_placeholders_are_replaced() {
        let text = fill("a=@ONE@:@TWO@\nvoters=1@127.0.0.1:@TWO@\n", &[("ONE", "1"), ("TWO", "2")]);
        assert_eq!(text.expect("every placeholder has a value"), "a=1:2\nvoters=1@127.0.0.1:2\n");
    }

    #[test]
    fn a_missing_or_surplus_value_is_an_error() {
        let missing = fill("a=@ONE@ @TWO@", &[("ONE", "1")]).expect_err("TWO is missing").to_string();
        assert_eq!(missing, "the placeholder @TWO@ has no value");
        let surplus = fill("a=1", &[("ONE", "1")]).expect_err("ONE is not there").to_string();
        assert_eq!(surplus, "the template has no placeholder @ONE@");
    }
}
