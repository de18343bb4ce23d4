//! The lines of drafts: added, changed and removed; and what an invoice item says, which is the same thing waiting.

use serde_json::Value;

use super::Call;
use super::discounts::read_discounts;
use super::tax_rates::read_rates;
use crate::billing::amounts::payable;
use crate::billing::discounts::{Bearer, Place};
use crate::model::decimal::Decimal;
use crate::model::invoice::{Edge, Invoice, InvoiceStatus, Line, Span};
use crate::model::invoice_item::InvoiceItem;
use crate::model::product::Price;
use crate::model::subscription::Period;
use crate::model::terms::LineTerms;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::{Field, Metadata, Params};

/// The most lines that one call takes.
const MOST: usize = 250;

/// A line that says nothing yet.
pub(super) fn empty_line(world: &mut World, currency: &str) -> Line {
    Line {
        id: world.chance.id("il_"),
        amount: 0,
        currency: currency.to_owned(),
        description: String::new(),
        period: Period { start: world.now, end: world.now },
        price: None,
        product: None,
        unit_amount: None,
        quantity: 1,
        exact: None,
        span: Span::default(),
        subscription: None,
        subscription_item: None,
        invoice_item: None,
        proration: false,
        metadata: Metadata::new(),
        terms: LineTerms::default(),
    }
}

/// The price that a line names in `pricing[price]` or describes in `price_data`.
fn read_price(world: &mut World, params: &Params<'_>) -> ApiResult<Option<Price>> {
    let pricing = params.sub("pricing");
    let named = match pricing.text("price")?.value() {
        Some(price) => Some(need(&world.prices, &price, &pricing.full("price"))?),
        None => match world.price_of(params)? {
            Some(price) => Some(need(&world.prices, &price, &params.full("price_data"))?),
            None => None,
        },
    };
    match &named {
        Some(price) if price.recurring.is_some() => {
            let message = "An invoice item takes a one-time price; this one is recurring.";
            Err(ApiError::rule(message).param(&pricing.full("price")))
        }
        Some(_) | None => Ok(named),
    }
}

/// Reads single amounts that come with something else, such as `add_invoice_items`.
pub(super) fn read_extras(
    world: &mut World,
    params: &Params<'_>,
    name: &str,
    customer: &str,
    currency: &str,
) -> ApiResult<Vec<Line>> {
    if matches!(params.free(name), Some(Value::String(_))) {
        return Err(ApiError::rule("Invalid array").param(&params.full(name)));
    }
    let entries = params.list(name);
    if entries.len() > MOST {
        return Err(ApiError::rule(format!("Pass at most {MOST} items.")).param(&params.full(name)));
    }
    let mut lines = Vec::new();
    for entry in entries {
        let given = entry.text("currency")?.value();
        if given.is_some_and(|given| !given.eq_ignore_ascii_case(currency)) {
            let message = format!("The item must be in {currency}.");
            return Err(ApiError::rule(message).param(&entry.full("currency")));
        }
        let line = empty_line(world, currency);
        let mut line = read_line(world, &entry, customer, line, true)?;
        // What a preview supposes says its period in two times.
        line.span = match name {
            "add_invoice_items" => read_span(&entry, world.now)?,
            _ => Span::at(line.period),
        };
        lines.push(line);
    }
    Ok(lines)
}

