//! The life after the purchase: change, cancel, resume, failure and recovery, purchases, grants, portal.

use quittance_domain::change::When;
use quittance_domain::{Access, Currency, Money};
use quittance_engine::ProblemCode;
use quittance_engine::api_keys::{Caller, KeyScope};
use quittance_engine::checkout::NewCheckout;
use quittance_engine::commands::request::{CancelAt, PortalStart, Proration};
use quittance_engine::grants::NewGrant;
use quittance_engine::subscriptions::Change;
use quittance_sandbox::CheckoutOutcome;
use quittance_store::customers::CustomerPatch;

use crate::house::{House, customer, on_each, pro};

fn operator() -> Caller {
    Caller { key: quittance_domain::ids::ApiKeyId::derived(&["operator"]), scopes: KeyScope::ALL.to_vec() }
}

fn yen(minor: i64) -> Money {
    Money::new(minor, Currency::parse("jpy").unwrap())
}

#[tokio::test]
async fn three_d_secure_and_declines_grant_only_when_the_money_is_there() {
    on_each(|h| {
        Box::pin(async move {
            let row = h.open(&pro("ada")).await;
            let session = row.session.clone().unwrap();
            let declined = h.sandbox.complete_checkout(&session, "pm_card_visa_chargeDeclined").unwrap_err();
            assert_eq!(declined.code, "card_declined");
            h.settle().await;
            assert!(!h.allowed("ada", "article:full").await);
            let outcome = h.pay(&session, "pm_card_authenticationRequired");
            let CheckoutOutcome::RequiresAction { intent, .. } = outcome else { panic!("{outcome:?}") };
            h.settle().await;
            assert!(!h.allowed("ada", "article:full").await, "not before the bank says yes");
            assert!(h.sandbox.authenticate(&intent, true).unwrap());
            h.settle().await;
            assert!(h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

#[tokio::test]
async fn a_one_off_purchase_is_kept_for_good_beside_a_subscription() {
    on_each(|h| {
        Box::pin(async move {
            h.subscriber("ada").await;
            assert!(!h.allowed("ada", "course:library").await);
            let row = h
                .open(&NewCheckout { plan: "course".into(), interval: Some("once".into()), ..pro("ada") })
                .await;
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            h.settle().await;
            let answer = h.engine.check("ada", "course:library").await.unwrap();
            assert!(answer.allowed);
            assert_eq!(answer.expires_at, None);
            h.live(400).await;
            assert!(h.allowed("ada", "course:library").await);
            let view = h.engine.customer("ada").await.unwrap();
            assert_eq!((view.subscriptions.len(), view.purchases.len()), (1, 1));
        })
    })
    .await;
}

#[tokio::test]
async fn a_change_costs_what_its_preview_said() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            h.sandbox.advance_time(14 * 86_400);
            h.settle().await;
            let wanted = Change { plan: Some("studio".into()), ..Change::default() };
            let preview = h.engine.preview_change(&id, &wanted).await.unwrap();
            assert_eq!(preview.due.currency, yen(0).currency);
            assert!(preview.due.minor > 0 && preview.due.minor < 9_800, "{preview:?}");
            h.sandbox.advance_time(600);
            let before = charged(h);
            let change = Change {
                proration_date: Some(preview.proration_date),
                proration: Some(Proration::Now),
                ..wanted
            };
            h.engine.change_subscription(&id, &change, None).await.unwrap();
            h.settle().await;
            assert_eq!(charged(h) - before, preview.due.minor);
            let answer = h.engine.check("ada", "team:seats").await.unwrap();
            assert_eq!((answer.allowed, answer.limit), (true, Some(5)));
        })
    })
    .await;
}

#[tokio::test]
async fn a_change_that_cannot_be_paid_changes_nothing() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            break_the_card(h, &id);
            h.settle().await;
            let wanted = Change { plan: Some("studio".into()), ..Change::default() };
            let refused = h.engine.change_subscription(&id, &wanted, None).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::PaymentDeclined, "{refused:?}");
            assert_eq!(refused.money, quittance_engine::Money::No);
            h.settle().await;
            assert!(h.allowed("ada", "article:full").await);
            assert!(!h.allowed("ada", "team:seats").await);
        })
    })
    .await;
}

