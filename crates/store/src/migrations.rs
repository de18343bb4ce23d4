//! The list of migrations, oldest first. To add one: put `NNNN_name.sql` into `crates/store/migrations/` and a line here.
//! An applied migration never changes; a test checks that folder and list agree.

use crate::migrate::Migration;

/// All of them.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "first_light", text: include_str!("../migrations/0001_first_light.sql") },
    Migration { version: 2, name: "lookups", text: include_str!("../migrations/0002_lookups.sql") },
    Migration { version: 3, name: "ledger", text: include_str!("../migrations/0003_ledger.sql") },
    Migration { version: 4, name: "deliveries", text: include_str!("../migrations/0004_deliveries.sql") },
    Migration { version: 5, name: "changes", text: include_str!("../migrations/0005_changes.sql") },
    Migration { version: 6, name: "notices", text: include_str!("../migrations/0006_notices.sql") },
    Migration { version: 7, name: "drift", text: include_str!("../migrations/0007_drift.sql") },
    Migration { version: 8, name: "signing_keys", text: include_str!("../migrations/0008_signing_keys.sql") },
    Migration { version: 9, name: "feed", text: include_str!("../migrations/0009_feed.sql") },
    Migration {
        version: 10,
        name: "app_webhooks",
        text: include_str!("../migrations/0010_app_webhooks.sql"),
    },
    Migration { version: 11, name: "mail", text: include_str!("../migrations/0011_mail.sql") },
    Migration { version: 12, name: "dunning", text: include_str!("../migrations/0012_dunning.sql") },
    Migration { version: 13, name: "catalogs", text: include_str!("../migrations/0013_catalogs.sql") },
    Migration { version: 14, name: "alerts_told", text: include_str!("../migrations/0014_alerts_told.sql") },
    Migration { version: 15, name: "audit", text: include_str!("../migrations/0015_audit.sql") },
    Migration { version: 16, name: "erasure", text: include_str!("../migrations/0016_erasure.sql") },
    Migration { version: 17, name: "import", text: include_str!("../migrations/0017_import.sql") },
    Migration { version: 18, name: "shadow", text: include_str!("../migrations/0018_shadow.sql") },
    Migration {
        version: 19,
        name: "checkout_secrets",
        text: include_str!("../migrations/0019_checkout_secrets.sql"),
    },
    Migration { version: 20, name: "marks", text: include_str!("../migrations/0020_marks.sql") },
    Migration { version: 21, name: "money", text: include_str!("../migrations/0021_money.sql") },
    Migration { version: 22, name: "fraud", text: include_str!("../migrations/0022_fraud.sql") },
    Migration { version: 23, name: "services", text: include_str!("../migrations/0023_services.sql") },
    Migration {
        version: 24,
        name: "gone_customers",
        text: include_str!("../migrations/0024_gone_customers.sql"),
    },
    Migration { version: 25, name: "let_in", text: include_str!("../migrations/0025_let_in.sql") },
    Migration { version: 26, name: "rounds", text: include_str!("../migrations/0026_rounds.sql") },
    Migration {
        version: 27,
        name: "answers_of_customers",
        text: include_str!("../migrations/0027_answers_of_customers.sql"),
    },
    Migration {
        version: 28,
        name: "disputed_payments",
        text: include_str!("../migrations/0028_disputed_payments.sql"),
    },
    Migration {
        version: 29,
        name: "swept_events",
        text: include_str!("../migrations/0029_swept_events.sql"),
    },
    Migration {
        version: 30,
        name: "payment_owners",
        text: include_str!("../migrations/0030_payment_owners.sql"),
    },
    Migration {
        version: 31,
        name: "warned_payments",
        text: include_str!("../migrations/0031_warned_payments.sql"),
    },
];
