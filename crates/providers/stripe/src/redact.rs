//! Copies an event's JSON, keeping only fields on an allow-list: ids, kinds, statuses, amounts, currencies, times, price and
//! product references and the metadata keys that start with `quittance_`.
//!
//! Everything else is dropped by default, so that a field that Stripe invents tomorrow is not stored either: no card data, names,
//! addresses, e-mail, telephone or IP addresses, hosted pages or client secrets. A second guard looks at the kept texts
//! themselves: only what looks like an identifier passes. A field that is null says nothing and is left out too, but in
//! `previous_attributes`, where it says what was. It streams: one pass, one output buffer, no tree.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::sync::LazyLock;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::event::{EventError, MAX_BODY_BYTES};

/// Deeper structures are dropped; Stripe's own need less than half of it.
const MAX_DEPTH: u8 = 24;
/// What stands in place of a text that does not look like an identifier.
const REDACTED: &str = "\"[redacted]\"";
/// What only secrets have inside: client secrets, and keys of both modes even with something before them.
pub(crate) const SECRET_PARTS: [&str; 3] = ["_secret_", "k_live_", "k_test_"];
/// From here on a number is blotted out: card numbers begin at thirteen digits.
const SUSPICIOUS_NUMBER: u64 = 1_000_000_000_000;
/// A text of digits and separators with this many digits could be a card or telephone number.
const SUSPICIOUS_DIGITS: usize = 10;

/// The fields that are kept, whatever object they are in. An object or array under a kept name is entered with the same list,
/// so that a container is kept only when it is named here too: `card`, `billing_details` or `customer_details` are not. The
/// first text of each pair only says what its names have in common.
const KEPT: &[(&str, &str)] = &[
    (
        "the envelope",
        "id object type account api_version created livemode pending_webhooks data request \
         idempotency_key previous_attributes related_object",
    ),
    (
        "statuses and kinds",
        "status mode payment_status billing_reason collection_method active deleted paid captured \
         refunded disputed delinquent attempted is_default usage_type billing_scheme reason \
         feedback behavior proration enabled disabled_reason missing_payment_method \
         cancellation_reason network_status risk_level has_more charges_enabled payouts_enabled \
         details_submitted is_charge_refundable duration",
    ),
    ("errors", "code decline_code advice_code network_decline_code failure_code failure_reason"),
    (
        "amounts, currencies, quantities",
        "amount amount_captured amount_received amount_refunded amount_requested amount_subtotal \
         amount_total amount_due amount_paid amount_remaining amount_discount amount_tax \
         amount_overpaid amount_capturable amount_off subtotal total tax fee net currency \
         quantity unit_amount unit_amount_decimal starting_balance ending_balance attempt_count \
         submission_count application_fee_amount pre_payment_credit_notes_amount \
         post_payment_credit_notes_amount",
    ),
    (
        "times",
        "updated start end start_date end_date current_period_start current_period_end \
         period_start period_end trial_start trial_end cancel_at cancel_at_period_end canceled_at \
         ended_at expires_at due_date due_by next_payment_attempt finalized_at paid_at voided_at \
         marked_uncollectible_at resumes_at billing_cycle_anchor effective_at \
         automatically_finalizes_at webhooks_delivered_at frozen_time proration_date available_on \
         arrival_date interval interval_count trial_period_days",
    ),
    (
        "references",
        "customer customer_account subscription subscription_item invoice invoice_item \
         payment_intent setup_intent charge latest_charge latest_invoice payment_method \
         default_payment_method balance_transaction price product plan lookup_key schedule coupon \
         promotion_code discount refund dispute credit_note payment_link test_clock \
         client_reference_id feature meter transfer destination",
    ),
    (
        "containers",
        "items lines payments refunds line_items recurring parent subscription_details \
         subscription_item_details invoice_item_details pricing price_details period payment \
         status_transitions cancellation_details pause_collection pending_update trial_settings \
         end_behavior automatic_tax total_details last_payment_error next_action outcome \
         evidence_details balance_transactions discounts discount_amounts total_discount_amounts \
         invoice_settings phases current_phase entitlements source status_details paused \
         billing_mode",
    ),
];

