//! What each target is fed: mutations of its corpus, inputs made from its grammar, and noise.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use crate::mutate::{apply, apply_json, edits, json_edits, odd_values};

type Inputs = BoxedStrategy<Vec<u8>>;

/// Words that have broken programs before, and words that mean something here.
const TOKENS: &[&str] = &[
    "0",
    "-1",
    "1",
    "-0",
    "007",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "99999999999",
    "1.5",
    "1e999",
    "NaN",
    "true",
    "false",
    "null",
    "",
    " ",
    "\t",
    "\r\n",
    "\0",
    "\u{fffd}",
    "é",
    "日本",
    "a/b",
    "../..",
    "%00",
    "%",
    "%ff",
    "&",
    "=",
    "[",
    "]",
    "[]",
    "[0]",
    "{",
    "}",
    "\"",
    "\\",
    "\\u0000",
    "'",
    "#",
    "\n\n",
    "\n---\n",
    ",",
    ",v1=",
    ",t=",
    "t=1795000000",
    "jpy",
    "usd",
    "xxx",
    "active",
    "jane@example.com",
    "4242424242424242",
    "sk_live_51abc",
    "id",
    "object",
    "data",
    "key",
    "plan",
    "price",
    "customer",
    "{sub}",
    "{cus}",
    "{price}",
    "{in}",
    "{pi}",
    "{cs}",
    "{chk}",
    "{grt}",
    "{evt}",
    "[[plan]]",
    "[[feature]]",
    "free = true",
    "user_1",
    "pro",
    "studio",
    "month",
    "year",
    "once",
    "2026-01-31T12:00:00Z",
    "9999-12-31T23:59:59Z",
];

fn noise() -> Inputs {
    proptest::collection::vec(any::<u8>(), 0..200).boxed()
}

fn mutated(seeds: Vec<Vec<u8>>) -> Inputs {
    (any::<Index>(), edits())
        .prop_map(move |(seed, edits)| apply(&seeds[seed.index(seeds.len())], &edits, TOKENS, &seeds))
        .boxed()
}

/// For targets that read choices from bytes.
pub fn bytes(seeds: Vec<Vec<u8>>) -> Inputs {
    prop_oneof![1 => mutated(seeds), 4 => proptest::collection::vec(any::<u8>(), 40..1_200)].boxed()
}

/// For texts in lines.
pub fn lines(seeds: Vec<Vec<u8>>) -> Inputs {
    prop_oneof![1 => noise(), 6 => mutated(seeds)].boxed()
}

/// For TOML: lines of the corpus shuffled and changed.
pub fn toml(seeds: Vec<Vec<u8>>) -> Inputs {
    prop_oneof![1 => noise(), 8 => mutated(seeds)].boxed()
}

/// For JSON: changes of the structure, of the text, and both.
pub fn json(seeds: Vec<Vec<u8>>) -> Inputs {
    let values: Vec<Value> = seeds.iter().filter_map(|seed| serde_json::from_slice(seed).ok()).collect();
    let structural = (any::<Index>(), json_edits()).prop_map(move |(seed, edits)| {
        apply_json(values[seed.index(values.len())].clone(), &edits).to_string().into_bytes()
    });
    prop_oneof![1 => noise(), 3 => mutated(seeds), 6 => structural].boxed()
}

/// Scripts of one to five requests.
fn scripts(request: impl Strategy<Value = String> + 'static, seeds: Vec<Vec<u8>>) -> Inputs {
    let made =
        proptest::collection::vec(request, 1..6).prop_map(|requests| requests.join("\n---\n").into_bytes());
    let made = made.boxed();
    prop_oneof![1 => noise(), 4 => mutated(seeds), 5 => made].boxed()
}

