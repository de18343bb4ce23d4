//! The rules of the ledger as tables, and what holds for all of them.

use proptest::prelude::*;

use super::balance::{BalanceFacts, BalanceKind, PayoutFacts};
use super::sale::{CreditNoteFacts, InvoiceSale, InvoiceStatus, Sale};
use super::*;

const SCOPE: &str = "stripe/test/self";

fn currency(code: &str) -> Currency {
    Currency::parse(code).unwrap()
}

fn movement(kind: &str, amount: i64, fee: i64) -> BalanceFacts {
    BalanceFacts {
        id: "txn_1".into(),
        kind: BalanceKind::from(kind.to_owned()),
        category: None,
        held_back: false,
        amount,
        fee,
        net: amount - fee,
        currency: currency("jpy"),
        presented: None,
        at: Timestamp::from_seconds(1),
        source: Some("ch_1".into()),
        payment: Some("pi_1".into()),
        provider_customer: Some("cus_1".into()),
    }
}

fn invoice(status: &str) -> InvoiceSale {
    InvoiceSale {
        id: "in_1".into(),
        status: InvoiceStatus::from(status),
        currency: currency("jpy"),
        total: 1_980,
        tax: 180,
        starting_balance: 0,
        ending_balance: Some(0),
        remaining: 1_980,
        finalized_at: Some(Timestamp::from_seconds(5)),
        changed_at: Timestamp::from_seconds(9),
        provider_customer: Some("cus_1".into()),
    }
}

/// `account:amount` of each posting, in order.
fn told(entry: Option<&Entry>) -> String {
    let Some(entry) = entry else { return "nothing".to_owned() };
    let lines = entry
        .postings()
        .iter()
        .map(|p| format!("{}:{}{}", p.account, p.amount.minor, p.amount.currency.code()));
    lines.collect::<Vec<_>>().join(" ")
}

fn of_balance(facts: &BalanceFacts) -> (String, bool) {
    let (record, odd) = balance::record(SCOPE, facts).unwrap();
    (told(record.entry.as_ref()), odd.is_some())
}

#[test]
fn each_movement_has_its_account_across() {
    for (kind, amount, fee, entry) in [
        ("charge", 1_980, 71, "provider_balance:1909jpy receivable:-1980jpy fees:71jpy"),
        ("refund", -500, 0, "provider_balance:-500jpy refunds:500jpy"),
        ("refund_failure", 500, 0, "provider_balance:500jpy refunds:-500jpy"),
        ("payout", -10_000, 0, "provider_balance:-10000jpy payouts:10000jpy"),
        ("payout_failure", 10_000, 0, "provider_balance:10000jpy payouts:-10000jpy"),
        ("stripe_fee", -200, 0, "provider_balance:-200jpy fees:200jpy"),
        ("transfer", -700, 0, "provider_balance:-700jpy payables:700jpy"),
        ("application_fee", 70, 0, "provider_balance:70jpy revenue:-70jpy"),
        ("topup", 900, 0, "provider_balance:900jpy bank:-900jpy"),
        ("reserve_hold", -30, 0, "provider_balance:-30jpy reserves:30jpy"),
        ("tax_fund", -9, 0, "provider_balance:-9jpy tax:9jpy"),
    ] {
        assert_eq!(of_balance(&movement(kind, amount, fee)), (entry.to_owned(), false), "{kind}");
    }
}

#[test]
fn a_dispute_takes_the_money_and_a_fee_and_a_won_one_gives_both_back() {
    let dispute = |category: Option<&str>, amount, fee| BalanceFacts {
        category: category.map(str::to_owned),
        source: Some("dp_1".into()),
        ..movement("adjustment", amount, fee)
    };
    let lost = "provider_balance:-3480jpy disputes:1980jpy fees:1500jpy";
    for category in [Some("dispute"), None] {
        assert_eq!(of_balance(&dispute(category, -1_980, 1_500)), (lost.to_owned(), false));
    }
    let won = "provider_balance:3480jpy disputes:-1980jpy fees:-1500jpy";
    assert_eq!(of_balance(&dispute(Some("dispute_reversal"), 1_980, -1_500)), (won.to_owned(), false));
}

#[test]
fn what_is_not_understood_is_told_and_balances() {
    let unknown = ("provider_balance:-100jpy suspense:100jpy".to_owned(), true);
    assert_eq!(of_balance(&movement("moon_rent", -100, 0)), unknown);
    assert_eq!(of_balance(&movement("adjustment", -100, 0)), unknown);
    assert_eq!(of_balance(&movement("contribution", -100, 0)), unknown);
    let odd = BalanceFacts { net: 90, ..movement("charge", 100, 5) };
    assert_eq!(
        of_balance(&odd),
        ("provider_balance:90jpy receivable:-100jpy fees:5jpy suspense:5jpy".to_owned(), true)
    );
}

