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
    /// `inclusive` or `exclusive`; none is the account's own setting.
    pub tax_behavior: Option<&'a str>,
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
        .text_if("tax_behavior", wanted.tax_behavior)
        .metadata("metadata", wanted.metadata);
    Call::new("prices.create", Verb::Post(key), Path::of("/v1/prices"), form, ObservedPrice::read)
}

/// Sells a price, or no longer, and adds metadata. Nothing else of a price can be changed.
#[must_use]
pub fn update(id: &str, active: bool, metadata: &Metadata, key: IdempotencyKey) -> Call<ObservedPrice> {
    let form = Form::new().flag("active", active).metadata("metadata", metadata);
    Call::new("prices.update", Verb::Post(key), Path::of("/v1/prices").id(id), form, ObservedPrice::read)
}

/// What a product is to be.
#[derive(Debug, Clone, Copy)]
pub struct ProductDetails<'a> {
    /// What customers read.
    pub name: &'a str,
    /// One line about it; none takes it away.
    pub description: Option<&'a str>,
    /// Whether it is sold.
    pub active: bool,
    /// Metadata, added to what is there.
    pub metadata: &'a Metadata,
}

/// Creates a product; with an id of our choice a second try finds the first one's.
#[must_use]
pub fn create_product(
    id: Option<&str>,
    details: ProductDetails<'_>,
    key: IdempotencyKey,
) -> Call<ObservedProduct> {
    let form = Form::new()
        .text_if("id", id)
        .text("name", details.name)
        .text_if("description", details.description)
        .flag("active", details.active)
        .metadata("metadata", details.metadata);
    Call::new("products.create", Verb::Post(key), Path::of("/v1/products"), form, ObservedProduct::read)
}

/// Changes a product.
#[must_use]
pub fn update_product(id: &str, details: ProductDetails<'_>, key: IdempotencyKey) -> Call<ObservedProduct> {
    let form = Form::new()
        .text("name", details.name)
        .text("description", details.description.unwrap_or_default())
        .flag("active", details.active)
        .metadata("metadata", details.metadata);
    let path = Path::of("/v1/products").id(id);
    Call::new("products.update", Verb::Post(key), path, form, ObservedProduct::read)
}

/// Sells a product no longer.
#[must_use]
pub fn archive_product(id: &str, key: IdempotencyKey) -> Call<ObservedProduct> {
    let form = Form::new().flag("active", false);
    let path = Path::of("/v1/products").id(id);
    Call::new("products.update", Verb::Post(key), path, form, ObservedProduct::read)
}

/// Products, sold or not, newest first.
#[must_use]
pub fn list_products(paging: Paging<'_>) -> Call<Page<ObservedProduct>> {
    let form = paging.add(Form::new());
    Call::new("products.list", Verb::Get, Path::of("/v1/products"), form, products)
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

fn products(value: &Value) -> Result<Page<ObservedProduct>, ShapeError> {
    Page::read(value, ObservedProduct::read)
}