/// Reads what a line says now over what it said before. `fresh` lines must say what they cost.
pub(super) fn read_line(
    world: &mut World,
    params: &Params<'_>,
    customer: &str,
    mut line: Line,
    fresh: bool,
) -> ApiResult<Line> {
    let price = read_price(world, params)?;
    let quantity = params.int_within("quantity", 0..=999_999)?.value();
    let amount = params.int("amount")?.value();
    let costs = price.is_some() || quantity.is_some() || amount.is_some();
    if costs && !fresh && line.invoice_item.is_none() {
        let message =
            "What a line of a subscription costs comes from the subscription and cannot be changed here.";
        return Err(ApiError::rule(message).param(&params.full("amount")));
    }
    if let Some(price) = price {
        let Some(sold) = price.pricing_in(&line.currency) else {
            let message = format!("The price is in {}, the invoice in {}.", price.currency, line.currency);
            return Err(ApiError::rule(message).param(&params.full("pricing")));
        };
        line.unit_amount = sold.unit();
        line.description = world.product_name(&price);
        line.terms.inclusive = price.includes_tax(&line.currency);
        line.product = Some(price.product);
        line.price = Some(price.id);
    }
    line.quantity = quantity.unwrap_or(line.quantity);
    match (amount, &line.price) {
        (Some(_), Some(_)) if costs && params.has("pricing") => {
            let message = "You may only specify one of amount and pricing.";
            return Err(ApiError::rule(message).param(&params.full("amount")));
        }
        (Some(amount), _) => {
            line.amount = amount;
            line.unit_amount = Some(Decimal::from(amount));
            (line.price, line.product) = (None, None);
        }
        (None, Some(price)) => {
            let (of_price, of_quantity) = (params.full("pricing"), params.full("quantity"));
            let price = need(&world.prices, price, &of_price)?;
            line.amount = payable(&price, &line.currency, line.quantity, [&of_price, &of_quantity])?;
        }
        (None, None) if fresh => {
            let full = params.full("amount");
            return Err(ApiError::invalid(
                "parameter_missing",
                &full,
                format!("Missing required param: {full}."),
            ));
        }
        (None, None) => {}
    }
    match params.text("description")? {
        Field::Set(text) => line.description = text,
        Field::Unset => line.description = String::new(),
        Field::Absent => {}
    }
    if let Some(period) = read_period(params)? {
        line.period = period;
    }
    params.metadata_into(&mut line.metadata)?;
    read_terms(world, params, customer, &mut line, fresh)?;
    Ok(line)
}

/// Reads how the period of a single amount is to be worked out.
fn read_span(params: &Params<'_>, now: i64) -> ApiResult<Span> {
    let period = params.sub("period");
    if !params.has("period") {
        return Ok(Span::default());
    }
    let phased = period.full("").starts_with("phases[");
    let edge = |name: &str, words: &[&'static str]| -> ApiResult<Edge> {
        let given = period.sub(name);
        given.required("type")?;
        let word = given.one_of("type", words)?.value();
        let time = given.int("timestamp")?.value();
        match (word, time) {
            (Some("timestamp"), Some(at)) => Ok(Edge::At(at)),
            (Some("timestamp"), None) => given.required("timestamp").map(|_| Edge::OfItems),
            (_, Some(_)) => {
                let message = "A timestamp is for type=timestamp.";
                Err(ApiError::rule(message).param(&given.full("timestamp")))
            }
            (Some("now"), None) => Ok(Edge::At(now)),
            (Some("phase_start" | "phase_end"), None) => Ok(Edge::OfPhase),
            (_, None) => Ok(Edge::OfItems),
        }
    };
    let (start, end): (&[&str], &[&str]) = match phased {
        true => (
            &["max_item_period_start", "phase_start", "timestamp"],
            &["min_item_period_end", "phase_end", "timestamp"],
        ),
        false => (&["max_item_period_start", "now", "timestamp"], &["min_item_period_end", "timestamp"]),
    };
    let (start, end) = (edge("start", start)?, edge("end", end)?);
    match (start, end) {
        (Edge::At(from), Edge::At(to)) if from > to => {
            Err(ApiError::rule("The period must end after it starts.").param(&params.full("period")))
        }
        _ => Ok(Span { start, end }),
    }
}

fn read_period(params: &Params<'_>) -> ApiResult<Option<Period>> {
    let period = params.sub("period");
    // The period of a single amount can be told by what it is made of.
    if !params.has("period") || period.sub("start").has("type") {
        return Ok(None);
    }
    period.required("start")?;
    period.required("end")?;
    match (period.int("start")?, period.int("end")?) {
        (Field::Set(start), Field::Set(end)) if start <= end => Ok(Some(Period { start, end })),
        _ => Err(ApiError::rule("The period must end after it starts.").param(&params.full("period"))),
    }
}

