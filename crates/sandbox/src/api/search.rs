//! `GET /v1/…/search`: finds objects by a query, newest first, in pages.
//!
//! As with the provider, a change is found only some seconds after it was made (`search_delay_seconds` of the settings,
//! on the sandbox's clock). Until then an object is found, and shown, as it was before.

use serde_json::{Value, json};

use super::Call;
use crate::state::table::{Stored, Table};
use crate::state::world::World;
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::search_query::{Clause, Operand, Operator, Query, parse};

/// How a field can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Whole words only.
    Token,
    /// Whole words, or a part of at least three characters.
    Text,
    /// Whole numbers, in order.
    Number,
}

/// A field that can be searched: its name, its kind, and where it stands in the object.
type Field = (&'static str, Kind, &'static str);

const CHARGES: &[Field] = &[
    ("amount", Kind::Number, "/amount"),
    ("billing_details.address.postal_code", Kind::Token, "/billing_details/address/postal_code"),
    ("created", Kind::Number, "/created"),
    ("currency", Kind::Token, "/currency"),
    ("customer", Kind::Token, "/customer"),
    ("disputed", Kind::Token, "/disputed"),
    ("payment_method_details.card.brand", Kind::Token, "/payment_method_details/card/brand"),
    ("payment_method_details.card.exp_month", Kind::Token, "/payment_method_details/card/exp_month"),
    ("payment_method_details.card.exp_year", Kind::Token, "/payment_method_details/card/exp_year"),
    ("payment_method_details.card.fingerprint", Kind::Token, "/payment_method_details/card/fingerprint"),
    ("payment_method_details.card.last4", Kind::Token, "/payment_method_details/card/last4"),
    ("refunded", Kind::Token, "/refunded"),
    ("status", Kind::Token, "/status"),
];
const CUSTOMERS: &[Field] = &[
    ("created", Kind::Number, "/created"),
    ("email", Kind::Text, "/email"),
    ("name", Kind::Text, "/name"),
    ("phone", Kind::Text, "/phone"),
];
const INVOICES: &[Field] = &[
    ("created", Kind::Number, "/created"),
    ("currency", Kind::Token, "/currency"),
    ("customer", Kind::Token, "/customer"),
    ("last_finalization_error_code", Kind::Token, "/last_finalization_error/code"),
    ("last_finalization_error_type", Kind::Token, "/last_finalization_error/type"),
    ("number", Kind::Token, "/number"),
    ("receipt_number", Kind::Token, "/receipt_number"),
    ("status", Kind::Token, "/status"),
    ("subscription", Kind::Token, "/parent/subscription_details/subscription"),
    ("total", Kind::Number, "/total"),
];
const PAYMENT_INTENTS: &[Field] = &[
    ("amount", Kind::Number, "/amount"),
    ("created", Kind::Number, "/created"),
    ("currency", Kind::Token, "/currency"),
    ("customer", Kind::Token, "/customer"),
    ("status", Kind::Token, "/status"),
];
const PRICES: &[Field] = &[
    ("active", Kind::Token, "/active"),
    ("currency", Kind::Token, "/currency"),
    ("lookup_key", Kind::Token, "/lookup_key"),
    ("product", Kind::Token, "/product"),
    ("type", Kind::Token, "/type"),
];
const PRODUCTS: &[Field] = &[
    ("active", Kind::Token, "/active"),
    ("description", Kind::Text, "/description"),
    ("name", Kind::Text, "/name"),
    ("shippable", Kind::Token, "/shippable"),
    ("url", Kind::Text, "/url"),
];
const SUBSCRIPTIONS: &[Field] = &[
    ("canceled_at", Kind::Number, "/canceled_at"),
    ("created", Kind::Number, "/created"),
    ("status", Kind::Token, "/status"),
];

/// The shortest part of a text that can be looked for, in characters.
const SHORTEST_PART: usize = 3;

