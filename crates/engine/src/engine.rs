//! The engine's shared state: what every use-case needs, made once.

use std::sync::Arc;

use quittance_domain::replica::catalog_mark;
use quittance_domain::{Catalog, Mode, Provider, Scope, Timestamp};
use quittance_store::{Change, Db, StoreError, customers, meta};
use quittance_stripe::client::StripeClient;
use tokio::sync::{Notify, broadcast, watch};

use crate::api_keys::KeyRing;
use crate::catalog_versions;
use crate::deliveries::Couriers;
use crate::inbox::Inbox;
use crate::memory::Memory;
use crate::settings::Settings;
use crate::signing_keys::SigningKeys;
use crate::sync::PriceBook;
use crate::worker::Wakers;
use crate::world::World;

/// The engine; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    stripe: Arc<StripeClient>,
    scope: Scope,
    catalog: Arc<Catalog>,
    catalog_mark: String,
    settings: Settings,
    world: Arc<dyn World>,
    entitlements: Memory,
    keys: KeyRing,
    signing: SigningKeys,
    inbox: Inbox,
    prices: PriceBook,
    instance: String,
    wakers: Wakers,
    synced: Notify,
    /// Counts what was heard of changes, so that whoever follows them looks.
    moved: watch::Sender<u64>,
    couriers: Couriers,
}

impl Engine {
    /// Puts an engine together. Tasks start only with [`Engine::follow_changes`] and [`crate::worker`];
    /// the inbox's writer starts here, because an accepted event must be durable with or without workers.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn open(
        db: Db,
        stripe: Arc<StripeClient>,
        catalog: Arc<Catalog>,
        settings: Settings,
        world: Arc<dyn World>,
    ) -> Result<Self, StoreError> {
        let fresh = hex::encode(world.random());
        let instance = db.write("engine.instance", move |tx| meta::put_once(tx, "instance", &fresh)).await?;
        let scope = Scope {
            account: stripe.account().unwrap_or(Scope::OWN_ACCOUNT).to_owned(),
            ..Scope::own(Provider::Stripe, Mode::from_livemode(stripe.livemode()))
        };
        let now = catalog.clone();
        let past = db.read("engine.past", move |tx| catalog_versions::past(tx, &now)).await?;
        let catalog = Arc::new(Catalog::clone(&catalog).with_past(past));
        let entitlements = Memory::new(settings.cached_customers);
        let inbox = Inbox::start(db.clone(), world.clone(), settings.inbox_queue);
        let inner = Inner {
            db,
            stripe,
            scope,
            catalog_mark: catalog_mark(&catalog),
            catalog,
            settings,
            world,
            entitlements,
            keys: KeyRing::default(),
            signing: SigningKeys::default(),
            inbox,
            prices: PriceBook::default(),
            instance,
            wakers: Wakers::default(),
            synced: Notify::new(),
            moved: watch::Sender::new(0),
            couriers: Couriers::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The database.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.inner.db
    }

    /// The provider's client.
    #[must_use]
    pub fn stripe(&self) -> &StripeClient {
        &self.inner.stripe
    }

    /// Provider, account and mode that this engine serves.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.inner.scope
    }

    /// The catalog.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.inner.catalog
    }

    /// A mark of what the catalog gives: another one means that the same holdings may give something else.
    #[must_use]
    pub fn catalog_mark(&self) -> &str {
        &self.inner.catalog_mark
    }

    /// The operator's choices.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Time and chance.
    #[must_use]
    pub fn world(&self) -> &dyn World {
        &*self.inner.world
    }

    /// Now, UTC.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.world.now()
    }

    pub(crate) fn catalog_handle(&self) -> Arc<Catalog> {
        self.inner.catalog.clone()
    }

    pub(crate) fn entitlements(&self) -> &Memory {
        &self.inner.entitlements
    }

    pub(crate) fn keys(&self) -> &KeyRing {
        &self.inner.keys
    }

    pub(crate) fn signing(&self) -> &SigningKeys {
        &self.inner.signing
    }

    pub(crate) fn inbox(&self) -> &Inbox {
        &self.inner.inbox
    }

    pub(crate) fn prices(&self) -> &PriceBook {
        &self.inner.prices
    }

    /// Which database this is. Part of every command's idempotency key: another database's wishes at the
    /// same provider account are other wishes.
    pub(crate) fn instance(&self) -> &str {
        &self.inner.instance
    }

    /// Tells the workers of this process that there is something to do.
    pub fn wake(&self) {
        self.inner.wakers.wake();
    }

    pub(crate) fn wakers(&self) -> &Wakers {
        &self.inner.wakers
    }

    pub(crate) fn couriers(&self) -> &Couriers {
        &self.inner.couriers
    }

    pub(crate) fn moved(&self) -> watch::Receiver<u64> {
        self.inner.moved.subscribe()
    }

    pub(crate) fn synced(&self) -> &Notify {
        &self.inner.synced
    }

    /// Follows what this and other processes commit, so that memory never stays behind the database.
    /// Runs until the database handle is closed.
    #[crate::boxed]
    pub async fn follow_changes(self) {
        let changes = self.inner.db.changes();
        self.follow(changes).await;
    }

    /// Follows these changes until nobody sends any more.
    #[crate::boxed]
    pub async fn follow(self, mut changes: broadcast::Receiver<Change>) {
        loop {
            match changes.recv().await {
                Ok(Change::Payload(payload)) => match customers::Touched::parse(&payload) {
                    Some(touched) => {
                        self.inner.entitlements.outdate(touched.customer, touched.version);
                        self.inner.moved.send_modify(|heard| *heard = heard.wrapping_add(1));
                    }
                    None => {
                        self.inner.keys.forget_all();
                        self.inner.signing.forget();
                    }
                },
                Ok(Change::Resync) | Err(broadcast::error::RecvError::Lagged(_)) => {
                    self.inner.entitlements.forget_all();
                    self.inner.keys.forget_all();
                    self.inner.signing.forget();
                    self.inner.moved.send_modify(|heard| *heard = heard.wrapping_add(1));
                }
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }
}
