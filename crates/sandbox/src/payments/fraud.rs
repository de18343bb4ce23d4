//! Early fraud warnings: they come with certain test cards, and end when the charge is given back or disputed.

use crate::model::charge::Charge;
use crate::model::fraud::FraudWarning;
use crate::state::world::World;

impl World {
    /// The issuer suspects fraud.
    pub(crate) fn warn_of_fraud(&mut self, charge: &Charge) {
        let warning = FraudWarning {
            id: self.chance.id("issfr_"),
            created: self.now,
            charge: charge.id.clone(),
            payment_intent: charge.payment_intent.clone(),
            actionable: true,
        };
        let object = warning.render();
        self.fraud_warnings.put(warning);
        self.emit("radar.early_fraud_warning.created", object);
    }

    /// Nothing is left to be done about the warnings of a charge.
    pub(crate) fn end_fraud_warnings(&mut self, charge: &str) {
        let standing: Vec<FraudWarning> = self
            .fraud_warnings
            .iter()
            .filter(|warning| warning.charge == charge && warning.actionable)
            .cloned()
            .collect();
        for mut warning in standing {
            let before = warning.render();
            warning.actionable = false;
            self.emit_change("radar.early_fraud_warning.updated", &before, warning.render());
            self.fraud_warnings.put(warning);
        }
    }
}