impl World {
    /// Searches see the changes up to this instant.
    fn seen_until(&self) -> i64 {
        self.now.saturating_sub(self.settings.search_delay_seconds)
    }

    /// Notes the changes of a request or a timer, for searches to see later.
    pub(crate) fn note_changes(&mut self) {
        let (now, seen) = (self.now, self.seen_until());
        self.charges.note_changes(now, seen);
        self.customers.note_changes(now, seen);
        self.invoices.note_changes(now, seen);
        self.payment_intents.note_changes(now, seen);
        self.prices.note_changes(now, seen);
        self.products.note_changes(now, seen);
        self.subscriptions.note_changes(now, seen);
    }
}

pub(super) fn dispatch(world: &World, resource: &str, call: &Call<'_>) -> Option<ApiResult<Value>> {
    Some(match resource {
        "charges" => find(world, call, resource, CHARGES, &world.charges, |row| row.render()),
        "customers" => find(world, call, resource, CUSTOMERS, &world.customers, |row| row.render()),
        "invoices" => find(world, call, resource, INVOICES, &world.invoices, |row| row.render()),
        "payment_intents" => {
            find(world, call, resource, PAYMENT_INTENTS, &world.payment_intents, |row| row.render())
        }
        "prices" => find(world, call, resource, PRICES, &world.prices, |row| row.render()),
        "products" => find(world, call, resource, PRODUCTS, &world.products, |row| row.render()),
        "subscriptions" => {
            find(world, call, resource, SUBSCRIPTIONS, &world.subscriptions, |row| row.render(&world.prices))
        }
        _ => return None,
    })
}

fn find<T: Stored>(
    world: &World,
    call: &Call<'_>,
    resource: &str,
    fields: &[Field],
    table: &Table<T>,
    render: impl Fn(&T) -> Value,
) -> ApiResult<Value> {
    let params = &call.params;
    let query = parse(&params.required("query")?)?;
    let conditions = conditions(&query, fields, resource)?;
    let limit = params.int_within("limit", 1..=100)?.value().unwrap_or(10);
    let limit = usize::try_from(limit).unwrap_or(10);
    let page = params.text("page")?.value();
    let before = match &page {
        Some(page) => Some(place(page).ok_or_else(|| ApiError::rule("Invalid page.").param("page"))?),
        None => None,
    };
    let seen_until = world.seen_until();
    let mut found = table
        .rows_seen(seen_until)
        .rev()
        .map(|(place, row)| (place, render(row)))
        .filter(|(_, object)| object.get("deleted").is_none() && query.holds(&conditions, object));
    let counted = params.texts("expand")?.is_some_and(|paths| paths.iter().any(|path| path == "total_count"));
    let total = if counted { Some(found.by_ref().collect::<Vec<_>>()) } else { None };
    let (total, rows): (Option<usize>, Vec<(u64, Value)>) = match total {
        Some(all) => {
            let count = all.len();
            (Some(count), cut(all.into_iter(), before, limit))
        }
        None => (None, cut(found, before, limit)),
    };
    let has_more = rows.len() > limit;
    let last = rows.iter().take(limit).next_back().map(|(place, _)| *place);
    let next_page = last.filter(|_| has_more).map(|place| format!("{place:016x}"));
    let data: Vec<Value> = rows.into_iter().take(limit).map(|(_, object)| object).collect();
    let mut answer = json!({
        "object": "search_result",
        "url": format!("/v1/{resource}/search"),
        "has_more": has_more,
        "next_page": next_page,
        "data": data,
    });
    if let (Some(total), Some(fields)) = (total, answer.as_object_mut()) {
        fields.insert("total_count".to_owned(), json!(total));
    }
    Ok(answer)
}

/// A page, and one row more when there is more.
fn cut(rows: impl Iterator<Item = (u64, Value)>, before: Option<u64>, limit: usize) -> Vec<(u64, Value)> {
    rows.filter(|(place, _)| before.is_none_or(|before| *place < before)).take(limit + 1).collect()
}