fn read_terms(
    world: &mut World,
    params: &Params<'_>,
    customer: &str,
    line: &mut Line,
    fresh: bool,
) -> ApiResult<()> {
    match params.flag("discountable")? {
        Field::Set(_) if line.proration => {
            let message = "A proration is never discountable: its discounts are in its amount.";
            return Err(ApiError::rule(message).param(&params.full("discountable")));
        }
        Field::Set(discountable) => line.terms.settled = !discountable,
        Field::Absent | Field::Unset if fresh => line.terms.settled = line.amount < 0,
        Field::Absent | Field::Unset => {}
    }
    let currency = line.currency.clone();
    let place = Place { customer: Some(customer), currency: Some(&currency), subtotal: Some(line.amount) };
    if let Some(discounts) = read_discounts(world, params, place)? {
        line.terms.discounts = discounts;
    }
    if let Some(rates) = read_rates(world, params, "tax_rates")? {
        line.terms.tax_rates = rates;
    }
    match params.one_of("tax_behavior", &["exclusive", "inclusive", "unspecified"])? {
        Field::Set("exclusive") => line.terms.inclusive = Some(false),
        Field::Set("inclusive") => line.terms.inclusive = Some(true),
        Field::Set(_) => line.terms.inclusive = None,
        Field::Absent | Field::Unset => {}
    }
    Ok(())
}

/// A draft, which alone has lines that can change.
fn draft(world: &World, id: &str) -> ApiResult<Invoice> {
    let invoice = need(&world.invoices, id, "invoice")?;
    if invoice.status == InvoiceStatus::Draft {
        return Ok(invoice);
    }
    let message = "The lines of an invoice can only be changed while it is a draft.";
    Err(ApiError::state("invoice_not_editable", message).param("invoice"))
}

/// The lines of a call, and the metadata of the invoice that it changes with them.
fn read_call<'a>(call: &Call<'a>, invoice: &Invoice) -> ApiResult<(Vec<Params<'a>>, Metadata)> {
    let lines = call.params.list("lines");
    if lines.is_empty() || lines.len() > MOST {
        let message = format!("Pass from 1 to {MOST} lines.");
        return Err(ApiError::invalid("parameter_missing", "lines", message));
    }
    let mut metadata = invoice.metadata.clone();
    call.params.metadata_of("invoice_metadata", &mut metadata)?;
    Ok((lines, metadata))
}

impl World {
    /// Lets an item say something else, on its draft too where it is on one.
    pub(super) fn put_line(&mut self, customer: &str, line: &Line) {
        let Some(item) = line.invoice_item.clone() else { return };
        for discount in &line.terms.discounts {
            self.bind_discount(discount, Some(customer), Bearer::InvoiceItem(&item));
        }
        self.invoice_items.edit(&item, |item| item.line = line.clone());
    }

    /// Puts items that wait on a draft, with the invoice's metadata as it shall be.
    pub(super) fn take_up(&mut self, invoice: &str, items: &[String], metadata: Metadata) {
        let mut lines = Vec::new();
        for id in items {
            self.invoice_items.edit(id, |item| item.invoice = Some(invoice.to_owned()));
            lines.extend(self.invoice_items.get(id).map(|item| item.line.clone()));
        }
        self.change_draft(invoice, |invoice| {
            invoice.lines.extend(lines);
            invoice.metadata = metadata;
        });
    }
}

/// What a line to be added comes from.
enum Added {
    /// An item that waits.
    Waiting(String),
    Fresh(Box<Line>),
}

/// `POST /v1/invoices/{id}/add_lines`.
pub(super) fn add(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let invoice = draft(world, call.id())?;
    let (asked, metadata) = read_call(call, &invoice)?;
    let mut added: Vec<Added> = Vec::new();
    for params in asked {
        if let Some(item) = params.text("invoice_item")?.value() {
            let full = params.full("invoice_item");
            let item = need(&world.invoice_items, &item, &full)?;
            let twice = added.iter().any(|added| matches!(added, Added::Waiting(id) if *id == item.id));
            if item.invoice.is_some()
                || item.customer != invoice.customer
                || item.line.currency != invoice.currency
                || twice
            {
                let message =
                    "The invoice item must wait, and be the invoice's customer's and in its currency.";
                return Err(ApiError::rule(message).param(&full));
            }
            added.push(Added::Waiting(item.id));
        } else {
            let line = empty_line(world, &invoice.currency);
            added.push(Added::Fresh(Box::new(read_line(world, &params, &invoice.customer, line, true)?)));
        }
    }
    let mut items = Vec::new();
    for added in added {
        items.push(match added {
            Added::Waiting(id) => id,
            Added::Fresh(line) => {
                let id = world.add_invoice_item(&invoice.customer, (*line).clone());
                world.put_line(&invoice.customer, &Line { invoice_item: Some(id.clone()), ..*line });
                id
            }
        });
    }
    world.take_up(&invoice.id, &items, metadata);
    need(&world.invoices, &invoice.id, "invoice").map(|invoice| invoice.render())
}

