//! Edits of an input: of its bytes, its lines, and the JSON values in its lines.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

/// Larger inputs are cut: the parsers have limits of their own, which the corpus reaches where that matters.
const MAX_INPUT_BYTES: usize = 256 * 1024;

/// Text with a meaning for one of the parsers.
const TOKENS: &[&str] = &[
    "\0",
    "\n",
    "\n\n",
    "\r\n",
    "\t",
    " ",
    "\"",
    "\\",
    "'",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "#",
    "<",
    ">",
    "@",
    ".",
    "-",
    "_",
    "+",
    "=",
    "&",
    "%",
    "/",
    "|",
    "\u{2014} ",
    "\u{feff}",
    "\u{200b}",
    "\u{202e}",
    "\u{0301}",
    "\u{fffd}",
    "ß",
    "İ",
    "😀",
    "\\u0000",
    "\\ud800",
    "\\u00e9",
    "%00",
    "%ff",
    "%2",
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-1",
    "00",
    "1e309",
    "1e-309",
    "1.5",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "~",
    "&a ",
    "*a",
    "<<: *a",
    "!!binary ",
    "---\n",
    "...\n",
    "- ",
    "? ",
    "|\n",
    ">\n",
    "..",
    "../",
    "//",
    "a",
    "Z",
    "v1",
    "2026-01-31T12:00:00Z",
    "-009999-01-02T01:59:59Z",
    "9999-12-30T22:00:00.999999999Z",
    "1d",
    "Gi",
    "system:serviceaccount:",
    "unlimited",
];

/// JSON values at the limits of the parsers.
fn values() -> impl Strategy<Value = Value> {
    select(vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(1),
        json!(1.5),
        json!(-0.0),
        json!(9_007_199_254_740_993_u64),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1e308),
        json!(""),
        json!("\u{0}"),
        json!("$"),
        json!("#"),
        json!("a".repeat(2_000)),
        json!("[".repeat(300)),
        json!([]),
        json!({}),
        json!([[]]),
        json!({"": {"": {}}}),
        json!({"$ref": "#"}),
        json!({"start": 0, "end": u64::MAX, "hashes": []}),
        json!(vec![0; 64]),
    ])
}

/// One change of an input.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    /// Replaces so many bytes.
    Replace { at: Index, length: usize, with: Vec<u8> },
    /// Replaces a letter by another letter, or a digit by another digit: what is encoded stays encoded.
    Character { at: Index, shift: u8 },
    /// Inserts a part of the input again, several times.
    Repeat { at: Index, length: Index, times: usize },
    /// Cuts the end off.
    Truncate { at: Index },
    /// Continues with the end of another input.
    Splice { at: Index, other: Index, from: Index },
    /// Changes a line.
    Line { line: Index, edit: LineEdit },
    /// Changes a JSON value in a line that is JSON, or in the whole input.
    Json { line: Index, node: Index, edit: JsonEdit },
}

/// A change of a line.
#[derive(Clone, Debug)]
pub(crate) enum LineEdit {
    Remove,
    Duplicate,
    Swap(Index),
}

