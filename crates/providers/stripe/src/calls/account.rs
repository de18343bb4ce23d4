//! The account that the key belongs to.

use super::{Call, Path, Verb};
use crate::form::Form;
use crate::observe::ObservedAccount;

/// Whose key this is, and whether it can take payments.
#[must_use]
pub fn retrieve() -> Call<ObservedAccount> {
    Call::new("account.retrieve", Verb::Get, Path::of("/v1/account"), Form::new(), ObservedAccount::read)
}
