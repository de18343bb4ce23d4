//! Entitlement tokens, and the keys that verify them.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quittance_engine::signing_keys::SigningKeyView;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Auth, Read};
use super::customers::customer_id;
use super::dto::Time;
use super::extract::{InBody, InPath};
use super::problem::{Fail, ProblemDocument};
use super::reply::Json;
use super::state::AppState;

/// How long copies of the keys may be kept, as told to whoever fetches them.
const KEYS_CACHED: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(issue_token)).routes(routes!(get_keys))
}

/// What the token is for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TokenInput {
    /// Who is to believe it, the token's `aud`; none when absent.
    #[schema(example = "edge.example.com", min_length = 1, max_length = 200)]
    audience: Option<String>,
    /// Include what this names, as in the check of one entitlement: `chk_…`, `cs_…`, `evt_…` or an earlier answer's `after`.
    #[schema(example = "cs_test_a1B2c3")]
    after: Option<String>,
    /// How long to wait for that, in milliseconds.
    #[schema(minimum = 0, maximum = 30000)]
    wait_ms: Option<i64>,
}

/// A token.
#[derive(Debug, Serialize, ToSchema)]
struct IssuedToken {
    /// A JWT, signed with EdDSA (Ed25519). Its claims: `iss`, `sub` (the customer), `aud`, `iat`, `exp`, `jti`, `access`,
    /// `plans`, `entitlements` (each allowed feature with `limit` and `expires_at`), `version` (of the customer's state) and
    /// `catalog` (a mark of what the plans give).
    #[schema(example = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCIsImtpZCI6Ii4uLiJ9.e30.c2ln")]
    token: String,
    /// When it ends: never later than the first thing in it that ends.
    expires_at: Time,
    /// Only after `after`: whether the token may still lack what that names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<bool>,
    /// Only while pending: what to send as `after` next time.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

/// A signed token of what a customer may use
///
/// For an edge or another service that verifies it with the keys at `/.well-known/jwks.json` and asks nobody. What is taken
/// away meanwhile the token still says until it ends. An unknown customer gets a token that allows nothing.
#[utoipa::path(
    post, path = "/v1/customers/{id}/entitlement-token", tag = "Entitlements", security(("api_key" = ["read"])),
    params(("id" = String, Path, description = "Your id of the customer.", example = "user_42")),
    request_body = TokenInput,
    responses((status = 200, description = "The token", body = IssuedToken),
              (status = 404, description = "`after` names nothing of this customer", body = ProblemDocument),
              (status = 501, description = "The server has no root key", body = ProblemDocument))
)]
async fn issue_token(
    State(app): State<AppState>,
    _: Auth<Read>,
    InPath(id): InPath<String>,
    InBody(input): InBody<TokenInput>,
) -> Result<Response, Fail> {
    let customer = customer_id(&id)?;
    let fresh = match &input.after {
        Some(after) => Some(app.engine.catch_up(&customer, after, input.wait_ms).await?),
        None => None,
    };
    let token = app.engine.entitlement_token(&customer, input.audience.as_deref()).await?;
    let answer = IssuedToken {
        token: token.text,
        expires_at: Time(token.expires_at),
        pending: fresh.as_ref().map(quittance_engine::freshness::Freshness::is_pending),
        after: fresh.as_ref().and_then(|fresh| fresh.mark()).map(str::to_owned),
    };
    let mut response = Json(answer).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A key that verifies tokens (RFC 8037).
#[derive(Debug, Serialize, ToSchema)]
struct PublicKey {
    /// `OKP`.
    kty: &'static str,
    /// `Ed25519`.
    crv: &'static str,
    /// `EdDSA`.
    alg: &'static str,
    /// `sig`.
    #[serde(rename = "use")]
    usage: &'static str,
    /// The id that tokens name it by.
    #[schema(example = "3f9c2a7be01d4c55")]
    kid: String,
    /// The public key, base64url.
    x: String,
}

/// The keys that verify tokens (RFC 7517).
#[derive(Debug, Serialize, ToSchema)]
struct PublicKeys {
    /// The key that signs, the one that will next, and those of which tokens may still be in force.
    keys: Vec<PublicKey>,
}

impl From<SigningKeyView> for PublicKey {
    fn from(key: SigningKeyView) -> Self {
        Self {
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            usage: "sig",
            kid: key.kid,
            x: URL_SAFE_NO_PAD.encode(key.public_key),
        }
    }
}

/// The keys that verify tokens
///
/// Keep a copy for some minutes, and fetch again when a token names a key that is not in it. A key is here long before it
/// signs.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "Entitlements", security(()),
    responses((status = 200, description = "The keys", body = PublicKeys))
)]
async fn get_keys(State(app): State<AppState>) -> Result<Response, Fail> {
    let keys = app.engine.published_keys().await?.into_iter().map(PublicKey::from).collect();
    let mut response = Json(PublicKeys { keys }).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, KEYS_CACHED);
    Ok(response)
}
