"""Schemathesis over the running product: no 5xx, and no answer that the document does not describe.

`cargo xtask test` prepares everything and runs this; `--only openapi` runs it alone. QUITTANCE_BIN names the binary. Arguments are
handed on to Schemathesis, so `--seed 7 --max-examples 500` looks elsewhere and longer.
"""

import json
import os
import subprocess
import sys

from product import API_KEY, Product, inhabited, temporary

# A server error, and whatever is not as documented. What an input deserves is for the project's own tests to say.
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "missing_required_header",
    "ignored_auth",
]
# A stream ends only when its reader does.
EXCLUDED = ["--exclude-path", "/v1/entitlements/stream"]
BUDGET = ["--seed", "1", "--max-examples", "60"]

# Which parameters are sometimes filled with values that mean something; the rest is invented from the schema.
IDS = {"customers": "customer", "subscriptions": "subscription", "checkouts": "checkout", "events": "event"}
EVERYWHERE = {
    "path.grant": "grant",
    "path.feature": "feature",
    "query.feature": "feature",
    "query.aggregate": "aggregate",
    "query.limit": "limit",
    "body.customer": "customer",
    "body.plan": "plan",
    "body.feature": "feature",
    "body.interval": "interval",
    "body.currency": "currency",
    "body.provider": "provider",
    "body.provider_customer": "provider_customer",
    "body.subscription": "subscription",
    "body.return_url": "url",
    "body.success_url": "url",
    "body.cancel_url": "url",
    "body.locale": "locale",
    "body.email": "email",
    "body.name": "aggregate",
}


def configuration(known):
    """A schemathesis.toml that lets calls meet what is there in every second case."""
    lines = ["[generation]", 'database = "none"', ""]
    for name, values in known.items():
        lines += [f"[dictionaries.{name}]", f"values = {json.dumps(values)}", ""]
    # Invented keys are mostly the same short ones, which belong to another request by then.
    fresh = json.dumps([f"key-{number}" for number in range(10_000)])
    lines += ["[dictionaries.key]", f"values = {fresh}", ""]
    lines += ["[parameters]", *(bound(place, name) for place, name in EVERYWHERE.items())]
    lines += [bound("header.Idempotency-Key", "key", 0.9), ""]
    for kind, name in IDS.items():
        lines += ["[[operations]]", f'include-path-regex = "^/v1/{kind}/"', "[operations.parameters]", bound("path.id", name), ""]
    return "\n".join(lines)


def bound(place, dictionary, probability=0.5):
    return f'"{place}" = {{ dictionary = "{dictionary}", probability = {probability} }}'


def main():
    binary = os.environ.get("QUITTANCE_BIN")
    if not binary:
        raise SystemExit("QUITTANCE_BIN names no binary: run `cargo xtask test --only openapi`")
    with temporary() as folder, Product(binary, folder) as product:
        with open(os.path.join(folder, "schemathesis.toml"), "w", encoding="utf-8") as file:
            file.write(configuration(inhabited(product)))
        program = os.path.join(os.path.dirname(sys.executable), "st")
        command = [program, "--config-file", file.name, "run", f"{product.url}/openapi.json", "--no-color"]
        command += ["-H", f"Authorization: Bearer {API_KEY}", "--checks", ",".join(CHECKS), *EXCLUDED, *BUDGET, *sys.argv[1:]]
        status = subprocess.run(command, cwd=folder).returncode
        if product.process.poll() is not None:
            raise SystemExit(f"quittance dev has ended: {product.words()}")
        # A panic in a background task answers nobody.
        if "panicked at" in product.words():
            raise SystemExit(f"quittance dev has panicked: {product.words()}")
        if status != 0:
            raise SystemExit(status)


main()
