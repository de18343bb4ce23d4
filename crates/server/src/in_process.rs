//! A sandbox in the same process, without a socket in between.

use std::sync::Arc;

use quittance_sandbox::Sandbox;
use quittance_stripe::http::{
    Exchange, HttpRequest, HttpResponse, Transport, TransportError, TransportErrorKind,
};
use secrecy::ExposeSecret;

/// Carries calls to the sandbox in the same process.
pub struct InProcess(pub Arc<Sandbox>);

impl Transport for InProcess {
    fn send(&self, request: HttpRequest) -> Exchange<'_> {
        Box::pin(async move {
            let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
            let mut headers: Vec<(String, String)> =
                request.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            headers.push(("authorization".to_owned(), request.authorization.expose_secret().to_owned()));
            let answer = self.0.handle(quittance_sandbox::HttpRequest {
                method: request.method.as_str().to_owned(),
                path: path.to_owned(),
                query: query.to_owned(),
                headers,
                body: request.body.into_bytes(),
            });
            if answer.lost {
                let message = "a fault lost the answer".to_owned();
                return Err(TransportError { kind: TransportErrorKind::Unknown, message });
            }
            Ok(HttpResponse { status: answer.status, headers: answer.headers, body: answer.body })
        })
    }
}
