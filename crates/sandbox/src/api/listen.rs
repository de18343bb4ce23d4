//! The session that Stripe's command-line program opens before it listens: `POST /v1/stripecli/sessions`.
//!
//! A session is an endpoint that hears of everything while the program is connected; the socket is in the shell.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Call;
use crate::model::event::{HearsOf, Origin, WebhookEndpoint};
use crate::state::world::{API_VERSION, World};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;

/// What a session can be for: snapshots, and thin events. The log of requests, which the program shows too, is not played.
const FEATURES: [&str; 2] = ["webhooks", "v2_events"];
/// After how many seconds the program opens its connection anew, to be sure that it is alive.
const RECONNECT_SECONDS: u32 = 600;

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("POST", "stripecli/sessions") => open(world, call),
        _ => return None,
    })
}

fn open(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let device = params.required("device_name")?;
    let features = params.texts("websocket_features")?.unwrap_or_default();
    let asked = |feature: &str| features.iter().any(|asked| asked == feature);
    let Some(feature) = FEATURES.into_iter().find(|feature| asked(feature)) else {
        return Err(ApiError::rule(format!(
            "The sandbox opens sessions for {} only; got {}.",
            FEATURES.join(" and "),
            features.join(", ")
        ))
        .param("websocket_features"));
    };
    // Where the program sends what it hears, and which of it, it knows by itself.
    for name in
        ["forward_to_url", "forward_connect_to_url", "forward_thin_to_url", "forward_thin_connect_to_url"]
    {
        params.text(name)?;
    }
    params.free("filters");
    let (id, secret) = (world.chance.id("cliws_"), world.listening_secret(&device));
    let endpoint = WebhookEndpoint {
        id: id.clone(),
        origin: Origin::Listener { snapshot: asked("webhooks"), thin: asked("v2_events") },
        created: world.now,
        url: format!("stripe listen on {device}"),
        secret: secret.clone(),
        account: world.connected().map(str::to_owned),
        hears_of: HearsOf::ALL,
        enabled_events: vec!["*".to_owned()],
        enabled: false,
        failing_since: None,
        api_version: None,
        description: None,
        metadata: Metadata::new(),
    };
    world.endpoints.put(endpoint);
    let base = world.public_url.replacen("http", "ws", 1);
    Ok(json!({
        "websocket_id": id,
        "websocket_url": format!("{base}/subscribe/{}", world.account_id),
        "websocket_authorized_feature": feature,
        "reconnect_delay": RECONNECT_SECONDS,
        "secret": secret,
        "default_version": API_VERSION,
        "latest_version": API_VERSION,
        "display_connect_filter_warning": false,
    }))
}

impl World {
    /// The signing secret of a device that listens: the same each time, so that it can be written into a configuration.
    fn listening_secret(&self, device: &str) -> String {
        let digest = Sha256::digest(format!("{}/{device}", self.account_id).as_bytes());
        format!("whsec_{}", hex::encode(digest))
    }

    /// A program connects with the id of its session. Whether there is such a session.
    pub(crate) fn listener_joins(&mut self, id: &str) -> bool {
        let known = self.endpoints.get(id).is_some_and(WebhookEndpoint::is_listener);
        if known {
            self.endpoints.edit(id, |endpoint| endpoint.enabled = true);
        }
        known
    }

    /// A program is gone: nothing waits for it any more.
    pub(crate) fn listener_leaves(&mut self, id: &str) {
        if self.endpoints.get(id).is_some_and(WebhookEndpoint::is_listener) {
            self.endpoints.remove(id);
            self.give_up_endpoint(id);
        }
    }
}
