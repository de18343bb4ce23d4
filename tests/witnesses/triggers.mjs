// What is known of the triggers of Stripe's command-line program.

/** Other products, which no billing needs: the sandbox says of their calls that it does not play them. */
export const OTHER_PRODUCTS = ["identity.", "issuing_", "reporting."];

/** Triggers that the program has and the published files leave out. */
export const UNPUBLISHED = ["cash_balance.funds_available", "customer_cash_balance_transaction.created"];

/** Names that are not those of the event that comes. */
export const OTHER_EVENT = {
  "subscription.payment_failed": "invoice.payment_failed",
  "subscription.payment_succeeded": "invoice.payment_succeeded",
};

/** The version of the API for which a trigger's script was written, where later ones have no such parameters. */
export const OF_VERSION = {
  "checkout.session.async_payment_failed": "2024-06-20",
  "checkout.session.async_payment_succeeded": "2024-06-20",
  // A coupon is given to a customer, which left the API with 2025-03-31.basil.
  "customer.discount.created": "2024-06-20",
  "customer.discount.deleted": "2024-06-20",
  "customer.discount.updated": "2024-06-20",
  "promotion_code.created": "2024-06-20",
  "promotion_code.updated": "2024-06-20",
};

/** Triggers whose event comes when so many days have passed. */
export const AFTER_DAYS = {
  "checkout.session.async_payment_failed": 10,
  "checkout.session.async_payment_succeeded": 10,
};

/** Triggers whose event belongs to a connected account, so that only endpoints for connected accounts hear of it. */
export const OF_CONNECTED = ["account.application.deauthorized", "account.updated"];

/** Triggers that need other settings than those from the start, the dashboard's at the provider: which, and why. */
export const WITH_SETTINGS = {
  // Its customer has no card, and the usual retries cancel its subscription, which aborts its schedule, before the end.
  "subscription_schedule.completed": { on_exhaustion: "leave" },
  "subscription_schedule.expiring": { on_exhaustion: "leave" },
  // They send money to an account that nobody has onboarded, which the provider refuses as well.
  "transfer.created": { onboard_at_once: true },
  "transfer.reversed": { onboard_at_once: true },
  "transfer.updated": { onboard_at_once: true },
};

/** Triggers whose event is thin alone, and comes a few seconds after what is wrong with usage. */
export const THIN = ["v1.billing.meter.error_report_triggered", "v1.billing.meter.no_meter_found"];

/** Triggers whose event comes when the test clock that they made is so many days further. */
export const AFTER_CLOCK_DAYS = {
  // Its clock stops nine days before the end of its schedule; the event comes seven days before it.
  "subscription_schedule.expiring": 3,
};

/** Names that the program has for the scripts of others; the published files have them once. */
export const ALIASES = { "invoice.payment_succeeded": "invoice.paid" };
