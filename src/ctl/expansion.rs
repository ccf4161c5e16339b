//! Refuses YAML that is small as a text and large in memory, because its aliases repeat what they name.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// How many times as large as its text a document may become by its aliases.
const MAX_FACTOR: usize = 10;

/// What a document may have whatever the size of its text, in bytes. Manifests with a template have some kilobytes.
const ALWAYS_ALLOWED: usize = 64 * 1024;

/// The counting ends here: no file may be as large.
const MAX_BYTES: usize = 1 << 30;

/// The size of a value whose aliases are replaced by what they name: the bytes of its scalars, and one for each node. Deserializing
/// it keeps no part of the value in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExpandedSize(usize);

impl ExpandedSize {
    /// Checks the documents of a text.
    ///
    /// # Errors
    /// Their aliases repeat too much.
    pub(super) fn check(documents: &[Self], text: &str) -> Result<(), String> {
        let size = documents.iter().fold(0_usize, |sum, Self(size)| sum.saturating_add(*size));
        match size <= ALWAYS_ALLOWED + MAX_FACTOR * text.len() {
            true => Ok(()),
            false => Err(too_large()),
        }
    }

    fn add(self, Self(more): Self) -> Result<Self, String> {
        match self.0.saturating_add(more) {
            sum if sum <= MAX_BYTES => Ok(Self(sum)),
            _ => Err(too_large()),
        }
    }
}

/// The error about aliases that repeat too much.
pub(super) fn too_large() -> String {
    format!(
        "aliases make the file more than {MAX_FACTOR} times as large: write the values out, or use fewer aliases"
    )
}

impl<'de> Deserialize<'de> for ExpandedSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

struct SizeVisitor;

impl<'de> Visitor<'de> for SizeVisitor {
    type Value = ExpandedSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<ExpandedSize, E> {
        Ok(ExpandedSize(1))
    }

    fn visit_i64<E>(self, _: i64) -> Result<ExpandedSize, E> {
        Ok(ExpandedSize(1))
    }

    fn visit_u64<E>(self, _: u64) -> Result<ExpandedSize, E> {
        Ok(ExpandedSize(1))
    }

    fn visit_f64<E>(self, _: f64) -> Result<ExpandedSize, E> {
        Ok(ExpandedSize(1))
    }

    fn visit_str<E>(self, text: &str) -> Result<ExpandedSize, E> {
        Ok(ExpandedSize(1 + text.len()))
    }

    fn visit_unit<E>(self) -> Result<ExpandedSize, E> {
        Ok(ExpandedSize(1))
    }

    fn visit_none<E>(self) -> Result<ExpandedSize, E> {
        Ok(ExpandedSize(1))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<ExpandedSize, D::Error> {
        ExpandedSize::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<ExpandedSize, A::Error> {
        let mut size = ExpandedSize(1);
        while let Some(item) = items.next_element()? {
            size = size.add(item).map_err(de::Error::custom)?;
        }
        Ok(size)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<ExpandedSize, A::Error> {
        let mut size = ExpandedSize(1);
        while let Some((name, value)) = members.next_entry()? {
            size = size.add(name).and_then(|size| size.add(value)).map_err(de::Error::custom)?;
        }
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use crate::ctl::{parse_manifests, parse_yaml};

    const REFUSED: &str =
        "aliases make the file more than 10 times as large: write the values out, or use fewer aliases";

    fn check(text: &str) -> (Result<(), String>, Result<(), String>) {
        (parse_manifests(text).map(drop), parse_yaml(text).map(drop))
    }

    /// A text that aliases repeat. Anchors that nothing names hide that one of them is repeated often.
    fn repeated(bytes: usize, times: usize) -> String {
        let anchors: String = (0..times).map(|n| format!("a{n}: &a{n} 1\n")).collect();
        format!("{anchors}text: &text {}\nlist: [{}]\n", "x".repeat(bytes), vec!["*text"; times].join(","))
    }

    #[test]
    fn aliases_of_a_template_are_read() {
        for text in [repeated(50, 1_000), repeated(2_000, 9), "a: &a {b: 1}\nc: {<<: *a, d: 2}\n".to_owned()]
        {
            assert_eq!(check(&text), (Ok(()), Ok(())));
        }
    }

    #[test]
    fn a_text_that_is_repeated_often_is_refused() {
        let (manifests, value) = check(&repeated(20_000, 1_000));
        assert_eq!((manifests, value), (Err(REFUSED.to_owned()), Err(REFUSED.to_owned())));
    }

    #[test]
    fn documents_count_together() {
        let document = |n| format!("---\na: &a {}\nb: [{}]\n", "x".repeat(n), vec!["*a"; 90].join(","));
        assert_eq!(parse_manifests(&document(600)).map(drop), Ok(()));
        assert_eq!(parse_manifests(&document(600).repeat(20)).map(drop), Err(REFUSED.to_owned()));
    }

    #[test]
    fn lists_of_lists_are_refused() {
        let level =
            |(one, two): (char, char)| format!("{two}: &{two} [{}]\n", vec![format!("*{one}"); 9].join(","));
        let levels: String = ('a'..'h').zip('b'..'i').map(level).collect();
        let (manifests, value) = check(&format!("a: &a [x,x,x,x,x,x,x,x,x]\n{levels}"));
        assert_eq!(manifests, Err(REFUSED.to_owned()));
        assert_eq!(value, Err("this is not YAML: repetition limit exceeded".to_owned()));
    }
}
