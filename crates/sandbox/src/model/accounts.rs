//! Methods whose answer takes days: direct debits of test bank accounts, and payment at a Japanese convenience store.
//!
//! Follows the published test accounts that need no micro-deposits. What a store or a bank would do without a test
//! number's word for it is decided by a control call.

use serde_json::{Value, json};

use super::card::Decline;
use crate::words::words;

words! {
    /// The way that money takes.
    Rail { SepaDebit = "sepa_debit", UsBankAccount = "us_bank_account", Konbini = "konbini" }
}

impl Rail {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::SepaDebit, Self::UsBankAccount, Self::Konbini];

    /// The only currency that it carries.
    pub(crate) const fn currency(self) -> &'static str {
        match self {
            Self::SepaDebit => "eur",
            Self::UsBankAccount => "usd",
            Self::Konbini => "jpy",
        }
    }

    /// Whether the seller takes the money, so that the method can be kept for later; a buyer brings it otherwise.
    pub(crate) const fn is_debit(self) -> bool {
        match self {
            Self::SepaDebit | Self::UsBankAccount => true,
            Self::Konbini => false,
        }
    }

    /// The types of method that can pay in a currency.
    pub(crate) fn types_for(currency: &str, reusable: bool) -> Vec<&'static str> {
        let rails = Self::ALL.into_iter().filter(|rail| rail.currency() == currency);
        let rails = rails.filter(|rail| rail.is_debit() || !reusable);
        std::iter::once("card").chain(rails.map(Self::as_str)).collect()
    }
}

/// What the bank says in the end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    Pays,
    Refuses(Decline),
    /// Pays, and the account's owner takes it back at once; such a dispute cannot be won.
    TakesBack(&'static str),
    /// Nothing, until a control call answers for it.
    Silence,
}

/// A test account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TestAccount {
    /// The IBAN or account number.
    pub(crate) number: &'static str,
    pub(crate) token: &'static str,
    pub(crate) rail: Rail,
    pub(crate) answer: Answer,
}

const fn refusal(code: &'static str, message: &'static str) -> Answer {
    Answer::Refuses(Decline { code, decline_code: None, message })
}

const fn sepa(number: &'static str, token: &'static str, answer: Answer) -> TestAccount {
    TestAccount { number, token, rail: Rail::SepaDebit, answer }
}

const fn us(number: &'static str, token: &'static str, answer: Answer) -> TestAccount {
    TestAccount { number, token, rail: Rail::UsBankAccount, answer }
}

const FAILED: Answer = refusal("refer_to_customer", "The bank refers this debit to the customer.");
const CLOSED: Answer = refusal("account_closed", "The customer's bank account has been closed.");
const NO_ACCOUNT: Answer = refusal("no_account", "The bank account could not be found.");
const EMPTY: Answer =
    refusal("insufficient_funds", "The customer's account has insufficient funds to cover this payment.");
const FORBIDDEN: Answer = refusal(
    "debit_not_authorized",
    "The customer has notified their bank that this debit is not authorized.",
);
const CURRENCY: Answer = refusal("bank_account_unusable", "The bank account does not take this currency.");
const LIMIT: Answer =
    refusal("charge_exceeds_source_limit", "This payment exceeds the weekly limit of the account.");

/// Paid at a store, by somebody who may never go there.
const KONBINI: TestAccount =
    TestAccount { number: "", token: "pm_konbini", rail: Rail::Konbini, answer: Answer::Silence };

