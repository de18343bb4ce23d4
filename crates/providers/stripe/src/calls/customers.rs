//! Customers.

use serde_json::Value;

use super::{Call, IdempotencyKey, Paging, Path, Verb};
use crate::form::{Form, Metadata};
use crate::observe::{ObservedBalanceEntry, ObservedCustomer, Page, ShapeError};

/// The person's data that a customer is made or changed with. `None` leaves a field as it is.
#[derive(Clone, Copy, Default)]
pub struct CustomerDetails<'a> {
    /// Where Stripe sends receipts.
    pub email: Option<&'a str>,
    /// The name on invoices.
    pub name: Option<&'a str>,
    /// The language of invoices and mail, for example `ja`.
    pub locale: Option<&'a str>,
}

impl CustomerDetails<'_> {
    fn add(self, form: Form) -> Form {
        form.text_if("email", self.email)
            .text_if("name", self.name)
            .text_if("preferred_locales[0]", self.locale)
    }
}

/// Creates a customer. `metadata` should name the app's customer as `quittance_customer`.
#[must_use]
pub fn create(
    details: CustomerDetails<'_>,
    metadata: &Metadata,
    key: IdempotencyKey,
) -> Call<ObservedCustomer> {
    let form = details.add(Form::new()).metadata("metadata", metadata);
    Call::new("customers.create", Verb::Post(key), Path::of("/v1/customers"), form, ObservedCustomer::read)
}

/// One customer; a deleted one answers with a stub.
#[must_use]
pub fn retrieve(id: &str) -> Call<ObservedCustomer> {
    let path = Path::of("/v1/customers").id(id);
    Call::new("customers.retrieve", Verb::Get, path, Form::new(), ObservedCustomer::read)
}

/// Deletes a customer for good, and ends what it has; answers with a stub.
#[must_use]
pub fn delete(id: &str) -> Call<ObservedCustomer> {
    let path = Path::of("/v1/customers").id(id);
    Call::new("customers.delete", Verb::Delete, path, Form::new(), ObservedCustomer::read)
}

/// Changes a customer.
#[must_use]
pub fn update(
    id: &str,
    details: CustomerDetails<'_>,
    metadata: &Metadata,
    key: IdempotencyKey,
) -> Call<ObservedCustomer> {
    let form = details.add(Form::new()).metadata("metadata", metadata);
    let path = Path::of("/v1/customers").id(id);
    Call::new("customers.update", Verb::Post(key), path, form, ObservedCustomer::read)
}

/// Customers created since `created_gte_s` (Unix seconds), newest first.
#[must_use]
pub fn list(created_gte_s: Option<i64>, paging: Paging<'_>) -> Call<Page<ObservedCustomer>> {
    let form = paging.add(Form::new().int_if("created[gte]", created_gte_s));
    Call::new("customers.list", Verb::Get, Path::of("/v1/customers"), form, page)
}

/// What changed a customer's balance, newest first.
#[must_use]
pub fn list_balance_entries(customer: &str, paging: Paging<'_>) -> Call<Page<ObservedBalanceEntry>> {
    let path = Path::of("/v1/customers").id(customer).then("/balance_transactions");
    Call::new("customers.balance_transactions", Verb::Get, path, paging.add(Form::new()), entries)
}

fn entries(value: &Value) -> Result<Page<ObservedBalanceEntry>, ShapeError> {
    Page::read(value, ObservedBalanceEntry::read)
}

fn page(value: &Value) -> Result<Page<ObservedCustomer>, ShapeError> {
    Page::read(value, ObservedCustomer::read)
}
