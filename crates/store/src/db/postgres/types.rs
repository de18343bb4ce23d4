//! How [`V`] travels in PostgreSQL's binary format: integers, booleans, text and bytea, nothing else.

use std::error::Error;

use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::value::V;

type Failure = Box<dyn Error + Sync + Send>;

impl ToSql for V {
    fn to_sql(&self, wanted: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::I(integer) => integer_as(*integer, wanted, out),
            Self::B(boolean) if *wanted == Type::BOOL => boolean.to_sql(wanted, out),
            Self::T(text) if is_text(wanted) => text.to_sql(wanted, out),
            Self::Bytes(bytes) if *wanted == Type::BYTEA => bytes.to_sql(wanted, out),
            Self::B(_) | Self::T(_) | Self::Bytes(_) => {
                Err(format!("the statement wants {wanted} there, got {}", self.kind()).into())
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn integer_as(integer: i64, wanted: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
    match *wanted {
        Type::INT8 => integer.to_sql(wanted, out),
        Type::INT4 => i32::try_from(integer)?.to_sql(wanted, out),
        Type::INT2 => i16::try_from(integer)?.to_sql(wanted, out),
        _ => Err(format!("the statement wants {wanted} there, got an integer").into()),
    }
}

fn is_text(wanted: &Type) -> bool {
    [Type::TEXT, Type::VARCHAR, Type::BPCHAR, Type::NAME, Type::UNKNOWN].contains(wanted)
}

/// Can a column or parameter of this type be carried?
pub(in crate::db) fn carried(of: &Type) -> bool {
    is_text(of) || [Type::INT8, Type::INT4, Type::INT2, Type::BOOL, Type::BYTEA].contains(of)
}

/// One value of a row.
pub(super) struct Read(pub(super) V);

impl<'a> FromSql<'a> for Read {
    fn from_sql(of: &Type, raw: &'a [u8]) -> Result<Self, Failure> {
        Ok(Self(match *of {
            Type::INT8 => V::I(i64::from_sql(of, raw)?),
            Type::INT4 => V::I(i32::from_sql(of, raw)?.into()),
            Type::INT2 => V::I(i16::from_sql(of, raw)?.into()),
            Type::BOOL => V::B(bool::from_sql(of, raw)?),
            Type::BYTEA => V::Bytes(raw.to_vec()),
            _ => V::T(String::from_sql(of, raw)?),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Failure> {
        Ok(Self(V::Null))
    }

    fn accepts(of: &Type) -> bool {
        carried(of)
    }
}
