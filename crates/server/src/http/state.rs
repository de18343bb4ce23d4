//! What every handler needs, made once at start.

use std::sync::Arc;

use axum::http::HeaderValue;
use quittance_domain::Timestamp;
use quittance_engine::Engine;
use quittance_mail::{MailLinks, Writer};
use tokio::sync::Semaphore;

use super::guard::RefusalLog;
use super::peer::Proxies;
use crate::config::Secret;
use crate::page_links::PageLinks;
use crate::pages::{DemoBand, csp};

/// Renders the metrics as Prometheus text.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// How the HTTP side is set up.
pub struct AppConfig {
    /// The engine.
    pub engine: Engine,
    /// What is sold here, as customers know it.
    pub site: String,
    /// Writes letters, for previews.
    pub mail: Writer,
    /// The root key; without it there are no links to pages.
    pub secret: Option<Secret>,
    /// Renders the metrics; `None` leaves `/metrics` out, because they are served elsewhere.
    pub metrics: Option<RenderMetrics>,
    /// Set by `quittance dev` only: pages then take the customer from the address, and `/admin` needs no key.
    pub dev: Option<DevInfo>,
    /// Origins to which our forms may lead: the provider's checkout and portal.
    pub provider_origins: Vec<String>,
    /// The longest body that is read, in bytes.
    pub body_limit: usize,
    /// Streams of changes that may be open at the same time.
    pub streams: usize,
    /// The proxies whose word about visitors is taken.
    pub proxies: Proxies,
    /// Whether new work is welcome; false while shutting down.
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// What `quittance dev` knows.
#[derive(Debug, Clone)]
pub struct DevInfo {
    /// Where the sandbox's pages are.
    pub sandbox_url: String,
    /// The customer that the pages take when the address names none.
    pub demo_customer: String,
    /// The API key that command lines on pages show.
    pub api_key: String,
}

/// The state of all handlers; cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Inner>);

/// The parts of [`AppState`].
pub struct Inner {
    /// The engine.
    pub engine: Engine,
    /// What is sold here.
    pub site: String,
    /// Makes and reads links to pages, where there is a root key.
    pub links: Option<PageLinks>,
    /// Reads the links of mails, where there is a root key.
    pub mail_links: Option<MailLinks>,
    /// Writes letters, for previews.
    pub mail: Writer,
    /// The metrics.
    pub metrics: Option<RenderMetrics>,
    /// Development.
    pub dev: Option<DevInfo>,
    /// The longest body that is read.
    pub body_limit: usize,
    /// Whether new work is welcome.
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// The proxies whose word about visitors is taken.
    pub proxies: Proxies,
    /// Room for streams of changes.
    pub streams: Arc<Semaphore>,
    /// The content security policy of all pages.
    pub csp: HeaderValue,
    /// Refused webhooks, told a few times a minute.
    pub refusals: RefusalLog,
}

impl std::ops::Deref for AppState {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl AppState {
    /// Puts the state together.
    #[must_use]
    pub fn new(config: AppConfig) -> Self {
        let origins: Vec<&str> = config.provider_origins.iter().map(String::as_str).collect();
        // The policy is ASCII by construction; should it not be, everything is forbidden.
        let csp = HeaderValue::from_str(&csp(&origins))
            .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"));
        let root = config.secret.as_ref().map(Secret::to_secret);
        let mail_links = root.map(|root| MailLinks::new(root, config.engine.scope()));
        let links = config.secret.map(|root| PageLinks::new(root, config.engine.scope()));
        Self(Arc::new(Inner {
            links,
            mail_links,
            mail: config.mail,
            engine: config.engine,
            site: config.site,
            metrics: config.metrics,
            dev: config.dev,
            body_limit: config.body_limit,
            streams: Arc::new(Semaphore::new(config.streams)),
            proxies: config.proxies,
            ready: config.ready,
            csp,
            refusals: RefusalLog::default(),
        }))
    }

    /// Now, by the engine's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.engine.now()
    }

    /// Whether pages may say what only whoever runs them needs: never to customers of a live site.
    #[must_use]
    pub fn tells_operators(&self) -> bool {
        self.engine.scope().mode == quittance_domain::Mode::Test
    }

    /// The band over pages in development.
    #[must_use]
    pub fn demo_band(&self) -> Option<DemoBand> {
        let control = |dev: &DevInfo| format!("{}/_sandbox", dev.sandbox_url.trim_end_matches('/'));
        self.dev.as_ref().map(|dev| DemoBand { control_url: control(dev) })
    }
}
