//! What is at the provider, in the domain's words.

use quittance_domain::catalog::Price;
use quittance_domain::offer::{coupon_of_channel, coupon_of_promotion};
use quittance_domain::shop::{
    Found, FoundCode, FoundCoupon, FoundPortal, FoundPrice, FoundProduct, Portal, PortalCancel,
    PortalProduct, PortalUpdate,
};
use quittance_stripe::calls::offers::ListPromotionCodes;
use quittance_stripe::calls::prices::ListPrices;
use quittance_stripe::calls::{self, Call, Paging};
use quittance_stripe::error::StripeError;
use quittance_stripe::observe::{
    ObservedPortalConfiguration, ObservedPortalProduct, ObservedPrice, ObservedPromotionCode, Page,
};

use super::Shop;
use super::steps::{OWN, PLAN, PORTAL, PROMOTION};
use crate::problem::Problem;
use crate::sync::names_missing;

/// Pages of one list that are read.
const MOST_PAGES: usize = 50;
/// Lookup keys that one call asks for.
const KEYS: usize = 10;

impl Shop<'_> {
    /// Everything of the catalog that is at the provider.
    #[crate::boxed]
    pub(super) async fn look(&self) -> Result<Found, Problem> {
        let mut found = Found::default();
        self.look_at_products(&mut found).await?;
        self.look_at_prices(&mut found).await?;
        self.look_at_offers(&mut found).await?;
        let pages = self.all(|after: Option<&str>| calls::portal::list_configurations(from(after))).await?;
        found.portals = pages.into_iter().filter_map(portal).collect();
        Ok(found)
    }

    /// Every object of a list.
    async fn all<T>(&self, call: impl Fn(Option<&str>) -> Call<Page<T>>) -> Result<Vec<T>, StripeError>
    where
        Call<Page<T>>: Clone,
    {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let page = self.send(call(after.as_deref())).await?;
            after = page.last_id;
            all.extend(page.items);
            if !page.has_more {
                break;
            }
        }
        Ok(all)
    }

    async fn look_at_products(&self, found: &mut Found) -> Result<(), Problem> {
        for product in self.all(|after: Option<&str>| calls::prices::list_products(from(after))).await? {
            found.products.push(FoundProduct {
                plan: product.metadata.get(PLAN).cloned(),
                id: product.id,
                name: product.name,
                description: product.description,
                active: product.active,
            });
        }
        Ok(())
    }

    async fn look_at_prices(&self, found: &mut Found) -> Result<(), Problem> {
        let prices: Vec<&Price> = self.catalog.prices().map(|(_, price)| price).collect();
        for id in prices.iter().filter_map(|price| price.stripe.as_deref()) {
            match self.send(calls::prices::retrieve(id)).await {
                Ok(price) => add(found, price),
                Err(error) if names_missing(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let keys: Vec<&str> = prices
            .iter()
            .filter(|price| price.stripe.is_none())
            .map(|price| price.lookup_key.as_str())
            .collect();
        for some in keys.chunks(KEYS) {
            let call = |after: Option<&str>| {
                calls::prices::list(&ListPrices {
                    lookup_keys: some,
                    paging: from(after),
                    ..ListPrices::default()
                })
            };
            // One that is sold comes before one that is not.
            let mut priced = self.all(call).await?;
            priced.sort_by_key(|price| !price.active);
            for price in priced {
                add(found, price);
            }
        }
        let mut products: Vec<String> =
            found.products.iter().filter(|p| p.active && p.plan.is_some()).map(|p| p.id.clone()).collect();
        products.extend(found.prices.iter().filter_map(|price| price.product.clone()));
        products.sort_unstable();
        products.dedup();
        for product in &products {
            let call = |after: Option<&str>| {
                let product = Some(product.as_str());
                calls::prices::list(&ListPrices {
                    product,
                    active: Some(true),
                    paging: from(after),
                    ..ListPrices::default()
                })
            };
            for price in self.all(call).await? {
                add(found, price);
            }
        }
        Ok(())
    }

    async fn look_at_offers(&self, found: &mut Found) -> Result<(), Problem> {
        let of_channels = self.catalog.channels().iter().filter_map(|channel| {
            channel.reduction.as_ref().map(|reduction| coupon_of_channel(&channel.key, reduction))
        });
        let promotions = self.catalog.promotions();
        for id in of_channels.chain(promotions.iter().map(coupon_of_promotion)) {
            match self.send(calls::offers::retrieve_coupon(&id)).await {
                Ok(coupon) => found.coupons.push(FoundCoupon { id: coupon.id, name: coupon.name }),
                Err(error) if names_missing(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for code in promotions.iter().filter_map(|promotion| promotion.code.as_deref()) {
            let call = |after: Option<&str>| {
                calls::offers::list_codes(&ListPromotionCodes {
                    code: Some(code),
                    active: None,
                    paging: from(after),
                })
            };
            for known in self.all(call).await? {
                add_code(found, known);
            }
        }
        let call = |after: Option<&str>| {
            calls::offers::list_codes(&ListPromotionCodes {
                code: None,
                active: Some(true),
                paging: from(after),
            })
        };
        for known in self.all(call).await? {
            if known.metadata.contains_key(PROMOTION) {
                add_code(found, known);
            }
        }
        Ok(())
    }
}

/// A page after an id.
fn from(after: Option<&str>) -> Paging<'_> {
    Paging { starting_after: after, ..Paging::default() }
}

fn add(found: &mut Found, price: ObservedPrice) {
    if found.prices.iter().any(|known| known.id == price.id) {
        return;
    }
    found.prices.push(in_words(price));
}

/// A price in the domain's words.
pub(super) fn in_words(price: ObservedPrice) -> FoundPrice {
    FoundPrice {
        plan: price.metadata.get(PLAN).cloned(),
        own: price.metadata.contains_key(OWN),
        id: price.id,
        product: price.product_id,
        active: price.active,
        currency: price.currency,
        amount: price.unit_amount,
        every: price.interval.zip(price.interval_count),
        lookup_key: price.lookup_key,
        tax: price.tax_behavior,
    }
}

fn add_code(found: &mut Found, code: ObservedPromotionCode) {
    if found.codes.iter().any(|known| known.id == code.id) {
        return;
    }
    found.codes.push(FoundCode {
        promotion: code.metadata.get(PROMOTION).cloned(),
        id: code.id,
        code: code.code,
        active: code.active,
        coupon: code.coupon,
        redeemed: code.times_redeemed,
    });
}

/// A configuration with our mark in the domain's words.
pub(super) fn portal(found: ObservedPortalConfiguration) -> Option<FoundPortal> {
    let mark = found.metadata.get(PORTAL)?.clone();
    let sorted = |mut words: Vec<String>| {
        words.sort_unstable();
        words
    };
    let portal = Portal {
        mark,
        customer_update: sorted(found.customer_update),
        invoice_history: found.invoice_history,
        payment_method_update: found.payment_method_update,
        cancel: found
            .cancel
            .map(|(mode, reasons)| PortalCancel { at_once: mode == "immediately", reasons: sorted(reasons) }),
        update: found.update.map(|update| PortalUpdate {
            proration: update.proration,
            at_period_end: sorted(update.at_period_end),
            keeps_trial: update.trial_update.as_deref() == Some(calls::portal::KEEPS_TRIAL),
            products: {
                let counts = update.allowed.iter().any(|word| word == "quantity");
                let offered = |found: ObservedPortalProduct| PortalProduct {
                    product: found.product,
                    prices: sorted(found.prices),
                    units: counts && found.units,
                };
                let mut products: Vec<PortalProduct> = update.products.into_iter().map(offered).collect();
                products.sort();
                products
            },
        }),
    };
    Some(FoundPortal { id: found.id, portal })
}
