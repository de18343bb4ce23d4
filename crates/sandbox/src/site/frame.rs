//! What all pages share: forms and queries as text, the frame, HTML answers and redirects.

use jiff::tz::TimeZone;
use maud::Markup;

use crate::model::product::{Interval, Price};
use crate::pages::{self, Frame, IntervalUnit, Locale, Money, TimeTravel};
use crate::state::world::World;
use crate::wire::form::{Param, decode};
use crate::wire::request::{HttpRequest, HttpResponse};

/// The fields of a posted form, or of a query.
pub(super) struct Fields(crate::wire::form::Tree);

impl Fields {
    /// The posted form.
    pub(super) fn posted(request: &HttpRequest) -> Self {
        Self(decode(&request.body).unwrap_or_default())
    }

    /// The query.
    pub(super) fn asked(request: &HttpRequest) -> Self {
        Self(decode(request.query.as_bytes()).unwrap_or_default())
    }

    /// A field's text, trimmed; empty when it is missing.
    pub(super) fn text(&self, name: &str) -> &str {
        match self.0.get(name) {
            Some(Param::Text(text)) => text.trim(),
            Some(Param::Tree(_)) | None => "",
        }
    }

    /// A field's whole number.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.text(name).parse().ok()
    }
}

/// The language of a page: what the session wants, else what the browser asks for.
pub(super) fn locale(request: &HttpRequest, wanted: Option<&str>) -> Locale {
    let header = request.header_value("accept-language").unwrap_or_default();
    Locale::from_tags(wanted.filter(|tag| *tag != "auto").unwrap_or(header))
}

/// The frame of a page that comes back to itself after time travel.
pub(super) fn frame(world: &World, request: &HttpRequest, locale: Locale) -> Frame {
    frame_of(world, request, locale, None)
}

/// The frame of a page about a customer, whose time may be that of a test clock.
pub(super) fn frame_of(
    world: &World,
    request: &HttpRequest,
    locale: Locale,
    customer: Option<&str>,
) -> Frame {
    let clock = customer.and_then(|customer| world.clock_of_customer(customer));
    Frame {
        locale,
        zone: TimeZone::UTC,
        now: world.now_of(customer),
        // Within a page of the seller's there is room for the payment only.
        time_travel: (!request.path.starts_with("/embed/")).then(|| TimeTravel {
            action: match clock {
                Some(clock) => format!("/_sandbox/ui/clocks/{clock}/travel"),
                None => "/_sandbox/ui/travel".to_owned(),
            },
            return_to: request.path.clone(),
            next_renewal: world.renewal_due(clock),
        }),
    }
}

/// A page. Its forms may lead to the given addresses.
pub(super) fn html(status: u16, page: Markup, leads_to: &[&str]) -> HttpResponse {
    let headers = [
        ("content-type", "text/html; charset=utf-8".to_owned()),
        ("content-security-policy", pages::csp(leads_to)),
        ("x-content-type-options", "nosniff".to_owned()),
        ("referrer-policy", "no-referrer".to_owned()),
        ("cache-control", "no-store".to_owned()),
    ];
    HttpResponse {
        status,
        headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        body: page.into_string().into_bytes(),
        ..HttpResponse::default()
    }
}

/// Sends the browser on.
pub(super) fn redirect(to: &str) -> HttpResponse {
    HttpResponse {
        status: 303,
        headers: vec![
            ("location".to_owned(), to.to_owned()),
            ("cache-control".to_owned(), "no-store".to_owned()),
        ],
        ..HttpResponse::default()
    }
}

/// A page that says what went wrong.
pub(super) fn problem(world: &World, request: &HttpRequest, status: u16, detail: &str) -> HttpResponse {
    let frame = frame(world, request, locale(request, None));
    html(status, pages::problem_page(&frame, status, detail), &[])
}

/// An amount for a page.
pub(super) fn money(amount: i64, currency: &str) -> Money {
    Money { amount, currency: currency.to_owned() }
}

/// How often a price recurs, for a page.
pub(super) fn interval(price: &Price) -> Option<pages::Interval> {
    price.recurring.map(|recurring| pages::Interval {
        count: u32::try_from(recurring.count).unwrap_or(1),
        unit: match recurring.interval {
            Interval::Day => IntervalUnit::Day,
            Interval::Week => IntervalUnit::Week,
            Interval::Month => IntervalUnit::Month,
            Interval::Year => IntervalUnit::Year,
        },
    })
}
