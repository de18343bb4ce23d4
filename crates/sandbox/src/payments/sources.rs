//! Cards as sources: payment methods with ids `card_…`, of which a customer has a default one. They pay like any other.

use crate::model::customer::{Customer, PaymentMethod, SOURCE_PREFIX};
use crate::state::world::World;
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;

impl World {
    /// A customer's card that is a source.
    pub(crate) fn source_of(&self, customer: &str, id: &str) -> Option<PaymentMethod> {
        let card = self.payment_methods.get(id).filter(|card| card.is_source());
        card.filter(|card| card.customer.as_deref() == Some(customer)).cloned()
    }

    /// Gives a customer the card of a token, `tok_…`, and tells of it; a card that the issuer refuses is not kept.
    pub(crate) fn add_source(
        &mut self,
        customer: &str,
        token: &str,
        metadata: Metadata,
    ) -> ApiResult<PaymentMethod> {
        if !token.starts_with("tok_") {
            return Err(ApiError::missing("token", token, "source"));
        }
        let made = self.resolve_method(token, "source")?;
        let mut card =
            self.payment_methods.remove(&made).ok_or_else(|| ApiError::missing("token", token, "source"))?;
        card.id = self.chance.id(SOURCE_PREFIX);
        card.metadata = metadata;
        let id = card.id.clone();
        self.payment_methods.put(card);
        if let Err(error) = self.attach_method(&id, customer) {
            self.payment_methods.remove(&id);
            return Err(error);
        }
        let card = self.source_of(customer, &id).ok_or_else(|| ApiError::missing("source", &id, "source"))?;
        self.emit("customer.source.created", card.render_source());
        Ok(card)
    }

    /// A card that was detached was a source: of those that are left the newest becomes the default, if it was that.
    pub(super) fn forget_source(&mut self, customer: &str, card: &PaymentMethod) {
        self.emit("customer.source.deleted", card.render_source());
        let default = |owner: &&Customer| owner.default_source.as_deref() == Some(&card.id);
        let Some(mut owner) = self.customers.get(customer).filter(default).cloned() else {
            return;
        };
        let before = owner.render();
        let newest = self.payment_methods.of(customer).rev().find(|method| method.is_source());
        owner.default_source = newest.map(|method| method.id.clone());
        let after = owner.render();
        self.customers.put(owner);
        self.emit_change("customer.updated", &before, after);
    }

    /// The card of a token becomes a customer's default source in place of the one before, which goes.
    pub(crate) fn replace_source(&mut self, customer: &mut Customer, token: &str) -> ApiResult<()> {
        let card = self.add_source(&customer.id, token, Metadata::new())?;
        let old = customer.default_source.replace(card.id.clone());
        self.customers.edit(&customer.id, |customer| customer.default_source = Some(card.id));
        if let Some(old) = old {
            self.detach_method(&old)?;
            customer.default_payment_method =
                self.customers.get(&customer.id).and_then(|customer| customer.default_payment_method.clone());
        }
        Ok(())
    }
}
