//! The sandbox's front page: what it is and how to speak to it. English only.

use maud::{Markup, html};

use super::layout::page;
use super::views::IndexView;

/// What this is, and a few lines to try.
#[must_use]
pub fn index_page(view: &IndexView) -> Markup {
    let auth = format!("-u {}:", view.api_key);
    let base = &view.base_url;
    let lines = [
        ("Make a customer", format!("curl {base}/v1/customers {auth} -d \"metadata[user]=u_1\"")),
        ("See the prices", format!("curl {base}/v1/prices {auth}")),
        ("See what happened", format!("curl {base}/v1/events {auth}")),
        (
            "Live through a month",
            format!(
                "curl {base}/_sandbox/time/advance -H 'content-type: application/json' -d '{{\"seconds\":2678400}}'"
            ),
        ),
        (
            "Send every webhook twice, in any order",
            format!(
                "curl -X PUT {base}/_sandbox/webhooks -H 'content-type: application/json' \
                 -d '{{\"duplicate\":1,\"shuffle\":1,\"seed\":7}}'"
            ),
        ),
    ];
    let body = html! {
        p class="merchant" { "Quittance sandbox" }
        h1 { "A payment provider on this machine" }
        p class="lead" {
            "It answers as the Stripe API does (version " code { (view.api_version) }
            "), keeps its own clock, signs and sends webhooks, and can be told to misbehave."
        }
        p { "Cards, customers and payments here are made up. Nothing leaves this machine." }
        p { a class="main-action" href=(view.control_path) { "Open the control page" } }
        h2 { "Point your program here" }
        (copyable(&format!("STRIPE_API_BASE={base}")))
        (copyable(&format!("STRIPE_SECRET_KEY={}", view.api_key)))
        h2 { "Try it" }
        @for (what, line) in &lines {
            h3 class="small-head" { (what) }
            (copyable(line))
        }
    };
    page(&view.frame, "Quittance sandbox", "article", &body)
}

/// A line that the script gives a copy button.
fn copyable(line: &str) -> Markup {
    html! { pre data-copy="Copy" { code { (line) } } }
}