/// Returns the redacted JSON text of an event.
///
/// # Errors
/// [`EventError::TooLarge`] or [`EventError::NotJson`], as [`crate::event::Event::parse`] gives them for the same body.
pub fn redact(raw: &[u8]) -> Result<String, EventError> {
    if raw.len() > MAX_BODY_BYTES {
        return Err(EventError::TooLarge { bytes: raw.len() });
    }
    // Checked once here, a text need not be checked piece by piece; one that is broken is told by its place.
    match std::str::from_utf8(raw) {
        Ok(text) => copy(serde_json::Deserializer::from_str(text), raw.len()),
        Err(_) => copy(serde_json::Deserializer::from_slice(raw), raw.len()),
    }
}

fn copy<'de, R: serde_json::de::Read<'de>>(
    mut reader: serde_json::Deserializer<R>,
    length: usize,
) -> Result<String, EventError> {
    let mut out = String::with_capacity(length / 2);
    Copy { out: &mut out, depth: 0, list: List::Fields }
        .deserialize(&mut reader)
        .and_then(|_| reader.end())
        .map_err(|e| EventError::not_json(&e))?;
    Ok(out)
}

/// Whether a kept text was blotted out. If not, what [`crate::event::Event`] reads is in the redacted text as it was in the raw one.
#[must_use]
pub fn is_altered(redacted: &str) -> bool {
    redacted.contains(REDACTED)
}

/// The kept names by a cheap hash, so that a name is compared with hardly more than one of them.
static BY_HASH: LazyLock<Vec<Vec<&'static str>>> = LazyLock::new(|| {
    let mut slots = vec![Vec::new(); usize::from(u8::MAX) + 1];
    for name in KEPT.iter().flat_map(|(_, names)| names.split_ascii_whitespace()) {
        if let Some(slot) = slots.get_mut(slot_of(name)) {
            slot.push(name);
        }
    }
    slots
});

fn slot_of(name: &str) -> usize {
    let bytes = name.as_bytes();
    let at = |index: usize| bytes.get(index).copied().unwrap_or_default();
    // Three letters and the length tell most names apart; the high bits of a wrapping product spread them.
    let mixed = [at(0), at(bytes.len() / 2), at(bytes.len().wrapping_sub(2))]
        .iter()
        .fold(bytes.len(), |hash, byte| hash.wrapping_mul(131).wrapping_add(usize::from(*byte)));
    mixed & usize::from(u8::MAX)
}

/// Which names are kept in an object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    Fields,
    /// Those fields as they were before: also what was null.
    Before,
    Metadata,
}

/// What to do with one member of an object.
enum Member {
    Drop,
    Keep(Cow<'static, str>, List),
}

impl List {
    fn judge(self, name: &str) -> Member {
        match self {
            Self::Metadata if is_ours(name) => Member::Keep(Cow::Owned(name.to_owned()), Self::Metadata),
            Self::Metadata => Member::Drop,
            Self::Fields | Self::Before if name == "metadata" => {
                Member::Keep(Cow::Borrowed("metadata"), Self::Metadata)
            }
            Self::Fields | Self::Before => {
                let slot = BY_HASH.get(slot_of(name)).map(Vec::as_slice).unwrap_or_default();
                match slot.iter().find(|kept| **kept == name) {
                    Some(&"previous_attributes") => {
                        Member::Keep(Cow::Borrowed("previous_attributes"), Self::Before)
                    }
                    Some(kept) => Member::Keep(Cow::Borrowed(kept), self),
                    None => Member::Drop,
                }
            }
        }
    }
}

/// The metadata names that Quittance writes: letters only, so that no name can be a number of somebody's.
fn is_ours(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    name.starts_with("quittance_") && name.len() <= 40 && name.bytes().all(plain)
}

/// Letters, digits and `_ . : -`, as all of Stripe's ids, kinds and statuses are; no long numbers and no secrets. Such a text
/// needs no escaping in JSON either.
fn looks_like_an_id(text: &str) -> bool {
    let (mut digits, mut letters, mut joints) = (0_usize, false, 0_usize);
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' => digits += 1,
            b'a'..=b'z' | b'A'..=b'Z' => letters = true,
            b'_' => joints += 1,
            b'.' | b':' | b'-' => {}
            _ => return false,
        }
    }
    let number = !letters && digits >= SUSPICIOUS_DIGITS;
    let secret = joints > 0
        && (["sk_", "rk_", "whsec_"].iter().any(|start| text.starts_with(start))
            || (joints > 1 && SECRET_PARTS.iter().any(|part| text.contains(part))));
    text.len() <= 255 && !number && !secret
}

