//! `quittance mail`: what customers are told, before it is sent and after.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use quittance_domain::delivery::{Channel, DeliveryState};
use quittance_engine::World;
use quittance_engine::world::SystemWorld;
use quittance_mail::kind::title;
use quittance_mail::message::{Cover, build};
use quittance_mail::post::Trouble;
use quittance_mail::templates::Part;
use quittance_mail::{Kind, Language, Letter, Templates, samples};
use quittance_store::deliveries::{DeliveryRow, Filter};
use quittance_store::mails;
use serde_json::{Value, json};

use super::beside::{self, Need};
use super::{Common, out};
use crate::config::{self, CheckedMail, Outlet};
use crate::failure::Failure;
use crate::serve::Opening;

/// What to do with mail.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  quittance mail preview                            the kinds, and which are yours
  quittance mail preview payment_failed --locale ja
  quittance mail preview receipt --html > receipt.html
  quittance mail templates export mail              then set mail.templates = \"mail\"
  quittance mail send-test me@example.com receipt
  quittance mail list --state failed

A running server shows previews at /admin/mail.")]
pub(super) enum Command {
    /// Show a mail with made-up facts; without a kind, the kinds
    Preview(Preview),
    /// The templates that mails are written from
    #[command(subcommand)]
    Templates(TemplatesCommand),
    /// Send a mail with made-up facts by the configured server
    SendTest {
        /// To whom
        address: String,
        /// Which mail
        #[arg(value_parser = kind)]
        kind: Kind,
        /// en or ja [default: the configured one]
        #[arg(long, value_parser = language)]
        locale: Option<Language>,
    },
    /// Mails that left, wait, or were not sent, newest first
    List {
        /// pending, delivered, suppressed or failed
        #[arg(long, value_parser = state)]
        state: Option<DeliveryState>,
        /// Only those to this customer
        #[arg(long, value_name = "ID")]
        customer: Option<String>,
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
    },
}

/// A preview.
#[derive(Debug, Args)]
pub(super) struct Preview {
    /// Which mail
    #[arg(value_parser = kind)]
    kind: Option<Kind>,
    /// en or ja [default: the configured one]
    #[arg(long, value_parser = language)]
    locale: Option<Language>,
    /// The HTML form
    #[arg(long, conflicts_with = "text")]
    html: bool,
    /// The text form, which is the default
    #[arg(long)]
    text: bool,
    /// Write the HTML form to a file and open it in the browser
    #[arg(long, conflicts_with_all = ["html", "text"])]
    open: bool,
}

/// What to do with templates.
#[derive(Debug, Subcommand)]
pub(super) enum TemplatesCommand {
    /// Write the built-in templates into a folder, to change them there; files that exist stay
    Export {
        /// The folder
        folder: PathBuf,
    },
    /// Read the configured templates as a start of the server would
    Check,
}

fn kind(word: &str) -> Result<Kind, String> {
    let words: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    Kind::parse(word).ok_or_else(|| format!("one of {}", words.join(", ")))
}

fn language(tag: &str) -> Result<Language, String> {
    Language::of(tag).ok_or_else(|| "en or ja".to_owned())
}

fn state(word: &str) -> Result<DeliveryState, String> {
    DeliveryState::parse(word).ok_or_else(|| "pending, delivered, suppressed or failed".to_owned())
}

pub(super) async fn run(command: &Command, common: &Common) -> Result<(), Failure> {
    match command {
        Command::Preview(wish) => preview(wish, common),
        Command::Templates(TemplatesCommand::Export { folder }) => export(folder, common),
        Command::Templates(TemplatesCommand::Check) => check(common),
        Command::SendTest { address, kind, locale } => send_test(address, *kind, *locale, common).await,
        Command::List { state, customer, limit } => list(*state, customer.as_deref(), *limit, common).await,
    }
}

fn configured(common: &Common) -> Result<CheckedMail, Failure> {
    let config = common.load()?.config;
    let public_url = config.public_url.clone().unwrap_or_else(|| format!("http://{}", config.listen));
    config::mail(&config, public_url.trim_end_matches('/'))
}

fn written(mail: &CheckedMail, kind: Kind, language: Option<Language>) -> Result<Letter, Failure> {
    let language = language.unwrap_or(mail.writer.settings().language);
    mail.writer
        .write(kind, language, &samples::facts(kind, language))
        .map_err(|error| Failure::config(format!("a mail template cannot be used: {error}"), error.mend))
}