/// Values for a parameter of the provider's API.
fn form_values() -> impl Strategy<Value = String> {
    let known = select(vec![
        "{cus}",
        "{sub}",
        "{si}",
        "{price}",
        "{prod}",
        "{in}",
        "{pi}",
        "{ch}",
        "{cs}",
        "{pm}",
        "{evt}",
        "{we}",
        "pm_card_visa",
        "pm_card_authenticationRequired",
        "pm_card_chargeCustomerFail",
        "1",
        "2",
        "1000",
        "jpy",
        "usd",
        "month",
        "year",
        "true",
        "false",
        "now",
        "unset",
        "subscription",
        "payment",
        "setup",
        "create_prorations",
        "always_invoice",
        "none",
        "void",
        "keep_as_draft",
        "default_incomplete",
        "error_if_incomplete",
        "send_invoice",
        "charge_automatically",
        "1772452800",
        "1769860900",
        "latest_invoice.payments",
        "data.latest_invoice",
        "duplicate",
        "https://a.example/x",
    ]);
    prop_oneof![3 => known.prop_map(str::to_owned), 1 => select(TOKENS).prop_map(encoded), 1 => any::<i64>().prop_map(|n| n.to_string())]
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"{}_-.".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

/// The provider's calls, and every parameter that each of them takes, by its full name.
static CALLS: LazyLock<Vec<(String, Vec<String>)>> = LazyLock::new(|| {
    let table = include_str!("../../../../crates/sandbox/src/wire/params.txt");
    table
        .lines()
        .map(|line| {
            let mut words = line.splitn(3, ' ');
            let call = format!("{} {}", words.next().unwrap(), words.next().unwrap());
            (call, parameters(words.next().unwrap_or_default()))
        })
        .collect()
});

/// `a b{c d[]} e*` as `a`, `b[c]`, `b[d][]`, `e`.
fn parameters(text: &str) -> Vec<String> {
    let (mut all, mut within, mut name) = (Vec::new(), Vec::<String>::new(), String::new());
    let full = |within: &[String], name: &str| {
        let mut parts = within.iter().map(String::as_str).chain([name]).flat_map(|part| part.split(' '));
        let head = parts.next().unwrap_or_default().to_owned();
        parts.fold(head, |path, part| format!("{path}[{part}]"))
    };
    for c in text.chars().chain([' ']) {
        match c {
            '{' => within.push(std::mem::take(&mut name)),
            '[' => name.push_str(" 0"),
            ']' | '*' => {}
            ' ' | '}' => {
                if !name.is_empty() {
                    all.push(full(&within, &std::mem::take(&mut name)));
                }
                if c == '}' {
                    within.pop();
                }
            }
            other => name.push(other),
        }
    }
    all
}

const BY_KIND: &[(&str, &str)] = &[
    ("/customers/", "{cus}"),
    ("/products/", "{prod}"),
    ("/prices/", "{price}"),
    ("/payment_methods/", "{pm}"),
    ("/setup_intents/", "{seti}"),
    ("/checkout/sessions/", "{cs}"),
    ("/subscriptions/", "{sub}"),
    ("/subscription_items/", "{si}"),
    ("/invoices/", "{in}"),
    ("/invoice_payments/", "{inpay}"),
    ("/invoiceitems/", "{ii}"),
    ("/payment_intents/", "{pi}"),
    ("/charges/", "{ch}"),
    ("/refunds/", "{re}"),
    ("/balance_transactions/", "{txn}"),
    ("/disputes/", "{dp}"),
    ("/events/", "{evt}"),
    ("/webhook_endpoints/", "{we}"),
    ("/billing_portal/configurations/", "{bpc}"),
    ("/payment_pages/", "{cs}"),
];

fn provider_call() -> impl Strategy<Value = String> {
    let pairs = proptest::collection::vec((any::<Index>(), form_values()), 0..6);
    (any::<Index>(), pairs).prop_map(|(call, pairs)| {
        let (call, names) = &CALLS[call.index(CALLS.len())];
        let kind = BY_KIND.iter().find(|(part, _)| call.contains(part)).map_or("x", |(_, id)| *id);
        let call = call.replace("{id}", kind).replace("{line_item_id}", "x");
        let form: Vec<String> = pairs
            .iter()
            .filter(|_| !names.is_empty())
            .map(|(name, value)| format!("{}={value}", names[name.index(names.len())]))
            .collect();
        if call.starts_with("POST") {
            format!("{call}\n\n{}", form.join("&"))
        } else {
            format!("{call}?{}", form.join("&"))
        }
    })
}

/// The sandbox's own calls, which drive tests: time, faults, buyers, network.
fn control_call() -> impl Strategy<Value = String> {
    let calls = select(vec![
        ("POST /_sandbox/time/advance", "{\"seconds\":$}"),
        ("POST /_sandbox/time/advance", "{\"to\":$}"),
        ("POST /_sandbox/checkout_sessions/{cs}/complete", "{\"payment_method\":\"pm_card_visa\"}"),
        (
            "POST /_sandbox/checkout_sessions/{cs}/complete",
            "{\"payment_method\":\"pm_card_authenticationRequired\"}",
        ),
        ("POST /_sandbox/payment_intents/{pi}/authenticate", "{\"outcome\":\"success\"}"),
        ("PUT /_sandbox/webhooks", "{\"delay\":1,\"max_delay_seconds\":$,\"seed\":$}"),
        ("PUT /_sandbox/settings", "{\"retry_days\":[$],\"upcoming_days\":$}"),
        (
            "PUT /_sandbox/settings",
            "{\"draft_seconds\":$,\"fee_basis_points\":$,\"webhook_retry_seconds\":[$]}",
        ),
        ("PUT /_sandbox/faults", "{\"path\":\"*\",\"status\":$,\"count\":$}"),
        ("POST /_sandbox/events/{evt}/deliver", "{\"times\":$}"),
        ("POST /_sandbox/reset", ""),
        ("GET /_sandbox/ledger", ""),
        ("PUT /_sandbox/snapshot", "{\"now\":$,\"world\":{}}"),
        ("POST /_sandbox/ui/travel", "seconds=$&to=$"),
        ("GET /c/pay/{cs}", ""),
        ("POST /c/pay/{cs}", "number=4242424242424242&exp=12/34&cvc=123&name=a&email=a%40b.example"),
        ("GET /i/{in}", ""),
        ("GET /_sandbox", ""),
    ]);
    let numbers = prop_oneof![
        3 => select(vec!["0", "1", "3600", "86400", "2678400", "31622400", "200"]).prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|n| n.to_string()),
        1 => select(TOKENS).prop_map(str::to_owned),
    ];
    (calls, proptest::collection::vec(numbers, 3)).prop_map(|((call, body), numbers)| {
        let body = numbers.iter().fold(body.to_owned(), |body, number| body.replacen('$', number, 1));
        if call.starts_with("GET") { call.to_owned() } else { format!("{call}\n\n{body}") }
    })
}

