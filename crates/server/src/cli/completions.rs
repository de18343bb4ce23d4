//! `quittance completions`.

use clap::Args;
use clap_complete::Shell;

use super::out;
use crate::failure::Failure;

/// A completion script.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quittance completions bash > /etc/bash_completion.d/quittance
  quittance completions zsh > ~/.zfunc/_quittance
  quittance completions fish > ~/.config/fish/completions/quittance.fish")]
pub(super) struct Options {
    /// The shell
    shell: Shell,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut super::command(), "quittance", &mut script);
    out::say(String::from_utf8_lossy(&script).trim_end());
    Ok(())
}
