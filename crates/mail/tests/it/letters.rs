//! Every mail in both languages, as text, against what was read and found good; and what operators may write.

use std::fs;
use std::path::{Path, PathBuf};

use quittance_domain::notices::RuleTable;
use quittance_mail::facts::Urls;
use quittance_mail::templates::Part;
use quittance_mail::{Facts, Kind, Language, Letter, Templates, Writer, said, samples};

fn writer() -> Writer {
    Writer::new(Templates::built_in().unwrap(), samples::settings())
}

/// Compares with a file, or writes it when `QUITTANCE_BLESS` is set.
fn check(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(name);
    if std::env::var_os("QUITTANCE_BLESS").is_some() {
        fs::write(&path, text).unwrap();
        return;
    }
    let known = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        known, text,
        "{name}: read it, then QUITTANCE_BLESS=1 cargo test -p quittance-mail --test it letters"
    );
}

#[test]
fn every_mail_reads_as_it_was_found_good() {
    let writer = writer();
    for kind in Kind::ALL {
        for language in Language::ALL {
            let letter = writer.write(kind, language, &samples::facts(kind, language)).unwrap();
            check(
                &format!("{kind}.{}.txt", language.tag()),
                &format!("Subject: {}\n\n{}", letter.subject, letter.text),
            );
        }
    }
    for language in Language::ALL {
        let sample = samples::facts(Kind::AccessEnded, language);
        let paused = Facts { paused: true, urls: Urls { pay: None, ..sample.urls.clone() }, ..sample };
        let resumes = Facts { resumes_at: paused.access_until, ..paused.clone() };
        for (name, facts) in [("paused", paused), ("resumes", resumes)] {
            let letter = writer.write(Kind::AccessEnded, language, &facts).unwrap();
            check(
                &format!("access_ended_{name}.{}.txt", language.tag()),
                &format!("Subject: {}\n\n{}", letter.subject, letter.text),
            );
        }
    }
    let letter =
        writer.write(Kind::PaymentFailed, Language::En, &samples::facts(Kind::PaymentFailed, Language::En));
    check("payment_failed.en.html", &letter.unwrap().html);
}

#[test]
fn little_is_known_and_a_mail_still_reads() {
    let writer = writer();
    for kind in Kind::ALL {
        for language in Language::ALL {
            let letter = writer.write(kind, language, &Facts::default()).unwrap();
            let all = format!("{}\n{}", letter.subject, letter.text);
            for hole in ["none", "{{", "()", "（）", "「」", "  ", " ,", " .", "、、", "。。"] {
                assert!(!all.contains(hole), "{kind} {language:?} has {hole:?}: {all}");
            }
            assert!(!letter.subject.is_empty() && letter.text.lines().count() > 5, "{all}");
        }
    }
}

#[test]
fn nothing_is_fetched_and_nothing_follows_the_reader() {
    let writer = writer();
    for kind in Kind::ALL {
        for language in Language::ALL {
            let html = writer.write(kind, language, &samples::facts(kind, language)).unwrap().html;
            for word in ["<img", "<script", "<link", "url(", "@import", "<iframe", "src="] {
                assert!(!html.contains(word), "{kind} has {word}");
            }
            assert!(html.contains("color-scheme") && html.contains("prefers-color-scheme: dark"));
        }
    }
}

