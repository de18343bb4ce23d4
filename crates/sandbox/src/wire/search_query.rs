//! The language of searches: `email~"rocket" AND -metadata["plan"]:"free"`.
//!
//! Clauses are joined by `AND`, by nothing (which means the same) or by `OR`, but not by both; there are no parentheses.
//! Values stand in quotes, except whole numbers and `null`. Nothing here knows what can be searched.

use super::error::{ApiError, ApiResult};

/// The most clauses of one query.
const MOST_CLAUSES: usize = 10;

/// A query that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    /// Whether one clause is enough.
    pub(crate) any: bool,
    pub(crate) clauses: Vec<Clause>,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clause {
    pub(crate) negated: bool,
    pub(crate) field: String,
    /// The name in brackets: `metadata["key"]`.
    pub(crate) key: Option<String>,
    pub(crate) operator: Operator,
    pub(crate) value: Operand,
}

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Is,
    Contains,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Operator {
    /// Whether it puts values in order.
    pub(crate) fn orders(self) -> bool {
        match self {
            Self::Is | Self::Contains => false,
            Self::Greater | Self::GreaterOrEqual | Self::Less | Self::LessOrEqual => true,
        }
    }
}

/// What a field is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operand {
    Null,
    Text(String),
}

/// Reads a query.
pub(crate) fn parse(text: &str) -> ApiResult<Query> {
    let mut reader = Reader { rest: text };
    let mut clauses = Vec::new();
    let (mut and, mut or) = (false, false);
    loop {
        reader.skip_spaces();
        if !clauses.is_empty() {
            if reader.rest.is_empty() {
                break;
            }
            if reader.word("or") {
                or = true;
            } else {
                // Nothing between two clauses means the same as the word.
                reader.word("and");
                and = true;
            }
            reader.skip_spaces();
        }
        clauses.push(reader.clause()?);
        if clauses.len() > MOST_CLAUSES {
            return Err(wrong(&format!("a query has at most {MOST_CLAUSES} clauses")));
        }
    }
    if and && or {
        return Err(wrong("AND and OR cannot be used in the same query"));
    }
    Ok(Query { any: or, clauses })
}

fn wrong(what: &str) -> ApiError {
    ApiError::rule(format!(
        "We were unable to parse your search query: {what}. Clauses look like `field:\"value\"`."
    ))
    .param("query")
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes a joining word, whatever its case.
    fn word(&mut self, word: &str) -> bool {
        let found = self.rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
            && self.rest.get(word.len()..).is_some_and(|rest| rest.starts_with(char::is_whitespace));
        if found {
            self.rest = self.rest.get(word.len()..).unwrap_or_default();
        }
        found
    }

    fn name(&mut self) -> ApiResult<String> {
        let fits = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.');
        let end = self.rest.find(|char| !fits(char)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if name.is_empty() {
            return Err(wrong("the name of a field is missing"));
        }
        self.rest = rest;
        Ok(name.to_owned())
    }

    fn clause(&mut self) -> ApiResult<Clause> {
        let negated = self.take("-");
        let field = self.name()?;
        let key = if self.take("[") {
            let key = self.quoted()?.ok_or_else(|| wrong("a key in brackets stands in quotes"))?;
            if !self.take("]") {
                return Err(wrong("a bracket is not closed"));
            }
            Some(key)
        } else {
            None
        };
        self.skip_spaces();
        let operator = self.operator()?;
        self.skip_spaces();
        let value = self.operand()?;
        if !self.rest.is_empty() && !self.rest.starts_with(char::is_whitespace) {
            return Err(wrong("a space is missing after a value"));
        }
        Ok(Clause { negated, field, key, operator, value })
    }

    fn operator(&mut self) -> ApiResult<Operator> {
        let known = [
            (":", Operator::Is),
            ("~", Operator::Contains),
            (">=", Operator::GreaterOrEqual),
            ("<=", Operator::LessOrEqual),
            (">", Operator::Greater),
            ("<", Operator::Less),
        ];
        let found = known.into_iter().find(|(sign, _)| self.take(sign));
        found.map(|(_, operator)| operator).ok_or_else(|| wrong("one of `:`, `~`, `>` and `<` is missing"))
    }

    fn operand(&mut self) -> ApiResult<Operand> {
        if let Some(text) = self.quoted()? {
            return Ok(Operand::Text(text));
        }
        let end = self.rest.find(char::is_whitespace).unwrap_or(self.rest.len());
        let (bare, rest) = self.rest.split_at(end);
        self.rest = rest;
        if bare.eq_ignore_ascii_case("null") {
            return Ok(Operand::Null);
        }
        if bare.parse::<i64>().is_ok() {
            return Ok(Operand::Text(bare.to_owned()));
        }
        Err(wrong("a value that is no whole number stands in quotes"))
    }

    /// A text in single or double quotes, where a backslash takes the next character as it is.
    fn quoted(&mut self) -> ApiResult<Option<String>> {
        let Some(quote) = self.rest.chars().next().filter(|char| matches!(char, '"' | '\'')) else {
            return Ok(None);
        };
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, char)) = chars.next() {
            if char == quote {
                self.rest = self.rest.get(at + char.len_utf8()..).unwrap_or_default();
                return Ok(Some(text));
            }
            let literal = if char == '\\' { chars.next().map(|(_, next)| next) } else { Some(char) };
            text.extend(literal);
        }
        Err(wrong("a quote is not closed"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clause(field: &str, operator: Operator, value: &str) -> Clause {
        let value = Operand::Text(value.to_owned());
        Clause { negated: false, field: field.to_owned(), key: None, operator, value }
    }

    #[test]
    fn clauses_are_read() {
        let query = parse(r#"email~"rocket" AND -metadata['a b']:"it\"s" created>=12"#).unwrap();
        let metadata = Clause {
            negated: true,
            key: Some("a b".to_owned()),
            ..clause("metadata", Operator::Is, "it\"s")
        };
        let wanted = vec![
            clause("email", Operator::Contains, "rocket"),
            metadata,
            clause("created", Operator::GreaterOrEqual, "12"),
        ];
        assert_eq!(query, Query { any: false, clauses: wanted });
        assert!(parse("a:'1' or b:null").unwrap().any);
        assert_eq!(parse("order:'1'").unwrap().clauses, [clause("order", Operator::Is, "1")]);
    }

    #[test]
    fn what_is_no_query_is_refused() {
        for text in [
            "",
            "email",
            "email:",
            "email:rocket",
            "email:'x",
            "metadata[a]:'x'",
            "metadata['a':'x'",
            "a:'1' AND",
            "a:'1' AND b:'2' OR c:'3'",
            "a:'1' b:'2' OR c:'3'",
            "(a:'1')",
            "a:'1'b:'2'",
            "- a:'1'",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"a:1 ".repeat(10)).is_ok());
        assert!(parse(&"a:1 ".repeat(11)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text: String) {
            let _ = parse(&text);
        }

        #[test]
        fn a_quoted_value_is_read_back(value: String) {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let query = parse(&format!("name:\"{quoted}\"")).unwrap();
            prop_assert_eq!(query.clauses, vec![clause("name", Operator::Is, &value)]);
        }
    }
}
