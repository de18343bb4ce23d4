// What is known of the triggers of Stripe's command-line program.

/** Products that no subscription needs, and that the sandbox does not play. */
export const OF_NO_CONCERN = [
  "cash_balance.",
  "customer_cash_balance_transaction.",
  "identity.",
  "issuing_",
  "reporting.",
];

/** Names that are not those of the event that comes. */
export const OTHER_EVENT = {
  "subscription.payment_failed": "invoice.payment_failed",
  "subscription.payment_succeeded": "invoice.payment_succeeded",
};

/** Triggers that run to their end and make no event of their name, and why. */
export const WITHOUT_EVENT = {
  "balance.available": "payments become available without an event",
  "checkout.session.async_payment_failed": "delayed payment methods are not played yet",
  "customer.subscription.paused": "a trial that ends without a card does not pause yet",
};

/** Names that the program has for the scripts of others; the published files have them once. */
export const ALIASES = { "invoice.payment_succeeded": "invoice.paid" };

const connect = "Connect is not played yet";
const coupons = "coupons are not played yet";
const notes = "credit notes are not played yet";
const delayed = "delayed payment methods are not played yet";
const schedules = "subscription schedules are not played yet";
const clocks = "test clocks are not played yet";
const taxes = "tax rates are not played yet";
const quotes = "quotes are not played yet";
const meters = "meters are not played yet";

/** Triggers that do not work yet, and why. One that works must not stand here. */
export const NOT_YET = {
  "account.application.deauthorized": connect,
  "account.updated": connect,
  "charge.captured": "manual capture is not played yet",
  "checkout.session.async_payment_succeeded": delayed,
  "coupon.created": coupons,
  "coupon.deleted": coupons,
  "coupon.updated": coupons,
  "credit_note.created": notes,
  "credit_note.updated": notes,
  "credit_note.voided": notes,
  "customer.discount.created": coupons,
  "customer.discount.deleted": coupons,
  "customer.discount.updated": coupons,
  "customer.source.created": "sources are not played yet",
  "customer.source.updated": "sources are not played yet",
  "payment_intent.amount_capturable_updated": "manual capture is not played yet",
  "payment_intent.partially_funded": "customer balances are not played yet",
  "payment_intent.processing": delayed,
  "payment_link.created": "payment links are not played yet",
  "payment_link.updated": "payment links are not played yet",
  "payout.created": "payouts are not played yet",
  "payout.updated": "payouts are not played yet",
  "plan.created": "plans, the older prices, are not played",
  "plan.deleted": "plans, the older prices, are not played",
  "plan.updated": "plans, the older prices, are not played",
  "promotion_code.created": coupons,
  "promotion_code.updated": coupons,
  "quote.accepted": quotes,
  "quote.canceled": quotes,
  "quote.created": quotes,
  "quote.finalized": quotes,
  "subscription_schedule.aborted": schedules,
  "subscription_schedule.canceled": schedules,
  "subscription_schedule.completed": schedules,
  "subscription_schedule.created": schedules,
  "subscription_schedule.expiring": schedules,
  "subscription_schedule.released": schedules,
  "subscription_schedule.updated": schedules,
  "tax_rate.created": taxes,
  "tax_rate.updated": taxes,
  "test_helpers.test_clock.advancing": clocks,
  "test_helpers.test_clock.created": clocks,
  "test_helpers.test_clock.deleted": clocks,
  "test_helpers.test_clock.ready": clocks,
  "topup.created": "top-ups are not played yet",
  "transfer.created": connect,
  "transfer.reversed": connect,
  "transfer.updated": connect,
  "v1.billing.meter.error_report_triggered": meters,
  "v1.billing.meter.no_meter_found": meters,
};
