//! Whatever is paid, passed on, refunded and taken back: between the accounts, money only changes hands.

use proptest::prelude::*;
use serde_json::Value;

use super::ledgers::{check_books, check_total};
use super::{As, ready};
use crate::client::{DAY, client, id};

#[derive(Debug, Clone)]
enum Step {
    Direct { account: usize, amount: i64, fee: i64 },
    Destination { account: usize, amount: i64, fee: i64 },
    Part { account: usize, amount: i64, part: i64 },
    Apart { account: usize, amount: i64, part: i64 },
    Refund { charge: usize, part: i64, transfer: bool, fee: bool },
    Reverse { transfer: usize, part: i64, fee: bool },
    GiveBackFee { fee: usize, part: i64 },
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    let (account, amount, share) = (0..3_usize, 50..2_000_000_i64, 0..=100_i64);
    let of = (account, amount, share.clone());
    let which = 0..8_usize;
    prop_oneof![
        of.clone().prop_map(|(account, amount, fee)| Step::Direct { account, amount, fee }),
        of.clone().prop_map(|(account, amount, fee)| Step::Destination { account, amount, fee }),
        of.clone().prop_map(|(account, amount, part)| Step::Part { account, amount, part }),
        of.prop_map(|(account, amount, part)| Step::Apart { account, amount, part }),
        (which.clone(), share.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(charge, part, transfer, fee)| Step::Refund { charge, part, transfer, fee }),
        (which.clone(), share.clone(), any::<bool>()).prop_map(|(transfer, part, fee)| Step::Reverse {
            transfer,
            part,
            fee
        }),
        (which, share).prop_map(|(fee, part)| Step::GiveBackFee { fee, part }),
        Just(Step::Wait),
    ]
}

/// A share of an amount that is neither even nor round.
fn part_of(amount: i64, percent: i64) -> i64 {
    amount * percent / 100
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn between_accounts_the_sums_are_zero(steps in prop::collection::vec(step(), 1..24)) {
        let client = client();
        let accounts = [ready(&client), ready(&client), ready(&client)];
        // Who took each charge, and its id and amount.
        let mut charges: Vec<(Option<usize>, String, i64)> = Vec::new();
        let pay = "currency=usd&payment_method=pm_card_visa&confirm=true";
        for step in steps {
            // Some steps are refused, and must then change nothing.
            match step {
                Step::Direct { account, amount, fee } => {
                    let me = As { client: &client, account: &accounts[account] };
                    let form = format!("amount={amount}&application_fee_amount={}&{pay}", part_of(amount, fee));
                    let charge = me.post("/v1/payment_intents", &form);
                    charges.push((Some(account), charge["latest_charge"].as_str().unwrap().to_owned(), amount));
                }
                Step::Destination { account, amount, fee } => {
                    let form = format!("amount={amount}&application_fee_amount={}&transfer_data[destination]={}&{pay}", part_of(amount, fee), accounts[account]);
                    let charge = client.post("/v1/payment_intents", &form);
                    charges.push((None, charge["latest_charge"].as_str().unwrap().to_owned(), amount));
                }
                Step::Part { account, amount, part } => {
                    let form = format!("amount={amount}&transfer_data[destination]={}&transfer_data[amount]={}&{pay}", accounts[account], part_of(amount, part));
                    let charge = client.post("/v1/payment_intents", &form);
                    charges.push((None, charge["latest_charge"].as_str().unwrap().to_owned(), amount));
                }
                Step::Apart { account, amount, part } => {
                    let charge = client.post("/v1/payment_intents", &format!("amount={amount}&{pay}"));
                    let charge = charge["latest_charge"].as_str().unwrap().to_owned();
                    let part = part_of(amount, part).max(1);
                    client.post("/v1/transfers", &format!("amount={part}&currency=usd&destination={}&source_transaction={charge}", accounts[account]));
                    charges.push((None, charge, amount));
                }
                Step::Refund { charge, part, transfer, fee } => {
                    let Some((owner, charge, amount)) = charges.get(charge) else { continue };
                    let form = format!("charge={charge}&amount={}&reverse_transfer={transfer}&refund_application_fee={fee}", part_of(*amount, part));
                    match owner {
                        Some(account) => As { client: &client, account: &accounts[*account] }.send("POST", "/v1/refunds", &form),
                        None => client.send("POST", "/v1/refunds", &form),
                    };
                }
                Step::Reverse { transfer, part, fee } => {
                    let transfers = client.get("/v1/transfers", "limit=100");
                    let Some(transfer) = transfers["data"].get(transfer) else { continue };
                    let amount = part_of(transfer["amount"].as_i64().unwrap(), part);
                    client.send("POST", &format!("/v1/transfers/{}/reversals", id(transfer)), &format!("amount={amount}&refund_application_fee={fee}"));
                }
                Step::GiveBackFee { fee, part } => {
                    let fees: Value = client.get("/v1/application_fees", "limit=100");
                    let Some(fee) = fees["data"].get(fee) else { continue };
                    let amount = part_of(fee["amount"].as_i64().unwrap(), part);
                    client.send("POST", &format!("/v1/application_fees/{}/refunds", id(fee)), &format!("amount={amount}"));
                }
                Step::Wait => client.sandbox.advance_time(3 * DAY),
            }
            check_books(&client, &accounts);
        }
        check_total(&client, &accounts);
    }
}
