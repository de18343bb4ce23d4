//! What the kinds of notices are called. The kinds themselves are the domain's.

pub use quittance_domain::notices::NoticeKind as Kind;

use crate::format::Language;

/// What it is called where customers choose their mails.
#[must_use]
pub const fn title(kind: Kind, language: Language) -> &'static str {
    let (en, ja) = match kind {
        Kind::PaymentFailed => ("A payment failed", "お支払いの失敗"),
        Kind::PaymentActionRequired => ("A payment needs you", "お支払いの本人確認"),
        Kind::PaymentRecovered => ("A failed payment went through", "失敗したお支払いの完了"),
        Kind::GraceEnding => ("Access ends soon without a payment", "未払いによる利用期限の接近"),
        Kind::AccessEnded => ("Access has ended", "ご利用の終了"),
        Kind::TrialEnding => ("A trial ends soon", "無料期間の終了"),
        Kind::RenewalAhead => ("A renewal is ahead", "契約の更新"),
        Kind::PriceChanging => ("The price changes", "料金の改定"),
        Kind::TermsChanging => ("The terms change", "利用規約の改定"),
        Kind::PlanChanged => ("The plan was changed", "プランの変更"),
        Kind::SubscriptionCancelled => ("The plan was cancelled", "解約"),
        Kind::Receipt => ("Receipts", "お支払いの完了"),
        Kind::RefundMade => ("A refund", "ご返金"),
        Kind::RefundFailed => ("A refund that did not arrive", "ご返金の不着"),
        Kind::CardExpiring => ("The card expires soon", "カードの有効期限"),
        Kind::PurchaseProcessing => ("A payment is on its way", "お支払いの受付"),
        Kind::PurchaseFailed => ("A purchase was not paid", "ご購入のお支払いの未完了"),
    };
    language.choose(en, ja)
}
