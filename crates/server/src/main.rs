//! The quittance binary.

use std::process::ExitCode;

/// Many small pieces of JSON are made and dropped on every request.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    quittance_server::cli::main()
}