/// A change of a JSON value.
#[derive(Clone, Debug)]
pub(crate) enum JsonEdit {
    /// Another value.
    Set(Value),
    /// The value of another place.
    Copy(Index),
    /// The value within so many arrays or objects.
    Nest { depth: usize, object: bool },
    /// Without one of its members or items.
    Remove(Index),
    /// With a copy of one of its members or items.
    Duplicate(Index),
    /// With an inserted text, if it is a string.
    Text { at: Index, token: &'static str },
}

/// Some edits.
pub(crate) fn edits() -> impl Strategy<Value = Vec<Edit>> {
    prop::collection::vec(edit(), 1..6)
}

fn edit() -> impl Strategy<Value = Edit> {
    let index = any::<Index>;
    let token = select(TOKENS).prop_map(|token| token.as_bytes().to_vec());
    let piece = prop_oneof![token, prop::collection::vec(any::<u8>(), 0..4)];
    let line =
        prop_oneof![Just(LineEdit::Remove), Just(LineEdit::Duplicate), index().prop_map(LineEdit::Swap)];
    let json = prop_oneof![
        3 => values().prop_map(JsonEdit::Set),
        2 => index().prop_map(JsonEdit::Copy),
        1 => (1..140_usize, any::<bool>()).prop_map(|(depth, object)| JsonEdit::Nest { depth, object }),
        2 => index().prop_map(JsonEdit::Remove),
        1 => index().prop_map(JsonEdit::Duplicate),
        3 => (index(), select(TOKENS)).prop_map(|(at, token)| JsonEdit::Text { at, token }),
    ];
    prop_oneof![
        4 => (index(), 0..8_usize, piece).prop_map(|(at, length, with)| Edit::Replace { at, length, with }),
        3 => (index(), 1..26_u8).prop_map(|(at, shift)| Edit::Character { at, shift }),
        1 => (index(), index(), 1..64_usize).prop_map(|(at, length, times)| Edit::Repeat { at, length, times }),
        1 => index().prop_map(|at| Edit::Truncate { at }),
        1 => (index(), index(), index()).prop_map(|(at, other, from)| Edit::Splice { at, other, from }),
        2 => (index(), line).prop_map(|(line, edit)| Edit::Line { line, edit }),
        5 => (index(), index(), json).prop_map(|(line, node, edit)| Edit::Json { line, node, edit }),
    ]
}

/// Applies an edit.
pub(crate) fn apply(edit: &Edit, mut input: Vec<u8>, corpus: &[Vec<u8>]) -> Vec<u8> {
    let place = |index: &Index, length: usize| index.index(length + 1);
    match edit {
        Edit::Replace { at, length, with } => {
            let at = place(at, input.len());
            let end = input.len().min(at + length);
            input.splice(at..end, with.iter().copied());
        }
        Edit::Character { at, shift } => edit_character(&mut input, at, *shift),
        Edit::Repeat { at, length, times } => {
            let at = place(at, input.len());
            let length = place(length, input.len() - at);
            let part = input[at..at + length].repeat(*times);
            input.splice(at..at, part);
        }
        Edit::Truncate { at } => input.truncate(place(at, input.len())),
        Edit::Splice { at, other, from } => {
            let other = other.get(corpus);
            input.truncate(place(at, input.len()));
            input.extend(&other[place(from, other.len())..]);
        }
        Edit::Line { line, edit } => input = edit_lines(&input, line, edit),
        Edit::Json { line, node, edit } => input = edit_json(input, line, node, edit),
    }
    input.truncate(MAX_INPUT_BYTES);
    input
}

fn edit_character(input: &mut [u8], at: &Index, shift: u8) {
    let mut characters: Vec<&mut u8> = input.iter_mut().filter(|byte| byte.is_ascii_alphanumeric()).collect();
    if characters.is_empty() {
        return;
    }
    let byte = &mut **at.get_mut(&mut characters);
    let (first, count) = match *byte {
        b'0'..=b'9' => (b'0', 10),
        b'a'..=b'z' => (b'a', 26),
        _ => (b'A', 26),
    };
    *byte = first + (*byte - first + shift) % count;
}

fn edit_lines(input: &[u8], line: &Index, edit: &LineEdit) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    let count = lines.len();
    let at = line.index(count);
    match edit {
        LineEdit::Remove => drop(lines.remove(at)),
        LineEdit::Duplicate => lines.insert(at, lines[at]),
        LineEdit::Swap(other) => lines.swap(at, other.index(count)),
    }
    lines.join(&b'\n')
}

fn edit_json(input: Vec<u8>, line: &Index, node: &Index, edit: &JsonEdit) -> Vec<u8> {
    if let Ok(mut value) = serde_json::from_slice::<Value>(&input) {
        edit_value(&mut value, node, edit);
        return value.to_string().into_bytes();
    }
    let mut lines: Vec<Vec<u8>> = input.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let line = line.get_mut(&mut lines);
    let Ok(mut value) = serde_json::from_slice::<Value>(line) else { return input };
    edit_value(&mut value, node, edit);
    *line = value.to_string().into_bytes();
    lines.join(&b'\n')
}

/// Changes one of the values of a tree.
fn edit_value(root: &mut Value, node: &Index, edit: &JsonEdit) {
    let count = count_nodes(root);
    let copied = match edit {
        JsonEdit::Copy(from) => find_node(root, &mut from.index(count)).cloned(),
        _ => None,
    };
    let Some(value) = find_node(root, &mut node.index(count)) else { return };
    match edit {
        JsonEdit::Set(new) => *value = new.clone(),
        JsonEdit::Copy(_) => *value = copied.unwrap_or_default(),
        JsonEdit::Nest { depth, object } => {
            for _ in 0..*depth {
                let inner = value.take();
                *value = if *object { json!({ "a": inner }) } else { json!([inner]) };
            }
        }
        JsonEdit::Remove(at) => match value {
            Value::Array(items) if !items.is_empty() => drop(items.remove(at.index(items.len()))),
            Value::Object(members) => {
                name_of(members, at).map(|name| members.remove(&name));
            }
            _ => *value = Value::Null,
        },
        JsonEdit::Duplicate(at) => match value {
            Value::Array(items) if !items.is_empty() => items.push(items[at.index(items.len())].clone()),
            Value::Object(members) => {
                if let Some(name) = name_of(members, at) {
                    let copy = members[&name].clone();
                    members.insert(format!("{name}2"), copy);
                }
            }
            _ => {}
        },
        JsonEdit::Text { at, token } => {
            if let Value::String(text) = value {
                let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
                text.insert_str(*at.get(&places), token);
            }
        }
    }
}

fn name_of(members: &Map<String, Value>, at: &Index) -> Option<String> {
    let names: Vec<&String> = members.keys().collect();
    (!names.is_empty()).then(|| (*at.get(&names)).clone())
}

fn count_nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count_nodes).sum(),
        Value::Object(members) => members.values().map(count_nodes).sum::<usize>(),
        _ => 0,
    }
}

/// The node at a position in the order of a walk. The position is counted down.
fn find_node<'a>(value: &'a mut Value, at: &mut usize) -> Option<&'a mut Value> {
    if *at == 0 {
        return Some(value);
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| find_node(item, at)),
        Value::Object(members) => members.values_mut().find_map(|member| find_node(member, at)),
        _ => None,
    }
}