#[test]
fn two_currencies_meet_in_the_exchange_account() {
    let dollars = |amount| Some(Money::new(amount, currency("usd")));
    let charge = BalanceFacts { presented: dollars(1_000), ..movement("charge", 1_500, 50) };
    assert_eq!(
        of_balance(&charge).0,
        "provider_balance:1450jpy receivable:-1000usd fees:50jpy exchange:-1500jpy exchange:1000usd"
    );
    let refund = BalanceFacts { presented: dollars(1_000), ..movement("refund", -1_600, 0) };
    assert_eq!(
        of_balance(&refund).0,
        "provider_balance:-1600jpy refunds:1000usd exchange:1600jpy exchange:-1000usd"
    );
}

#[test]
fn an_invoice_is_owed_given_up_and_taken_back() {
    let of = |sale: &InvoiceSale| -> Vec<String> {
        sale::invoice(SCOPE, sale).unwrap().iter().map(|r| told(r.entry.as_ref())).collect()
    };
    let owed = "receivable:1980jpy tax:-180jpy revenue:-1800jpy";
    assert_eq!(of(&invoice("open")), [owed, "nothing"]);
    assert_eq!(of(&invoice("paid")), [owed, "nothing"]);
    assert_eq!(of(&invoice("uncollectible")), [owed, "receivable:-1980jpy bad_debt:1980jpy"]);
    assert_eq!(of(&invoice("void")), ["nothing", "nothing"]);
    for silent in ["draft", "moon"] {
        assert!(of(&invoice(silent)).is_empty(), "{silent}");
    }
    assert!(of(&InvoiceSale { ending_balance: None, ..invoice("open") }).is_empty(), "not told, not guessed");
    let credit = InvoiceSale { starting_balance: -500, ..invoice("open") };
    assert_eq!(of(&credit)[0], "receivable:1480jpy tax:-180jpy customer_credit:500jpy revenue:-1800jpy");
    let downgrade =
        InvoiceSale { total: -300, tax: 0, ending_balance: Some(-300), remaining: 0, ..invoice("paid") };
    assert_eq!(of(&downgrade)[0], "customer_credit:-300jpy revenue:300jpy");
    let free = InvoiceSale { total: 0, tax: 0, remaining: 0, ..invoice("paid") };
    assert_eq!(of(&free), ["nothing", "nothing"]);
}

#[test]
fn a_note_that_lowers_an_invoice_goes_with_it() {
    let note = |before_payment: i64, invoice_void: bool| {
        let facts = CreditNoteFacts {
            id: "cn_1".into(),
            void: false,
            invoice_void,
            currency: currency("jpy"),
            total: 330,
            tax: 30,
            before_payment,
            refunded: 0,
            outside: 0,
            at: Timestamp::from_seconds(9),
            provider_customer: Some("cus_1".into()),
        };
        told(super::sale::credit_note(SCOPE, &facts).unwrap().entry.as_ref())
    };
    assert_eq!(note(330, false), "receivable:-330jpy tax:30jpy refunds:300jpy");
    assert_eq!(note(330, true), "nothing");
    // What was given beside it stays given.
    assert_eq!(note(0, true), "tax:30jpy customer_credit:-330jpy refunds:300jpy");
}

#[test]
fn a_one_off_sale_is_owed_and_a_payout_arrives() {
    let sale = Sale {
        id: "cs_1".into(),
        currency: currency("usd"),
        total: 1_100,
        tax: 100,
        at: Timestamp::from_seconds(1),
        payment: None,
        provider_customer: None,
    };
    assert_eq!(
        told(sale::purchase(SCOPE, &sale).unwrap().entry.as_ref()),
        "receivable:1100usd tax:-100usd revenue:-1000usd"
    );
    let payout = |arrived| PayoutFacts {
        id: "po_1".into(),
        arrived,
        amount: Money::new(700, currency("usd")),
        at: Timestamp::from_seconds(1),
    };
    assert_eq!(
        told(balance::arrival(SCOPE, &payout(true)).unwrap().entry.as_ref()),
        "payouts:-700usd bank:700usd"
    );
    assert_eq!(told(balance::arrival(SCOPE, &payout(false)).unwrap().entry.as_ref()), "nothing");
}

