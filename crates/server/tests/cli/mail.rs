//! `quittance mail`: previews and templates, and what `quittance dev` shows of mails.

use crate::house::{dev, quittance, run, run_json};

#[test]
fn mails_are_previewed_and_their_templates_are_the_operators() {
    let folder = tempfile::tempdir().unwrap();
    let command = |arguments: &[&str]| {
        let mut all = vec!["mail"];
        all.extend(arguments);
        quittance(folder.path(), &all)
    };
    let (code, out, _) = run(&mut command(&["preview"]));
    assert!(code == 0 && out.contains("payment_failed") && out.contains("built in"), "{out}");
    let (code, out, _) = run(&mut command(&["preview", "payment_failed", "--locale", "ja"]));
    assert!(code == 0 && out.contains("お支払いを確認できませんでした") && out.contains("1,980円"), "{out}");
    let (_, out, _) = run(&mut command(&["preview", "receipt", "--html"]));
    assert!(out.starts_with("<!DOCTYPE html>"), "{out}");
    let (code, _, err) = run(&mut command(&["preview", "newsletter"]));
    assert!(code == 2 && err.contains("payment_failed"), "{err}");

    let exported = run_json(&mut command(&["templates", "export", "mine", "--json"]));
    assert_eq!(exported["written"].as_array().unwrap().len(), 36);
    let again = run_json(&mut command(&["templates", "export", "mine", "--json"]));
    assert_eq!(
        (again["written"].as_array().unwrap().len(), again["kept"].as_array().unwrap().len()),
        (0, 36)
    );
    std::fs::write(folder.path().join("quittance.toml"), "[mail]\ntemplates = \"mine\"\n").unwrap();
    std::fs::write(folder.path().join("mine/receipt.en.md"), "subject: Ta, {{ name }}\n\nBye.\n").unwrap();
    let mine = run_json(&mut command(&["preview", "receipt", "--json"]));
    assert_eq!(mine["subject"], "Ta, Aiko Tanaka");
    std::fs::write(folder.path().join("mine/receipt.en.md"), "subject: Ta\n\n{{ nmae }}\n").unwrap();
    let (code, _, err) = run(&mut command(&["templates", "check"]));
    assert!(code == 2 && err.contains("receipt.en.md, line 3") && err.contains("name"), "{err}");

    let (code, _, err) = run(&mut command(&["send-test", "me@example.com", "receipt"]));
    assert!(code == 2 && err.contains("receipt.en.md"), "{err}");
    std::fs::remove_file(folder.path().join("mine/receipt.en.md")).unwrap();
    let (code, _, err) = run(&mut command(&["send-test", "me@example.com", "receipt"]));
    assert!(code == 2 && err.contains("SMTP_URL"), "{err}");
}

#[test]
fn dev_says_where_mails_can_be_seen() {
    let folder = tempfile::tempdir().unwrap();
    let product = dev(folder.path(), &[], &[]);
    let url = product.field("mail_url");
    let page =
        product.api("qk_dev").send("GET", url.split_once("/admin").map(|_| "/admin/mail").unwrap(), "", "");
    let (status, page) = page.unwrap();
    assert!(status == 200 && page.contains("Kept, not sent"), "{page}");
    let listed = run_json(&mut quittance(
        folder.path(),
        &["--config", &product.field("config"), "mail", "list", "--json"],
    ));
    assert_eq!(listed["mails"].as_array().unwrap().len(), 0);
}
