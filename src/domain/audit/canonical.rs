//! Canonical JSON (RFC 8785), parsed strictly. Texts with the same content have the same canonical form; a text that two
//! parsers could read differently, because it repeats a member name, has none.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Maximum nesting depth; the same as that of `serde_json`.
const MAX_DEPTH: usize = 127;

/// Returns the canonical form of a JSON text, borrowed if the text is canonical already. `None` if the text is not JSON or
/// repeats a member name.
pub(super) fn canonicalize(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    if is_canonical(text) {
        return Some(Cow::Borrowed(text));
    }
    serde_json::from_slice::<UniqueNames>(text).ok()?;
    let value: Value = serde_json::from_slice(text).ok()?;
    serde_json_canonicalizer::to_vec(&value).ok().map(Cow::Owned)
}

/// Whether a text is in canonical form: no white space, sorted member names, one spelling of each value. Much faster than
/// creating the form.
pub(super) fn is_canonical(text: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(text) else { return false };
    let mut scanner = Scanner { text, position: 0 };
    scanner.value(0).is_some() && scanner.position == text.len()
}

struct Scanner<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek();
        self.position += 1;
        byte
    }

    fn literal(&mut self, literal: &str) -> Option<()> {
        self.text.as_bytes()[self.position..]
            .starts_with(literal.as_bytes())
            .then(|| self.position += literal.len())
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(|_| ()),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.position += 1;
        if self.peek()? == b'}' {
            self.position += 1;
            return Some(());
        }
        let mut previous: Option<&str> = None;
        loop {
            if self.peek()? != b'"' {
                return None;
            }
            let name = self.string()?;
            if previous.is_some_and(|previous| !precedes(previous, name)) || self.next()? != b':' {
                return None;
            }
            previous = Some(name);
            self.value(depth + 1)?;
            match self.next()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.position += 1;
        if self.peek()? == b']' {
            self.position += 1;
            return Some(());
        }
        loop {
            self.value(depth + 1)?;
            match self.next()? {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Returns a string with its quotation marks. Only characters that need an escape have one, in its shortest form.
    fn string(&mut self) -> Option<&'a str> {
        let start = self.position;
        self.position += 1;
        loop {
            match self.next()? {
                b'"' => return Some(&self.text[start..self.position]),
                b'\\' => match self.next()? {
                    b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    b'u' => {
                        let digits = self.text.as_bytes().get(self.position..self.position + 4)?;
                        let is_lower = digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
                        let code = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
                        let is_needed = code < 0x20 && !matches!(code, 8 | 9 | 10 | 12 | 13);
                        if !is_lower || !is_needed {
                            return None;
                        }
                        self.position += 4;
                    }
                    _ => return None,
                },
                0..0x20 => return None,
                _ => {}
            }
        }
    }

    fn number(&mut self) -> Option<()> {
        let rest = &self.text[self.position..];
        let is_part = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
        let length = rest.bytes().position(|byte| !is_part(byte)).unwrap_or(rest.len());
        let number = &rest[..length];
        self.position += length;
        let digits = number.strip_prefix('-').unwrap_or(number);
        let is_plain = (1..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && (!digits.starts_with('0') || number == "0");
        let is_shortest = || {
            let value: f64 = number.parse().ok().filter(|value: &f64| value.is_finite())?;
            serde_json_canonicalizer::to_string(&value).ok().filter(|text| text == number)
        };
        (is_plain || is_shortest().is_some()).then_some(())
    }
}

/// Whether a member name sorts before another, by UTF-16 code units (RFC 8785, section 3.2.3). Both are quoted.
fn precedes(one: &str, other: &str) -> bool {
    let is_plain = |name: &str| name.is_ascii() && !name.contains('\\');
    if is_plain(one) && is_plain(other) {
        // Without the quotation marks: some characters sort before them.
        return one[1..one.len() - 1] < other[1..other.len() - 1];
    }
    let read = |name: &str| serde_json::from_str::<String>(name).ok();
    match (read(one), read(other)) {
        (Some(one), Some(other)) => one.encode_utf16().lt(other.encode_utf16()),
        _ => false,
    }
}

/// Accepts any JSON value without a repeated member name.
struct UniqueNames;

impl<'de> Deserialize<'de> for UniqueNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueNames)
    }
}