const ACCOUNTS: &[TestAccount] = &[
    KONBINI,
    us("000123456789", "pm_usBankAccount_success", Answer::Pays),
    us("000111111113", "pm_usBankAccount_accountClosed", CLOSED),
    us("000111111116", "pm_usBankAccount_noAccount", NO_ACCOUNT),
    us("000222222227", "pm_usBankAccount_insufficientFunds", EMPTY),
    us("000333333335", "pm_usBankAccount_debitNotAuthorized", FORBIDDEN),
    us("000444444440", "pm_usBankAccount_invalidCurrency", CURRENCY),
    us("000555555559", "pm_usBankAccount_dispute", Answer::TakesBack("debit_not_authorized")),
    us("000777777771", "pm_usBankAccount_weeklyLimitExceeded", LIMIT),
    us("000000000009", "pm_usBankAccount_processing", Answer::Silence),
    sepa("DE89370400440532013000", "pm_success_de", Answer::Pays),
    sepa("DE08370400440532013003", "pm_successDelayed_de", Answer::Pays),
    sepa("DE62370400440532013001", "pm_failed_de", FAILED),
    sepa("DE78370400440532013004", "pm_failedDelayed_de", FAILED),
    sepa("DE35370400440532013002", "pm_disputed_de", Answer::TakesBack("debit_not_authorized")),
    sepa("AT611904300234573201", "pm_success_at", Answer::Pays),
    sepa("AT321904300235473204", "pm_successDelayed_at", Answer::Pays),
    sepa("AT861904300235473202", "pm_failed_at", FAILED),
    sepa("AT051904300235473205", "pm_failedDelayed_at", FAILED),
    sepa("AT591904300235473203", "pm_disputed_at", Answer::TakesBack("debit_not_authorized")),
    sepa("FR1420041010050500013M02606", "pm_success_fr", Answer::Pays),
    sepa("FR3020041010050500013M02609", "pm_successDelayed_fr", Answer::Pays),
    sepa("FR8420041010050500013M02607", "pm_failed_fr", FAILED),
    sepa("FR7920041010050500013M02600", "pm_failedDelayed_fr", FAILED),
    sepa("FR5720041010050500013M02608", "pm_disputed_fr", Answer::TakesBack("debit_not_authorized")),
    sepa("IT40S0542811101000000123456", "pm_success_it", Answer::Pays),
    sepa("IT60X0542811101000000123456", "pm_failed_it", FAILED),
    sepa("NL39RABO0300065264", "pm_success_nl", Answer::Pays),
    sepa("ES0700120345030000067890", "pm_success_es", Answer::Pays),
];

impl TestAccount {
    /// A store, where no account is named.
    pub(crate) const fn konbini() -> &'static Self {
        &KONBINI
    }

    /// By its token, such as `pm_usBankAccount_success`.
    pub(crate) fn by_token(token: &str) -> Option<&'static Self> {
        ACCOUNTS.iter().find(|account| account.token == token)
    }

    /// By its number on a rail, spaces ignored.
    pub(crate) fn by_number(rail: Rail, number: &str) -> Option<&'static Self> {
        let number: String = number.chars().filter(|char| !char.is_whitespace()).collect();
        ACCOUNTS.iter().find(|account| account.rail == rail && account.number.eq_ignore_ascii_case(&number))
    }

    /// The last four characters of the number.
    pub(crate) fn last4(&self) -> &'static str {
        self.number.get(self.number.len().saturating_sub(4)..).unwrap_or_default()
    }

    fn fingerprint(&self) -> String {
        format!("Bk7{:0>13}", self.last4())
    }

    /// The fields that a method and a charge share: `sepa_debit`, `us_bank_account`, `konbini`.
    pub(crate) fn details(&self, holder: &str, kind: &str) -> Value {
        match self.rail {
            Rail::SepaDebit => json!({
                "bank_code": self.number.get(4..12), "branch_code": "", "country": self.number.get(..2),
                "fingerprint": self.fingerprint(), "last4": self.last4(),
            }),
            Rail::UsBankAccount => json!({
                "account_holder_type": holder, "account_type": kind, "bank_name": "STRIPE TEST BANK",
                "fingerprint": self.fingerprint(), "last4": self.last4(), "routing_number": ROUTING_NUMBER,
            }),
            Rail::Konbini => json!({}),
        }
    }
}

/// The routing number of every test account.
pub(crate) const ROUTING_NUMBER: &str = "110000000";

#[cfg(test)]
mod tests {
    use super::*;

    /// ISO 13616: the first four characters at the end, letters as numbers from 10, the rest of 97 is 1.
    fn is_iban(text: &str) -> bool {
        let (head, rest) = text.split_at(4);
        let digits = format!("{rest}{head}");
        let rest = digits.chars().filter_map(|char| char.to_digit(36)).fold(0_u32, |sum, digit| {
            let shift = if digit > 9 { 100 } else { 10 };
            (sum * shift + digit) % 97
        });
        rest == 1
    }

    #[test]
    fn account_numbers_are_valid_and_tokens_stand_once() {
        for account in ACCOUNTS {
            assert_eq!(ACCOUNTS.iter().filter(|other| other.token == account.token).count(), 1);
            match account.rail {
                Rail::SepaDebit => assert!(is_iban(account.number), "{}", account.number),
                Rail::UsBankAccount => assert_eq!(account.number.len(), 12),
                Rail::Konbini => assert_eq!(account.number, ""),
            }
        }
    }
}
