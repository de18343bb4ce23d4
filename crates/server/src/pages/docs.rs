//! The API reference: an OpenAPI 3 document as one page, rendered on the server, with no script of anybody else's.
//!
//! Reads the document leniently: what is missing is left out, what is unknown is passed over. Only references inside the
//! document (`#/…`) are followed.

use std::collections::BTreeMap;

use maud::{Markup, PreEscaped, html};
use serde_json::Value;

use super::docs_schema::{example_of, fields_of, resolve, type_words};
use super::layout::{Audience, Frame, Locale, copyable, page};

/// The API reference. English only.
#[derive(Clone, Copy, Debug)]
pub struct DocsView<'a> {
    /// The frame.
    pub frame: &'a Frame,
    /// The OpenAPI document.
    pub openapi: &'a Value,
    /// Where this server answers, without a slash at the end, for the command lines.
    pub base_url: &'a str,
    /// A key to show in the command lines: `qk_dev` in the demo, `$QUITTANCE_API_KEY` elsewhere.
    pub api_key: &'a str,
    /// A customer to ask about in the command lines.
    pub customer: &'a str,
    /// Path of the document itself.
    pub openapi_path: &'a str,
}

const METHODS: [&str; 7] = ["get", "post", "put", "patch", "delete", "head", "options"];

/// One operation with its place in the document.
struct Operation<'a> {
    method: &'static str,
    path: &'a str,
    item: &'a Value,
    body: &'a Value,
}

impl Operation<'_> {
    /// A name for links: stable as long as method and path are.
    fn anchor(&self) -> String {
        let path: String =
            self.path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        format!("{}{}", self.method, path)
    }

    fn summary(&self) -> &str {
        text(self.body, "summary").or_else(|| text(self.body, "description")).unwrap_or_default()
    }
}

/// The whole reference.
#[must_use]
pub fn docs_page(view: &DocsView<'_>) -> Markup {
    let tags = by_tag(view.openapi);
    let info = view.openapi.get("info").unwrap_or(&Value::Null);
    let title = text(info, "title").unwrap_or("API");
    let frame = Frame { locale: Locale::En, ..view.frame.clone() };
    let body = html! {
        nav class="toc" aria-label="Operations" {
            @for (tag, operations) in &tags {
                h2 { (tag) }
                ul {
                    @for operation in operations {
                        li { a href={ "#" (operation.anchor()) } { (method_word(operation.method)) " " (breakable(operation.path)) } }
                    }
                }
            }
        }
        div class="reference" {
            h1 { (title) @if let Some(version) = text(info, "version") { " " span class="muted" { (version) } } }
            @if let Some(description) = text(info, "description") { (paragraphs(description)) }
            p { "The document itself: " a href=(view.openapi_path) { code { (view.openapi_path) } } }
            @if tags.is_empty() { p class="empty" { "The document names no operations. Print it with " code { "quittance openapi" } "." } }
            @for (tag, operations) in &tags {
                section aria-label=(tag) {
                    h2 class="tag" { (tag) }
                    @for operation in operations { (operation_block(view, operation)) }
                }
            }
        }
    };
    page(&frame, Audience::Operator, title, "docs", None, &body)
}

/// Operations by their first tag, tags in the document's order where it lists them.
fn by_tag<'a>(openapi: &'a Value) -> Vec<(&'a str, Vec<Operation<'a>>)> {
    let listed = openapi.get("tags").and_then(Value::as_array).into_iter().flatten();
    let order: Vec<&str> = listed.filter_map(|tag| text(tag, "name")).collect();
    let mut tags: BTreeMap<(usize, &'a str), Vec<Operation<'a>>> = BTreeMap::new();
    for (path, item) in openapi.get("paths").and_then(Value::as_object).into_iter().flatten() {
        for method in METHODS {
            let Some(body) = item.get(method) else { continue };
            let tag = body.pointer("/tags/0").and_then(Value::as_str).unwrap_or("API");
            let place = order.iter().position(|known| *known == tag).unwrap_or(order.len());
            tags.entry((place, tag)).or_default().push(Operation { method, path, item, body });
        }
    }
    // What an app calls comes before what others fetch at well-known places.
    let called_first = |mut operations: Vec<Operation<'a>>| {
        operations.sort_by_key(|operation| !operation.path.starts_with("/v1/"));
        operations
    };
    tags.into_iter().map(|((_, tag), operations)| (tag, called_first(operations))).collect()
}

fn operation_block(view: &DocsView<'_>, operation: &Operation<'_>) -> Markup {
    let anchor = operation.anchor();
    let description = text(operation.body, "description").filter(|words| *words != operation.summary());
    let request = operation.body.get("requestBody").map(|body| resolve(view.openapi, body));
    html! {
        details class="operation" {
            summary {
                h3 { (method_word(operation.method)) " " code { (breakable(operation.path)) } }
                span { (operation.summary()) }
            }
            // The name is inside, so that a link to it opens what is around it.
            article id=(anchor) aria-label=(operation.summary()) {
                @if operation.body.get("deprecated") == Some(&Value::Bool(true)) { p class="muted" { "Deprecated." } }
                @if let Some(description) = description { (paragraphs(description)) }
                (parameters(view.openapi, operation))
                @if let Some(request) = request { (request_body(view.openapi, request)) }
                h4 { "Try it" }
                (copyable(Locale::En, &curl(view, operation, request)))
                (responses(view.openapi, operation))
            }
        }
    }
}

