//! From a balance transaction to its entry: what moved the provider's balance, why, and what it cost.
//!
//! The kinds are Stripe's (API reference, balance transaction types). A kind that is not known, or that does not say what it
//! is for, goes to suspense and is told; the balance is right all the same.

use super::{Account, Entry, Key, Kind, LedgerError, Record, line, negated};
use crate::{Currency, Money, Timestamp};

macro_rules! balance_kinds {
    ($($name:ident = $text:literal),+ $(,)?) => {
        /// The type of a balance transaction, in the provider's words.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each is the provider's own word, below")]
        pub enum BalanceKind { $($name),+, Other(String) }

        impl BalanceKind {
            /// The known words.
            pub const KNOWN: &'static [&'static str] = &[$($text),+];

            /// The provider's word.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self { $(Self::$name => $text,)+ Self::Other(word) => word }
            }
        }

        impl From<String> for BalanceKind {
            fn from(word: String) -> Self {
                match word.as_str() { $($text => Self::$name,)+ _ => Self::Other(word) }
            }
        }
    };
}

balance_kinds! {
    Adjustment = "adjustment",
    Advance = "advance",
    AdvanceFunding = "advance_funding",
    AnticipationRepayment = "anticipation_repayment",
    ApplicationFee = "application_fee",
    ApplicationFeeRefund = "application_fee_refund",
    Charge = "charge",
    ClimateOrderPurchase = "climate_order_purchase",
    ClimateOrderRefund = "climate_order_refund",
    ConnectCollectionTransfer = "connect_collection_transfer",
    Contribution = "contribution",
    FeeCreditFunding = "fee_credit_funding",
    InboundTransfer = "inbound_transfer",
    InboundTransferReversal = "inbound_transfer_reversal",
    IssuingAuthorizationHold = "issuing_authorization_hold",
    IssuingAuthorizationRelease = "issuing_authorization_release",
    IssuingDispute = "issuing_dispute",
    IssuingDisputeProvisionalCredit = "issuing_dispute_provisional_credit",
    IssuingDisputeProvisionalCreditReversal = "issuing_dispute_provisional_credit_reversal",
    IssuingTransaction = "issuing_transaction",
    ObligationOutbound = "obligation_outbound",
    ObligationReversalInbound = "obligation_reversal_inbound",
    Payment = "payment",
    PaymentFailureRefund = "payment_failure_refund",
    PaymentNetworkReserveHold = "payment_network_reserve_hold",
    PaymentNetworkReserveRelease = "payment_network_reserve_release",
    PaymentRefund = "payment_refund",
    PaymentReversal = "payment_reversal",
    PaymentUnreconciled = "payment_unreconciled",
    Payout = "payout",
    PayoutCancel = "payout_cancel",
    PayoutFailure = "payout_failure",
    PayoutMinimumBalanceHold = "payout_minimum_balance_hold",
    PayoutMinimumBalanceRelease = "payout_minimum_balance_release",
    Refund = "refund",
    RefundFailure = "refund_failure",
    ReserveHold = "reserve_hold",
    ReserveRelease = "reserve_release",
    ReserveTransaction = "reserve_transaction",
    ReservedFunds = "reserved_funds",
    StripeBalancePaymentDebit = "stripe_balance_payment_debit",
    StripeBalancePaymentDebitReversal = "stripe_balance_payment_debit_reversal",
    StripeFee = "stripe_fee",
    StripeFxFee = "stripe_fx_fee",
    TaxFee = "tax_fee",
    TaxFund = "tax_fund",
    Topup = "topup",
    TopupReversal = "topup_reversal",
    Transfer = "transfer",
    TransferCancel = "transfer_cancel",
    TransferFailure = "transfer_failure",
    TransferRefund = "transfer_refund",
}

/// A balance transaction as the provider has it. It never changes once it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalanceFacts {
    /// The provider's id.
    pub id: String,
    /// Why the balance moved.
    pub kind: BalanceKind,
    /// The provider's reporting category, which tells kinds of adjustments apart.
    pub category: Option<String>,
    /// Whether it moved what is held back, and not what is available or pending.
    pub held_back: bool,
    /// What the object behind it is about, in minor units; negative takes away.
    pub amount: i64,
    /// What the provider keeps of it, in minor units.
    pub fee: i64,
    /// What the balance moved by, in minor units.
    pub net: i64,
    /// The currency of all three.
    pub currency: Currency,
    /// The amount in the object's own currency, where that is another one; its sign does not count.
    pub presented: Option<Money>,
    /// When it was made.
    pub at: Timestamp,
    /// The object behind it.
    pub source: Option<String>,
    /// The payment it belongs to.
    pub payment: Option<String>,
    /// The provider's customer.
    pub provider_customer: Option<String>,
}

