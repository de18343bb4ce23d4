//! Shapes that several answers share: times, amounts, pages of lists.

use quittance_domain::entitlement::Source;
use quittance_domain::{Money, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

/// A point in time, RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub Timestamp);

impl From<Timestamp> for Time {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let at: jiff::Timestamp = text.parse().map_err(|_| {
            serde::de::Error::custom(
                "a time must be RFC 3339 with its offset, for example 2026-11-30T14:05:00Z",
            )
        })?;
        Ok(Self(Timestamp::from_ms(at.as_millisecond())))
    }
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("RFC 3339, UTC."))
            .examples([serde_json::json!("2026-11-30T14:05:00Z")])
            .into()
    }
}

impl ToSchema for Time {}

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Amount {
    /// In minor units: 1980 is 1,980 JPY, and 1500 is 15.00 USD.
    #[schema(example = 1980)]
    pub amount: i64,
    /// ISO 4217, lower case.
    #[schema(example = "jpy")]
    pub currency: String,
}

impl From<Money> for Amount {
    fn from(money: Money) -> Self {
        Self { amount: money.minor, currency: money.currency.code().to_owned() }
    }
}

/// Where an entitlement comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SourceView<'a> {
    /// `subscription`, `purchase`, `grant` or `free_plan`.
    #[serde(rename = "type")]
    #[schema(example = "subscription")]
    pub kind: &'static str,
    /// The id of that subscription, purchase or grant; the plan's key for the free plan.
    #[schema(example = "sub_1SaBcDeF")]
    pub id: &'a str,
}

impl<'a> From<&'a Source> for SourceView<'a> {
    fn from(source: &'a Source) -> Self {
        Self { kind: source.kind.as_str(), id: &source.id }
    }
}

/// Which part of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// Entries at most, 1 to 100; default 20.
    #[param(minimum = 1, maximum = 100, example = 20)]
    pub limit: Option<i64>,
    /// The `next_cursor` of the answer before.
    pub cursor: Option<String>,
}

/// A part of a list, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The entries.
    pub data: Vec<T>,
    /// Pass it as `cursor` to get the next part; null when this is the last one.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of rows that were asked for with one more than `limit`, to know whether there are more.
    #[must_use]
    pub fn of<R>(mut rows: Vec<R>, limit: i64, cursor: impl Fn(&R) -> i64, view: impl FnMut(R) -> T) -> Self {
        let limit = usize::try_from(limit).unwrap_or(0);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = if more { rows.last().map(|row| cursor(row).to_string()) } else { None };
        Self { data: rows.into_iter().map(view).collect(), next_cursor }
    }
}

/// Makes a call's effect happen once; see `Idempotency-Key` in the introduction.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "read by the wrapper of all changes; here it only documents")]
pub struct IdempotencyHeader {
    /// A value that your program makes up for each thing it wants to happen once, 1 to 255 visible ASCII characters.
    /// The same key with the same request gets the same answer again, with `Idempotent-Replayed: true`.
    #[param(
        rename = "Idempotency-Key",
        value_type = String,
        required = false,
        min_length = 1,
        max_length = 255,
        pattern = "^[!-~]+$",
        example = "order-1042"
    )]
    pub idempotency_key: Option<String>,
}

/// Stored JSON text as JSON; what cannot be read stays text.
#[must_use]
pub fn json_of(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::String(text.to_owned()))
}