/// `POST /v1/invoices/{id}/update_lines`.
pub(super) fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let invoice = draft(world, call.id())?;
    let (asked, metadata) = read_call(call, &invoice)?;
    let mut changed = Vec::new();
    for params in asked {
        let id = params.required("id")?;
        changed.push(changed_line(world, &invoice, &params, &id)?);
    }
    put_lines(world, &invoice, changed, metadata);
    need(&world.invoices, &invoice.id, "invoice").map(|invoice| invoice.render())
}

/// `POST /v1/invoices/{invoice}/lines/{id}`.
pub(super) fn update_one(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let invoice = draft(world, call.id())?;
    let id = call.ids.get(1).map_or("", String::as_str);
    let line = changed_line(world, &invoice, &call.params, id)?;
    let metadata = invoice.metadata.clone();
    put_lines(world, &invoice, vec![line], metadata);
    let invoice = need(&world.invoices, &invoice.id, "invoice")?;
    let line = invoice.lines.iter().find(|line| line.id == id);
    Ok(line.map(|line| line.render(&invoice.id)).unwrap_or_default())
}

fn changed_line(world: &mut World, invoice: &Invoice, params: &Params<'_>, id: &str) -> ApiResult<Line> {
    let line = invoice.lines.iter().find(|line| line.id == id).cloned();
    let line = line.ok_or_else(|| ApiError::missing("invoice line item", id, &params.full("id")))?;
    read_line(world, params, &invoice.customer, line, false)
}

fn put_lines(world: &mut World, invoice: &Invoice, changed: Vec<Line>, metadata: Metadata) {
    for line in &changed {
        world.put_line(&invoice.customer, line);
    }
    world.change_draft(&invoice.id, |invoice| {
        for line in changed {
            if let Some(slot) = invoice.lines.iter_mut().find(|old| old.id == line.id) {
                *slot = line;
            }
        }
        invoice.metadata = metadata;
    });
}

/// `POST /v1/invoices/{id}/remove_lines`: the items behind them are deleted, or wait again.
pub(super) fn remove(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let invoice = draft(world, call.id())?;
    let (asked, metadata) = read_call(call, &invoice)?;
    let mut gone: Vec<(Line, bool)> = Vec::new();
    for params in asked {
        let id = params.required("id")?;
        params.required("behavior")?;
        let waits = params.one_of("behavior", &["delete", "unassign"])? == Field::Set("unassign");
        let line = invoice.lines.iter().find(|line| line.id == id).cloned();
        let line = line.ok_or_else(|| ApiError::missing("invoice line item", &id, &params.full("id")))?;
        if waits && line.invoice_item.is_none() {
            let message = "Only a line of an invoice item can wait again; delete this one.";
            return Err(ApiError::rule(message).param(&params.full("behavior")));
        }
        gone.push((line, waits));
    }
    for (line, waits) in &gone {
        let Some(item) = &line.invoice_item else { continue };
        if *waits {
            world.invoice_items.edit(item, |item| item.invoice = None);
        } else if let Some(item) = world.invoice_items.remove(item) {
            world.emit("invoiceitem.deleted", item.render());
        }
    }
    world.change_draft(&invoice.id, |invoice| {
        invoice.lines.retain(|line| !gone.iter().any(|(gone, _)| gone.id == line.id));
        invoice.metadata = metadata;
    });
    need(&world.invoices, &invoice.id, "invoice").map(|invoice| invoice.render())
}

/// An item that can still change: it waits, or is on a draft.
pub(super) fn editable_item(world: &World, id: &str) -> ApiResult<InvoiceItem> {
    let item = need(&world.invoice_items, id, "id")?;
    let invoice = item.invoice.as_ref().and_then(|invoice| world.invoices.get(invoice));
    match (&item.invoice, invoice) {
        (None, _) => Ok(item),
        (Some(_), Some(invoice)) if invoice.status == InvoiceStatus::Draft => Ok(item),
        (Some(_), _) => {
            let message = "This invoice item is on an invoice that is final, and cannot change any more.";
            Err(ApiError::state("invoice_not_editable", message))
        }
    }
}
