//! Carrying out one step: one call, with the key of the push.

use quittance_domain::Timestamp;
use quittance_domain::catalog::Interval;
use quittance_domain::shop::{Found, FoundPortal, Portal, PortalProduct, Step};
use quittance_stripe::calls;
use quittance_stripe::calls::offers::CreatePromotionCode;
use quittance_stripe::calls::portal::{OfferedProduct, PortalFeatures, PortalUpdates};
use quittance_stripe::calls::prices::{CreatePrice, ProductDetails};

use super::Shop;
use super::look::{in_words, portal};
use crate::pricing::{NewCoupon, coupon_call, marks};
use crate::problem::{Problem, ProblemCode};

/// The metadata key that names a plan on products and prices.
pub(super) const PLAN: &str = "quittance_plan";
/// The metadata key of prices that were negotiated with customers.
pub(super) const OWN: &str = "quittance_own";
/// The metadata key that names a promotion on coupons and codes.
pub(super) const PROMOTION: &str = "quittance_promotion";
/// The metadata key that names plan group and currency on portal configurations.
pub(super) const PORTAL: &str = "quittance_portal";

impl Shop<'_> {
    /// Does one step and keeps in `found` what later ones of the same push need.
    #[crate::boxed]
    pub(super) async fn carry_out(
        &self,
        step: &Step,
        round: usize,
        found: &mut Found,
    ) -> Result<(), Problem> {
        let key = self.key(step, round)?;
        match step {
            Step::CreateProduct { product, plan, name, description } => {
                let metadata = marks(&[(PLAN, plan)]);
                let details = ProductDetails {
                    name,
                    description: description.as_deref(),
                    active: true,
                    metadata: &metadata,
                };
                self.send(calls::prices::create_product(Some(product), details, key)).await?;
            }
            Step::UpdateProduct { product, plan, name, description } => {
                let metadata = marks(&[(PLAN, plan)]);
                let details = ProductDetails {
                    name,
                    description: description.as_deref(),
                    active: true,
                    metadata: &metadata,
                };
                self.send(calls::prices::update_product(product, details, key)).await?;
            }
            Step::CreatePrice { product, plan, lookup_key, interval, amount, tax, .. } => {
                let metadata = marks(&[(PLAN, plan)]);
                let wanted = CreatePrice {
                    product,
                    currency: amount.currency.code(),
                    unit_amount: amount.minor,
                    recurring: (*interval != Interval::Once).then(|| (interval.as_str(), 1)),
                    lookup_key: Some(lookup_key),
                    transfer_lookup_key: true,
                    tax_behavior: tax.at_provider(),
                    metadata: &metadata,
                };
                let made = self.send(calls::prices::create(&wanted, key)).await?;
                for old in &mut found.prices {
                    if old.lookup_key.as_ref() == Some(lookup_key) {
                        old.lookup_key = None;
                    }
                }
                found.prices.push(in_words(made));
            }
            Step::AdoptPrice { price, plan, .. } => {
                self.send(calls::prices::update(price, true, &marks(&[(PLAN, plan)]), key)).await?;
            }
            Step::ArchivePrice { price, plan } => {
                self.send(calls::prices::update(price, false, &marks(&[(PLAN, plan)]), key)).await?;
            }
            Step::RetireProduct { product, .. } => {
                self.send(calls::prices::archive_product(product, key)).await?;
            }
            Step::CreateCoupon { coupon, name, reduction, products, max_redemptions, until } => {
                let wanted = NewCoupon {
                    id: coupon,
                    name: Some(name),
                    reduction,
                    max_redemptions: *max_redemptions,
                    until: *until,
                    products: products.iter().map(String::as_str).collect(),
                    marks: marks(&[(PROMOTION, coupon)]),
                };
                self.send(coupon_call(&wanted, key)).await?;
            }
            Step::RenameCoupon { coupon, name } => {
                self.send(calls::offers::rename_coupon(coupon, name, key)).await?;
            }
            Step::CreateCode { code, coupon, promotion, first_purchase, max_redemptions, until } => {
                let wanted = CreatePromotionCode {
                    coupon,
                    code,
                    first_purchase: *first_purchase,
                    max_redemptions: *max_redemptions,
                    expires_at_s: until.map(Timestamp::seconds),
                    metadata: &marks(&[(PROMOTION, promotion)]),
                };
                self.send(calls::offers::create_code(&wanted, key)).await?;
            }
            Step::SwitchCode { id, active, .. } => {
                self.send(calls::offers::set_code_active(id, *active, key)).await?;
            }
            Step::CreatePortal { portal } => self.put_portal(None, portal, key, found).await?,
            Step::UpdatePortal { id, portal } => self.put_portal(Some(id), portal, key, found).await?,
        }
        Ok(())
    }

    async fn put_portal(
        &self,
        id: Option<&str>,
        wanted: &Portal,
        key: calls::IdempotencyKey,
        found: &mut Found,
    ) -> Result<(), Problem> {
        let words = |words: &'_ [String]| words.iter().map(|word| (*word).clone()).collect::<Vec<String>>();
        let (customer, conditions) = (
            words(&wanted.customer_update),
            wanted.update.as_ref().map(|update| words(&update.at_period_end)).unwrap_or_default(),
        );
        let customer: Vec<&str> = customer.iter().map(String::as_str).collect();
        let conditions: Vec<&str> = conditions.iter().map(String::as_str).collect();
        let reasons: Vec<&str> =
            wanted.cancel.iter().flat_map(|cancel| &cancel.reasons).map(String::as_str).collect();
        let products = resolved(wanted, found)?;
        let offered: Vec<OfferedProduct<'_>> = products
            .iter()
            .map(|known| OfferedProduct {
                product: &known.product,
                prices: known.prices.iter().map(String::as_str).collect(),
                units: known.units,
            })
            .collect();
        let metadata = marks(&[(PORTAL, &wanted.mark)]);
        let features = PortalFeatures {
            customer_update: &customer,
            invoice_history: wanted.invoice_history,
            payment_method_update: wanted.payment_method_update,
            cancel: wanted.cancel.as_ref().map(|cancel| (cancel.at_once, reasons.as_slice())),
            update: wanted.update.as_ref().map(|update| PortalUpdates {
                proration: &update.proration,
                at_period_end: &conditions,
                products: &offered,
            }),
            metadata: &metadata,
        };
        let made = match id {
            None => self.send(calls::portal::create_configuration(&features, key)).await?,
            Some(id) => self.send(calls::portal::update_configuration(id, &features, key)).await?,
        };
        let made: Option<FoundPortal> = portal(made);
        found.portals.retain(|known| Some(&known.id) != made.as_ref().map(|made| &made.id));
        found.portals.extend(made);
        Ok(())
    }
}

/// Products and prices of a configuration by their ids: those that this push made are known by now.
fn resolved(portal: &Portal, found: &Found) -> Result<Vec<PortalProduct>, Problem> {
    let id_of = |price: &String| match price.strip_prefix("lookup:") {
        None => Ok(price.clone()),
        Some(key) => {
            let known = found.prices.iter().find(|known| known.lookup_key.as_deref() == Some(key));
            known.map(|known| known.id.clone()).ok_or_else(|| {
                Problem::new(
                    ProblemCode::UnknownPrice,
                    format!("The price `{key}` is not at the provider."),
                    "Run `quittance catalog check`, and mend what it finds; then push again.",
                )
            })
        }
    };
    let products = portal.update.iter().flat_map(|update| &update.products);
    products
        .map(|known| {
            let prices = known.prices.iter().map(id_of).collect::<Result<_, Problem>>()?;
            Ok(PortalProduct { prices, ..known.clone() })
        })
        .collect()
}
