//! Prices and products: comparing the catalog with Stripe, and pushing it there.

use serde_json::Value;

use super::{Call, IdempotencyKey, Paging, Path, Verb};
use crate::form::{Form, Metadata};
use crate::observe::{ObservedPrice, ObservedProduct, Page, ShapeError};

/// Which prices to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListPrices<'a> {
    /// At most ten.
    pub lookup_keys: &'a [&'a str],
    /// Only those that can, or cannot, be bought.
    pub active: Option<bool>,
    /// `prod_...`.
    pub product: Option<&'a str>,
    /// Which page.
    pub paging: Paging<'a>,
}

/// A price to create. Prices never change: another amount is another price.
#[derive(Debug, Clone, Copy)]
pub struct CreatePrice<'a> {
    /// `prod_...`.
    pub product: &'a str,
    /// Lowercase ISO 4217.
    pub currency: &'a str,
    /// Minor units.
    pub unit_amount: i64,
    /// `day`, `week`, `month` or `year`, and how many of them; none is a one-off price.
    pub recurring: Option<(&'a str, i64)>,
    /// The key that catalogs use.
    pub lookup_key: Option<&'a str>,
    /// Take the key from the price that has it now.
    pub transfer_lookup_key: bool,
    /// Metadata.
    pub metadata: &'a Metadata,
}

/// Prices, newest first.
#[must_use]
pub fn list(wanted: &ListPrices<'_>) -> Call<Page<ObservedPrice>> {
    let form = Form::new()
        .list("lookup_keys", wanted.lookup_keys.iter().copied())
        .flag_if("active", wanted.active)
        .text_if("product", wanted.product);
    Call::new("prices.list", Verb::Get, Path::of("/v1/prices"), wanted.paging.add(form), page)
}

/// One price.
#[must_use]
pub fn retrieve(id: &str) -> Call<ObservedPrice> {
    Call::new("prices.retrieve", Verb::Get, Path::of("/v1/prices").id(id), Form::new(), ObservedPrice::read)
}

/// Creates a price.
#[must_use]
pub fn create(wanted: &CreatePrice<'_>, key: IdempotencyKey) -> Call<ObservedPrice> {
    let (interval, count) = wanted.recurring.unzip();
    let form = Form::new()
        .text("product", wanted.product)
        .text("currency", wanted.currency)
        .int("unit_amount", wanted.unit_amount)
        .text_if("recurring[interval]", interval)
        .int_if("recurring[interval_count]", count)
        .text_if("lookup_key", wanted.lookup_key)
        .flag_if("transfer_lookup_key", wanted.transfer_lookup_key.then_some(true))
        .metadata("metadata", wanted.metadata);
    Call::new("prices.create", Verb::Post(key), Path::of("/v1/prices"), form, ObservedPrice::read)
}

/// Creates a product; with an id of our choice a second try finds the first one's.
#[must_use]
pub fn create_product(
    id: Option<&str>,
    name: &str,
    metadata: &Metadata,
    key: IdempotencyKey,
) -> Call<ObservedProduct> {
    let form = Form::new().text_if("id", id).text("name", name).metadata("metadata", metadata);
    Call::new("products.create", Verb::Post(key), Path::of("/v1/products"), form, ObservedProduct::read)
}

/// One product.
#[must_use]
pub fn retrieve_product(id: &str) -> Call<ObservedProduct> {
    Call::new(
        "products.retrieve",
        Verb::Get,
        Path::of("/v1/products").id(id),
        Form::new(),
        ObservedProduct::read,
    )
}

fn page(value: &Value) -> Result<Page<ObservedPrice>, ShapeError> {
    Page::read(value, ObservedPrice::read)
}