fn method_word(method: &str) -> Markup {
    html! { span class={ "method " (method) } { (method.to_ascii_uppercase()) } }
}

/// A path that may break after each slash.
fn breakable(path: &str) -> Markup {
    html! { @for (i, part) in path.split('/').enumerate() { @if i > 0 { "/" (PreEscaped("<wbr>")) } (part) } }
}

/// Plain paragraphs; inline code between backticks is kept as code.
pub(super) fn paragraphs(words: &str) -> Markup {
    html! {
        @for paragraph in words.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
            p {
                @for (i, piece) in paragraph.split('`').enumerate() {
                    @if i % 2 == 1 { code { (piece) } } @else { (piece) }
                }
            }
        }
    }
}

fn parameters(openapi: &Value, operation: &Operation<'_>) -> Markup {
    let all: Vec<&Value> = [operation.item, operation.body]
        .iter()
        .filter_map(|holder| holder.get("parameters").and_then(Value::as_array))
        .flatten()
        .map(|parameter| resolve(openapi, parameter))
        .collect();
    html! {
        @if !all.is_empty() {
            h4 { "Parameters" }
            dl class="fields" {
                @for parameter in all {
                    @let schema = parameter.get("schema").unwrap_or(&Value::Null);
                    (field(
                        text(parameter, "name").unwrap_or_default(),
                        &format!("{}, {}", text(parameter, "in").unwrap_or("query"), type_words(openapi, schema)),
                        parameter.get("required") == Some(&Value::Bool(true)),
                        text(parameter, "description"),
                    ))
                }
            }
        }
    }
}

fn field(name: &str, kind: &str, required: bool, description: Option<&str>) -> Markup {
    html! {
        div {
            dt { code { (name) } " " span class="muted" { (kind) @if required { ", required" } } }
            dd { @if let Some(description) = description { (paragraphs(description)) } }
        }
    }
}

/// The schema and the media type's own example of a request's or response's JSON body.
fn json_body(body: &Value) -> Option<(&Value, Option<&Value>)> {
    let content = body.get("content")?.as_object()?;
    let media = content.iter().find(|(kind, _)| kind.contains("json")).or_else(|| content.iter().next())?.1;
    let named =
        || media.get("examples").and_then(Value::as_object).and_then(|all| all.values().next()?.get("value"));
    Some((media.get("schema").unwrap_or(&Value::Null), media.get("example").or_else(named)))
}

fn request_body(openapi: &Value, request: &Value) -> Markup {
    let Some((schema, _)) = json_body(request) else { return html! {} };
    let fields = fields_of(openapi, schema);
    html! {
        h4 { "Body" }
        @if fields.is_empty() { p class="muted" { (type_words(openapi, schema)) } }
        dl class="fields" {
            @for entry in &fields { (field(entry.name, &entry.kind, entry.required, entry.description)) }
        }
    }
}

fn responses(openapi: &Value, operation: &Operation<'_>) -> Markup {
    let all = operation.body.get("responses").and_then(Value::as_object);
    html! {
        h4 { "Answers" }
        @for (code, response) in all.into_iter().flatten() {
            @let response = resolve(openapi, response);
            @let example = json_body(response).and_then(|(schema, given)| {
                given.cloned().or_else(|| example_of(openapi, schema))
            });
            details class="answer" open[code == "200" || code == "201"] {
                summary { code { (code) } " " (text(response, "description").unwrap_or_default()) }
                @if let Some(example) = example {
                    pre { code { (serde_json::to_string_pretty(&example).unwrap_or_default()) } }
                }
            }
        }
    }
}

/// A command line for the operation, with examples put in.
fn curl(view: &DocsView<'_>, operation: &Operation<'_>, request: Option<&Value>) -> String {
    let mut line = String::from("curl ");
    if operation.method != "get" {
        line.push_str(&format!("-X {} ", operation.method.to_ascii_uppercase()));
    }
    // Braces mean something to curl and to shells, so no placeholder keeps them.
    let path = operation.path.replace("/v1/customers/{id}", &format!("/v1/customers/{}", view.customer));
    let path = path.replace("{feature}", "article:full").replace(['{', '}'], "");
    line.push_str(&format!("{}{path}", view.base_url));
    // No key where the document says that none is needed: `security: []`, or none anywhere.
    let security = operation.body.get("security").or_else(|| view.openapi.get("security"));
    if security.and_then(Value::as_array).is_some_and(|needed| !needed.is_empty()) {
        line.push_str(&format!(" \\\n  -H \"authorization: Bearer {}\"", view.api_key));
    }
    let example = request
        .and_then(json_body)
        .and_then(|(schema, given)| given.cloned().or_else(|| example_of(view.openapi, schema)));
    if let Some(example) = example {
        let json = example.to_string().replace('\'', "'\\''");
        line.push_str(&format!(" \\\n  -H 'content-type: application/json' \\\n  -d '{json}'"));
    }
    line
}

/// A string member.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str).filter(|words| !words.is_empty())
}
