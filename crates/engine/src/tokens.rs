//! Entitlement tokens: what a customer may use, signed, for somebody who verifies it without asking us.
//!
//! A token is a JWT signed with Ed25519. It ends with its configured life or with the first thing in it that ends, whichever
//! comes first, so it never says yes longer than we would. What is taken away meanwhile it still says until it ends: its life
//! is the price of not asking. Nothing is stored.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quittance_domain::entitlement::{Outlook, outlook};
use quittance_domain::signing::LONGEST_TOKEN_MS;
use quittance_domain::time::SECOND_MS;
use quittance_domain::{CustomerId, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::engine::Engine;
use crate::entitlements::Held;
use crate::problem::Problem;

/// The longest name of an audience, in bytes.
const MAX_AUDIENCE: usize = 200;

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The signed text.
    pub text: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What a token says.
#[derive(Debug, Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    iat: i64,
    exp: i64,
    jti: String,
    access: Option<&'static str>,
    plans: Vec<&'a str>,
    entitlements: Map<String, Value>,
    version: i64,
    catalog: &'a str,
}

impl Engine {
    /// Signs what a customer may use now. An unknown customer gets a token that allows nothing.
    ///
    /// # Errors
    /// `not_configured` without a root key.
    #[crate::boxed]
    pub async fn entitlement_token(
        &self,
        customer: &CustomerId,
        audience: Option<&str>,
    ) -> Result<Token, Problem> {
        let held = self.held(customer.as_str()).await?;
        self.token_of(customer, held.as_ref(), audience).await
    }

    #[crate::boxed]
    pub(crate) async fn token_of(
        &self,
        customer: &CustomerId,
        held: Option<&Held>,
        audience: Option<&str>,
    ) -> Result<Token, Problem> {
        if audience.is_some_and(|name| {
            name.is_empty() || name.len() > MAX_AUDIENCE || name.chars().any(char::is_control)
        }) {
            return Err(Problem::invalid(format!("`audience` must have 1 to {MAX_AUDIENCE} bytes.")));
        }
        let now = self.now();
        // Whole seconds are all that a token can say: what ends within this one is left out, or it could not end in time.
        let view = outlook(held.map_or(&[][..], |held| &held.holdings), now, 2 * SECOND_MS);
        let life = self.settings().tokens.lifetime_ms.min(LONGEST_TOKEN_MS);
        let end = view.until.map_or(i64::MAX, Timestamp::ms).min(now.plus_ms(life).ms());
        let expires_at = Timestamp::from_seconds(Timestamp::from_ms(end).seconds());
        let claims = Claims {
            iss: &self.settings().public_url,
            sub: customer.as_str(),
            aud: audience,
            iat: now.seconds(),
            exp: expires_at.seconds(),
            jti: hex::encode(self.world().random()),
            access: view.access.map(|access| access.as_str()),
            plans: view.plans.iter().map(|plan| plan.as_str()).collect(),
            entitlements: entitlements(&view),
            version: held.map_or(0, |held| held.version),
            catalog: self.catalog_mark(),
        };
        let said = encode(&claims)?;
        let (text, signature) = self.sign(|kid| format!("{}.{said}", header(kid))).await?;
        Ok(Token { text: format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)), expires_at })
    }
}

fn header(kid: &str) -> String {
    URL_SAFE_NO_PAD.encode(json!({ "alg": "EdDSA", "typ": "JWT", "kid": kid }).to_string())
}

fn encode(claims: &Claims) -> Result<String, Problem> {
    let text = serde_json::to_vec(claims).map_err(|error| Problem::invalid(error.to_string()))?;
    Ok(URL_SAFE_NO_PAD.encode(text))
}

fn entitlements(view: &Outlook) -> Map<String, Value> {
    let entry = |limit: Option<i64>, until: Option<Timestamp>| json!({ "limit": limit, "expires_at": until.map(|t| t.to_string()) });
    view.promises.iter().map(|p| (p.feature.to_string(), entry(p.limit, p.expires_at))).collect()
}
