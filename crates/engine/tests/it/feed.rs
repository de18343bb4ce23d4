//! A copy that follows the stream equals the server, through changes, drops and reconnects, on several nodes.

use std::collections::BTreeMap;

use quittance_domain::Timestamp;
use quittance_engine::Engine;
use quittance_engine::api_keys::{Caller, KeyScope};
use quittance_engine::feed::{CustomerState, Message, Reader, Told};
use quittance_engine::grants::NewGrant;
use quittance_store::{Dialect, feed};

use crate::house::{DAY, House, customer, on_each, pro};

/// What a reader elsewhere would write: it knows only what it was told.
#[derive(Default)]
struct Replica {
    cursor: Option<String>,
    live: bool,
    customers: BTreeMap<String, CustomerState>,
    /// While a snapshot comes in, the old copy goes on answering.
    coming: Option<BTreeMap<String, CustomerState>>,
    resets: usize,
}

impl Replica {
    fn take(&mut self, message: Message) {
        match message.told {
            Told::Reset => {
                (self.coming, self.live) = (Some(BTreeMap::new()), false);
                self.resets += 1;
            }
            Told::Customer(state) => {
                let into = self.coming.as_mut().unwrap_or(&mut self.customers);
                into.insert(state.customer.clone(), state);
            }
            Told::Live => {
                self.customers = self.coming.take().unwrap_or_default();
                self.live = true;
            }
        }
        if message.cursor.is_some() {
            self.cursor = message.cursor;
        }
    }

    fn allows(&self, customer: &str, feature: &str, now: Timestamp) -> (bool, Option<i64>) {
        let none = Vec::new();
        let holdings = self.customers.get(customer).map_or(&none, |state| &state.holdings);
        let mut limits = Vec::new();
        for held in holdings {
            let open = ["granted", "grace"].contains(&held.access)
                && held.until.as_ref().is_none_or(|until| {
                    let until: jiff::Timestamp = until.parse().unwrap();
                    now.ms() < until.as_millisecond()
                });
            if let Some(limit) = held.features.get(feature).filter(|_| open) {
                limits.push(limit.as_i64().unwrap_or(i64::MAX));
            }
        }
        let widest = limits.iter().max().copied();
        (widest.is_some(), widest.filter(|limit| *limit != i64::MAX))
    }

    async fn connect(&self, engine: &Engine) -> Reader {
        engine.follow_entitlements(self.cursor.as_deref()).await.unwrap()
    }

    /// Reads until there is nothing new.
    async fn catch_up(&mut self, engine: &Engine) {
        let mut reader = self.connect(engine).await;
        loop {
            let page = reader.next().await.unwrap();
            if page.is_empty() {
                return;
            }
            page.into_iter().for_each(|message| self.take(message));
        }
    }

    async fn assert_equals(&self, engine: &Engine, ids: &[String]) {
        assert!(self.live);
        let now = engine.now();
        for id in ids {
            for feature in engine.catalog().features() {
                engine.reload(id).await.unwrap();
                let ours = engine.check(id, feature.key.as_str()).await.unwrap();
                let theirs = self.allows(id, feature.key.as_str(), now);
                assert_eq!(theirs, (ours.allowed, ours.limit), "{id} {} at {now}", feature.key);
            }
        }
    }
}

fn by() -> Caller {
    Caller { key: quittance_domain::ids::ApiKeyId::derived(&["operator"]), scopes: KeyScope::ALL.to_vec() }
}

fn gift(feature: &str, limit: i64, until: Option<Timestamp>) -> NewGrant {
    NewGrant {
        plan: None,
        feature: Some(feature.into()),
        limit: Some(limit),
        expires_at: until,
        reason: "test".into(),
        idempotency: None,
    }
}

