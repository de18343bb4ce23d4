//! `[mail]`: checked before the start, templates included.

use std::path::Path;

use jiff::tz::TimeZone;
use quittance_mail::post::SmtpServer;
use quittance_mail::settings::Keep;
use quittance_mail::{Kind, Language, MailSettings, Templates, Writer};
use serde::{Deserialize, Serialize};

use super::{Config, Secret};
use crate::failure::Failure;

/// Mail to customers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mail {
    /// `smtps://user:password@host` or `smtp://…`; without it no mail is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
    /// Who sends: `Atelier <billing@example.com>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Where answers go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// A folder with the operator's own templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub templates: Option<String>,
    /// The language for customers whose own is not known.
    pub locale: Language,
    /// The zone of dates for customers whose own is not known.
    pub zone: String,
    /// Kinds that are not sent.
    pub off: Vec<Kind>,
    /// Where customers get help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub support: Option<String>,
    /// Who does business.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// Its postal address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Where the terms can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms_url: Option<String>,
    /// What is kept of a mail that was sent.
    pub keep: Keep,
    /// Certificates that are trusted besides the usual ones, a PEM file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            url: None,
            from: None,
            reply_to: None,
            templates: None,
            locale: Language::En,
            zone: "UTC".to_owned(),
            off: Vec::new(),
            support: None,
            company: None,
            address: None,
            terms_url: None,
            keep: Keep::Text,
            ca_file: None,
        }
    }
}

impl Mail {
    /// Every setting with a value, so that all can be listed.
    pub(super) fn full() -> Self {
        let text = || Some(String::new());
        Self {
            url: Some(Secret::new(String::new())),
            from: text(),
            reply_to: text(),
            templates: text(),
            support: text(),
            company: text(),
            address: text(),
            terms_url: text(),
            ca_file: text(),
            ..Self::default()
        }
    }
}

/// Where mails go.
#[derive(Debug, Clone)]
pub enum Outlet {
    /// Nowhere, and none are written: no mail server is configured.
    None,
    /// To a mail server.
    Smtp(Box<SmtpServer>),
    /// Nowhere, and they are kept to be looked at.
    Capture,
}

/// Mail as it is configured, checked.
#[derive(Debug, Clone)]
pub struct CheckedMail {
    /// Writes letters.
    pub writer: Writer,
    /// Where they go.
    pub outlet: Outlet,
}

/// Checks everything about mail. `public_url` is where links in mails lead.
///
/// # Errors
/// Names the setting, or the template's file and line, with the mend.
pub fn mail(config: &Config, public_url: &str) -> Result<CheckedMail, Failure> {
    let mail = &config.mail;
    let writer = Writer::new(templates(mail)?, settings(config, public_url)?);
    let Some(url) = mail.url.as_ref().filter(|url| !url.expose().is_empty()) else {
        return Ok(CheckedMail { writer, outlet: Outlet::None });
    };
    if mail.from.is_none() {
        return Err(Failure::config(
            "mail.from is not set",
            "Set it in quittance.toml to the sender that customers see, such as \"Atelier <billing@example.com>\".",
        ));
    }
    if config.secret.is_none() {
        return Err(Failure::config(
            "QUITTANCE_SECRET (secret) is not set, and mails have links that it signs",
            "Set it to the output of `openssl rand -hex 32`, the same on all nodes.",
        ));
    }
    let server = server(mail, url.expose(), public_url)?;
    Ok(CheckedMail { writer, outlet: Outlet::Smtp(Box::new(server)) })
}

/// The templates: built in, with the operator's over them.
///
/// # Errors
/// Names file, line and mend.
pub fn templates(mail: &Mail) -> Result<Templates, Failure> {
    let made = match &mail.templates {
        Some(folder) => Templates::with_folder(Path::new(folder)),
        None => Templates::built_in(),
    };
    made.map_err(|error| Failure::config(format!("a mail template cannot be used: {error}"), error.mend))
}

/// The mail server at an address.
///
/// # Errors
/// Names `SMTP_URL` or `mail.ca_file`.
pub fn server(mail: &Mail, url: &str, public_url: &str) -> Result<SmtpServer, Failure> {
    let roots = match &mail.ca_file {
        Some(path) => Some(std::fs::read(path).map_err(|error| {
            Failure::config(
                format!("mail.ca_file {path} cannot be read: {error}"),
                "Name a PEM file that the server can read, or remove it to trust the usual certificates only.",
            )
        })?),
        None => None,
    };
    let hello = public_url.split("://").nth(1).and_then(|rest| rest.split(['/', ':']).next());
    SmtpServer::parse(url, hello, roots.as_deref()).map_err(|error| {
        Failure::config(
            format!("SMTP_URL (mail.url) cannot be used: {error}"),
            "Set it to smtps://user:password@host or smtp://user:password@host (STARTTLS); encode @ in a password as %40.",
        )
    })
}

/// The choices for all mails.
///
/// # Errors
/// Names the setting.
fn settings(config: &Config, public_url: &str) -> Result<MailSettings, Failure> {
    let mail = &config.mail;
    for (key, value) in [("mail.from", &mail.from), ("mail.reply_to", &mail.reply_to)] {
        if value.as_ref().is_some_and(|value| !quittance_mail::message::is_mailbox(value)) {
            return Err(Failure::config(
                format!("{key} is no mail address"),
                format!("Set {key} to something like \"Atelier <billing@example.com>\"."),
            ));
        }
    }
    let zone = TimeZone::get(&mail.zone).map_err(|_| {
        Failure::config(
            format!("mail.zone is `{}`, which is no time zone", mail.zone),
            "Set it to a name of the IANA database, such as Asia/Tokyo or UTC.",
        )
    })?;
    if mail.terms_url.as_ref().is_some_and(|url| !url.starts_with("https://") && !url.starts_with("http://"))
    {
        return Err(Failure::config("mail.terms_url is no web address", "Let it begin with https://."));
    }
    Ok(MailSettings {
        site: config.site.clone(),
        from: mail.from.clone().unwrap_or_else(|| "billing@localhost".to_owned()),
        reply_to: mail.reply_to.clone(),
        language: mail.locale,
        zone,
        off: mail.off.clone(),
        support: mail.support.clone(),
        company: mail.company.clone(),
        address: mail.address.clone(),
        terms_url: mail.terms_url.clone(),
        keep: mail.keep,
        public_url: public_url.to_owned(),
    })
}
