//! Customers.

use serde_json::{Value, json};

use super::Call;
use crate::billing::balance::NewEntry;
use crate::billing::cancel::CancelNow;
use crate::billing::discounts::Place;
use crate::model::customer::{Customer, PaymentMethod};
use crate::model::customer_balance::EntryKind;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::list;
use crate::wire::params::{Field, Metadata, Params};

/// The longest name of a business or a person, in characters.
const LONGEST_NAME: usize = 150;

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("POST", "customers") => create(world, call),
        ("GET", "customers") => all(world, call),
        ("GET", "customers/{id}") => {
            need(&world.customers, call.id(), "id").map(|customer| customer.render())
        }
        ("POST", "customers/{id}") => update(world, call),
        ("DELETE", "customers/{id}") => world.delete_customer(call.id()),
        ("DELETE", "customers/{id}/discount") => {
            let taken = world.take_discount(call.id());
            taken.and_then(|id| need(&world.discounts, &id, "id")).map(|discount| discount.render())
        }
        ("GET", "customers/{id}/payment_methods") => methods(world, call),
        ("GET", "customers/{customerId}/payment_methods/{id}") => own_method(world, call),
        _ => return None,
    })
}

impl World {
    /// An empty customer with a new id.
    pub(crate) fn new_customer(&mut self) -> Customer {
        Customer {
            id: self.chance.id("cus_"),
            created: self.now,
            email: None,
            name: None,
            business_name: None,
            individual_name: None,
            description: None,
            phone: None,
            address: Value::Null,
            shipping: Value::Null,
            preferred_locales: Vec::new(),
            metadata: Metadata::new(),
            balance: 0,
            currency: None,
            default_payment_method: None,
            default_source: None,
            invoice_prefix: self.chance.text(8).to_ascii_uppercase(),
            next_invoice_sequence: 1,
            discount: None,
            tax_exempt: "none".to_owned(),
            delinquent: false,
            deleted: false,
            test_clock: None,
        }
    }

    /// A customer that exists and is not deleted.
    pub(crate) fn live_customer(&self, id: &str, param: &str) -> ApiResult<Customer> {
        match self.customers.get(id) {
            Some(customer) if !customer.deleted => Ok(customer.clone()),
            _ => Err(ApiError::missing("customer", id, param)),
        }
    }

    /// Deletes a customer, which cancels their subscriptions at once and cannot be undone; what is left of them.
    pub(crate) fn delete_customer(&mut self, id: &str) -> ApiResult<Value> {
        let mut customer = self.live_customer(id, "id")?;
        let running: Vec<String> = self
            .subscriptions
            .of(&customer.id)
            .filter(|subscription| !subscription.status.is_terminal())
            .map(|subscription| subscription.id.clone())
            .collect();
        for subscription in running {
            self.cancel_now(&subscription, CancelNow::default())?;
        }
        self.forget_schedules(&customer.id);
        let last = customer.render();
        customer.deleted = true;
        let stub = customer.render();
        self.customers.put(customer);
        self.emit("customer.deleted", last);
        Ok(stub)
    }
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let clock = params.text("test_clock")?.value();
    if let Some(clock) = &clock {
        world.check_clock_room(clock)?;
    }
    let mut customer = world.new_customer();
    customer.test_clock = clock;
    read(params, &mut customer)?;
    let attached = params.text("payment_method")?.value();
    let source = params.text("source")?.value();
    let tax_ids = super::tax_ids::read_all(params)?;
    let default = params.sub("invoice_settings").text("default_payment_method")?.value();
    let balance = params.int("balance")?.value();
    world.customers.put(customer.clone());
    let mark = world.mark();
    if let Err(error) = attach_first(world, &mut customer, attached.as_deref(), default.as_deref())
        .and_then(|()| source.map_or(Ok(()), |token| world.replace_source(&mut customer, &token)))
    {
        world.outgoing.truncate(mark);
        world.customers.remove(&customer.id);
        return Err(error);
    }
    let discount = match read_discount(world, params, &customer.id) {
        Ok(discount) => discount.value(),
        Err(error) => {
            world.customers.remove(&customer.id);
            return Err(error);
        }
    };
    if let Some(balance) = balance {
        set_balance(world, &mut customer, balance, EntryKind::Initial);
    }
    let mark = world.mark();
    if let Some(discount) = discount {
        world.give_discount(&mut customer, &discount);
    }
    let object = customer.render();
    let id = customer.id.clone();
    world.customers.put(customer);
    world.emit_at(mark, "customer.created", object.clone(), None);
    for (kind, value) in tax_ids {
        world.add_tax_id(&id, kind, value);
    }
    Ok(object)
}