/// A tab that got no answer asks again after another tab has changed its mind: its key names what was done already.
#[tokio::test]
async fn a_change_that_is_asked_for_again_is_not_made_again() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let to =
                |plan: &str| Change { plan: Some(plan.into()), when: Some(When::Now), ..Change::default() };
            for (plan, key) in [("studio", "first tab"), ("pro", "second tab"), ("studio", "first tab")] {
                h.engine.change_subscription(&id, &to(plan), Some(key)).await.unwrap();
                h.settle().await;
            }
            assert!(!h.allowed("ada", "team:seats").await, "what was asked for last stays");
            let cancelled = |asked| h.engine.cancel_subscription(&id, CancelAt::PeriodEnd, asked);
            cancelled(Some("first tab")).await.unwrap();
            h.engine.resume_subscription(&id, Some("second tab")).await.unwrap();
            let row = cancelled(Some("first tab")).await.unwrap();
            assert_eq!(row.subscription.facts.ends_at(), None, "the resume came after it");
            let bills = h.sandbox.ledger().customers.iter().map(|c| c.invoices.len()).sum::<usize>();
            assert_eq!(bills, 3, "one purchase and two changes");
        })
    })
    .await;
}

/// Everything that was charged, in yen.
fn charged(h: &House) -> i64 {
    h.sandbox.ledger().customers.iter().flat_map(|c| &c.charges).filter(|c| c.paid).map(|c| c.amount).sum()
}

/// Puts a card on the subscription that attaches and then declines every charge.
fn break_the_card(h: &House, subscription: &str) {
    let found = h.provider("GET", &format!("/v1/subscriptions/{subscription}"), "");
    let buyer = found["customer"].as_str().unwrap();
    let method = h.provider(
        "POST",
        "/v1/payment_methods/pm_card_chargeCustomerFail/attach",
        &format!("customer={buyer}"),
    );
    let form = format!("default_payment_method={}", method["id"].as_str().unwrap());
    h.provider("POST", &format!("/v1/subscriptions/{subscription}"), &form);
}

fn mend_the_card(h: &House, subscription: &str) {
    let found = h.provider("GET", &format!("/v1/subscriptions/{subscription}"), "");
    let buyer = found["customer"].as_str().unwrap();
    let method = h.provider("POST", "/v1/payment_methods/pm_card_visa/attach", &format!("customer={buyer}"));
    let form = format!("default_payment_method={}", method["id"].as_str().unwrap());
    h.provider("POST", &format!("/v1/subscriptions/{subscription}"), &form);
    let invoice = found["latest_invoice"].as_str().unwrap();
    h.provider("POST", &format!("/v1/invoices/{invoice}/pay"), "");
}

#[tokio::test]
async fn a_failed_renewal_has_one_grace_and_recovery_gives_access_back() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            break_the_card(h, &id);
            h.live(29).await;
            let first = h.engine.check("ada", "article:full").await.unwrap();
            assert_eq!((first.allowed, first.access), (true, Some(Access::Grace)));
            let deadline = first.expires_at.unwrap();
            // Retries move nothing; the free plan stays when grace ends.
            h.live(4).await;
            assert_eq!(h.engine.check("ada", "article:full").await.unwrap().expires_at, Some(deadline));
            h.live(4).await;
            let after = h.engine.check("ada", "article:full").await.unwrap();
            assert_eq!((after.allowed, after.access), (false, Some(Access::Revoked)));
            assert!(h.allowed("ada", "article:preview").await);
            let notices = crate::known_kit::notices(h, "ada").await;
            let mut told: Vec<_> = notices.iter().map(|n| (n.object.clone(), n.occurrence.clone())).collect();
            let count = told.len();
            told.sort();
            told.dedup();
            assert!(count >= 2 && told.len() == count, "once per attempt: {notices:?}");
            mend_the_card(h, &id);
            h.settle().await;
            assert!(h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

#[tokio::test]
async fn cancel_resume_cancel_are_three_commands_and_access_ends_exactly() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            for round in 0..2 {
                let row = h.engine.cancel_subscription(&id, CancelAt::PeriodEnd, None).await.unwrap();
                h.settle().await;
                let ledger = h.sandbox.ledger();
                let at_provider =
                    ledger.customers.iter().flat_map(|c| &c.subscriptions).find(|s| s.id == id).unwrap();
                assert!(at_provider.cancel_at_period_end, "round {round}: {:?}", row.subscription.facts);
                if round == 0 {
                    h.engine.resume_subscription(&id, None).await.unwrap();
                    h.settle().await;
                    let row = h.engine.subscription(&id).await.unwrap();
                    assert_eq!(row.subscription.facts.ends_at(), None);
                }
            }
            let end = h.engine.subscription(&id).await.unwrap().subscription.facts.ends_at().unwrap();
            h.drop_webhooks();
            h.sandbox.advance_time(end.seconds() - h.engine.now().seconds() - 1);
            assert!(h.allowed("ada", "article:full").await);
            h.sandbox.advance_time(2);
            assert!(!h.allowed("ada", "article:full").await, "without an event, a job or a sync");
            let over = h.engine.cancel_subscription(&id, CancelAt::Now, None).await;
            h.settle().await;
            assert!(over.is_ok(), "what is over is answered as it is");
        })
    })
    .await;
}

