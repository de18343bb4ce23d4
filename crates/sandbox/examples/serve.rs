//! Serves a sandbox alone: `cargo run -p quittance-sandbox --example serve -- sandbox --port 4242 --seed 1`.
//!
//! It takes the words of `quittance sandbox` that the witnesses use, so they can be run without building the product.

use std::process::ExitCode;

use quittance_sandbox::{Sandbox, SandboxConfig};

#[tokio::main]
async fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().collect();
    let number = |name: &str| {
        let place = given.iter().position(|word| word == name)?;
        given.get(place + 1)?.parse::<u16>().ok()
    };
    let port = number("--port").unwrap_or(4242);
    let listener = match tokio::net::TcpListener::bind(("127.0.0.1", port)).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let sandbox = Sandbox::new(SandboxConfig {
        seed: number("--seed").map(u64::from),
        public_url: format!("http://127.0.0.1:{port}"),
        ..SandboxConfig::default()
    });
    let shutdown = async {
        // Without signals it serves until it is killed.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    sandbox.serve(listener, shutdown).await;
    ExitCode::SUCCESS
}