/// For the sandbox: its calls with parameters that they take, and time that passes between them.
pub fn sandbox(seeds: Vec<Vec<u8>>) -> Inputs {
    scripts(prop_oneof![4 => provider_call(), 1 => control_call()], seeds)
}

/// The product's calls with the fields of their bodies.
const PRODUCT: &[(&str, &[&str])] = &[
    ("PUT /v1/customers/{user}", &["email", "name", "locale", "metadata"]),
    (
        "POST /v1/checkouts",
        &[
            "customer",
            "plan",
            "interval",
            "quantity",
            "currency",
            "promotion_code",
            "provider",
            "success_url",
            "cancel_url",
        ],
    ),
    ("POST /v1/customers/{user}/portal", &["return_url", "start", "subscription"]),
    ("POST /v1/customers/{user}/grants", &["plan", "feature", "limit", "expires_at", "reason"]),
    ("DELETE /v1/customers/{user}/grants/{grt}", &["x"]),
    ("POST /v1/customers/{user}/links", &["provider_customer"]),
    (
        "POST /v1/subscriptions/{sub}/preview",
        &["plan", "interval", "quantity", "proration", "proration_date"],
    ),
    ("POST /v1/subscriptions/{sub}/change", &["plan", "interval", "quantity", "proration", "proration_date"]),
    ("POST /v1/subscriptions/{sub}/cancel", &["at"]),
    ("POST /v1/subscriptions/{sub}/resume", &[]),
    ("POST /v1/entitlements/check", &["checks"]),
    ("POST /v1/events/{evt}/replay", &[]),
    ("POST /v1/parked/retry", &["name"]),
    ("POST /v1/sweeps", &["dry_run"]),
    ("GET /v1/customers/{user}/entitlements/$", &[]),
    ("GET /v1/customers/{user}/explain?feature=$", &[]),
    ("GET /v1/customers/{user}/timeline?limit=$&cursor=$", &[]),
    ("GET /v1/events?limit=$&cursor=$&aggregate=$", &[]),
    ("GET /v1/alerts?all=$&limit=$", &[]),
    ("GET /v1/checkouts/$", &[]),
    ("GET /v1/subscriptions/$", &[]),
    ("GET /checkout/return?session_id=$", &[]),
    ("GET /pricing?customer=$&lang=$", &[]),
    ("GET /$", &[]),
];

