//! Products.

use serde_json::{Value, json};

use super::Call;
use crate::model::product::Product;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::list;
use crate::wire::params::{Field, Metadata, Params};

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("POST", "products") => create(world, call),
        ("GET", "products") => all(world, call),
        ("GET", "products/{id}") => need(&world.products, call.id(), "id").map(|product| product.render()),
        ("POST", "products/{id}") => update(world, call),
        ("DELETE", "products/{id}") => delete(world, call),
        _ => return None,
    })
}

impl World {
    /// Makes a product from its parameters.
    pub(crate) fn add_product(&mut self, params: &Params<'_>) -> ApiResult<String> {
        let id = match params.text("id")?.value() {
            Some(id) if self.products.get(&id).is_some() => {
                return Err(ApiError::state("resource_already_exists", "Product already exists.").param("id"));
            }
            Some(id) => id,
            None => self.chance.id("prod_"),
        };
        let mut product = Product {
            id: id.clone(),
            created: self.now,
            updated: self.now,
            active: true,
            name: params.required("name")?,
            description: None,
            default_price: None,
            images: Vec::new(),
            marketing_features: Vec::new(),
            metadata: Metadata::new(),
            url: None,
            unit_label: None,
            statement_descriptor: None,
            tax_code: None,
        };
        read(params, &mut product)?;
        let object = product.render();
        self.products.put(product);
        self.emit("product.created", object);
        Ok(id)
    }
}

fn read(params: &Params<'_>, product: &mut Product) -> ApiResult<()> {
    if let Field::Set(name) = params.text("name")? {
        product.name = name;
    }
    if let Field::Set(active) = params.flag("active")? {
        product.active = active;
    }
    params.text("description")?.apply(&mut product.description);
    params.text("url")?.apply(&mut product.url);
    params.text("unit_label")?.apply(&mut product.unit_label);
    params.text("statement_descriptor")?.apply(&mut product.statement_descriptor);
    params.text("tax_code")?.apply(&mut product.tax_code);
    if let Some(images) = params.texts("images")? {
        product.images = images;
    }
    if params.has("marketing_features") {
        product.marketing_features = params
            .list("marketing_features")
            .iter()
            .map(|feature| feature.required("name"))
            .collect::<ApiResult<_>>()?;
    }
    params.metadata_into(&mut product.metadata)
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let id = world.add_product(&call.params)?;
    let default = call.params.sub("default_price_data");
    if default.has("currency") {
        let price = world.add_price(&default, Some(&id))?;
        world.products.edit(&id, |product| product.default_price = Some(price));
    }
    need(&world.products, &id, "id").map(|product| product.render())
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let mut product = need(&world.products, call.id(), "id")?;
    let before = product.render();
    read(&call.params, &mut product)?;
    match call.params.text("default_price")? {
        Field::Absent => {}
        Field::Unset => product.default_price = None,
        Field::Set(price) => product.default_price = Some(need(&world.prices, &price, "default_price")?.id),
    }
    product.updated = world.now;
    let after = product.render();
    world.products.put(product);
    world.emit_change("product.updated", &before, after.clone());
    Ok(after)
}

fn delete(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let product = need(&world.products, call.id(), "id")?;
    if world.prices.iter().any(|price| price.product == product.id) {
        return Err(ApiError::rule(
            "This product cannot be deleted because it has one or more user-created prices.",
        ));
    }
    world.products.remove(&product.id);
    world.emit("product.deleted", product.render());
    Ok(json!({ "id": product.id, "object": "product", "deleted": true }))
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let active = call.params.flag("active")?.value();
    let ids = call.params.texts("ids")?;
    let keep = |product: &Product| {
        active.is_none_or(|active| product.active == active)
            && ids.as_ref().is_none_or(|ids| ids.contains(&product.id))
    };
    list(&world.products, &call.params, "/v1/products", None, keep, Product::render)
}