fn preview(wish: &Preview, common: &Common) -> Result<(), Failure> {
    let mail = configured(common)?;
    let Some(kind) = wish.kind else { return kinds(&mail, common) };
    let letter = written(&mail, kind, wish.locale)?;
    if wish.open {
        return open(&letter, common);
    }
    if common.json {
        out::say_json(
            &json!({ "kind": kind, "locale": letter.language, "subject": letter.subject, "text": letter.text,
            "html": letter.html, "template": letter.version, "from": mail.writer.settings().from }),
        );
    } else if wish.html {
        out::say(letter.html.trim_end());
    } else {
        out::say(&format!(
            "From: {}\nSubject: {}\n\n{}",
            mail.writer.settings().from,
            letter.subject,
            letter.text.trim_end()
        ));
    }
    Ok(())
}

fn kinds(mail: &CheckedMail, common: &Common) -> Result<(), Failure> {
    let source = |kind, language| {
        if mail.writer.templates().is_own(Part::Kind(kind), language) { "yours" } else { "built in" }
    };
    let off = &mail.writer.settings().off;
    if common.json {
        let values = Kind::ALL.into_iter().map(|kind| {
            json!({ "kind": kind, "sent": !off.contains(&kind), "can_be_declined": kind.optional(),
                "templates": { "en": source(kind, Language::En), "ja": source(kind, Language::Ja) } })
        });
        out::say_json(&json!({ "kinds": values.collect::<Vec<Value>>() }));
        return Ok(());
    }
    let rows = Kind::ALL.into_iter().map(|kind| {
        vec![
            kind.to_string(),
            title(kind, Language::En).to_owned(),
            if off.contains(&kind) { "off" } else { "on" }.to_owned(),
            if kind.optional() { "yes" } else { "no" }.to_owned(),
            source(kind, Language::En).to_owned(),
            source(kind, Language::Ja).to_owned(),
        ]
    });
    out::say(&out::table(&["kind", "about", "sent", "can be declined", "en", "ja"], rows.collect()));
    Ok(())
}

fn open(letter: &Letter, common: &Common) -> Result<(), Failure> {
    let name = format!("quittance-{}-{}.html", letter.kind, letter.language.tag());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, &letter.html).map_err(|error| {
        Failure::problem(
            "preview",
            format!("{} cannot be written: {error}", path.display()),
            "Use --html and write it elsewhere.",
        )
    })?;
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(target_os = "windows") {
        "explorer"
    } else {
        "xdg-open"
    };
    let opened = std::process::Command::new(program).arg(&path).status().is_ok_and(|status| status.success());
    if common.json {
        out::say_json(&json!({ "file": path.display().to_string(), "opened": opened }));
    } else if opened {
        out::say(&format!("Opened {}.", path.display()));
    } else {
        out::say(&format!("No browser could be started. Open {} yourself.", path.display()));
    }
    Ok(())
}

fn export(folder: &Path, common: &Common) -> Result<(), Failure> {
    let refused = |error: std::io::Error| {
        Failure::problem(
            "export",
            format!("{} cannot be written: {error}", folder.display()),
            "Name a folder that you may write to.",
        )
    };
    std::fs::create_dir_all(folder).map_err(refused)?;
    let (mut written, mut kept) = (Vec::new(), Vec::new());
    for (name, text) in Templates::export() {
        let path = folder.join(&name);
        if path.exists() {
            kept.push(name);
        } else {
            std::fs::write(&path, text).map_err(refused)?;
            written.push(name);
        }
    }
    if common.json {
        out::say_json(&json!({ "folder": folder.display().to_string(), "written": written, "kept": kept }));
    } else {
        let stayed =
            if kept.is_empty() { String::new() } else { format!(" {} were there and stay.", kept.len()) };
        out::say(&format!(
            "{} templates written to {folder}.{stayed}\n\nNext: set `templates = \"{folder}\"` under [mail], delete what you do not change, and look at it:\n  quittance mail preview payment_failed --open",
            written.len(),
            folder = folder.display()
        ));
    }
    Ok(())
}

fn check(common: &Common) -> Result<(), Failure> {
    let mail = configured(common)?;
    let templates = mail.writer.templates();
    let own: Vec<String> = Kind::ALL
        .into_iter()
        .flat_map(|kind| Language::ALL.map(|language| (kind, language)))
        .filter(|(kind, language)| templates.is_own(Part::Kind(*kind), *language))
        .map(|(kind, language)| format!("{kind}.{}", language.tag()))
        .collect();
    if common.json {
        out::say_json(&json!({ "ok": true, "own": own }));
    } else {
        out::say(&format!("All templates can be used; {} of them are yours.", own.len()));
    }
    Ok(())
}

