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

/** The version of the API for which a trigger's script was written, where later ones have no such parameters. */
export const OF_VERSION = {
  "checkout.session.async_payment_failed": "2024-06-20",
  "checkout.session.async_payment_succeeded": "2024-06-20",
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
};

/** Triggers whose event comes when the test clock that they made is so many days further. */
export const AFTER_CLOCK_DAYS = {
  // Its clock stops nine days before the end of its schedule; the event comes seven days before it.
  "subscription_schedule.expiring": 3,
};

/** Triggers that the rules of the API refuse, the sandbox's as the provider's: how, and why. */
export const AGAINST_THE_RULES = {
  "transfer.created": ["capabilities enabled", "nobody has onboarded the account that it makes"],
  "transfer.reversed": ["capabilities enabled", "nobody has onboarded the account that it makes"],
  "transfer.updated": ["capabilities enabled", "nobody has onboarded the account that it makes"],
};

/** Names that the program has for the scripts of others; the published files have them once. */
export const ALIASES = { "invoice.payment_succeeded": "invoice.paid" };

const sources = "sources, the older payment methods, are not played";
const stream = "usage is not streamed: the program sends it to a host of the provider's";

/** Triggers that do not work yet, and why. One that works must not stand here. */
export const NOT_YET = {
  "customer.source.created": sources,
  "customer.source.updated": sources,
  "v1.billing.meter.error_report_triggered": stream,
  "v1.billing.meter.no_meter_found": stream,
};