#[test]
fn what_does_not_balance_cannot_be_made() {
    let (jpy, usd) = (currency("jpy"), currency("usd"));
    let unbalanced = Entry::new([line(Account::Fees, 5, jpy), line(Account::Revenue, -4, jpy)]);
    assert_eq!(unbalanced, Err(LedgerError::Unbalanced { currency: jpy, sum: 1 }));
    // A balance over two currencies is none.
    assert!(Entry::new([line(Account::Fees, 5, jpy), line(Account::Revenue, -5, usd)]).is_err());
    let edge =
        [line(Account::Fees, i64::MIN, jpy), line(Account::Fees, i64::MAX, jpy), line(Account::Tax, 1, jpy)];
    assert!(Entry::new(edge).is_ok(), "what one account gets is one sum");
    let alone =
        [line(Account::Fees, i64::MIN, jpy), line(Account::Tax, i64::MAX, jpy), line(Account::Bank, 1, jpy)];
    assert_eq!(Entry::new(alone), Err(LedgerError::TooLarge));
}

#[test]
fn names_are_read_back() {
    for account in Account::ALL {
        assert_eq!(Account::parse(account.as_str()), Some(*account));
    }
    for kind in Kind::ALL {
        assert_eq!(Kind::parse(kind.as_str()), Some(*kind));
    }
    for word in BalanceKind::KNOWN {
        let kind = BalanceKind::from((*word).to_owned());
        assert_eq!(kind.as_str(), *word);
        assert!(!matches!(kind, BalanceKind::Other(_)), "{word}");
    }
    assert_eq!(Account::parse("cash"), None);
}

fn any_kind() -> impl Strategy<Value = String> {
    prop_oneof![proptest::sample::select(BalanceKind::KNOWN).prop_map(str::to_owned), "[a-z_]{1,12}"]
}

fn any_movement() -> impl Strategy<Value = BalanceFacts> {
    let numbers = (any::<i64>(), any::<i64>(), any::<i64>());
    let category = proptest::option::of(proptest::sample::select(vec!["dispute", "refund", "fee", "moon"]));
    let presented = proptest::option::of((any::<i64>(), proptest::sample::select(vec!["usd", "jpy"])));
    (any_kind(), numbers, category, presented, any::<bool>(), any::<bool>()).prop_map(
        |(kind, (amount, fee, odd), category, presented, held_back, honest)| {
            let (amount, fee) = if honest { (amount >> 20, fee >> 20) } else { (amount, fee) };
            BalanceFacts {
                category: category.map(str::to_owned),
                held_back,
                net: if honest { amount - fee } else { odd },
                presented: presented.map(|(minor, code)| Money::new(minor, currency(code))),
                amount,
                fee,
                ..movement(&kind, 0, 0)
            }
        },
    )
}

fn assert_sums_to_zero(entry: &Entry) -> Result<(), TestCaseError> {
    let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
    for posting in entry.postings() {
        *sums.entry(posting.amount.currency).or_default() += i128::from(posting.amount.minor);
    }
    prop_assert!(sums.values().all(|sum| *sum == 0), "{entry:?}");
    Ok(())
}

proptest! {
    #[test]
    fn whatever_the_provider_reports_balances_and_moves_the_balance_by_its_net(facts in any_movement()) {
        match balance::record(SCOPE, &facts) {
            Err(error) => prop_assert_eq!(error, LedgerError::TooLarge),
            Ok((record, _)) => {
                let entry = record.entry.unwrap();
                assert_sums_to_zero(&entry)?;
                let balance = if facts.held_back { Account::Reserves } else { Account::ProviderBalance };
                let of = |account| -> i64 {
                    entry.postings().iter().filter(|p| p.account == account && p.amount.currency == facts.currency).map(|p| p.amount.minor).sum()
                };
                if balance == Account::ProviderBalance {
                    prop_assert_eq!(of(balance), facts.net);
                }
            }
        }
    }

    #[test]
    fn whatever_an_invoice_says_balances(
        total in any::<i64>(), tax in any::<i64>(), starting in any::<i64>(), ending in any::<i64>(), remaining in any::<i64>(),
        status in proptest::sample::select(vec!["draft", "open", "paid", "uncollectible", "void", "moon"]),
    ) {
        let sale = InvoiceSale { total, tax, starting_balance: starting, ending_balance: Some(ending), remaining, ..invoice(status) };
        for record in sale::invoice(SCOPE, &sale).unwrap_or_default() {
            if let Some(entry) = &record.entry {
                assert_sums_to_zero(entry)?;
            }
        }
    }

    #[test]
    fn an_entry_and_its_reversal_are_nothing(facts in any_movement()) {
        if let Ok((record, _)) = balance::record(SCOPE, &facts) {
            let entry = record.entry.unwrap();
            let both = entry.postings().iter().chain(entry.reversed().postings()).copied().collect::<Vec<_>>();
            prop_assert!(Entry::new(both).unwrap().is_empty());
            prop_assert_eq!(entry.reversed().reversed(), entry);
        }
    }
}
