//! The part of the checkout form that is not the payment: telephone, address, ways to send, the seller's own fields.

use maud::{Markup, html};

use super::format::format_money;
use super::text::{Text, t};
use super::views::{DetailsView, FieldView, Locale, RateView};

/// All that is asked, in the order of the published page; nothing when nothing is.
pub(super) fn details_fields(locale: Locale, view: &DetailsView) -> Markup {
    html! {
        @for (name, text, asked) in [("business_name", Text::BusinessName, view.business), ("individual_name", Text::IndividualName, view.individual)] {
            @if let Some(optional) = asked { (asked_name(locale, name, text, optional)) }
        }
        @if view.phone { (line(&Line { name: "phone", label: t(locale, Text::Phone), kind: "tel", complete: "tel", ..Line::default() })) }
        @if !view.countries.is_empty() { (address(locale, &view.countries, view.address_text.as_deref())) }
        @if !view.rates.is_empty() { (rates(locale, &view.rates)) }
        @for field in &view.fields { (own(locale, field)) }
    }
}

struct Line<'a> {
    name: &'a str,
    label: &'a str,
    kind: &'a str,
    complete: &'a str,
    value: &'a str,
    numeric: bool,
    optional: bool,
}

impl Default for Line<'_> {
    fn default() -> Self {
        Self {
            name: "",
            label: "",
            kind: "text",
            complete: "off",
            value: "",
            numeric: false,
            optional: false,
        }
    }
}

fn line(line: &Line<'_>) -> Markup {
    html! {
        div class="field" {
            label for=(line.name) { (line.label) }
            input id=(line.name) name=(line.name) type=(line.kind) value=(line.value) autocomplete=(line.complete)
                inputmode=[line.numeric.then_some("numeric")] maxlength="255" required[!line.optional];
        }
    }
}

fn asked_name(locale: Locale, name: &str, text: Text, optional: bool) -> Markup {
    let label = if optional {
        format!("{} ({})", t(locale, text), t(locale, Text::Optional))
    } else {
        t(locale, text).to_owned()
    };
    let complete = if name == "business_name" { "organization" } else { "name" };
    line(&Line { name, label: &label, complete, optional, ..Line::default() })
}

fn address(locale: Locale, countries: &[String], words: Option<&str>) -> Markup {
    let part = |name: &'static str, text: Text, complete: &'static str| {
        line(&Line { name, label: t(locale, text), complete, ..Line::default() })
    };
    html! {
        fieldset {
            legend { (t(locale, Text::ShippingHeading)) }
            @if let Some(words) = words { p class="hint" { (words) } }
            (part("ship_name", Text::ShipName, "shipping name"))
            (part("ship_line1", Text::ShipLine, "shipping address-line1"))
            div class="pair" {
                (part("ship_city", Text::ShipCity, "shipping address-level2"))
                (part("ship_postal", Text::ShipPostal, "shipping postal-code"))
            }
            div class="field" {
                label for="ship_country" { (t(locale, Text::ShipCountry)) }
                select id="ship_country" name="ship_country" {
                    @for country in countries { option value=(country) { (country) } }
                }
            }
        }
    }
}

fn rates(locale: Locale, rates: &[RateView]) -> Markup {
    html! {
        fieldset {
            legend { (t(locale, Text::ShippingMethod)) }
            @for rate in rates {
                label class="choice" for=(rate.id) {
                    input type="radio" id=(rate.id) name="shipping_rate" value=(rate.id) checked[rate.chosen] required;
                    span { (rate.name) }
                    span class="money" { (format_money(locale, &rate.amount)) }
                }
            }
        }
    }
}

fn own(locale: Locale, field: &FieldView) -> Markup {
    let label = if field.optional {
        format!("{} ({})", field.label, t(locale, Text::Optional))
    } else {
        field.label.clone()
    };
    html! {
        @if field.options.is_empty() {
            (line(&Line {
                name: &field.name, label: &label, value: &field.value, numeric: field.numeric,
                optional: field.optional, ..Line::default()
            }))
        } @else {
            div class="field" {
                label for=(field.name) { (label) }
                select id=(field.name) name=(field.name) required[!field.optional] {
                    @if field.optional { option value="" { "–" } }
                    @for (value, label) in &field.options {
                        option value=(value) selected[*value == field.value] { (label) }
                    }
                }
            }
        }
    }
}