/// A small generator: the same seed, the same story.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// One change of one customer, of any kind.
async fn change(h: &House, dice: &mut Dice, id: &str) {
    let who = customer(id);
    match dice.roll(6) {
        0 => drop(h.engine.put_customer(&who, Default::default()).await.unwrap()),
        1 => {
            h.engine.put_customer(&who, Default::default()).await.unwrap();
            let minutes = i64::try_from(dice.roll(600)).unwrap();
            let until = (minutes > 60).then(|| h.engine.now().plus_ms(minutes * 60_000));
            h.engine.grant(&who, &gift("team:seats", minutes, until), &by()).await.unwrap();
        }
        2 => {
            let grants = h.engine.grants_of(&who).await.unwrap();
            if let Some(grant) = grants.iter().find(|grant| grant.revoked_at.is_none()) {
                h.engine.revoke_grant(&who, grant.id.as_str(), &by()).await.unwrap();
            }
        }
        3 => {
            if let Ok(row) = h.engine.open_checkout(&pro(id)).await {
                let card = ["pm_card_visa", "pm_card_chargeDeclined"][usize::from(dice.roll(3) == 0)];
                let _ = h.sandbox.complete_checkout(row.session.as_deref().unwrap(), card);
            }
            h.settle().await;
        }
        4 => {
            let view = h.engine.customer(id).await;
            let live = view.iter().flat_map(|v| &v.subscriptions).find(|s| s.subscription.is_live());
            if let Some(live) = live {
                h.provider("DELETE", &format!("/v1/subscriptions/{}", live.subscription.facts.id), "");
            }
            h.settle().await;
        }
        _ => {
            h.sandbox.advance_time(DAY / 4);
            h.settle().await;
        }
    }
}

#[tokio::test]
async fn a_copy_equals_the_server_after_any_changes_drops_and_reconnects() {
    on_each(|h| {
        Box::pin(async move {
            let other = h.another_engine().await;
            let ids: Vec<String> = (0..12).map(|n| format!("user_{n}")).collect();
            let mut dice = Dice(20_261);
            let mut copy = Replica::default();
            for turn in 0..60_usize {
                let id = &ids[usize::try_from(dice.roll(ids.len() as u64)).unwrap()];
                change(h, &mut dice, id).await;
                // Read a page or two from either node, and lose some of what was read after the cursor was kept.
                let node = if dice.roll(2) == 0 { &h.engine } else { &other };
                let mut reader = copy.connect(node).await;
                for _ in 0..dice.roll(3) {
                    let page = reader.next().await.unwrap();
                    let keep = usize::try_from(dice.roll(page.len() as u64 + 1)).unwrap();
                    let dropped = keep < page.len();
                    page.into_iter().take(keep).for_each(|message| copy.take(message));
                    if dropped {
                        break;
                    }
                }
                if turn % 10 == 9 {
                    copy.catch_up(node).await;
                    copy.assert_equals(node, &ids).await;
                }
            }
            // Nothing is told when something ends by itself, and the copy ends it all the same.
            for _ in 0..6 {
                h.pass_ms(2 * 3_600_000);
                copy.assert_equals(&h.engine, &ids).await;
            }
            assert!(copy.resets <= 3, "a reconnect is no new beginning: {}", copy.resets);
        })
    })
    .await;
}

#[tokio::test]
async fn a_snapshot_goes_on_where_it_was_dropped_and_includes_what_changed_meanwhile() {
    on_each(|h| {
        Box::pin(async move {
            let ids: Vec<String> = (0..250).map(|n| format!("user_{n:03}")).collect();
            for id in &ids {
                h.engine.put_customer(&customer(id), Default::default()).await.unwrap();
            }
            let mut copy = Replica::default();
            let mut reader = copy.connect(&h.engine).await;
            let page = reader.next().await.unwrap();
            assert_eq!(page.len(), 101, "the reset and a page");
            page.into_iter().take(60).for_each(|message| copy.take(message));
            // One that was sent and one that was not change between the pages.
            for id in ["user_010", "user_200"] {
                h.engine.grant(&customer(id), &gift("team:seats", 7, None), &by()).await.unwrap();
            }
            copy.catch_up(&h.engine).await;
            assert_eq!((copy.resets, copy.customers.len()), (1, 250));
            copy.assert_equals(&h.engine, &["user_010".into(), "user_200".into(), "user_249".into()]).await;
        })
    })
    .await;
}

