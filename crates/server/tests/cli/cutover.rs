//! `docs/migrating.md`, walked: import, shadow, compare, switch, with the old integration answering until the end.

use serde_json::{Value, json};

use crate::house::{Client, Process, eventually, pay, quittance, run, run_json};

/// A provider with customers, the old integration's endpoint, and a second one for us.
struct Site {
    folder: tempfile::TempDir,
    sandbox: Process,
    endpoint: String,
    secret: String,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = ["sandbox", "--port", "0", "--with-catalog", "--json"];
        let sandbox = Process::start(&mut quittance(folder.path(), &sandbox));
        let provider = Client::new(&sandbox.field("url"), "sk_test_any");
        let old = "url=http://127.0.0.1:9/old&enabled_events[0]=*";
        provider.form("/v1/webhook_endpoints", old);
        let ours = "url=http://127.0.0.1:9/webhooks/stripe&enabled_events[0]=*";
        let made = provider.form("/v1/webhook_endpoints", ours);
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        std::fs::write(folder.path().join("quittance.toml"), "[sweep]\nevery_s = 604800\n").unwrap();
        Self { folder, sandbox, endpoint: text("id"), secret: text("secret") }
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = quittance(self.folder.path(), arguments);
        command
            .env("DATABASE_URL", format!("sqlite://{}", self.folder.path().join("q.db").display()))
            .env("STRIPE_SECRET_KEY", "sk_test_any")
            .env("STRIPE_WEBHOOK_SECRET", &self.secret)
            .env("STRIPE_API_BASE", self.sandbox.field("url"));
        command
    }

    fn provider(&self) -> Client {
        Client::new(&self.sandbox.field("url"), "sk_test_any")
    }

    fn serve(&self, more: &[&str]) -> Process {
        let mut arguments = vec!["serve", "--port", "0"];
        arguments.extend(more);
        let server = Process::serve(&mut self.command(&arguments));
        let url = format!("url={}/webhooks/stripe", server.field("url"));
        self.provider().form(&format!("/v1/webhook_endpoints/{}", self.endpoint), &url);
        server
    }

    /// The old app sells: the provider's customer.
    fn sell(&self, form: &str) -> String {
        let provider = self.provider();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let buyer = text(&provider.form("/v1/customers", form)["id"]);
        let method = provider.form("/v1/payment_methods/pm_card_visa/attach", &format!("customer={buyer}"));
        let default = format!("invoice_settings[default_payment_method]={}", text(&method["id"]));
        provider.form(&format!("/v1/customers/{buyer}"), &default);
        let price = text(&provider.get("/v1/prices?lookup_keys[]=pro_month_jpy")["data"][0]["id"]);
        provider.form("/v1/subscriptions", &format!("customer={buyer}&items[0][price]={price}"));
        buyer
    }

    fn forget_calls(&self) {
        self.provider().json("DELETE", "/_sandbox/calls", &Value::Null);
    }

    /// What has been asked of the provider since.
    fn only_reads(&self) {
        let calls = self.provider().get("/_sandbox/calls");
        let calls = calls["calls"].as_object().unwrap();
        assert!(!calls.is_empty() && calls.keys().all(|call| call.starts_with("GET ")), "{calls:?}");
    }

    fn report(&self) -> (i32, Value) {
        let (code, out, err) = run(&mut self.command(&["shadow", "report", "--json"]));
        (code, serde_json::from_str(out.trim()).unwrap_or_else(|error| panic!("{error}: {out}{err}")))
    }
}

#[test]
fn an_existing_integration_is_replaced_without_a_gap() {
    let site = Site::new();
    for name in ["ada", "bob"] {
        site.sell(&format!("metadata[quittance_customer]={name}"));
    }
    let unnamed = site.sell("");
    std::fs::write(site.folder.path().join("map.csv"), format!("{unnamed},cleo\n")).unwrap();

    // 1. Import.
    site.forget_calls();
    let (code, out, err) = run(&mut site.command(&["import", "--dry-run", "--json"]));
    assert_eq!(code, 1, "{out}{err}");
    let report = run_json(&mut site.command(&["import", "--mapping", "map.csv", "--json"]));
    assert_eq!((&report["agrees"], &report["balance_agrees"]), (&json!(true), &json!(true)), "{report}");
    let line = &report["coverage"][0];
    let same =
        json!({ "object": "subscriptions", "status": "active", "provider": 3, "mirror": 3, "same": true });
    assert_eq!(line, &same);
    let (code, out, _) = run(&mut site.command(&["import"]));
    assert!(code == 0 && out.contains("the ledger agrees"), "{out}");
    site.only_reads();

    // 2. Beside the old one: what it sells from now on arrives by webhook.
    let server = site.serve(&["--shadow"]);
    assert!(server.logs("shadow mode"), "{}", server.log());
    let made = ["keys", "create", "--name", "test", "--scopes", "read,write,admin", "--json"];
    let key = run_json(&mut site.command(&made))["key"].as_str().unwrap().to_owned();
    let api = server.api(&key);
    site.sell("metadata[quittance_customer]=dora");
    eventually("what the old app sells is mirrored", || api.allowed("dora").then_some(()));
    assert!(api.allowed("cleo"), "as the mapping says");
    site.forget_calls();
    run_json(&mut site.command(&["reconcile", "--json"]));
    let wish = json!({ "customer": "eve", "plan": "pro", "interval": "month", "currency": "jpy" });
    let (status, body) = api.send("POST", "/v1/checkouts", "application/json", &wish.to_string()).unwrap();
    assert!(status == 409 && body.contains("shadow_mode"), "{status} {body}");
    site.only_reads();

    // 3. Compare: the old app has not heard of bob's end, and knows a dan of its own.
    let answer =
        |who: &str, allowed: bool| json!({ "customer": who, "feature": "article:full", "allowed": allowed });
    let told = json!({ "answers": [answer("ada", true), answer("bob", false), answer("dan", true)] });
    let compared = api.json("POST", "/v1/shadow/answers", &told);
    assert_eq!(compared, json!({ "agreed": 1, "differed": 2 }));
    let (code, report) = site.report();
    assert_eq!((code, &report["clean"], &report["shadow"]), (1, &json!(false), &json!(true)), "{report}");
    assert_eq!(report["would_gain"][0]["customer"], "bob");
    assert_eq!(report["would_lose"][0]["customer"], "dan");
    assert_eq!(api.get("/v1/shadow/report")["answers"]["losing"], 1);
    let mended = json!({ "answers": [answer("bob", true), answer("dan", false)] });
    api.json("POST", "/v1/shadow/answers", &mended);
    let (code, report) = site.report();
    assert_eq!((code, &report["clean"]), (0, &json!(true)), "{report}");

    // 4. In charge: while it restarts, the old one goes on answering, and what happens then is not lost.
    assert_eq!(server.interrupt().0.code(), Some(0));
    site.sell("metadata[quittance_customer]=fay");
    let server = site.serve(&[]);
    let api = server.api(&key);
    for who in ["ada", "bob", "cleo", "dora"] {
        assert!(api.allowed(who), "{who} has access from the first moment");
    }
    run_json(&mut site.command(&["reconcile", "--json"]));
    eventually("what was sold meanwhile is there", || api.allowed("fay").then_some(()));
    let (session, _) = api.checkout("eve");
    pay(&site.provider(), &session);
    eventually("and it sells", || api.allowed("eve").then_some(()));
    assert_eq!(server.interrupt().0.code(), Some(0));
}
