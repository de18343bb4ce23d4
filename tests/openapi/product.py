"""Quittance as a program meets it: `quittance dev` in a process of its own, with customers who have bought.

Knows the command line and the HTTP contract, nothing of what is inside.
"""

import json
import os
import signal
import subprocess
import tempfile
import time

import requests

API_KEY = "qk_openapi_walk"
MONTH = 32 * 86_400


class Product:
    """A running product; leaving the `with` block ends it as Ctrl-C does."""

    def __init__(self, binary, folder):
        self.log = open(os.path.join(folder, "product.log"), "w+b")
        arguments = ["dev", "--port", "0", "--sandbox-port", "0", "--json", "--data", os.path.join(folder, "data")]
        self.process = subprocess.Popen(
            [binary, *arguments],
            stdout=subprocess.PIPE,
            stderr=self.log,
            env={**os.environ, "QUITTANCE_API_KEY": API_KEY},
        )
        said = self.process.stdout.readline()
        if not said:
            raise SystemExit(f"quittance dev ended before it was ready: {self.words()}")
        told = json.loads(said)
        self.url, self.sandbox = told["url"], told["sandbox_url"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def words(self):
        """What it wrote to its error stream."""
        self.log.flush()
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def api(self, method, path, body=None):
        """One call that must succeed."""
        return self._call(method, self.url + path, body, {"Authorization": f"Bearer {API_KEY}"})

    def control(self, method, path, body=None):
        """One call of the sandbox's own, which must succeed."""
        return self._call(method, f"{self.sandbox}/_sandbox{path}", body, {})

    def provider(self, method, path, **form):
        """One call of the provider's API, as another program on the account makes it."""
        headers = {"Authorization": "Bearer sk_test_other"}
        return self._call(method, f"{self.sandbox}/v1{path}", None, headers, form)

    @staticmethod
    def _call(method, url, body, headers, form=None):
        answer = requests.request(method, url, json=body, data=form, headers=headers, timeout=30)
        if not answer.ok:
            raise SystemExit(f"{method} {url} answered {answer.status_code}: {answer.text}")
        return answer.json()

    def buy(self, customer, **wish):
        """A customer with a paid plan; answers its checkout and its subscription, once access is there."""
        wish = {"plan": "pro", "interval": "month", "currency": "jpy", **wish}
        checkout = self.api("POST", "/v1/checkouts", {"customer": customer, **wish})
        self.control("POST", f"/checkout_sessions/{checkout['session']}/complete", {})
        for _ in range(200):
            details = self.api("GET", f"/v1/customers/{customer}")
            if details["subscriptions"]:
                return checkout, details["subscriptions"][0]
            time.sleep(0.05)
        raise SystemExit(f"{customer} has paid and got nothing: {details}")


def inhabited(product):
    """Customers in every stage of life; answers the ids that the calls' parameters may take."""
    first, running = product.buy("user_1")
    _, ended = product.buy("user_2", plan="studio", interval="year", currency="usd")
    _, failing = product.buy("user_3")
    owner = product.provider("GET", f"/subscriptions/{failing['id']}")["customer"]
    card = product.provider("POST", "/payment_methods/pm_card_chargeCustomerFail/attach", customer=owner)["id"]
    product.provider("POST", f"/subscriptions/{failing['id']}", default_payment_method=card)
    product.control("POST", "/time/advance", {"seconds": MONTH})
    product.api("POST", f"/v1/subscriptions/{ended['id']}/cancel", {"at": "now"})
    waiting = product.api("POST", "/v1/checkouts", {"customer": "user_4", "plan": "pro"})
    grant = product.api("POST", "/v1/customers/user_1/grants", {"feature": "team:seats", "limit": 3, "reason": "test"})
    events = product.api("GET", "/v1/events?limit=20")["data"]
    return {
        # The last two are ids that no customer can have.
        "customer": ["user_1", "user_2", "user_3", "user_4", "demo", "nobody", "a b", "x" * 201],
        "subscription": [running["id"], ended["id"], failing["id"]],
        "checkout": [first["id"], first["session"], waiting["id"]],
        "event": [event["id"] for event in events],
        "aggregate": sorted({event["aggregate"] for event in events}),
        "grant": [grant["id"]],
        "feature": ["article:full", "team:seats", "course:library"],
        "plan": ["pro", "studio", "free"],
        "interval": ["month", "year", "once"],
        "currency": ["jpy", "usd"],
        "provider": ["stripe"],
        "provider_customer": sorted({event["aggregate"].rsplit("/", 1)[1] for event in events}),
        "url": ["https://app.example/welcome"],
        "limit": [1, 3, 100],
        "locale": ["ja-JP", "en"],
        "email": ["name@example.com"],
    }


def temporary():
    """A folder for one run."""
    return tempfile.TemporaryDirectory(prefix="quittance-openapi-")
