//! Small changes to valid inputs: of bytes, of lines, and of JSON by its structure.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

/// One change, still without knowing what it changes.
#[derive(Debug, Clone)]
pub enum Edit {
    Flip(Index, u8),
    Remove(Index, u8),
    Repeat(Index, u8),
    Token(Index, Index),
    Replace(Index, Index),
    SwapLines(Index, Index),
    Splice(Index, Index, Index),
}

pub fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let at = any::<Index>;
    proptest::collection::vec(
        prop_oneof![
            2 => (at(), any::<u8>()).prop_map(|(place, byte)| Edit::Flip(place, byte)),
            2 => (at(), any::<u8>()).prop_map(|(place, length)| Edit::Remove(place, length)),
            1 => (at(), any::<u8>()).prop_map(|(place, length)| Edit::Repeat(place, length)),
            3 => (at(), at()).prop_map(|(place, token)| Edit::Token(place, token)),
            5 => (at(), at()).prop_map(|(place, token)| Edit::Replace(place, token)),
            2 => (at(), at()).prop_map(|(one, other)| Edit::SwapLines(one, other)),
            1 => (at(), at(), at()).prop_map(|(seed, from, to)| Edit::Splice(seed, from, to)),
        ],
        1..6,
    )
}

/// Carries the changes out.
pub fn apply(input: &[u8], edits: &[Edit], tokens: &[&str], seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for edit in edits {
        let length = bytes.len();
        match edit {
            Edit::Flip(at, byte) if length > 0 => bytes[at.index(length)] ^= byte,
            Edit::Remove(at, most) if length > 0 => {
                let from = at.index(length);
                bytes.drain(from..(from + 1 + usize::from(*most % 32)).min(length));
            }
            Edit::Repeat(at, most) if length > 0 => {
                let from = at.index(length);
                let part = bytes[from..(from + 1 + usize::from(*most % 64)).min(length)].to_vec();
                bytes.splice(from..from, part);
            }
            Edit::Token(at, token) => {
                let from = at.index(length + 1);
                bytes.splice(from..from, tokens[token.index(tokens.len())].bytes());
            }
            Edit::Replace(at, token) => {
                if let Some(word) = word_at(&bytes, at) {
                    bytes.splice(word, tokens[token.index(tokens.len())].bytes());
                }
            }
            Edit::SwapLines(one, other) => {
                let mut lines: Vec<Vec<u8>> =
                    bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
                let (one, other) = (one.index(lines.len()), other.index(lines.len()));
                lines.swap(one, other);
                bytes = lines.join(&b'\n');
            }
            Edit::Splice(seed, from, to) => {
                let other = &seeds[seed.index(seeds.len())];
                bytes.truncate(from.index(length + 1));
                bytes.extend_from_slice(&other[to.index(other.len() + 1)..]);
            }
            Edit::Flip(..) | Edit::Remove(..) | Edit::Repeat(..) => {}
        }
    }
    bytes
}

/// A run of letters, digits and the like: a value or a name.
fn word_at(bytes: &[u8], at: &Index) -> Option<std::ops::Range<usize>> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-@".contains(&byte);
    let starts: Vec<usize> =
        (0..bytes.len()).filter(|i| is_word(bytes[*i]) && (*i == 0 || !is_word(bytes[i - 1]))).collect();
    if starts.is_empty() {
        return None;
    }
    let start = starts[at.index(starts.len())];
    let length = bytes[start..].iter().take_while(|byte| is_word(**byte)).count();
    Some(start..start + length)
}

/// What may stand at any place of a JSON document.
pub fn odd_values() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1.5),
        json!(1e300),
        json!(""),
        json!("a\u{0}b"),
        json!("a/b"),
        json!("../x"),
        json!("x".repeat(600)),
        json!("\u{202e}日本\u{fffd}"),
        json!("4242424242424242"),
        json!("jane@example.com"),
        json!("rk_live_51abc"),
        json!([]),
        json!({}),
        json!([[[[[[]]]]]]),
        json!({ "id": 5 }),
        json!({ "id": "cus_x", "object": "customer" }),
        json!({ "object": "list", "data": [null], "has_more": true }),
        json!("active"),
        json!("canceled"),
        json!("hibernating"),
    ]
}

/// A change of one node: another value, gone, or a copy of another node.
#[derive(Debug, Clone)]
pub enum JsonEdit {
    Set(Index, Index),
    Drop(Index),
    Copy(Index, Index),
    Rename(Index, Index),
    Wrap(Index, u8),
}

pub fn json_edits() -> impl Strategy<Value = Vec<JsonEdit>> {
    let at = any::<Index>;
    proptest::collection::vec(
        prop_oneof![
            4 => (at(), at()).prop_map(|(node, value)| JsonEdit::Set(node, value)),
            2 => at().prop_map(JsonEdit::Drop),
            2 => (at(), at()).prop_map(|(to, from)| JsonEdit::Copy(to, from)),
            1 => (at(), at()).prop_map(|(node, name)| JsonEdit::Rename(node, name)),
            1 => (at(), any::<u8>()).prop_map(|(node, times)| JsonEdit::Wrap(node, times)),
        ],
        1..5,
    )
}

/// Carries the changes out on the nodes in document order.
pub fn apply_json(mut value: Value, edits: &[JsonEdit]) -> Value {
    let odd = odd_values();
    for edit in edits {
        let nodes = pointers(&value, String::new());
        let node = |at: &Index| nodes[at.index(nodes.len())].clone();
        match edit {
            JsonEdit::Set(at, with) => put(&mut value, &node(at), odd[with.index(odd.len())].clone()),
            JsonEdit::Drop(at) => drop_node(&mut value, &node(at)),
            JsonEdit::Copy(to, from) => {
                let copy = value.pointer(&node(from)).cloned().unwrap_or_default();
                put(&mut value, &node(to), copy);
            }
            JsonEdit::Rename(at, name) => {
                let names = [
                    "id",
                    "object",
                    "customer",
                    "metadata",
                    "email",
                    "data",
                    "a\u{0}b",
                    "quittance_customer",
                    "",
                ];
                let (pointer, moved) = (node(at), value.pointer(&node(at)).cloned().unwrap_or_default());
                drop_node(&mut value, &pointer);
                let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
                if let Some(Value::Object(members)) = value.pointer_mut(parent) {
                    members.insert(names[name.index(names.len())].to_owned(), moved);
                }
            }
            JsonEdit::Wrap(at, times) => {
                let mut inner = value.pointer(&node(at)).cloned().unwrap_or_default();
                for _ in 0..times % 40 {
                    inner = json!([inner]);
                }
                put(&mut value, &node(at), inner);
            }
        }
    }
    value
}

fn pointers(value: &Value, here: String) -> Vec<String> {
    let mut all = vec![here.clone()];
    match value {
        Value::Object(members) => {
            for (name, inner) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                all.extend(pointers(inner, format!("{here}/{name}")));
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                all.extend(pointers(inner, format!("{here}/{index}")));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    all
}

fn put(value: &mut Value, pointer: &str, with: Value) {
    if let Some(place) = value.pointer_mut(pointer) {
        *place = with;
    }
}

fn drop_node(value: &mut Value, pointer: &str) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    let name = name.replace("~1", "/").replace("~0", "~");
    match value.pointer_mut(parent) {
        Some(Value::Object(members)) => {
            members.remove(&name);
        }
        Some(Value::Array(list)) => {
            if let Ok(index) = name.parse::<usize>() {
                list.remove(index);
            }
        }
        Some(_) | None => {}
    }
}
