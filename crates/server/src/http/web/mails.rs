//! Mails for operators: every kind in every language, and those that were kept because there is no mail server.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{Html, IntoResponse, Response};
use quittance_domain::delivery::Channel;
use quittance_engine::Problem;
use quittance_mail::kind::title;
use quittance_mail::templates::Part;
use quittance_mail::{Kind, Language, Letter, samples};
use quittance_store::mails::{self, MailRow};

use super::Framed;
use super::admin::admit;
use super::frame::frame;
use crate::http::problem::Fail;
use crate::http::state::AppState;
use crate::pages::{CapturedRow, MailKindRow, MailView, MailsView, format_timestamp, mail_page, mails_page};

/// Kept mails that are listed.
const ROWS: i64 = 100;

/// `GET /admin/mail`
pub async fn all(State(app): State<AppState>, uri: Uri, headers: HeaderMap) -> Result<Response, Fail> {
    if let Err(refusal) = admit(&app, &headers, &uri).await {
        return Ok(*refusal);
    }
    let rows = app
        .engine
        .db()
        .read("mails.captured", |tx| mails::captured(tx, i64::MAX, ROWS))
        .await
        .map_err(Problem::from)?;
    let templates = app.mail.templates();
    let own = |kind| Language::ALL.map(|language| templates.is_own(Part::Kind(kind), language));
    let sent = |kind: Kind| app.engine.delivers(Channel::Mail) && !app.mail.settings().off.contains(&kind);
    let captured = rows.into_iter().map(|row| CapturedRow {
        seq: row.seq,
        at: row.sent_at,
        to: row.mail.address,
        subject: row.mail.subject.unwrap_or_default(),
    });
    let captured: Vec<CapturedRow> = captured.collect();
    let view = MailsView {
        frame: frame(&app, &uri, &headers),
        kinds: Kind::ALL
            .into_iter()
            .map(|kind| MailKindRow { kind, sent: sent(kind), own: own(kind) })
            .collect(),
        captured: (app.dev.is_some() || !captured.is_empty()).then_some(captured),
    };
    Ok(mails_page(&view).into_response())
}

fn sample(app: &AppState, kind: &str, language: &str) -> Result<Letter, Fail> {
    let known = Kind::parse(kind).zip(Language::ALL.into_iter().find(|known| known.tag() == language));
    let Some((kind, language)) = known else { return Err(Problem::not_found("mail").into()) };
    app.mail
        .write(kind, language, &samples::facts(kind, language))
        .map_err(|error| Problem::invalid(error.to_string()).into())
}

/// `GET /admin/mail/{kind}/{language}`
pub async fn preview(
    State(app): State<AppState>,
    Path((kind, language)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Fail> {
    if let Err(refusal) = admit(&app, &headers, &uri).await {
        return Ok(*refusal);
    }
    let letter = sample(&app, &kind, &language)?;
    let address = |language: Language| format!("/admin/mail/{kind}/{}", language.tag());
    let others = Language::ALL
        .into_iter()
        .filter(|other| *other != letter.language)
        .map(|other| (address(other), other.choose("English", "日本語").to_owned()));
    let view = MailView {
        title: title(letter.kind, Language::En).to_owned(),
        others: others.collect(),
        from: app.mail.settings().from.clone(),
        to: None,
        subject: letter.subject,
        text: letter.text,
        html_url: format!("{}/html", address(letter.language)),
        language: letter.language.tag().to_owned(),
        frame: frame(&app, &uri, &headers),
    };
    Ok(mail_page(&view).into_response())
}

/// `GET /admin/mail/{kind}/{language}/html`
pub async fn preview_html(
    State(app): State<AppState>,
    Path((kind, language)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Fail> {
    if let Err(refusal) = admit(&app, &headers, &uri).await {
        return Ok(*refusal);
    }
    Ok(framed(sample(&app, &kind, &language)?.html))
}

fn framed(html: String) -> Response {
    let mut response = Html(html).into_response();
    response.extensions_mut().insert(Framed);
    response
}

async fn captured(app: &AppState, seq: i64) -> Result<MailRow, Fail> {
    let row =
        app.engine.db().read("mails.get", move |tx| mails::get(tx, seq)).await.map_err(Problem::from)?;
    let kept = row.filter(|row| row.mail.captured);
    kept.ok_or_else(|| Problem::not_found("mail").into())
}

/// `GET /admin/mail/kept/{seq}`
pub async fn kept(
    State(app): State<AppState>,
    Path(seq): Path<i64>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Fail> {
    if let Err(refusal) = admit(&app, &headers, &uri).await {
        return Ok(*refusal);
    }
    let row = captured(&app, seq).await?;
    let frame = frame(&app, &uri, &headers);
    let view = MailView {
        title: format!(
            "{}, {}",
            Kind::parse(&row.mail.kind).map_or("Mail", |kind| title(kind, Language::En)),
            format_timestamp(crate::pages::Locale::En, &frame.zone, row.sent_at)
        ),
        others: Vec::new(),
        from: app.mail.settings().from.clone(),
        to: Some(row.mail.address),
        subject: row.mail.subject.unwrap_or_default(),
        text: row.mail.text.unwrap_or_default(),
        html_url: format!("/admin/mail/kept/{seq}/html"),
        language: row.mail.language,
        frame,
    };
    Ok(mail_page(&view).into_response())
}

/// `GET /admin/mail/kept/{seq}/html`
pub async fn kept_html(
    State(app): State<AppState>,
    Path(seq): Path<i64>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Fail> {
    if let Err(refusal) = admit(&app, &headers, &uri).await {
        return Ok(*refusal);
    }
    Ok(framed(captured(&app, seq).await?.mail.html.unwrap_or_default()))
}
