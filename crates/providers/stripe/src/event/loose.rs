//! Borrowing readers that accept any JSON value and keep only the shape they are for.
//!
//! A webhook's envelope must be readable even when a field inside has a shape that nobody foresaw: what does not fit is simply
//! not there. Only broken JSON is an error. Nothing here is for money: amounts are read strictly, in [`crate::observe`].

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Longer texts are no identifiers and are left out.
const MAX_TEXT: usize = 500;

/// Whether a text can be an identifier. PostgreSQL cannot store a NUL, and no id has a line break.
fn is_plain(text: &str) -> bool {
    text.len() <= MAX_TEXT && !text.bytes().any(|byte| byte.is_ascii_control())
}

/// A JSON scalar, or `Nothing` for null, objects, arrays, fractions and texts that are no identifiers.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) enum Scalar<'a> {
    #[default]
    Nothing,
    Bool(bool),
    Int(i64),
    Text(Cow<'a, str>),
}

impl<'a> Scalar<'a> {
    /// The text when there is a non-empty one.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) if !text.is_empty() => Some(text),
            Self::Text(_) | Self::Nothing | Self::Bool(_) | Self::Int(_) => None,
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Text(_) | Self::Nothing | Self::Int(_) => None,
        }
    }
}

/// The id of an expandable field: a text, or the `id` of an expanded object.
#[derive(Debug, Default)]
pub(super) struct Reference<'a>(Scalar<'a>);

impl<'a> Reference<'a> {
    pub(super) fn id(self) -> Option<Cow<'a, str>> {
        self.0.text()
    }
}

/// An object of a known shape, or nothing when the value is not an object.
#[derive(Debug)]
pub(super) struct Loose<T>(pub(super) Option<T>);

impl<T> Default for Loose<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// Reads the values that are the same for all three: scalars become `Scalar`, arrays are skipped.
macro_rules! visit_scalars {
    ($life:lifetime, $make:expr) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any JSON value")
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($make(Scalar::Nothing))
        }
        fn visit_bool<E>(self, v: bool) -> Result<Self::Value, E> {
            Ok($make(Scalar::Bool(v)))
        }
        fn visit_i64<E>(self, v: i64) -> Result<Self::Value, E> {
            Ok($make(Scalar::Int(v)))
        }
        fn visit_u64<E>(self, v: u64) -> Result<Self::Value, E> {
            Ok($make(i64::try_from(v).map_or(Scalar::Nothing, Scalar::Int)))
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($make(Scalar::Nothing))
        }
        fn visit_borrowed_str<E>(self, v: &$life str) -> Result<Self::Value, E> {
            Ok($make(if is_plain(v) { Scalar::Text(Cow::Borrowed(v)) } else { Scalar::Nothing }))
        }
        fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
            Ok($make(if is_plain(v) { Scalar::Text(Cow::Owned(v.to_owned())) } else { Scalar::Nothing }))
        }
        fn visit_seq<A: SeqAccess<$life>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok($make(Scalar::Nothing))
        }
    };
}

struct ScalarVisitor;
impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;
    visit_scalars!('de, |scalar| scalar);
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nothing)
    }
}
impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(ScalarVisitor)
    }
}

struct ReferenceVisitor;
impl<'de> Visitor<'de> for ReferenceVisitor {
    type Value = Reference<'de>;
    visit_scalars!('de, Reference);
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        #[derive(serde::Deserialize)]
        struct WithId<'a> {
            #[serde(borrow, default)]
            id: Scalar<'a>,
        }
        Ok(Reference(WithId::deserialize(MapAccessDeserializer::new(map))?.id))
    }
}
impl<'de: 'a, 'a> Deserialize<'de> for Reference<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(ReferenceVisitor)
    }
}

struct LooseVisitor<T>(PhantomData<T>);
impl<'de, T: Deserialize<'de>> Visitor<'de> for LooseVisitor<T> {
    type Value = Loose<T>;
    visit_scalars!('de, |_: Scalar<'de>| Loose(None));
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|value| Loose(Some(value)))
    }
}
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Loose<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(LooseVisitor(PhantomData))
    }
}