async fn send_test(
    address: &str,
    kind: Kind,
    language: Option<Language>,
    common: &Common,
) -> Result<(), Failure> {
    let mail = configured(common)?;
    let Outlet::Smtp(server) = &mail.outlet else {
        return Err(Failure::config(
            "SMTP_URL (mail.url) is not set: there is no server to send by",
            "Set it to smtps://user:password@host. `quittance mail preview` shows mails without one.",
        ));
    };
    let letter = written(&mail, kind, language)?;
    let world = SystemWorld::default();
    let domain = mail.writer.settings().from.rsplit('@').next().unwrap_or("localhost").trim_end_matches('>');
    let id = format!("test-{}@{domain}", hex::encode(world.random()));
    let cover = Cover { to: address, name: None, message_id: &id, unsubscribe: None };
    let message = build(&letter, mail.writer.settings(), cover, world.now()).map_err(|error| {
        Failure::usage("usage", error.to_string(), "Name an address such as me@example.com.")
    })?;
    let said = server.open().send(message).await.map_err(|trouble| {
        let (what, mend) = match trouble {
            Trouble::Later(error) => (error, "Check SMTP_URL and the server, then try again."),
            Trouble::Never(error) => (error, "The server refused this mail for good: see what it says."),
        };
        Failure::problem("mail", format!("{} did not take the mail: {what}", server.shown()), mend)
    })?;
    if common.json {
        out::say_json(
            &json!({ "server": server.shown(), "message_id": id, "answer": said, "subject": letter.subject }),
        );
    } else {
        out::say(&format!("{} took it: {said}\nSubject: {}", server.shown(), letter.subject));
    }
    Ok(())
}

async fn list(
    state: Option<DeliveryState>,
    customer: Option<&str>,
    limit: i64,
    common: &Common,
) -> Result<(), Failure> {
    let engine = beside::engine(common, Opening::Beside, Need::Database).await?;
    let filter = Filter {
        channel: Some(Channel::Mail),
        state,
        customer: customer.map(str::to_owned),
        ..Filter::default()
    };
    let rows = engine.deliveries(filter, i64::MAX, limit).await?;
    let numbers: Vec<i64> = rows.iter().map(|row| row.seq).collect();
    let sent = engine
        .db()
        .read("mails.of_deliveries", move |tx| {
            numbers.iter().map(|seq| mails::of_delivery(tx, *seq)).collect::<Result<Vec<_>, _>>()
        })
        .await
        .map_err(quittance_engine::Problem::from)?;
    let all: Vec<(DeliveryRow, Option<mails::MailRow>)> = rows.into_iter().zip(sent).collect();
    if common.json {
        let values = all.iter().map(|(row, mail)| {
            let mail = mail.as_ref();
            json!({ "delivery": row.seq, "kind": kind_of(row), "customer": row.customer, "state": row.state.as_str(),
                "attempts": row.attempts, "last_error": row.last_error, "created_at": row.created_at.to_string(),
                "next_attempt_at": row.next_attempt_at.to_string(), "finished_at": row.finished_at.map(|at| at.to_string()),
                "subject": mail.and_then(|mail| mail.mail.subject.clone()), "sha256": mail.map(|mail| mail.mail.sha256.clone()),
                "template": mail.map(|mail| mail.mail.template.clone()), "message_id": mail.map(|mail| mail.mail.message_id.clone()) })
        });
        out::say_json(&json!({ "mails": values.collect::<Vec<Value>>() }));
    } else if all.is_empty() {
        out::say("No mails. Notices are mailed once SMTP_URL (mail.url) is set.");
    } else {
        let rows = all.iter().map(|(row, mail)| {
            let subject = mail.as_ref().and_then(|mail| mail.mail.subject.clone());
            vec![
                row.seq.to_string(),
                out::time(row.created_at),
                kind_of(row),
                row.customer.clone().unwrap_or_default(),
                row.state.as_str().to_owned(),
                row.last_error.clone().or(subject).unwrap_or_default(),
            ]
        });
        out::say(&out::table(
            &["no", "created", "kind", "customer", "state", "subject or reason"],
            rows.collect(),
        ));
    }
    Ok(())
}

fn kind_of(row: &DeliveryRow) -> String {
    serde_json::from_str::<Value>(&row.payload)
        .ok()
        .and_then(|payload| payload.get("kind").and_then(Value::as_str).map(str::to_owned))
        .unwrap_or_default()
}
