//! How accounts begin, change and end, and what is told of it.

use serde_json::{Value, json};

use super::onboarding::LinkState;
use crate::model::account::{Access, Account, Rejection};
use crate::state::timers::Timers;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};

impl World {
    /// The platform's application, `ca_…`: one for each platform.
    pub(crate) fn application_id(&self) -> String {
        format!("ca_{}", self.platform_id().trim_start_matches("acct_"))
    }

    /// The platform's application as the API shows it.
    pub(crate) fn application(&self) -> Value {
        json!({ "id": self.application_id(), "object": "application", "name": "Sandbox" })
    }

    /// An account that the platform may speak for, or the one whose books are open.
    pub(crate) fn live_account(&self, id: &str) -> ApiResult<Account> {
        if self.connected().is_some_and(|own| own != id) || !self.may_speak_for(id) {
            return Err(ApiError::no_access(id));
        }
        need(&self.connect.accounts, id, "account")
    }

    /// Refuses what only a platform can do.
    pub(crate) fn check_is_platform(&self) -> ApiResult<()> {
        if self.connected().is_none() {
            return Ok(());
        }
        Err(ApiError::rule("Only the platform itself can do this: leave out the Stripe-Account header."))
    }

    /// Opens an account with books of its own.
    pub(crate) fn open_account(&mut self, mut account: Account) {
        account.submitted |= Self::is_complete(&account);
        self.add_books(&account.id);
        let (id, called) = (account.id.clone(), account.called());
        let asked: Vec<Value> =
            account.capabilities.keys().map(|name| account.render_capability(name)).collect();
        let banks: Vec<Value> = account.external_accounts.iter().map(|bank| bank.render()).collect();
        self.connect.accounts.put(account);
        let application = self.application();
        self.within(&id, |books| {
            books.merchant = called;
            books.emit("account.application.authorized", application);
            for capability in asked {
                books.emit("capability.updated", capability);
            }
            for bank in banks {
                books.emit("account.external_account.created", bank);
            }
        });
    }

    fn is_complete(account: &Account) -> bool {
        let asks = account.capabilities.values().any(|asked| asked.requested);
        asks && account.acceptance.is_some() && account.due().is_empty()
    }

    /// Changes an account and tells what follows: the account itself, then each capability that came or went.
    pub(crate) fn change_account(&mut self, id: &str, change: impl FnOnce(&mut Account)) {
        let Some(before) = self.connect.accounts.get(id).cloned() else {
            return;
        };
        let mut after = before.clone();
        change(&mut after);
        after.submitted |= Self::is_complete(&after);
        let called = after.called();
        self.connect.accounts.put(after.clone());
        self.within(id, |books| {
            books.plan_payouts();
            books.merchant = called;
            books.emit_change("account.updated", &before.render(), after.render());
            for name in after.capabilities.keys() {
                let (old, new) = (before.render_capability(name), after.render_capability(name));
                if before.capabilities.contains_key(name) {
                    books.emit_change("capability.updated", &old, new);
                } else {
                    books.emit("capability.updated", new);
                }
            }
        });
    }

    /// The platform rejects an account, or takes the rejection back.
    pub(crate) fn reject_account(&mut self, id: &str, rejection: Option<Rejection>) {
        self.change_account(id, |account| account.rejection = rejection);
    }

    /// Ends the platform's access. A deleted account does nothing more; one that only left goes on by itself.
    pub(crate) fn disconnect(&mut self, id: &str, access: Access) {
        let application = self.application();
        self.within(id, |books| {
            books.emit("account.application.deauthorized", application);
            if access == Access::Deleted {
                books.timers = Timers::default();
            }
        });
        self.connect.accounts.edit(id, |account| account.access = access);
        let links: Vec<String> = self
            .connect
            .links
            .iter()
            .filter(|link| link.account == id)
            .map(|link| link.token.clone())
            .collect();
        for link in links {
            self.connect.links.edit(&link, |link| link.state = LinkState::Used);
        }
    }
}