#[test]
fn what_a_customer_is_called_is_only_ever_text() {
    let writer = writer();
    for evil in [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[click](https://evil.example)",
        "{{ pay_url }} {% if %}",
        "**x**\r\nBcc: eve@example.com",
        "\"><a href=https://evil.example>x</a>",
    ] {
        for language in Language::ALL {
            for kind in Kind::ALL {
                let facts = Facts {
                    name: Some(evil.to_owned()),
                    plan: Some(evil.to_owned()),
                    new_plan: Some(evil.to_owned()),
                    number: Some(evil.to_owned()),
                    card: Some(evil.to_owned()),
                    ..samples::facts(kind, language)
                };
                let letter = writer.write(kind, language, &facts).unwrap();
                for tag in ["<script", "<img", "<a href=https", "href=\"https://evil"] {
                    assert!(!letter.html.contains(tag), "{kind} {evil}: {}", letter.html);
                }
                assert!(!letter.subject.contains(['\r', '\n']), "{:?}", letter.subject);
                let line = evil.replace("\r\n", " ");
                assert!(letter.text.contains(&line), "{kind} {evil}: {}", letter.text);
            }
        }
    }
}

/// What stands in the sample's letter for an item of the rules' table.
fn words(item: &str, kind: Kind, language: Language) -> &'static str {
    let (en, ja) = match item {
        "product" => ("Pro", "プロ"),
        "amount" => ("¥1,980", "1,980円"),
        "charge_date" | "trial_end" | "effective_date" => ("30 Nov 2026", "2026年11月30日"),
        "frequency" => ("every month", "毎月"),
        "new_terms" if kind == Kind::PriceChanging => ("¥2,180", "2,180円"),
        "terms" | "new_terms" => ("https://app.example.com/terms", "https://app.example.com/terms"),
        "cancel_link" => ("/mail/cancel/sample", "/mail/cancel/sample"),
        "cancel_steps" => ("ancel", "解約"),
        "card_last4" => ("4242", "4242"),
        "decline" => ("3 Dec 2026", "2026年12月3日"),
        "decline_reason" if kind == Kind::PaymentActionRequired => {
            ("Your bank asks you to confirm the payment.", "カード会社による本人確認が必要です。")
        }
        "decline_reason" => ("The card has expired.", "カードの有効期限が切れています。"),
        other => panic!("nobody knows how {other} is said: teach this table and quittance_mail::said"),
    };
    language.choose(en, ja)
}