/// What a balance transaction is for: the account across from the balance. `None` is not known.
fn across(facts: &BalanceFacts) -> Option<Account> {
    use BalanceKind as K;
    Some(match &facts.kind {
        K::Charge | K::Payment | K::PaymentFailureRefund | K::PaymentReversal => Account::Receivable,
        K::Refund | K::RefundFailure | K::PaymentRefund => Account::Refunds,
        K::Payout | K::PayoutCancel | K::PayoutFailure => Account::Payouts,
        // Money of ours that came from the bank, or went back there.
        K::Topup | K::TopupReversal | K::InboundTransfer | K::InboundTransferReversal => Account::Bank,
        K::Transfer
        | K::TransferCancel
        | K::TransferFailure
        | K::TransferRefund
        | K::ConnectCollectionTransfer
        | K::ObligationOutbound
        | K::ObligationReversalInbound => Account::Payables,
        K::ApplicationFee | K::ApplicationFeeRefund => Account::Revenue,
        K::StripeFee | K::StripeFxFee | K::TaxFee | K::FeeCreditFunding => Account::Fees,
        // What the provider's own invoices took from the balance.
        K::StripeBalancePaymentDebit | K::StripeBalancePaymentDebitReversal => Account::Fees,
        K::TaxFund => Account::Tax,
        K::PaymentUnreconciled => Account::CustomerCredit,
        K::PaymentNetworkReserveHold
        | K::PaymentNetworkReserveRelease
        | K::PayoutMinimumBalanceHold
        | K::PayoutMinimumBalanceRelease
        | K::ReserveHold
        | K::ReserveRelease
        | K::ReserveTransaction
        | K::ReservedFunds => Account::Reserves,
        K::Adjustment => return adjusted(facts),
        // Lending, card issuing and donations are no part of selling: a person says where they belong.
        K::Advance
        | K::AdvanceFunding
        | K::AnticipationRepayment
        | K::ClimateOrderPurchase
        | K::ClimateOrderRefund
        | K::Contribution
        | K::IssuingAuthorizationHold
        | K::IssuingAuthorizationRelease
        | K::IssuingDispute
        | K::IssuingDisputeProvisionalCredit
        | K::IssuingDisputeProvisionalCreditReversal
        | K::IssuingTransaction
        | K::Other(_) => return None,
    })
}

/// An adjustment says by its category, or else by the object behind it, what it is for.
fn adjusted(facts: &BalanceFacts) -> Option<Account> {
    match facts.category.as_deref() {
        Some("dispute" | "dispute_reversal") => Some(Account::Disputes),
        Some("refund" | "refund_failure" | "partial_capture_reversal") => Some(Account::Refunds),
        Some("fee" | "network_cost" | "tax") => Some(Account::Fees),
        Some("charge" | "charge_failure") => Some(Account::Receivable),
        Some("transfer" | "transfer_reversal") => Some(Account::Payables),
        Some(_) | None => {
            let disputed = |id: &String| id.starts_with("dp_") || id.starts_with("du_");
            facts.source.as_ref().filter(|id| disputed(id)).map(|_| Account::Disputes)
        }
    }
}

/// The record of a balance transaction, and what is odd about it: what a person should look at.
///
/// # Errors
/// [`LedgerError::TooLarge`] for amounts that cannot be computed with.
pub fn record(scope: &str, facts: &BalanceFacts) -> Result<(Record, Option<String>), LedgerError> {
    let currency = facts.currency;
    let balance = if facts.held_back { Account::Reserves } else { Account::ProviderBalance };
    let (account, mut odd) = match across(facts) {
        Some(account) => (account, None),
        None => {
            let category = facts.category.as_deref().unwrap_or("no category");
            let odd = format!("a balance transaction of type `{}` ({category})", facts.kind.as_str());
            (Account::Suspense, Some(odd))
        }
    };
    let mut postings = vec![line(balance, facts.net, currency), line(Account::Fees, facts.fee, currency)];
    match facts.presented.filter(|presented| presented.currency != currency) {
        None => postings.push(line(account, negated(facts.amount)?, currency)),
        Some(presented) => {
            let size = presented.minor.checked_abs().ok_or(LedgerError::TooLarge)?;
            let signed = if facts.amount < 0 { negated(size)? } else { size };
            postings.push(line(Account::Exchange, negated(facts.amount)?, currency));
            postings.push(line(Account::Exchange, signed, presented.currency));
            postings.push(line(account, negated(signed)?, presented.currency));
        }
    }
    // By the provider's own rule nothing is left; if something is, it is not for us to say what.
    let left = i128::from(facts.amount) - i128::from(facts.fee) - i128::from(facts.net);
    if left != 0 {
        let left = i64::try_from(left).map_err(|_| LedgerError::TooLarge)?;
        postings.push(line(Account::Suspense, left, currency));
        odd = Some(format!("net {} is not amount {} less fee {}", facts.net, facts.amount, facts.fee));
    }
    let record = Record {
        key: Key { scope: scope.to_owned(), kind: Kind::BalanceTransaction, object: facts.id.clone() },
        at: facts.at,
        detail: facts.kind.as_str().to_owned(),
        source: facts.source.clone(),
        payment: facts.payment.clone(),
        provider_customer: facts.provider_customer.clone(),
        entry: Some(Entry::new(postings)?),
    };
    Ok((record, odd))
}

/// A payout as the provider has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayoutFacts {
    /// The provider's id.
    pub id: String,
    /// Whether the provider says that it has arrived. A bank may still return it days later.
    pub arrived: bool,
    /// What arrived; negative was taken from the bank.
    pub amount: Money,
    /// When it arrives or arrived.
    pub at: Timestamp,
}

/// The record of a payout's arrival: from the way to the bank into it. That it left the balance, its balance
/// transaction says; that it came back, another one does.
///
/// # Errors
/// [`LedgerError::TooLarge`].
pub fn arrival(scope: &str, facts: &PayoutFacts) -> Result<Record, LedgerError> {
    let Money { minor, currency } = facts.amount;
    let entry = Entry::new([
        line(Account::Bank, minor, currency),
        line(Account::Payouts, negated(minor)?, currency),
    ])?;
    Ok(Record {
        key: Key { scope: scope.to_owned(), kind: Kind::PayoutArrival, object: facts.id.clone() },
        at: facts.at,
        detail: "payout arrived".to_owned(),
        source: Some(facts.id.clone()),
        payment: None,
        provider_customer: None,
        entry: Some(entry).filter(|_| facts.arrived),
    })
}