impl<'de> Visitor<'de> for UniqueNames {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated member names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            map.next_value::<Self>()?;
            if !names.insert(name) {
                return Err(serde::de::Error::custom("repeated member name"));
            }
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any JSON, with unusual names and texts.
    fn json() -> impl Strategy<Value = Value> {
        let text = || {
            prop_oneof![
                "[a-z]{0,3}",
                "[\\x00-\\x7f]{0,3}",
                any::<String>(),
                "[\u{e000}\u{10000}\u{ffff}!\"#]{0,2}"
            ]
        };
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-20_i64..20).prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            text().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(text(), inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn canonical(value: &Value) -> Vec<u8> {
        serde_json_canonicalizer::to_vec(value).expect("JSON")
    }

    proptest! {
        #[test]
        fn canonical_forms_are_recognized_and_others_are_canonicalized(value in json()) {
            let expected = canonical(&value);
            prop_assert!(is_canonical(&expected), "{}", String::from_utf8_lossy(&expected));
            let pretty = serde_json::to_vec_pretty(&value).expect("JSON");
            let canonicalized = canonicalize(&pretty).expect("JSON");
            prop_assert_eq!(&*canonicalized, &expected[..]);
        }

        #[test]
        fn recognized_text_is_canonical(value in json(), at: prop::sample::Index, byte in prop::sample::select(b"\"\\{}[]:,0123456789.eE+-abftnu /\x00\x1f".to_vec())) {
            let mut text = canonical(&value);
            let at = at.index(text.len());
            text[at] = byte;
            if is_canonical(&text) {
                let read: Value = serde_json::from_slice(&text).expect("JSON");
                prop_assert_eq!(String::from_utf8(canonical(&read)), String::from_utf8(text));
            }
        }
    }

    #[test]
    fn each_value_has_one_spelling() {
        let canonical = [
            "{}",
            "[]",
            "0",
            "-1",
            "1.5",
            "1e+30",
            "999999999999999",
            "9007199254740992",
            r#""\u001f\n\"é""#,
            r#"{"":0,"a":{"b":[true,null]},"é":1}"#,
        ];
        for text in canonical {
            assert!(is_canonical(text.as_bytes()), "{text}");
        }
        let others = [
            "",
            " {}",
            "{} ",
            "{}{}",
            "{",
            "[",
            "\"",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{1:1}",
            "-0",
            "01",
            "1.0",
            "+1",
            "1.",
            "1e30",
            "NaN",
            "inf",
            "9007199254740993",
            "tru",
            r#""\/""#,
            r#""\u0041""#,
            r#""\u000a""#,
            r#""\u001F""#,
            r#""\u00""#,
            "\"\n\"",
            r#"{"b":0,"a":0}"#,
            r#"{"a":0,"a":0}"#,
            r#"{"a" :0}"#,
        ];
        for text in others {
            assert!(!is_canonical(text.as_bytes()), "{text}");
        }
        assert!(!is_canonical(b"\"\xff\""));
        assert!(!is_canonical("[".repeat(100_000).as_bytes()), "deep nesting does not overflow the stack");
        assert!(canonicalize("[".repeat(100_000).as_bytes()).is_none());
    }

    #[test]
    fn a_repeated_member_name_has_no_canonical_form() {
        assert_eq!(
            canonicalize(br#"{"b": 1, "a": [1.0, "x", null, true, -1]}"#).expect("JSON"),
            &br#"{"a":[1,"x",null,true,-1],"b":1}"#[..]
        );
        for text in [r#"{"a":1,"a":1}"#, r#"[{"a":{"b":1,"\u0062":2}}]"#, "{", ""] {
            assert_eq!(canonicalize(text.as_bytes()), None, "{text}");
        }
    }
}