/// Copies one value to `out`, and says whether it is anything but null.
struct Copy<'o> {
    out: &'o mut String,
    depth: u8,
    list: List,
}

impl Copy<'_> {
    /// Amounts have twelve digits at most and times ten: a longer number may be that of a card.
    fn number<E>(self, size: u64, value: impl std::fmt::Display) -> Result<bool, E> {
        if size < SUSPICIOUS_NUMBER {
            // Writing to a String cannot fail.
            let _ = write!(self.out, "{value}");
        } else {
            self.out.push_str(REDACTED);
        }
        Ok(true)
    }

    fn inside(&mut self, list: List) -> Copy<'_> {
        Copy { out: self.out, depth: self.depth.saturating_add(1), list }
    }
}

impl<'de> DeserializeSeed<'de> for Copy<'_> {
    type Value = bool;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<bool, D::Error> {
        if self.depth > MAX_DEPTH {
            self.out.push_str("null");
            return d.deserialize_ignored_any(IgnoredAny).map(|_| false);
        }
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Copy<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_unit<E>(self) -> Result<bool, E> {
        self.out.push_str("null");
        Ok(false)
    }
    fn visit_bool<E>(self, v: bool) -> Result<bool, E> {
        self.out.push_str(if v { "true" } else { "false" });
        Ok(true)
    }
    fn visit_i64<E>(self, v: i64) -> Result<bool, E> {
        self.number(v.unsigned_abs(), v)
    }
    fn visit_u64<E>(self, v: u64) -> Result<bool, E> {
        self.number(v, v)
    }
    /// Fractions are rates and percentages, which nobody reads from here.
    fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
        self.out.push_str("null");
        Ok(false)
    }
    fn visit_str<E>(self, text: &str) -> Result<bool, E> {
        if looks_like_an_id(text) {
            self.out.push('"');
            self.out.push_str(text);
            self.out.push('"');
        } else {
            self.out.push_str(REDACTED);
        }
        Ok(true)
    }
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<bool, A::Error> {
        self.out.push('[');
        let list = self.list;
        let mut length = self.out.len();
        while seq.next_element_seed(self.inside(list))?.is_some() {
            length = self.out.len();
            self.out.push(',');
        }
        // Takes back the comma after the last element.
        self.out.truncate(length);
        self.out.push(']');
        Ok(true)
    }
    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<bool, A::Error> {
        self.out.push('{');
        let mut first = true;
        while let Some(member) = map.next_key_seed(Name(self.list))? {
            match member {
                Member::Drop => {
                    map.next_value::<IgnoredAny>()?;
                }
                Member::Keep(name, list) => {
                    let before = self.out.len();
                    self.out.push_str(if first { "\"" } else { ",\"" });
                    self.out.push_str(&name);
                    self.out.push_str("\":");
                    let says = map.next_value_seed(self.inside(list))?;
                    if says || self.list != List::Fields {
                        first = false;
                    } else {
                        self.out.truncate(before);
                    }
                }
            }
        }
        self.out.push('}');
        Ok(true)
    }
}

/// Reads a member's name and judges it at once, without keeping it.
struct Name(List);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Member;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Member, D::Error> {
        d.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Member;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }
    fn visit_str<E>(self, name: &str) -> Result<Member, E> {
        Ok(self.0.judge(name))
    }
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