/// Attaches the payment method that a new customer brings; the same token given twice means one card.
fn attach_first(
    world: &mut World,
    customer: &mut Customer,
    attached: Option<&str>,
    default: Option<&str>,
) -> ApiResult<()> {
    let mut materialised = None;
    if let Some(reference) = attached {
        let method = world.resolve_method(reference, "payment_method")?;
        world.attach_method(&method, &customer.id)?;
        materialised = Some(method);
    }
    if let Some(reference) = default {
        let same = attached == Some(reference);
        let method = match materialised {
            Some(method) if same => method,
            _ => world.resolve_method(reference, "invoice_settings[default_payment_method]")?,
        };
        check_owner(world, &method, &customer.id)?;
        customer.default_payment_method = Some(method);
    }
    Ok(())
}

fn check_owner(world: &World, method: &str, customer: &str) -> ApiResult<()> {
    let owner = world.payment_methods.get(method).and_then(|method| method.customer.clone());
    if owner.as_deref() == Some(customer) {
        return Ok(());
    }
    Err(ApiError::state("resource_missing", format!("No such PaymentMethod: '{method}'; it must be attached to the customer before it can be the default."))
        .param("invoice_settings[default_payment_method]"))
}

fn read(params: &Params<'_>, customer: &mut Customer) -> ApiResult<()> {
    params.text("email")?.apply(&mut customer.email);
    params.text("name")?.apply(&mut customer.name);
    params.text("description")?.apply(&mut customer.description);
    params.text("phone")?.apply(&mut customer.phone);
    for (name, place) in
        [("business_name", &mut customer.business_name), ("individual_name", &mut customer.individual_name)]
    {
        let given = params.text(name)?;
        if matches!(&given, Field::Set(text) if text.chars().count() > LONGEST_NAME) {
            let message = format!("Invalid string: {name} may have up to {LONGEST_NAME} characters.");
            return Err(ApiError::rule(message).param(name));
        }
        given.apply(place);
    }
    if customer.email.as_ref().is_some_and(|email| !email.contains('@')) {
        let email = customer.email.clone().unwrap_or_default();
        return Err(ApiError::invalid("email_invalid", "email", format!("Invalid email address: {email}")));
    }
    if let Some(address) = params.address("address") {
        customer.address = complete_address(address);
    }
    if let Some(shipping) = params.addressed("shipping") {
        customer.shipping = shipping;
    }
    if let Some(locales) = params.texts("preferred_locales")? {
        customer.preferred_locales = locales;
    }
    if let Field::Set(prefix) = params.text("invoice_prefix")? {
        customer.invoice_prefix = prefix;
    }
    if let Field::Set(sequence) = params.int_within("next_invoice_sequence", 1..=i64::from(u32::MAX))? {
        customer.next_invoice_sequence = sequence;
    }
    if let Field::Set(word) = params.one_of("tax_exempt", &["none", "exempt", "reverse"])? {
        word.clone_into(&mut customer.tax_exempt);
    }
    params.metadata_into(&mut customer.metadata)
}

/// The discount that a customer gets by `coupon` or `promotion_code`, as older versions of the API give it.
fn read_discount(world: &mut World, params: &Params<'_>, customer: &str) -> ApiResult<Field<String>> {
    let known = world.customers.get(customer);
    let currency = known.and_then(|customer| customer.currency.clone());
    let place = Place { customer: Some(customer), currency: currency.as_deref(), subtotal: None };
    match (params.text("coupon")?, params.text("promotion_code")?) {
        (Field::Set(_), Field::Set(_)) => {
            Err(ApiError::rule("You may only specify one of coupon and promotion_code."))
        }
        (Field::Set(coupon), _) => world.suppose_coupon(&coupon, place, "coupon").map(Field::Set),
        (_, Field::Set(code)) => world.suppose_code(&code, place, "promotion_code").map(Field::Set),
        (Field::Unset, _) | (_, Field::Unset) => Ok(Field::Unset),
        (Field::Absent, Field::Absent) => Ok(Field::Absent),
    }
}

