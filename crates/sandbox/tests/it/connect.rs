//! The platform and its accounts: whom a request speaks for.

use quittance_sandbox::HttpRequest;

use crate::client::{client, text};

#[test]
fn a_request_for_an_account_that_nobody_knows_is_refused_and_not_kept() {
    let client = client();
    let request = || {
        HttpRequest::new("POST", "/v1/customers", "sk_test_123", "name=Ada").header("Idempotency-Key", "one")
    };
    let refused = client.sandbox.handle(request().header("Stripe-Account", "acct_nobody"));
    assert_eq!(refused.status, 403);
    let error = refused.value()["error"].clone();
    assert_eq!(
        (text(&error, "/code"), text(&error, "/type")),
        ("account_invalid", "invalid_request_error"),
        "{error:#}"
    );
    assert!(client.events("").is_empty(), "nothing happened");
    let own = client.sandbox.account_id().to_owned();
    let made = client.sandbox.handle(request().header("stripe-account", &own));
    assert_eq!((made.status, made.header_value("stripe-account")), (200, Some(own.as_str())));
    assert!(made.header_value("idempotent-replayed").is_none(), "the refusal was not kept for the key");
}
