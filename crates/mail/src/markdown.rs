//! The small part of Markdown that mails are written in, and its two forms: text and HTML.
//!
//! Headings, paragraphs, emphasis, links, lists and rules; a paragraph that is one link alone is a button. Everything
//! else is an error rather than something that only one of the two forms can show. What a variable brings is escaped by
//! [`escape`] before it comes here, so it is text and never structure.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// A part of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Block {
    /// A heading.
    Heading(Vec<Inline>),
    /// A paragraph.
    Paragraph(Vec<Inline>),
    /// A link alone: the thing to do.
    Button(String, String),
    /// A list; the first number of a numbered one.
    List(Option<u64>, Vec<Vec<Inline>>),
    /// A line between parts.
    Rule,
}

/// A part of a paragraph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Inline {
    /// Text.
    Text(String),
    /// Text that stands out.
    Strong(Vec<Inline>),
    /// Text with emphasis.
    Emphasis(Vec<Inline>),
    /// A link: its words and its address.
    Link(Vec<Inline>, String),
    /// A new line.
    Break,
}

/// What cannot be, and where in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unusable {
    /// Which line, from 1.
    pub line: usize,
    /// What is there.
    pub what: String,
}

/// Makes a value text and nothing else: no structure, no second line, nothing that turns the direction of reading.
pub(crate) fn escape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for letter in one_line(value).chars() {
        if letter.is_ascii_punctuation() {
            text.push('\\');
        }
        text.push(letter);
    }
    text
}

/// On one line, without control characters and marks that turn the direction of reading.
pub(crate) fn one_line(value: &str) -> String {
    let hidden = |letter: char| matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let spaced: String =
        value
            .chars()
            .filter(|letter| !hidden(*letter))
            .map(|letter| {
                if letter.is_control() || letter == '\u{2028}' || letter == '\u{2029}' { ' ' } else { letter }
            })
            .collect();
    spaced.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Reads Markdown.
pub(crate) fn parse(text: &str) -> Result<Vec<Block>, Unusable> {
    let mut reader = Reader::default();
    for (event, span) in Parser::new_ext(text, Options::empty()).into_offset_iter() {
        reader.take(event).map_err(|what| {
            let before = text.get(..span.start).unwrap_or_default();
            Unusable { line: before.matches('\n').count() + 1, what }
        })?;
    }
    Ok(reader.blocks)
}

/// What is open while events come.
#[derive(Default)]
struct Reader {
    blocks: Vec<Block>,
    /// Open inline parts, the innermost last; the first holds what the block holds.
    open: Vec<Vec<Inline>>,
    /// The address of the open link.
    links: Vec<String>,
    list: Option<(Option<u64>, Vec<Vec<Inline>>)>,
}

impl Reader {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => {
                self.end(tag);
                Ok(())
            }
            Event::Text(text) => {
                self.push(Inline::Text(text.into_string()));
                Ok(())
            }
            Event::SoftBreak => {
                // Japanese has no spaces between lines; a source is broken for whoever edits it.
                self.push(Inline::Text("\n".to_owned()));
                Ok(())
            }
            Event::HardBreak => {
                self.push(Inline::Break);
                Ok(())
            }
            Event::Rule => {
                self.blocks.push(Block::Rule);
                Ok(())
            }
            Event::Html(_) | Event::InlineHtml(_) => Err("HTML, which text cannot show".to_owned()),
            Event::Code(_) => Err("code, in which values could not be made safe".to_owned()),
            Event::FootnoteReference(_)
            | Event::TaskListMarker(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_) => Err("a mark that mails do not have".to_owned()),
        }
    }

    fn start(&mut self, tag: Tag<'_>) -> Result<(), String> {
        match tag {
            Tag::Paragraph if self.list.is_some() => {}
            Tag::Paragraph | Tag::Heading { .. } => self.open.push(Vec::new()),
            Tag::Item => self.open.push(Vec::new()),
            Tag::List(first) => {
                if self.list.is_some() {
                    return Err("a list within a list".to_owned());
                }
                self.list = Some((first, Vec::new()));
            }
            Tag::Emphasis | Tag::Strong => self.open.push(Vec::new()),
            Tag::Link { dest_url, .. } => {
                let url = dest_url.into_string();
                // An address that is not known leaves the words.
                if !url.is_empty() && !may_link(&url) {
                    return Err("a link that begins with neither https://, http:// nor mailto:".to_owned());
                }
                self.links.push(url);
                self.open.push(Vec::new());
            }
            Tag::Image { .. } => return Err("an image, which would have to be fetched".to_owned()),
            Tag::CodeBlock(_) => return Err("code, in which values could not be made safe".to_owned()),
            Tag::HtmlBlock => return Err("HTML, which text cannot show".to_owned()),
            Tag::BlockQuote(_) => return Err("a quotation".to_owned()),
            _ => return Err("a part that mails do not have".to_owned()),
        }
        Ok(())
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph if self.list.is_some() => {}
            TagEnd::Paragraph => {
                let inline = self.close();
                self.blocks.push(paragraph(inline));
            }
            TagEnd::Heading(_) => {
                let inline = self.close();
                self.blocks.push(Block::Heading(inline));
            }
            TagEnd::Item => {
                let inline = self.close();
                if let Some((_, items)) = &mut self.list {
                    items.push(inline);
                }
            }
            TagEnd::List(_) => {
                if let Some((first, items)) = self.list.take() {
                    self.blocks.push(Block::List(first, items));
                }
            }
            TagEnd::Emphasis => {
                let inline = self.close();
                self.push(Inline::Emphasis(inline));
            }
            TagEnd::Strong => {
                let inline = self.close();
                self.push(Inline::Strong(inline));
            }
            TagEnd::Link => {
                let (inline, url) = (self.close(), self.links.pop().unwrap_or_default());
                if url.is_empty() {
                    inline.into_iter().for_each(|part| self.push(part));
                } else {
                    self.push(Inline::Link(inline, url));
                }
            }
            // Their beginning was refused.
            _ => {}
        }
    }

    fn close(&mut self) -> Vec<Inline> {
        self.open.pop().unwrap_or_default()
    }

    fn push(&mut self, inline: Inline) {
        if let Some(open) = self.open.last_mut() {
            open.push(inline);
        }
    }
}

