//! The OpenAPI document: made from the routes, with what all of them have in common added once.

use std::sync::OnceLock;

use serde_json::Value;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder, ServerBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use super::problem::{MEDIA_TYPE, ProblemDocument};

const INTRODUCTION: &str = "\
One yes-or-no question matters most: `GET /v1/customers/{id}/entitlements/{feature}`.

Send `Authorization: Bearer qk_…`. Keys have scopes: `read`, `write`, `admin`; each call names the one it needs. \
Times are RFC 3339 in UTC. Amounts are in minor units with an ISO 4217 currency. Fields that a call does not know are refused.

Calls that change something take an `Idempotency-Key`: the same key with the same request has one effect and gets the same \
answer again, with `Idempotent-Replayed: true`. While the first one runs the answer is 409, and another request under the same \
key gets 422. Answers that invite to try again are not kept, so the same key can be sent again.

Errors are problem documents (RFC 9457) with a stable `code`, a `mend` that says what to do, and `money_moved`, which says \
whether money moved because of the request.";

const TAGS: [(&str, &str); 14] = [
    ("Entitlements", "May this customer use this feature?"),
    ("Customers", "Your users, teams or accounts."),
    ("Checkouts", "From a wish to an address where the buyer pays."),
    ("Subscriptions", "Change, cancel, resume."),
    ("Plans", "What can be bought."),
    ("Grants", "What operators give by hand, and links to the provider's customers."),
    ("Payments", "Money in and back: failing payments, refunds, disputes."),
    ("Money", "Payments, refunds and disputes."),
    ("Ledger", "What is owed, what was paid, what it cost: double entry, per currency."),
    ("Operations", "The inbox, parked work, alerts, sweeps."),
    ("Shadow mode", "Beside an existing integration: what your app answered, and how that compares."),
    ("App webhooks", "Your app is told of changes: signed, in order, again until it has them."),
    ("Webhooks", "For providers."),
    ("Health", "For machines that watch."),
];

/// Completes the document that the routes made.
#[must_use]
pub fn complete(mut api: OpenApi) -> OpenApi {
    api.info = InfoBuilder::new()
        .title("Quittance API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(INTRODUCTION))
        .license(Some(
            utoipa::openapi::LicenseBuilder::new()
                .name("MIT OR Apache-2.0")
                .identifier(Some("MIT OR Apache-2.0"))
                .build(),
        ))
        .build();
    api.servers = Some(vec![ServerBuilder::new().url("/").description(Some("This server")).build()]);
    api.tags = Some(
        TAGS.iter()
            .map(|(name, words)| {
                utoipa::openapi::tag::TagBuilder::new().name(*name).description(Some(*words)).build()
            })
            .collect(),
    );
    let components = api.components.get_or_insert_with(Components::new);
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("qk_…")
        .description(Some("An API key. The words after the scheme are the scope that the call needs."))
        .build();
    components.add_security_scheme("api_key", SecurityScheme::Http(scheme));
    components.schemas.insert(ProblemDocument::name().into_owned(), ProblemDocument::schema());
    for item in api.paths.paths.values_mut() {
        let all = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        for operation in all.into_iter().flatten() {
            add_common_errors(operation);
            let responses = operation.responses.responses.iter_mut();
            for (_, response) in responses.filter(|(status, _)| status.starts_with(['4', '5'])) {
                if let RefOr::T(response) = response {
                    response.content = problem_content().content;
                }
            }
        }
    }
    api
}

/// The statuses that a call may answer by what it is, besides those that it names itself.
fn add_common_errors(operation: &mut Operation) {
    let keyed = operation.security.as_ref().is_some_and(|all| {
        all.iter().any(|one| serde_json::to_value(one).is_ok_and(|v| v.get("api_key").is_some()))
    });
    if !keyed {
        return;
    }
    let parameters: Vec<_> = operation
        .parameters
        .iter()
        .flatten()
        .filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some(parameter),
            RefOr::Ref(_) => None,
        })
        .collect();
    let changes =
        parameters.iter().any(|p| p.parameter_in == ParameterIn::Header && p.name == "Idempotency-Key");
    let in_path = parameters.iter().any(|p| p.parameter_in == ParameterIn::Path);
    let in_query = parameters.iter().any(|p| p.parameter_in == ParameterIn::Query);
    let mut common = vec![
        ("401", "No API key that is in force"),
        ("403", "The key has not the scope"),
        ("500", "An error of ours; it is in the log"),
        ("503", "The database or the provider cannot be used now: see Retry-After"),
    ];
    if operation.request_body.is_some() || changes {
        common.extend([
            ("400", "The body is not JSON of the expected shape, or has an unknown field"),
            ("413", "The body is too large"),
            ("415", "The body is not JSON"),
        ]);
    }
    if in_path || in_query || changes {
        common.push(("422", "A value cannot be"));
    }
    if changes {
        common.extend([
            ("402", "The payment was declined"),
            ("409", "The state does not allow it, or a request with this Idempotency-Key is running"),
            ("504", "The provider has not answered yet; it is finished in the background"),
        ]);
    }
    for (status, words) in common {
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| problem_response(words));
    }
}

fn problem_content() -> Response {
    let schema = Ref::from_schema_name(ProblemDocument::name());
    let content = ContentBuilder::new().schema(Some(RefOr::Ref(schema))).build();
    ResponseBuilder::new().content(MEDIA_TYPE, content).build()
}

fn problem_response(words: &str) -> RefOr<Response> {
    let mut response = problem_content();
    words.clone_into(&mut response.description);
    RefOr::T(response)
}

/// The document as text, made once.
#[must_use]
pub fn text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| super::openapi().to_pretty_json().unwrap_or_default())
}

/// The document as a value, made once.
#[must_use]
pub fn value() -> &'static Value {
    static VALUE: OnceLock<Value> = OnceLock::new();
    VALUE.get_or_init(|| serde_json::from_str(text()).unwrap_or_default())
}
