//! The bar of a long run: how much is done, of about how much, and how fast.

use std::future::Future;
use std::io::IsTerminal;
use std::pin::pin;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use quittance_engine::Engine;
use quittance_engine::progress::{LongRun, Progress};

const LOOK: Duration = Duration::from_millis(250);

/// Does the work, and shows how far it has come where somebody looks: on a terminal, and not for programs.
pub(super) async fn shown<T>(engine: &Engine, run: LongRun, json: bool, work: impl Future<Output = T>) -> T {
    if json || !std::io::stderr().is_terminal() {
        return work.await;
    }
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(100));
    let mut work = pin!(work);
    loop {
        tokio::select! {
            done = &mut work => {
                bar.finish_and_clear();
                return done;
            }
            () = tokio::time::sleep(LOOK) => {
                // A look that fails shows nothing new; the work itself says what is wrong.
                if let Ok(Some(state)) = engine.run_state(run).await
                    && let Some(progress) = state.progress
                {
                    show(&bar, &progress);
                }
            }
        }
    }
}

fn show(bar: &ProgressBar, progress: &Progress) {
    let template = match progress.of {
        Some(of) => {
            bar.set_length(of);
            bar.set_position(progress.done);
            "{spinner} {bar:30} {msg}"
        }
        None => "{spinner} {msg}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(in_words(progress));
}

/// For example `subscriptions 1200 of about 5000, 800 a second`.
fn in_words(progress: &Progress) -> String {
    let of = progress.of.map(|of| format!(" of about {of}")).unwrap_or_default();
    format!("{} {}{of}, {} a second", progress.step, progress.done, progress.per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_say_how_much_of_how_much_and_how_fast() {
        let mut progress = Progress { step: "syncs".into(), done: 12, of: Some(50), per_second: 8 };
        assert_eq!(in_words(&progress), "syncs 12 of about 50, 8 a second");
        progress.of = None;
        assert_eq!(in_words(&progress), "syncs 12, 8 a second");
    }
}