/// Books the difference to the balance that is asked for; without a currency of the customer it is in the account's.
fn set_balance(world: &mut World, customer: &mut Customer, balance: i64, kind: EntryKind) {
    let currency = customer.currency.clone().unwrap_or_else(|| "usd".to_owned());
    let change = balance - customer.balance;
    world.book_entry(customer, NewEntry::plain(kind, change, &currency));
}

fn complete_address(address: Value) -> Value {
    let Value::Object(given) = address else {
        return Value::Null;
    };
    let mut full = json!({ "city": null, "country": null, "line1": null, "line2": null, "postal_code": null, "state": null });
    if let Some(fields) = full.as_object_mut() {
        fields.extend(given);
    }
    full
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let mut customer = world.live_customer(call.id(), "id")?;
    let before = customer.render();
    read(params, &mut customer)?;
    match params.sub("invoice_settings").text("default_payment_method")? {
        Field::Absent => {}
        Field::Unset => customer.default_payment_method = None,
        Field::Set(reference) => {
            let method = world.resolve_method(&reference, "invoice_settings[default_payment_method]")?;
            check_owner(world, &method, &customer.id)?;
            customer.default_payment_method = Some(method);
        }
    }
    read_sources(world, params, &mut customer)?;
    let discount = read_discount(world, params, &customer.id)?;
    if let Some(balance) = params.int("balance")?.value() {
        set_balance(world, &mut customer, balance, EntryKind::Adjustment);
    }
    match discount {
        Field::Set(discount) => world.give_discount(&mut customer, &discount),
        Field::Unset => {
            if let Some(discount) = customer.discount.take() {
                world.end_discount(&discount.id);
            }
        }
        Field::Absent => {}
    }
    let after = customer.render();
    world.customers.put(customer);
    world.emit_change("customer.updated", &before, after.clone());
    Ok(after)
}

/// `source`, a new default one, or `default_source`, one that the customer has.
fn read_sources(world: &mut World, params: &Params<'_>, customer: &mut Customer) -> ApiResult<()> {
    if params.has("default_source") {
        let id = params.required("default_source")?;
        if world.source_of(&customer.id, &id).is_none() {
            return Err(ApiError::missing("source", &id, "default_source"));
        }
        customer.default_source = Some(id);
    }
    match params.text("source")?.value() {
        Some(token) => world.replace_source(customer, &token),
        None => Ok(()),
    }
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let email = call.params.text("email")?.value();
    let clock = call.params.text("test_clock")?.value();
    let keep = |customer: &Customer| {
        // Customers of a test clock are listed only when that clock is asked for.
        !customer.deleted
            && customer.test_clock == clock
            && email.as_ref().is_none_or(|email| customer.email.as_ref() == Some(email))
    };
    list(&world.customers, &call.params, "/v1/customers", None, keep, Customer::render)
}

fn own_method(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let customer = world.live_customer(call.id(), "customer")?;
    let id = call.ids.get(1).map_or("", String::as_str);
    let method = need(&world.payment_methods, id, "payment_method")?;
    if method.customer.as_ref() == Some(&customer.id) {
        return Ok(method.render());
    }
    Err(ApiError::missing("PaymentMethod", id, "payment_method"))
}

fn methods(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let customer = world.live_customer(call.id(), "customer")?;
    let wanted = call.params.text("type")?.value();
    let keep =
        |method: &PaymentMethod| wanted.as_ref().is_none_or(|wanted| method.instrument.word() == wanted);
    let url = format!("/v1/customers/{}/payment_methods", customer.id);
    list(&world.payment_methods, &call.params, &url, Some(&customer.id), keep, PaymentMethod::render)
}