#[tokio::test]
async fn a_cursor_of_another_database_or_catalog_or_of_the_future_begins_anew() {
    on_each(|h| {
        Box::pin(async move {
            h.engine.put_customer(&customer("ada"), Default::default()).await.unwrap();
            let mut copy = Replica::default();
            copy.catch_up(&h.engine).await;
            let ours = copy.cursor.clone().unwrap();
            let (epoch, position) = ours.split_once('.').unwrap();
            let later = position.parse::<i64>().unwrap() + 1;
            let odd = [
                format!("0000{}.{position}", &epoch[4..]),
                format!("{epoch}.{later}"),
                "x".into(),
                String::new(),
            ];
            for cursor in odd {
                let mut reader = h.engine.follow_entitlements(Some(&cursor)).await.unwrap();
                assert_eq!(reader.next().await.unwrap()[0].told, Told::Reset, "{cursor}");
            }
            let mut reader = h.engine.follow_entitlements(Some(&ours)).await.unwrap();
            assert_eq!(reader.next().await.unwrap(), []);
            let sells_less = quittance_domain::Catalog::parse(
                &include_str!("../../../../catalog.toml").replace("\"article:full\" = true, ", ""),
            );
            let changed = h.engine_of(sells_less.unwrap()).await;
            let mut reader = changed.follow_entitlements(Some(&ours)).await.unwrap();
            assert_eq!(reader.next().await.unwrap()[0].told, Told::Reset, "another catalog");
            let other = quittance_store::testing::sqlite().await;
            let beside = h.engine_beside(&other).await;
            for name in ["bob", "cyd", "dan"] {
                beside.put_customer(&customer(name), Default::default()).await.unwrap();
            }
            let mut reader = beside.follow_entitlements(Some(&ours)).await.unwrap();
            assert_eq!(reader.next().await.unwrap()[0].told, Told::Reset, "another database, as far along");
        })
    })
    .await;
}

/// A transaction that drew an earlier number commits after a later one was read: nobody may have passed it.
#[tokio::test]
async fn a_change_that_commits_late_is_not_passed_over() {
    on_each(|h| {
        Box::pin(async move {
            if h.engine.db().dialect() == Dialect::Sqlite {
                return;
            }
            for id in ["early", "late"] {
                h.engine.put_customer(&customer(id), Default::default()).await.unwrap();
            }
            let mut copy = Replica::default();
            copy.catch_up(&h.engine).await;
            let before = copy.cursor.clone();
            let (noted, was_noted) = std::sync::mpsc::channel::<()>();
            let (go, gone) = std::sync::mpsc::channel::<()>();
            let gone = std::sync::Mutex::new(gone);
            let db = h.engine.db().clone();
            let slow = tokio::spawn(async move {
                db.write("test.slow", move |tx| {
                    feed::changed(tx, "late")?;
                    noted.send(()).unwrap();
                    gone.lock().unwrap().recv().unwrap();
                    Ok(())
                })
                .await
                .unwrap();
            });
            tokio::task::spawn_blocking(move || was_noted.recv().unwrap()).await.unwrap();
            h.engine.db().write("test.fast", |tx| feed::changed(tx, "early")).await.unwrap();
            copy.catch_up(&h.engine).await;
            let passed = copy.cursor.clone();
            assert_ne!(passed, before, "the fast one was told");
            go.send(()).unwrap();
            slow.await.unwrap();
            let mut reader = copy.connect(&h.engine).await;
            let told: Vec<String> = reader
                .next()
                .await
                .unwrap()
                .into_iter()
                .filter_map(|message| match message.told {
                    Told::Customer(state) => Some(state.customer),
                    Told::Reset | Told::Live => None,
                })
                .collect();
            assert_eq!(told, ["late"]);
        })
    })
    .await;
}

#[tokio::test]
async fn whoever_waits_hears_of_a_change_of_another_node() {
    on_each(|h| {
        Box::pin(async move {
            let other = h.another_engine().await;
            let following = tokio::spawn(other.clone().follow_changes());
            let mut copy = Replica::default();
            copy.catch_up(&other).await;
            let mut reader = copy.connect(&other).await;
            let (ada, engine) = (customer("ada"), h.engine.clone());
            engine.put_customer(&ada, Default::default()).await.unwrap();
            for _ in 0..200 {
                reader.next().await.unwrap().into_iter().for_each(|message| copy.take(message));
                if copy.customers.contains_key("ada") {
                    break;
                }
                reader.wait(1_000).await;
            }
            assert!(copy.allows("ada", "article:preview", h.engine.now()).0);
            following.abort();
        })
    })
    .await;
}