/// The texts that come with Quittance say all that the rules that come with it ask for, and a text that does not is found.
#[test]
fn every_item_of_every_rule_is_said_in_both_languages() {
    let (writer, settings, table) = (writer(), samples::settings(), RuleTable::built_in());
    assert!(table.rules.len() >= 9);
    for rule in &table.rules {
        for (kind, language) in rule.notices.iter().flat_map(|kind| Language::ALL.map(|l| (*kind, l))) {
            // A rule about trials is about the receipt that one begins with.
            let sample = samples::facts(kind, language);
            let begins = sample.at.filter(|_| kind == Kind::Receipt && rule.trial_days.is_some());
            let facts = Facts { trial_end: begins, ..sample };
            let letter = writer.write(kind, language, &facts).unwrap();
            let all = format!("{}\n{}", letter.subject, letter.text);
            for item in &rule.must_say {
                let words = words(item, kind, language);
                assert!(
                    all.contains(words),
                    "{}: {kind} in {language:?} has no {item} ({words}): {all}",
                    rule.id
                );
            }
            let variables = facts.variables(&settings, language);
            let missing = |letter: &Letter| -> Vec<String> {
                let items = rule.must_say.iter().map(String::as_str);
                said::missing(items, letter, &variables).into_iter().map(str::to_owned).collect()
            };
            assert_eq!(missing(&letter), Vec::<String>::new(), "{}: {kind}", rule.id);
            let empty = Letter { subject: "Dear".to_owned(), text: "Sir or Madam".to_owned(), ..letter };
            assert_eq!(
                missing(&empty),
                rule.must_say.iter().cloned().collect::<Vec<_>>(),
                "{}: {kind}",
                rule.id
            );
        }
    }
    // Nobody is blamed for what is not known, but for a cancellation that has no link.
    let letter = writer.write(Kind::TrialEnding, Language::En, &Facts::default()).unwrap();
    let unknown = Facts::default().variables(&settings, Language::En);
    let items = ["amount", "product", "card_last4", "cancel_link", "cancel_steps", "an item of their own"];
    assert_eq!(said::missing(items, &letter, &unknown), ["cancel_link", "cancel_steps"]);
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn an_operators_file_replaces_one_mail_and_its_version() {
    let own = folder(&[
        (
            "receipt.en.md",
            "subject: Paid: {{ amount }}\n\nThank you, **{{ name|upper }}**.\n\n[Plan]({{ billing_url }})\n",
        ),
        ("_notes.md", "for myself {{ nothing }}"),
        (".receipt.en.md.swp", "x"),
    ]);
    let templates = Templates::with_folder(own.path()).unwrap();
    assert!(templates.is_own(Part::Kind(Kind::Receipt), Language::En));
    assert!(!templates.is_own(Part::Kind(Kind::Receipt), Language::Ja));
    let built_in = Templates::built_in().unwrap();
    let version = |t: &Templates, language| t.version(Kind::Receipt, language);
    assert_ne!(version(&templates, Language::En), version(&built_in, Language::En));
    assert_eq!(version(&templates, Language::Ja), version(&built_in, Language::Ja));
    let writer = Writer::new(templates, samples::settings());
    let letter =
        writer.write(Kind::Receipt, Language::En, &samples::facts(Kind::Receipt, Language::En)).unwrap();
    assert_eq!(letter.subject, "Paid: ¥1,980");
    assert!(letter.text.starts_with("Thank you, AIKO TANAKA.\n\nPlan:\nhttps://"), "{}", letter.text);
}

#[test]
fn a_broken_file_is_refused_with_its_line_and_mend() {
    let cases: [(&str, &str, Option<usize>, &str, &str); 12] = [
        ("receipt.en.md", "subject: x\n\nHello {{ nam }}\n", Some(3), "`nam` is no variable", "name"),
        ("receipt.en.md", "subject: {{ nam }}\n\nHello\n", Some(1), "`nam` is no variable", "name"),
        ("receipt.en.md", "subject: x\n\nHello {% if name %}\n", Some(3), "syntax error", "Correct the line"),
        ("receipt.en.md", "subject: x\n\n{% if name %}\n{{ nam }}{% endif %}\n", Some(4), "`nam`", "name"),
        ("receipt.en.md", "Hello\n", Some(1), "neither `subject:`", "Begin the file"),
        ("receipt.en.md", "\nHello\n", Some(1), "no subject", "Begin the file"),
        ("receipt.en.md", "subject: x\n\nHello\n\n<b>x</b>\n", Some(5), "HTML", "Mails have"),
        ("receipt.en.md", "subject: x\n\n![a](https://a.example/x.png)\n", Some(3), "image", "Mails have"),
        ("receipt.en.md", "subject: x\n\n{{ name.first }}\n", Some(3), "undefined", "Correct the line"),
        ("receipt.en.md", "subject: x\n\n{% for i in range(100000) %}x{% endfor %}\n", None, "", ""),
        ("reciept.en.md", "subject: x\n\nHello\n", None, "no mail has this name", "KIND.LANGUAGE.md"),
        ("footer.en.md", "{{ unsubscribe }}\n", Some(1), "`unsubscribe` is no variable", "preferences_url"),
    ];
    for (name, text, line, what, mend) in cases {
        let own = folder(&[(name, text)]);
        let error = Templates::with_folder(own.path()).unwrap_err();
        assert!(error.file.ends_with(name), "{error:?}");
        if line.is_some() {
            assert_eq!(error.line, line, "{name} {text:?}: {error:?}");
        }
        assert!(error.what.contains(what) && error.mend.contains(mend), "{text:?}: {error:?}");
    }
    let missing = Templates::with_folder(Path::new("/no/such/folder")).unwrap_err();
    assert!(missing.mend.contains("mail.templates"), "{missing:?}");
}

#[test]
fn what_is_exported_is_what_is_used() {
    let own = tempfile::tempdir().unwrap();
    for (name, text) in Templates::export() {
        fs::write(own.path().join(name), text).unwrap();
    }
    let (exported, built_in) = (Templates::with_folder(own.path()).unwrap(), Templates::built_in().unwrap());
    for kind in Kind::ALL {
        for language in Language::ALL {
            assert!(exported.is_own(Part::Kind(kind), language));
            assert_eq!(exported.version(kind, language), built_in.version(kind, language));
        }
    }
}
