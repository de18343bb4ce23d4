"""What a program does with Stripe's library for Python; it fails loudly where an answer is not what the library expects."""

import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer

import stripe

url, key, port, secret = sys.argv[1:]


class Receiver(BaseHTTPRequestHandler):
    """Takes webhooks and keeps them as they came."""

    received = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        Receiver.received.append((body, self.headers["stripe-signature"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        """Says nothing of each request."""


receiver = HTTPServer(("127.0.0.1", int(port)), Receiver)
threading.Thread(target=receiver.serve_forever, daemon=True).start()
client = stripe.StripeClient(key, base_addresses={"api": url}, max_network_retries=0)
api = client.v1


def refused(kind, work, **wanted):
    """Runs work, which must fail as kind, with these attributes."""
    try:
        work()
    except kind as error:
        for name, value in wanted.items():
            assert getattr(error, name) == value, (name, getattr(error, name), value)
        return error
    raise AssertionError(f"{kind.__name__} was expected")


customer = api.customers.create(
    {
        "email": "grace@example.com",
        "payment_method": "pm_card_visa",
        "invoice_settings": {"default_payment_method": "pm_card_visa"},
    }
)
assert customer.id.startswith("cus_") and customer.last_response.code == 200
product = api.products.create({"name": "Pro"})
price = api.prices.create(
    {
        "product": product.id,
        "unit_amount": 1500,
        "currency": "usd",
        "recurring": {"interval": "month"},
        "lookup_key": "pro_month_usd",
    }
)
assert api.prices.list({"lookup_keys": ["pro_month_usd"]}).data[0].id == price.id

subscription = api.subscriptions.create(
    {"customer": customer.id, "items": [{"price": price.id}], "expand": ["latest_invoice"]}
)
assert subscription.status == "active", subscription.status
assert subscription.latest_invoice.amount_paid == 1500
item = subscription["items"].data[0]
preview = api.invoices.create_preview(
    {
        "customer": customer.id,
        "subscription": subscription.id,
        "subscription_details": {"items": [{"id": item.id, "quantity": 3}]},
    }
)
assert preview.total > 1500, preview.total
changed = api.subscriptions.update(subscription.id, {"items": [{"id": item.id, "quantity": 3}]})
assert changed["items"].data[0].quantity == 3
ended = api.subscriptions.cancel(subscription.id)
assert ended.status == "canceled"

once = str(uuid.uuid4())
first = api.customers.create({"name": "Once"}, {"idempotency_key": once})
again = api.customers.create({"name": "Once"}, {"idempotency_key": once})
assert first.id == again.id
refused(
    stripe.IdempotencyError,
    lambda: api.customers.create({"name": "Another"}, {"idempotency_key": once}),
    http_status=400,
)

refused(stripe.InvalidRequestError, lambda: api.customers.retrieve("cus_none"), code="resource_missing", http_status=404)
refused(stripe.InvalidRequestError, lambda: api.customers.create({"no_such_field": "x"}), param="no_such_field")
refused(
    stripe.CardError,
    lambda: api.payment_intents.create(
        {
            "amount": 1500,
            "currency": "usd",
            "payment_method": "pm_card_chargeDeclined",
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "confirm": True,
        }
    ),
    code="card_declined",
    http_status=402,
)
stranger = stripe.StripeClient("sk_live_not_here", base_addresses={"api": url}, max_network_retries=0)
refused(stripe.AuthenticationError, lambda: stranger.v1.customers.list())

ids = [api.products.create({"name": f"Page {n}"}).id for n in range(5)]
found = [p.id for p in api.products.list({"limit": 2}).auto_paging_iter()]
assert [i for i in found if i in ids] == ids[::-1] and len(set(found)) == len(found)

session = api.checkout.sessions.create(
    {
        "mode": "payment",
        "line_items": [
            {"price_data": {"currency": "usd", "unit_amount": 900, "product_data": {"name": "Course"}}, "quantity": 1}
        ],
        "success_url": "https://example.com/ok",
    }
)
assert session.status == "open" and session.amount_total == 900

events = api.events.list({"type": "customer.subscription.deleted"})
assert events.data[0].data.object["id"] == subscription.id


def webhook(text):
    """The first webhook that contains a text, and its signature."""
    end = time.monotonic() + 15
    while time.monotonic() < end:
        for body, signature in Receiver.received:
            if text.encode() in body:
                return body, signature
        time.sleep(0.05)
    raise AssertionError(f"no webhook with {text} within 15 s; {len(Receiver.received)} came")


told = api.customers.create({"email": "told@example.com"})
body, signature = webhook(told.id)
event = client.construct_event(body, signature, secret)
assert (event.type, event.data.object["id"]) == ("customer.created", told.id)
for wrong in [
    lambda: client.construct_event(body.replace(b"told@", b"sold@"), signature, secret),
    lambda: client.construct_event(body, signature, secret + "x"),
    lambda: client.construct_event(body, signature.replace("t=", "t=1"), secret),
    lambda: client.construct_event(body, "t=1,v1=00", secret),
]:
    refused(stripe.SignatureVerificationError, wrong)
print(f"stripe {stripe.VERSION}: everything as the library expects")