#[tokio::test]
async fn grants_are_at_once_have_an_end_and_are_taken_back_at_once() {
    on_each(|h| {
        Box::pin(async move {
            let ada = customer("ada");
            let gift = |plan: Option<&str>, feature: Option<&str>| NewGrant {
                plan: plan.map(Into::into),
                feature: feature.map(Into::into),
                limit: Some(3),
                expires_at: Some(h.engine.now().plus_ms(86_400_000)),
                reason: "support case 7".into(),
                idempotency: None,
            };
            let unknown = h.engine.grant(&ada, &gift(Some("pro"), None), &operator()).await.unwrap_err();
            assert_eq!(unknown.code, ProblemCode::NotFound);
            h.engine.put_customer(&ada, CustomerPatch::default()).await.unwrap();
            let plan = h.engine.grant(&ada, &gift(Some("pro"), None), &operator()).await.unwrap();
            assert!(h.allowed("ada", "article:full").await);
            h.engine.grant(&ada, &gift(None, Some("review:request")), &operator()).await.unwrap();
            assert_eq!(h.engine.check("ada", "review:request").await.unwrap().limit, Some(3));
            h.engine.revoke_grant(&ada, plan.id.as_str(), &operator()).await.unwrap();
            assert!(!h.allowed("ada", "article:full").await);
            let other =
                h.engine.revoke_grant(&customer("eve"), plan.id.as_str(), &operator()).await.unwrap_err();
            assert_eq!(other.code, ProblemCode::NotFound);
            h.sandbox.advance_time(86_400);
            assert!(!h.allowed("ada", "review:request").await);
            for bad in [gift(Some("gold"), None), gift(None, Some("flying")), gift(None, None)] {
                assert_eq!(
                    h.engine.grant(&ada, &bad, &operator()).await.unwrap_err().code,
                    ProblemCode::InvalidRequest
                );
            }
        })
    })
    .await;
}

#[tokio::test]
async fn the_portal_opens_for_known_customers_and_its_changes_come_back_by_webhook() {
    on_each(|h| {
        Box::pin(async move {
            let nobody = h.engine.open_portal(&customer("eve"), None, PortalStart::Home).await.unwrap_err();
            assert_eq!(nobody.code, ProblemCode::NoProviderCustomer);
            let id = h.subscriber("ada").await;
            let url = h.engine.open_portal(&customer("ada"), None, PortalStart::Home).await.unwrap();
            assert!(url.starts_with("http://127.0.0.1:12111/"), "{url}");
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "cancel_at_period_end=true");
            h.settle().await;
            let row = h.engine.subscription(&id).await.unwrap();
            assert!(row.subscription.facts.cancel_at_period_end);
        })
    })
    .await;
}

#[tokio::test]
async fn explaining_shows_the_chain_from_event_to_entitlement() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let why = h.engine.explain("ada", "article:full").await.unwrap();
            assert!(why.answer.allowed && why.known_customer && why.known_feature);
            let link = why.links.iter().find(|l| *l.source.id == *id).unwrap();
            assert!(link.has_feature);
            assert!(link.because.contains("the provider says active"), "{}", link.because);
            assert!(
                link.history.iter().any(|l| l.kind == "access.changed" && l.cause.contains("evt_")),
                "{link:?}"
            );
            let begun = link.history.iter().find(|l| l.kind == "subscription.created").unwrap();
            let cause: serde_json::Value = serde_json::from_str(&begun.cause).unwrap();
            let events = cause["events"].as_array().unwrap();
            let of_it = |event: &serde_json::Value| {
                event["type"].as_str().is_some_and(|kind| kind.starts_with("customer.subscription."))
            };
            assert!(!events.is_empty() && events.iter().all(of_it), "a purchase has more events: {cause}");
            let no = h.engine.explain("nobody", "article:full").await.unwrap();
            assert!(!no.answer.allowed && !no.known_customer);
        })
    })
    .await;
}
