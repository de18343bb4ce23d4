//! `/connect/onboarding/{token}` and `/connect/express/{account}`: the pages of a connected account's owner.

use super::frame::{Fields, frame, html, locale, money, problem, redirect};
use crate::connect::onboarding::{AccountLink, LinkState, Told};
use crate::model::account::{Account, Dashboard};
use crate::pages::{self, ExpressView, Frame, OnboardingView};
use crate::sandbox::Sandbox;
use crate::state::world::World;
use crate::wire::request::{HttpRequest, HttpResponse};

/// Opens a link once, takes the form, and sends everybody else to the platform for a fresh link.
pub(super) fn onboarding(sandbox: &Sandbox, request: &HttpRequest, token: &str) -> HttpResponse {
    let known = sandbox.read(|world| {
        let link = world.connect.links.get(token)?.clone();
        let account = world.live_account(&link.account).ok()?;
        Some((link, account))
    });
    let Some((link, account)) = known else {
        return sandbox.read(|world| problem(world, request, 404, "There is no such account link."));
    };
    let now = sandbox.now();
    match request.method.as_str() {
        "GET" if link.opens(now) => {
            move_link(sandbox, token, LinkState::Opened);
            let told = Told::known(&account);
            show(sandbox, request, &link, &account, &told, None)
        }
        "POST" if link.takes(now) => take(sandbox, request, &link, &account),
        "GET" | "POST" => redirect(&link.refresh_url),
        _ => sandbox.read(|world| problem(world, request, 405, "This page takes GET and POST.")),
    }
}

fn move_link(sandbox: &Sandbox, token: &str, state: LinkState) {
    sandbox.change(|world| world.connect.links.edit(token, |link| link.state = state));
}

/// A page without time travel: coming back to it would find the link used.
fn plain_frame(world: &World, request: &HttpRequest) -> Frame {
    Frame { time_travel: None, ..frame(world, request, locale(request, None)) }
}

fn show(
    sandbox: &Sandbox,
    request: &HttpRequest,
    link: &AccountLink,
    account: &Account,
    told: &Told,
    wrong: Option<&str>,
) -> HttpResponse {
    let view = sandbox.read(|world| OnboardingView {
        frame: plain_frame(world, request),
        merchant: account.called(),
        account_id: account.id.clone(),
        company: !told.is_person(),
        name: told.name.clone(),
        email: told.email.clone(),
        url: told.url.clone(),
        due: account.due().into_iter().map(str::to_owned).collect(),
        wrong: wrong.map(str::to_owned),
        action: format!("/connect/onboarding/{}", link.token),
    });
    let status = if wrong.is_some() { 422 } else { 200 };
    html(status, pages::onboarding_page(&view), &[&link.return_url, &link.refresh_url])
}

fn take(sandbox: &Sandbox, request: &HttpRequest, link: &AccountLink, account: &Account) -> HttpResponse {
    let posted = Fields::posted(request);
    if posted.text("step") == "later" {
        move_link(sandbox, &link.token, LinkState::Used);
        return redirect(&link.return_url);
    }
    let company = posted.text("business_type") == "company";
    let kept = Told::known(account).business_type;
    let told = Told {
        // Whoever is known as another kind of company than the page offers stays it.
        business_type: match (company, kept.as_str()) {
            (true, "government_entity" | "non_profit") => kept,
            (true, _) => "company".to_owned(),
            (false, _) => "individual".to_owned(),
        },
        name: posted.text("name").to_owned(),
        email: posted.text("email").to_owned(),
        url: posted.text("url").to_owned(),
    };
    if let Some(wrong) = fault(&told) {
        return show(sandbox, request, link, account, &told, Some(wrong));
    }
    sandbox.change(|world| world.onboard(&account.id, &told));
    move_link(sandbox, &link.token, LinkState::Used);
    redirect(&link.return_url)
}

fn fault(told: &Told) -> Option<&'static str> {
    if told.name.is_empty() {
        return Some("name");
    }
    if !told.email.contains('@') {
        return Some("email");
    }
    told.url.is_empty().then_some("url")
}

/// What a login link shows.
pub(super) fn express(sandbox: &Sandbox, request: &HttpRequest, id: &str) -> HttpResponse {
    let account = sandbox.read(|world| world.connect.accounts.get(id).cloned());
    let has_dashboard = |account: &Account| account.controller.dashboard == Dashboard::Express;
    let Some(account) = account.filter(has_dashboard) else {
        return sandbox.read(|world| problem(world, request, 404, "There is no such dashboard."));
    };
    let view = sandbox.speaking_for(id).read(|books| {
        let mut currencies: Vec<&String> =
            books.balance_transactions.iter().map(|entry| &entry.currency).collect();
        currencies.sort_unstable();
        currencies.dedup();
        let sum = |currency: &String| {
            let (available, pending) = books.balance_in(currency);
            money(available + pending, currency)
        };
        ExpressView {
            frame: plain_frame(books, request),
            merchant: account.called(),
            account_id: account.id.clone(),
            charges: account.charges_enabled(),
            payouts: account.payouts_enabled(),
            balance: currencies.into_iter().map(sum).collect(),
        }
    });
    html(200, pages::express_page(&view), &[])
}