/// Web and mail addresses only.
fn may_link(url: &str) -> bool {
    ["https://", "http://", "mailto:"]
        .iter()
        .any(|scheme| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

fn paragraph(inline: Vec<Inline>) -> Block {
    match inline.as_slice() {
        [Inline::Link(words, url)] => Block::Button(plain(words), url.clone()),
        _ => Block::Paragraph(inline),
    }
}

/// The text form: paragraphs with an empty line between them, addresses after the words that they belong to.
pub(crate) fn to_text(blocks: &[Block]) -> String {
    let mut parts = Vec::with_capacity(blocks.len());
    for block in blocks {
        parts.push(match block {
            Block::Heading(inline) | Block::Paragraph(inline) => plain(inline),
            Block::Button(words, url) => format!("{words}:\n{url}"),
            Block::List(first, items) => {
                let lines: Vec<String> = (0_u64..)
                    .zip(items)
                    .map(|(place, item)| match first {
                        Some(first) => format!("{}. {}", first + place, plain(item)),
                        None => format!("- {}", plain(item)),
                    })
                    .collect();
                lines.join("\n")
            }
            Block::Rule => "--------".to_owned(),
        });
    }
    let mut text = parts.join("\n\n");
    text.push('\n');
    text
}

fn plain(inline: &[Inline]) -> String {
    let mut text = String::new();
    for part in inline {
        match part {
            Inline::Text(words) => text.push_str(words),
            Inline::Strong(inner) | Inline::Emphasis(inner) => text.push_str(&plain(inner)),
            Inline::Link(words, url) => {
                let words = plain(words);
                text.push_str(&words);
                let shown = url.strip_prefix("mailto:").unwrap_or(url);
                if words != shown {
                    text.push_str(&format!(" ({shown})"));
                }
            }
            Inline::Break => text.push('\n'),
        }
    }
    text
}

/// Text as it may stand in HTML, in an element and in an attribute.
pub(crate) fn html_text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// The HTML form, with the styles in the elements: many readers of mail drop everything else. The classes are for dark
/// mode, in readers that keep a style sheet.
pub(crate) fn to_html(blocks: &[Block], small: bool) -> String {
    let (size, colour, class) = if small { ("13px", "#5d6470", "muted") } else { ("16px", "#16181d", "ink") };
    let text_style = format!("margin:0 0 16px;font-size:{size};line-height:1.65;color:{colour}");
    let mut html = String::new();
    for block in blocks {
        match block {
            Block::Heading(inline) => html.push_str(&format!(
                "<h1 class=\"ink\" style=\"margin:0 0 16px;font-size:22px;line-height:1.35;font-weight:600;color:#16181d\">{}</h1>\n",
                inline_html(inline)
            )),
            Block::Paragraph(inline) => {
                html.push_str(&format!("<p class=\"{class}\" style=\"{text_style}\">{}</p>\n", inline_html(inline)));
            }
            Block::Button(words, url) if small => html.push_str(&format!(
                "<p class=\"{class}\" style=\"{text_style}\"><a class=\"accent\" href=\"{}\" style=\"color:#0b6e4f\">{}</a></p>\n",
                html_text(url),
                html_text(words)
            )),
            Block::Button(words, url) => html.push_str(&format!(
                "<p style=\"margin:24px 0\"><a class=\"button\" href=\"{}\" style=\"display:inline-block;padding:12px 24px;\
                 border-radius:10px;background:#0b6e4f;color:#ffffff;font-size:16px;font-weight:600;text-decoration:none\">{}</a></p>\n",
                html_text(url),
                html_text(words)
            )),
            Block::List(None, items) => {
                html.push_str("<ul style=\"margin:0 0 16px;padding:0;list-style:none\">\n");
                for item in items {
                    html.push_str(&format!(
                        "<li class=\"{class} line\" style=\"margin:0;padding:10px 0;border-top:1px solid #e4e5e1;\
                         font-size:{size};line-height:1.5;color:{colour}\">{}</li>\n",
                        inline_html(item)
                    ));
                }
                html.push_str("</ul>\n");
            }
            Block::List(Some(first), items) => {
                html.push_str(&format!(
                    "<ol class=\"{class}\" start=\"{first}\" style=\"margin:0 0 16px;padding:0 0 0 24px;font-size:{size};line-height:1.65;color:{colour}\">\n"
                ));
                for item in items {
                    html.push_str(&format!("<li style=\"margin:0 0 4px\">{}</li>\n", inline_html(item)));
                }
                html.push_str("</ol>\n");
            }
            Block::Rule => html.push_str(
                "<hr class=\"line\" style=\"margin:24px 0;border:0;border-top:1px solid #e4e5e1\">\n",
            ),
        }
    }
    html
}

fn inline_html(inline: &[Inline]) -> String {
    let mut html = String::new();
    for part in inline {
        match part {
            Inline::Text(words) => html.push_str(&html_text(words)),
            Inline::Strong(inner) => {
                html.push_str(&format!("<strong style=\"font-weight:600\">{}</strong>", inline_html(inner)));
            }
            Inline::Emphasis(inner) => html.push_str(&format!("<em>{}</em>", inline_html(inner))),
            Inline::Link(words, url) => html.push_str(&format!(
                "<a class=\"accent\" href=\"{}\" style=\"color:#0b6e4f\">{}</a>",
                html_text(url),
                inline_html(words)
            )),
            Inline::Break => html.push_str("<br>\n"),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_has_two_forms() {
        let blocks = parse(
            "# Hello\n\nPay **now** or [ask](mailto:a@example.com).\\\nBye.\n\n[Pay](https://a.example/x?a=1&b=2)\n\n- One\n- *Two*\n\n---\n",
        )
        .unwrap();
        assert_eq!(
            to_text(&blocks),
            "Hello\n\nPay now or ask (a@example.com).\nBye.\n\nPay:\nhttps://a.example/x?a=1&b=2\n\n- One\n- Two\n\n--------\n"
        );
        let html = to_html(&blocks, false);
        for part in [
            ">Hello</h1>",
            "<strong style=\"font-weight:600\">now</strong>",
            "href=\"https://a.example/x?a=1&amp;b=2\"",
            "<em>Two</em></li>",
            "<br>",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }

    #[test]
    fn what_a_value_brings_stays_text() {
        for value in [
            "<script>alert(1)</script>",
            "**bold** _it_ `code`",
            "[a](https://evil.example)",
            "![x](https://evil.example/x.png)",
            "<https://evil.example>",
            "# Title",
            "1. one",
            "&lt;b&gt; &amp;",
            "a \\ b",
            "- x --- ===",
            "~~~",
            "| a | b |",
            "Müller & Søn \"Ltd\"",
        ] {
            for frame in ["{}", "Dear {},", "- {}", "[{}](https://a.example)", "# {}"] {
                let source = frame.replace("{}", &escape(value));
                let blocks = parse(&source).unwrap();
                let text = to_text(&blocks);
                assert!(text.contains(value), "{frame} {value}: {text}");
                let html = to_html(&blocks, false);
                assert!(html.contains(&html_text(value)), "{frame} {value}: {html}");
                assert!(!html.contains("evil.example\"") && !html.contains("<script"), "{html}");
            }
        }
        assert_eq!(escape("a\r\nBcc: b@example.com\u{202e}\u{2028}c"), "a Bcc\\: b\\@example\\.com c");
        assert_eq!(escape("    code\tx  y"), "code x y");
        assert_eq!(parse("[x]()").unwrap(), [Block::Paragraph(vec![Inline::Text("x".into())])]);
        let inside = parse(&format!("[x]({})", escape("https://a.example/(b)?c=d_e&f"))).unwrap();
        assert_eq!(inside, [Block::Button("x".into(), "https://a.example/(b)?c=d_e&f".into())]);
    }

    #[test]
    fn what_only_one_form_could_show_is_an_error_with_its_line() {
        for (source, line, word) in [
            ("Hi\n\n<b>x</b>", 3, "HTML"),
            ("a\n\n![x](https://x.example)", 3, "image"),
            ("a `b`", 1, "code"),
            ("a\n\n    b", 3, "code"),
            ("> a", 1, "quotation"),
            ("- a\n  - b", 2, "list"),
            ("[x](javascript:alert)", 1, "https://"),
        ] {
            let error = parse(source).unwrap_err();
            assert_eq!(error.line, line, "{source}");
            assert!(error.what.contains(word), "{source}: {error:?}");
        }
    }
}
