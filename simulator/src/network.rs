//! The way from a node to the provider: every request is delayed, and some are lost, refused or answered twice over.

use std::sync::Arc;

use quittance_domain::time::SECOND_MS;
use quittance_sandbox::{Fault as ProviderFault, Lost};
use quittance_stripe::http::{
    Exchange, HttpRequest, HttpResponse, Method, Transport, TransportError, TransportErrorKind,
};
use secrecy::ExposeSecret as _;

use crate::faults::Fault;
use crate::sim::Sim;

/// How long a node waits for an answer, in milliseconds.
const TIMEOUT_MS: i64 = 80 * SECOND_MS;

/// One node's way to the provider.
pub struct Network {
    sim: Arc<Sim>,
    node: usize,
}

fn lost(kind: TransportErrorKind, message: &str) -> TransportError {
    TransportError { kind, message: message.to_owned() }
}

impl Network {
    /// The way of a node.
    #[must_use]
    pub fn new(sim: Arc<Sim>, node: usize) -> Self {
        Self { sim, node }
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let sim = &self.sim;
        let who = format!("node {}", self.node);
        let call = format!("{} {}", request.method.as_str(), request.target.split('?').next().unwrap_or(""));
        let key =
            request.headers.iter().find(|(name, _)| *name == "Idempotency-Key").map(|(_, key)| key.clone());
        if sim.is_unreachable() {
            sim.sleep(20).await;
            return Err(lost(TransportErrorKind::NotSent, "the provider cannot be reached"));
        }
        sim.sleep(sim.drawn(10, 150)).await;
        if sim.strikes(Fault::RequestLost) {
            sim.tell(&who, format_args!("{call}: the request is lost"));
            sim.sleep(TIMEOUT_MS).await;
            return Err(lost(TransportErrorKind::Unknown, "no answer in time"));
        }
        let plain = plain(&request);
        if sim.strikes(Fault::RequestLate) {
            let late = TIMEOUT_MS + sim.drawn(0, 60 * SECOND_MS);
            sim.tell(&who, format_args!("{call}: the request arrives {late} ms late"));
            let (provider, name) = (Arc::clone(sim), call.clone());
            sim.outside(async move {
                provider.sleep(late).await;
                let answer = provider.sandbox.handle(plain);
                provider.tell("provider", format_args!("{name} arrives late: {}", answer.status));
                provider.provider_has_changed();
            });
            sim.sleep(TIMEOUT_MS).await;
            return Err(lost(TransportErrorKind::Unknown, "no answer in time"));
        }
        let fault = self.provider_fault(&request, &plain.path);
        let name = fault.as_ref().map(|(name, _)| *name);
        let faulty = fault.is_some();
        if let Some((_, fault)) = fault {
            sim.sandbox.set_faults(vec![fault]);
        }
        let answer = sim.sandbox.handle(plain);
        if faulty {
            sim.sandbox.set_faults(Vec::new());
        }
        if request.method != Method::Get {
            sim.provider_has_changed();
            let key = key.unwrap_or_default();
            sim.tell(&who, format_args!("{call} {key}: {} {}", answer.status, name.unwrap_or("")));
        } else if let Some(name) = name {
            sim.tell(&who, format_args!("{call}: {name}"));
        }
        sim.sleep(sim.drawn(10, 150)).await;
        if answer.lost {
            sim.sleep(sim.drawn(0, TIMEOUT_MS)).await;
            return Err(lost(TransportErrorKind::Unknown, "the connection broke"));
        }
        Ok(HttpResponse { status: answer.status, headers: answer.headers, body: answer.body })
    }

    /// What the provider does wrong with this request, by its own means.
    fn provider_fault(&self, request: &HttpRequest, path: &str) -> Option<(&'static str, ProviderFault)> {
        let sim = &self.sim;
        let writes = request.method == Method::Post;
        let fault = ProviderFault {
            path: path.to_owned(),
            method: Some(request.method.as_str().to_owned()),
            count: Some(1),
            ..ProviderFault::default()
        };
        let status = |status: u16, code: &str| ProviderFault {
            status: Some(status),
            code: Some(code.to_owned()),
            ..fault.clone()
        };
        if sim.strikes(Fault::AnswerLost) {
            return Some(("and the answer is lost", ProviderFault { lost: Some(Lost::After), ..fault }));
        }
        if writes && sim.strikes(Fault::Conflict) {
            return Some(("key in use", status(409, "idempotency_key_in_use")));
        }
        if sim.strikes(Fault::RateLimited) {
            let wait = sim.drawn(0, 30);
            let headers =
                if wait < 10 { Vec::new() } else { vec![("retry-after".to_owned(), wait.to_string())] };
            return Some(("too many requests", ProviderFault { headers, ..status(429, "rate_limit") }));
        }
        if sim.strikes(Fault::LockTimeout) {
            return Some(("lock timeout", status(429, "lock_timeout")));
        }
        if sim.strikes(Fault::ServerError) {
            return Some(("server error", ProviderFault { status: Some(500), ..fault }));
        }
        if writes && sim.strikes(Fault::ServerErrorAfter) {
            let fault = ProviderFault { status: Some(500), after_commit: true, ..fault };
            return Some(("server error after all was done", fault));
        }
        None
    }
}

fn plain(request: &HttpRequest) -> quittance_sandbox::HttpRequest {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let mut headers: Vec<(String, String)> =
        request.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    headers.push(("authorization".to_owned(), request.authorization.expose_secret().to_owned()));
    quittance_sandbox::HttpRequest {
        method: request.method.as_str().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: request.body.clone().into_bytes(),
    }
}

impl Transport for Network {
    fn send(&self, request: HttpRequest) -> Exchange<'_> {
        Box::pin(self.exchange(request))
    }
}