fn place(page: &str) -> Option<u64> {
    (page.len() == 16).then(|| u64::from_str_radix(page, 16).ok()).flatten()
}

/// A clause that was checked: where its field stands, and what it is compared with.
struct Condition<'a> {
    clause: &'a Clause,
    pointer: &'static str,
    number: Option<i64>,
}

fn conditions<'a>(query: &'a Query, fields: &[Field], resource: &str) -> ApiResult<Vec<Condition<'a>>> {
    query.clauses.iter().map(|clause| condition(clause, fields, resource)).collect()
}

fn condition<'a>(clause: &'a Clause, fields: &[Field], resource: &str) -> ApiResult<Condition<'a>> {
    let wrong = |message: String| ApiError::rule(message).param("query");
    let name = &clause.field;
    let (kind, pointer) = match (name.as_str(), &clause.key) {
        ("metadata", Some(_)) => (Kind::Token, "/metadata"),
        ("metadata", None) => {
            return Err(wrong("Name the key of the metadata: `metadata[\"key\"]:\"value\"`.".to_owned()));
        }
        (_, None) => fields
            .iter()
            .find(|(field, _, _)| field == name)
            .map(|(_, kind, pointer)| (*kind, *pointer))
            .ok_or_else(|| {
                wrong(format!("Field `{name}` is an unsupported search field for resource `{resource}`."))
            })?,
        (_, Some(_)) => return Err(wrong(format!("Field `{name}` takes no key in brackets."))),
    };
    let number = match (&clause.value, kind) {
        (Operand::Text(text), Kind::Number) => Some(
            text.parse::<i64>()
                .map_err(|_| wrong(format!("Field `{name}` is compared with whole numbers.")))?,
        ),
        (Operand::Text(_), Kind::Token | Kind::Text) | (Operand::Null, _) => None,
    };
    let fits = match (clause.operator, &clause.value) {
        (Operator::Is, _) => true,
        (Operator::Contains, Operand::Text(part)) => {
            if part.chars().count() < SHORTEST_PART {
                return Err(wrong(format!(
                    "A part of a text that is looked for has at least {SHORTEST_PART} characters."
                )));
            }
            kind == Kind::Text
        }
        (operator, Operand::Text(_)) if operator.orders() => kind == Kind::Number,
        (_, _) => false,
    };
    if !fits {
        return Err(wrong(format!("Field `{name}` cannot be compared in this way.")));
    }
    Ok(Condition { clause, pointer, number })
}

impl Condition<'_> {
    fn holds(&self, object: &Value) -> bool {
        let field = object.pointer(self.pointer);
        let field = match &self.clause.key {
            Some(key) => field.and_then(|map| map.get(key)),
            None => field,
        };
        self.compare(field.unwrap_or(&Value::Null)) != self.clause.negated
    }

    fn compare(&self, field: &Value) -> bool {
        let text = match field {
            Value::Null => None,
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(text.to_lowercase()),
            other => Some(other.to_string()),
        };
        let (Operand::Text(wanted), Some(text)) = (&self.clause.value, &text) else {
            return self.clause.value == Operand::Null && text.is_none();
        };
        let number = field.as_i64();
        match self.clause.operator {
            Operator::Is if self.number.is_some() => number == self.number,
            Operator::Is => *text == wanted.to_lowercase(),
            Operator::Contains => text.contains(&wanted.to_lowercase()),
            Operator::Greater => number > self.number,
            Operator::GreaterOrEqual => number >= self.number,
            Operator::Less => number < self.number,
            Operator::LessOrEqual => number <= self.number,
        }
    }
}

impl Query {
    fn holds(&self, conditions: &[Condition<'_>], object: &Value) -> bool {
        if self.any {
            conditions.iter().any(|condition| condition.holds(object))
        } else {
            conditions.iter().all(|condition| condition.holds(object))
        }
    }
}
