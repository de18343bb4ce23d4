//! Decodes `application/x-www-form-urlencoded` bodies and queries with nested brackets.
//!
//! Accepts `a[b][0][c]=v`, `a[]=v` repeated, brackets raw or as `%5B%5D`, and `+` for a space. An empty string is kept:
//! it means *unset*. Knows nothing of parameter names or types.

use std::collections::BTreeMap;

/// A decoded parameter: a text, or names (or indexes) with parameters below them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Param {
    Text(String),
    Tree(Tree),
}

/// Parameters by name. An array is a tree whose names are its indexes.
pub(crate) type Tree = BTreeMap<String, Param>;

/// Limits: a form cannot make the decoder nest or grow without bound.
const MAX_DEPTH: usize = 10;
const MAX_PAIRS: usize = 5_000;

/// Why a form could not be decoded.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum FormError {
    #[error("the form is not valid percent-encoded UTF-8")]
    Encoding,
    #[error("the parameter name is malformed: {0}")]
    Name(String),
    #[error("the parameter is given both as a value and as a set of values: {0}")]
    Conflict(String),
    #[error("the form has too many parameters or nests too deeply")]
    TooLarge,
}

/// Decodes a form body or a query string.
pub(crate) fn decode(raw: &[u8]) -> Result<Tree, FormError> {
    let mut tree = Tree::new();
    for (count, pair) in raw.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).enumerate() {
        if count >= MAX_PAIRS {
            return Err(FormError::TooLarge);
        }
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let name = percent_decode(halves.next().unwrap_or_default())?;
        let value = percent_decode(halves.next().unwrap_or_default())?;
        let path = split_name(&name)?;
        insert(&mut tree, &path, value, &name)?;
    }
    Ok(tree)
}

fn percent_decode(raw: &[u8]) -> Result<String, FormError> {
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let high = bytes.next().and_then(hex_digit).ok_or(FormError::Encoding)?;
                let low = bytes.next().and_then(hex_digit).ok_or(FormError::Encoding)?;
                out.push(high * 16 + low);
            }
            other => out.push(other),
        }
    }
    String::from_utf8(out).map_err(|_| FormError::Encoding)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Splits `a[b][0]` into its names; an empty pair of brackets is an empty name and means "append".
fn split_name(name: &str) -> Result<Vec<String>, FormError> {
    let malformed = || FormError::Name(name.to_owned());
    let (head, mut rest) = match name.find('[') {
        Some(at) => name.split_at(at),
        None => (name, ""),
    };
    if head.is_empty() {
        return Err(malformed());
    }
    let mut path = vec![head.to_owned()];
    while !rest.is_empty() {
        let inner = rest.strip_prefix('[').ok_or_else(malformed)?;
        let (segment, after) = inner.split_once(']').ok_or_else(malformed)?;
        path.push(segment.to_owned());
        rest = after;
    }
    if path.len() > MAX_DEPTH {
        return Err(FormError::TooLarge);
    }
    Ok(path)
}

fn insert(tree: &mut Tree, path: &[String], value: String, full: &str) -> Result<(), FormError> {
    let Some((name, rest)) = path.split_first() else {
        return Ok(());
    };
    let name = if name.is_empty() { append_index(tree, rest) } else { name.clone() };
    if rest.is_empty() {
        if matches!(tree.get(&name), Some(Param::Tree(_))) {
            return Err(FormError::Conflict(full.to_owned()));
        }
        tree.insert(name, Param::Text(value));
        return Ok(());
    }
    match tree.entry(name).or_insert_with(|| Param::Tree(Tree::new())) {
        Param::Tree(below) => insert(below, rest, value, full),
        Param::Text(_) => Err(FormError::Conflict(full.to_owned())),
    }
}

/// The index that `[]` stands for: a new one, except that `a[][x]=1&a[][y]=2` fill one element.
fn append_index(tree: &Tree, rest: &[String]) -> String {
    let last = tree.keys().filter_map(|key| key.parse::<usize>().ok()).max();
    let Some(last) = last else {
        return "0".to_owned();
    };
    let field = rest.first().filter(|field| !field.is_empty());
    if let (Some(field), Some(Param::Tree(below))) = (field, tree.get(&last.to_string()))
        && !below.contains_key(field)
    {
        return last.to_string();
    }
    last.saturating_add(1).to_string()
}

/// The elements of an array in index order; `None` when the names are not all indexes.
pub(crate) fn elements(tree: &Tree) -> Option<Vec<(&String, &Param)>> {
    let mut indexed = Vec::with_capacity(tree.len());
    for (key, param) in tree {
        indexed.push((key.parse::<usize>().ok()?, key, param));
    }
    indexed.sort_by_key(|(index, _, _)| *index);
    Some(indexed.into_iter().map(|(_, key, param)| (key, param)).collect())
}
