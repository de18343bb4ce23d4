//! Customers. Of personal data only whether there is an e-mail address.

use serde_json::Value;

use super::MetadataMap;
use super::card::ObservedCard;
use super::read::{Node, ShapeError};

/// The customer that an object belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerRef {
    /// `cus_...`.
    pub id: String,
    /// Known only when expanded.
    pub deleted: Option<bool>,
    /// Known only when expanded and not deleted.
    pub metadata: Option<MetadataMap>,
    /// The payment method that invoices use; known only when expanded.
    pub default_payment_method: Option<String>,
    /// The card that invoices use, when it was expanded too.
    pub default_card: Option<ObservedCard>,
    /// Known only when expanded, not deleted, and when there is one.
    pub email: Option<Email>,
    /// Minor units; negative is credit. Known only when expanded.
    pub balance: Option<i64>,
}

/// A change of a customer's balance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedBalanceEntry {
    /// `cbtxn_...`.
    pub id: String,
    /// Stripe's word for what made it, unmapped.
    pub kind: String,
    /// Minor units; negative is credit.
    pub amount: i64,
    /// Lowercase ISO 4217.
    pub currency: String,
    /// When it was made.
    pub created_s: i64,
}

impl ObservedBalanceEntry {
    /// Reads an entry.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let node = Node::root("customer_balance_transaction", value)?;
        Ok(Self {
            id: node.text("id")?,
            kind: node.text("type")?,
            amount: node.int("amount")?,
            currency: node.text("currency")?,
            created_s: node.int("created")?,
        })
    }

    /// Whether somebody has put it there, rather than an invoice or a credit note.
    #[must_use]
    pub fn is_by_hand(&self) -> bool {
        matches!(self.kind.as_str(), "adjustment" | "initial" | "migration")
    }
}

/// An e-mail address, to be compared and never to be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Whether it is this address.
    #[must_use]
    pub fn is(&self, address: &str) -> bool {
        self.0 == address
    }

    /// The address itself, for whoever stores it as the customer's.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Email(…)")
    }
}

impl CustomerRef {
    pub(super) fn read(node: &Node<'_>) -> Result<Option<Self>, ShapeError> {
        let Some(found) = node.expandable("customer")? else { return Ok(None) };
        let Some(customer) = found.expanded else {
            let (deleted, metadata, default_card, email) = (None, None, None, None);
            let default_payment_method = None;
            return Ok(Some(Self {
                id: found.id,
                deleted,
                metadata,
                default_payment_method,
                default_card,
                email,
                balance: None,
            }));
        };
        let deleted = customer.opt_flag("deleted")?.unwrap_or(false);
        let metadata = if deleted { None } else { Some(customer.metadata("metadata")?) };
        let settings = customer.child("invoice_settings")?;
        let default_card = settings.and_then(|s| ObservedCard::expanded(&s, "default_payment_method"));
        let default_payment_method = default_payment_method(&customer)?;
        let email = if deleted { None } else { customer.opt_text("email")?.map(Email) };
        Ok(Some(Self {
            id: found.id,
            deleted: Some(deleted),
            metadata,
            default_payment_method,
            default_card,
            email,
            balance: customer.opt_int("balance")?,
        }))
    }
}

fn default_payment_method(customer: &Node<'_>) -> Result<Option<String>, ShapeError> {
    let settings = customer.child("invoice_settings")?;
    Ok(settings.map(|s| s.opt_id("default_payment_method")).transpose()?.flatten())
}

/// A customer, or the stub that remains of a deleted one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedCustomer {
    /// `cus_...`.
    pub id: String,
    /// True for the stub of a deleted customer, which has nothing else.
    pub deleted: bool,
    /// When it was created.
    pub created_s: Option<i64>,
    /// Live or test; the stub does not say.
    pub livemode: Option<bool>,
    /// Metadata.
    pub metadata: MetadataMap,
    /// Its e-mail address.
    pub email: Option<Email>,
    /// The payment method that invoices use.
    pub default_payment_method: Option<String>,
    /// Minor units; negative is credit.
    pub balance: Option<i64>,
}

impl ObservedCustomer {
    /// Reads a customer.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let node = Node::root("customer", value)?;
        let id = node.text("id")?;
        let deleted = node.opt_flag("deleted")?.unwrap_or(false);
        let default_payment_method = default_payment_method(&node)?;
        Ok(Self {
            id,
            deleted,
            created_s: if deleted { node.opt_int("created")? } else { Some(node.int("created")?) },
            livemode: if deleted { node.opt_flag("livemode")? } else { Some(node.flag("livemode")?) },
            metadata: node.metadata("metadata")?,
            email: node.opt_text("email")?.filter(|email| !email.is_empty()).map(Email),
            default_payment_method,
            balance: node.opt_int("balance")?,
        })
    }
}
