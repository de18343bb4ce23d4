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
    #[error("the body is neither a percent-encoded form in UTF-8 nor, in version 2, a JSON object")]
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

/// Encodes parameters as a query string.
pub(crate) fn encode(tree: &Tree) -> String {
    let mut pairs = Vec::new();
    for (name, param) in tree {
        encode_below(&percent_encode(name), param, &mut pairs);
    }
    pairs.join("&")
}

fn encode_below(name: &str, param: &Param, pairs: &mut Vec<String>) {
    match param {
        Param::Text(text) => pairs.push(format!("{name}={}", percent_encode(text))),
        Param::Tree(tree) => {
            for (inner, param) in tree {
                encode_below(&format!("{name}%5B{}%5D", percent_encode(inner)), param, pairs);
            }
        }
    }
}

fn percent_encode(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    });
    encoded.collect()
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

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Param {
        Param::Text(text.to_owned())
    }

    fn tree(pairs: &[(&str, Param)]) -> Param {
        Param::Tree(pairs.iter().map(|(name, param)| ((*name).to_owned(), param.clone())).collect())
    }

    #[test]
    fn nested_names_are_read_raw_and_encoded() {
        let expected = [
            ("items", tree(&[("0", tree(&[("price", text("p")), ("quantity", text("2"))]))])),
            ("metadata", tree(&[("a", text("é")), ("b", text(""))])),
        ];
        for form in [
            "items[0][price]=p&items[0][quantity]=2&metadata[a]=%C3%A9&metadata[b]=",
            "items%5B0%5D%5Bprice%5D=p&items%5B0%5D%5Bquantity%5D=2&metadata%5Ba%5D=%C3%A9&metadata%5Bb%5D=",
        ] {
            assert_eq!(Param::Tree(decode(form.as_bytes()).unwrap()), tree(&expected), "{form}");
        }
    }

    #[test]
    fn empty_brackets_append() {
        let list = decode(b"expand[]=a&expand[]=b").unwrap();
        assert_eq!(list.get("expand"), Some(&tree(&[("0", text("a")), ("1", text("b"))])));
        let objects = decode(b"items[][price]=a&items[][quantity]=1&items[][price]=b").unwrap();
        assert_eq!(
            objects.get("items"),
            Some(&tree(&[
                ("0", tree(&[("price", text("a")), ("quantity", text("1"))])),
                ("1", tree(&[("price", text("b"))]))
            ]))
        );
    }

    #[test]
    fn elements_come_in_the_order_of_their_numbers() {
        let Some(Param::Tree(list)) = decode(b"x[10]=k&x[9]=j&x[2]=c").unwrap().remove("x") else {
            panic!("no tree")
        };
        let order: Vec<&str> = elements(&list).unwrap().iter().map(|(index, _)| index.as_str()).collect();
        assert_eq!(order, ["2", "9", "10"]);
    }

    #[test]
    fn malformed_forms_are_refused() {
        assert_eq!(decode(b"a=%zz"), Err(FormError::Encoding));
        assert_eq!(decode(b"a=%f"), Err(FormError::Encoding));
        assert_eq!(decode(b"a=%ff"), Err(FormError::Encoding));
        assert!(matches!(decode(b"a[b=1"), Err(FormError::Name(_))));
        assert!(matches!(decode(b"[a]=1"), Err(FormError::Name(_))));
        assert!(matches!(decode(b"a=1&a[b]=2"), Err(FormError::Conflict(_))));
        assert!(matches!(decode(b"a[b]=2&a=1"), Err(FormError::Conflict(_))));
        assert_eq!(decode("a[b][c][d][e][f][g][h][i][j][k]=1".as_bytes()), Err(FormError::TooLarge));
        assert_eq!(decode("a=1&".repeat(5_001).as_bytes()), Err(FormError::TooLarge));
    }

    fn any_param() -> impl Strategy<Value = Param> {
        let leaf = "\\PC{0,12}".prop_map(Param::Text);
        leaf.prop_recursive(3, 24, 4, |inner| {
            proptest::collection::btree_map("[a-z_]{1,6}", inner, 1..4).prop_map(Param::Tree)
        })
    }

    fn write_param(name: &str, param: &Param, percent: bool, out: &mut String) {
        match param {
            Param::Tree(below) => {
                for (key, param) in below {
                    let (left, right) = if percent { ("%5B", "%5D") } else { ("[", "]") };
                    write_param(&format!("{name}{left}{key}{right}"), param, percent, out);
                }
            }
            Param::Text(text) => {
                let _ = write!(out, "&{name}=");
                for byte in text.bytes() {
                    let _ = if byte.is_ascii_alphanumeric() {
                        write!(out, "{}", char::from(byte))
                    } else {
                        write!(out, "%{byte:02X}")
                    };
                }
            }
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_read_back(tree in proptest::collection::btree_map("[a-z_]{1,6}", any_param(), 0..5), percent: bool) {
            let mut form = String::new();
            for (name, param) in &tree {
                write_param(name, param, percent, &mut form);
            }
            prop_assert_eq!(&decode(form.as_bytes()).unwrap(), &tree);
            prop_assert_eq!(decode(super::encode(&tree).as_bytes()).unwrap(), tree);
        }

        #[test]
        fn no_input_breaks_the_decoder(raw: Vec<u8>) {
            let _ = decode(&raw);
        }
    }
}
