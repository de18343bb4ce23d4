//! Puts the catalog into a sandbox by the same push that brings it to the real provider.
//!
//! For `quittance dev`, `sandbox` and `demo` only.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use quittance_domain::Catalog;
use quittance_domain::shop::{Found, PortalPolicy};
use quittance_engine::World;
use quittance_engine::shop::{NotPushed, OnStep, Shop};
use quittance_engine::world::SystemWorld;
use quittance_sandbox::{HttpRequest, Sandbox};
use quittance_stripe::client::StripeClient;
use quittance_stripe::config::{RateLimits, StripeConfig};
use secrecy::SecretString;
use serde_json::Value;

use crate::failure::Failure;
use crate::in_process::InProcess;

/// Makes what is missing and leaves alone what is there; answers what is there now.
///
/// # Errors
/// When the sandbox refuses, with its words.
pub fn seed(sandbox: &Arc<Sandbox>, key: &str, catalog: &Catalog) -> Result<Found, Failure> {
    let world = Arc::new(SystemWorld::default());
    world.set_offset_ms(sandbox.now_ms() - world.now().ms());
    let limits = RateLimits {
        per_second: 1_000_000,
        per_endpoint_per_second: 1_000_000,
        ..RateLimits::for_mode(false)
    };
    let config = StripeConfig { limits, ..StripeConfig::new(SecretString::from(key.to_owned()), false) };
    let clock = Arc::clone(&world);
    let now = Arc::new(move || clock.now().ms());
    let client =
        StripeClient::new(config, Arc::new(InProcess(Arc::clone(sandbox))), now, Arc::new(|_| {}))
            .map_err(|error| Failure::config(error.to_string(), "This is a defect: please report it."))?;
    let shop = Shop {
        stripe: &client,
        world: &*world,
        catalog,
        portal: &PortalPolicy::default(),
        // Nobody goes on with a seeding that was interrupted, so no two share their keys.
        run: format!("seed/{}", u128::from_be_bytes(world.random())),
    };
    let quiet: OnStep = Arc::new(|_, _, _| {});
    let pushed = at_once(shop.push(&[], true, &quiet, async |_: &Found| Ok(())));
    sandbox.reset_provider_calls();
    match pushed {
        Some(Ok(pushed)) => Ok(pushed.found),
        Some(Err(NotPushed::Problem(problem))) => Err(problem.into()),
        Some(Err(NotPushed::Dangerous(_))) | None => Err(Failure::problem(
            "sandbox_refused",
            "the catalog could not be put into the sandbox at once",
            "If you switched faults on, switch them off; else this is a defect of quittance: please report it.",
        )),
    }
}

/// What needs nobody else is done when it is asked for the first time.
fn at_once<T>(work: impl Future<Output = T>) -> Option<T> {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

/// Asks the sandbox for something as the account's own key.
///
/// # Errors
/// When it refuses.
pub fn post(sandbox: &Sandbox, key: &str, path: &str, form: &str) -> Result<Value, Failure> {
    call(sandbox, "POST", key, path, form)
}

/// Any call of the sandbox's API.
///
/// # Errors
/// When it refuses.
pub fn call(sandbox: &Sandbox, method: &str, key: &str, path: &str, form: &str) -> Result<Value, Failure> {
    let answer = sandbox.handle(HttpRequest::new(method, path, key, form));
    if answer.status < 300 {
        return Ok(answer.value());
    }
    let value = answer.value();
    let said = value.pointer("/error/message").and_then(Value::as_str).unwrap_or("no reason given");
    Err(Failure::problem(
        "sandbox_refused",
        format!("the sandbox refused {method} {path} with {}: {said}", answer.status),
        "If you switched faults on, switch them off; else this is a defect of quittance: please report it.",
    ))
}