fn body_values() -> impl Strategy<Value = Value> {
    let known = [
        json!("user_1"),
        json!("user_2"),
        json!("pro"),
        json!("studio"),
        json!("free"),
        json!("month"),
        json!("year"),
        json!("once"),
        json!("jpy"),
        json!("usd"),
        json!("stripe"),
        json!("now"),
        json!("none"),
        json!("next_invoice"),
        json!("period_end"),
        json!("cancel"),
        json!("payment_method"),
        json!("article:full"),
        json!("team:seats"),
        json!("press"),
        json!("{sub}"),
        json!("{cus}"),
        json!("cus_none"),
        json!("https://a.example/x"),
        json!("a@example.com"),
        json!("ja-JP"),
        json!("2026-02-10T00:00:00Z"),
        json!("9999-12-31T23:59:59Z"),
        json!("-009999-01-01T00:00:00Z"),
        json!(1),
        json!(2),
        json!(true),
        json!({ "a": "b" }),
        json!([{ "customer": "user_1", "feature": "article:full" }]),
    ];
    prop_oneof![4 => select(known.to_vec()), 1 => select(odd_values())]
}

fn product_call() -> impl Strategy<Value = String> {
    let fields = proptest::collection::vec((any::<Index>(), body_values()), 0..5);
    let user = select(vec![
        "user_1",
        "user_1",
        "user_1",
        "user_2",
        "%00",
        "a%2Fb",
        "日本",
        "%ff",
        "..",
        "x".repeat(201).leak(),
    ]);
    let key = prop_oneof![3 => Just(None), 1 => select(vec!["k1", "k2", "", "é"]).prop_map(Some)];
    let words = proptest::collection::vec(select(TOKENS), 3);
    (select(PRODUCT), fields, user, key, words).prop_map(|((call, names), fields, user, key, words)| {
        let target = words
            .iter()
            .fold(call.replace("{user}", user), |call, word| call.replacen('$', &encoded(word), 1));
        let key = key.map_or_else(String::new, |key| format!("\nidempotency-key: {key}"));
        let body: serde_json::Map<String, Value> = fields
            .into_iter()
            .filter(|_| !names.is_empty())
            .map(|(name, value)| (names[name.index(names.len())].to_owned(), value))
            .collect();
        if call.starts_with("GET") { target } else { format!("{target}{key}\n\n{}", Value::Object(body)) }
    })
}

/// For the product's HTTP side: its calls with fields that they take.
pub fn api(seeds: Vec<Vec<u8>>) -> Inputs {
    scripts(product_call(), seeds)
}
