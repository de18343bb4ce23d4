//! `flow_data` of a portal session: one task, checked against the customer and the configuration.

use crate::model::portal::PortalConfiguration;
use crate::model::portal_flow::{After, Flow, FlowItem, Task};
use crate::model::subscription::Subscription;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::{Field, Params};

const TASKS: [&str; 6] = [
    "payment_method_update",
    "customer_update",
    "subscription_cancel",
    "subscription_pause",
    "subscription_update",
    "subscription_update_confirm",
];

/// Reads the flow; `None` leads to the portal's home.
pub(super) fn read(
    world: &World,
    params: &Params<'_>,
    customer: &str,
    configuration: &PortalConfiguration,
) -> ApiResult<Option<Flow>> {
    let flow = params.sub("flow_data");
    let Some(kind) = flow.one_of("type", &TASKS)?.value() else {
        return Ok(None);
    };
    let own = |details: &Params<'_>| -> ApiResult<Subscription> {
        let (id, param) = (details.required("subscription")?, details.full("subscription"));
        let found = need(&world.subscriptions, &id, &param)?;
        if found.customer == customer && !found.status.is_terminal() {
            Ok(found)
        } else {
            Err(ApiError::missing("subscription", &id, &param))
        }
    };
    let details = flow.sub(kind);
    let (task, enabled) = match kind {
        "payment_method_update" => (Task::PaymentMethodUpdate, configuration.payment_method_update),
        "customer_update" => (Task::CustomerUpdate, configuration.customer_update),
        "subscription_cancel" => {
            (Task::SubscriptionCancel { subscription: own(&details)?.id }, configuration.subscription_cancel)
        }
        "subscription_pause" => {
            let subscription = own(&details)?;
            world.check_pausable(&subscription)?;
            (Task::SubscriptionPause { subscription: subscription.id }, configuration.subscription_pause)
        }
        "subscription_update" => {
            (Task::SubscriptionUpdate { subscription: own(&details)?.id }, configuration.updates_plans())
        }
        _ => {
            let subscription = own(&details)?;
            let items = read_items(world, &details, &subscription, configuration)?;
            let task = Task::SubscriptionUpdateConfirm { subscription: subscription.id, items };
            (task, configuration.updates_plans())
        }
    };
    if !enabled {
        let message = format!(
            "The flow {kind} needs a feature that is disabled in the portal configuration {}.",
            configuration.id
        );
        return Err(ApiError::rule(message).param("flow_data[type]"));
    }
    Ok(Some(Flow { task, after: read_after(&flow)? }))
}

fn read_items(
    world: &World,
    details: &Params<'_>,
    subscription: &Subscription,
    configuration: &PortalConfiguration,
) -> ApiResult<Vec<FlowItem>> {
    let offered = world.portal_prices(configuration, subscription);
    let items = details
        .list("items")
        .iter()
        .map(|item| {
            let id = item.required("id")?;
            if !subscription.items.iter().any(|found| found.id == id) {
                return Err(ApiError::missing("subscription item", &id, &item.full("id")));
            }
            let price = item.text("price")?.value();
            if let Some(price) = &price
                && !offered.iter().any(|offered| offered.id == *price)
            {
                let message = format!("The price {price} is not among those of the portal configuration.");
                return Err(ApiError::rule(message).param(&item.full("price")));
            }
            Ok(FlowItem { id, price, quantity: item.int_within("quantity", 1..=999_999)?.value() })
        })
        .collect::<ApiResult<Vec<FlowItem>>>()?;
    if items.is_empty() {
        let full = details.full("items");
        return Err(ApiError::invalid(
            "parameter_missing",
            &full,
            format!("Missing required param: {full}."),
        ));
    }
    Ok(items)
}

fn read_after(flow: &Params<'_>) -> ApiResult<After> {
    let after = flow.sub("after_completion");
    let words = ["portal_homepage", "redirect", "hosted_confirmation"];
    Ok(match after.one_of("type", &words)? {
        Field::Set("redirect") => {
            After::Redirect { return_url: after.sub("redirect").required("return_url")? }
        }
        Field::Set("hosted_confirmation") => {
            After::Confirmation { message: after.sub("hosted_confirmation").text("custom_message")?.value() }
        }
        Field::Set(_) | Field::Absent | Field::Unset => After::Homepage,
    })
}
