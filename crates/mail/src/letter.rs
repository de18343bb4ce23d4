//! Writing a letter: facts and a template become subject, text and HTML. Pure.

use quittance_domain::digest;

use crate::facts::Facts;
use crate::format::Language;
use crate::kind::Kind;
use crate::layout;
use crate::markdown::{self, one_line};
use crate::settings::MailSettings;
use crate::templates::{Part, TemplateError, Templates};

/// The longest subject, in characters; more is cut off by every mailbox.
const MOST_SUBJECT: usize = 200;

/// A mail without its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// What it is about.
    pub kind: Kind,
    /// Its language.
    pub language: Language,
    /// The subject, on one line.
    pub subject: String,
    /// The text form.
    pub text: String,
    /// The HTML form: a whole document.
    pub html: String,
    /// Which wording: see [`Templates::version`].
    pub version: String,
}

impl Letter {
    /// What was said, as a digest: over subject and text.
    #[must_use]
    pub fn sha256(&self) -> String {
        digest::sha256_hex(format!("{}\n\n{}", self.subject, self.text).as_bytes())
    }
}

/// Writes letters.
#[derive(Debug, Clone)]
pub struct Writer {
    templates: Templates,
    settings: MailSettings,
}

impl Writer {
    /// With these templates and choices.
    #[must_use]
    pub fn new(templates: Templates, settings: MailSettings) -> Self {
        Self { templates, settings }
    }

    /// The choices.
    #[must_use]
    pub const fn settings(&self) -> &MailSettings {
        &self.settings
    }

    /// The templates.
    #[must_use]
    pub const fn templates(&self) -> &Templates {
        &self.templates
    }

    /// Writes a letter.
    ///
    /// # Errors
    /// When a template cannot be used with these facts. The check at start has written each with all facts and with none.
    pub fn write(&self, kind: Kind, language: Language, facts: &Facts) -> Result<Letter, TemplateError> {
        let values = facts.variables(&self.settings, language);
        let filled = self.templates.fill(Part::Kind(kind), language, &values)?;
        let foot = self.templates.fill(Part::Footer, language, &values)?;
        let blocks = self.read(Part::Kind(kind), language, &filled.body)?;
        let foot = self.read(Part::Footer, language, &foot.body)?;
        let subject: String = one_line(&filled.subject).chars().take(MOST_SUBJECT).collect();
        let preview = one_line(&filled.preview);
        let html = layout::document(
            language,
            &self.settings.site,
            &subject,
            &preview,
            &markdown::to_html(&blocks, false),
            &markdown::to_html(&foot, true),
        );
        let text = format!("{}\n-- \n{}", markdown::to_text(&blocks), markdown::to_text(&foot));
        Ok(Letter { kind, language, subject, text, html, version: self.templates.version(kind, language) })
    }

    fn read(
        &self,
        part: Part,
        language: Language,
        text: &str,
    ) -> Result<Vec<markdown::Block>, TemplateError> {
        markdown::parse(text).map_err(|unusable| TemplateError {
            file: self.templates.file(part, language),
            line: Some(unusable.line),
            what: format!("there is {}", unusable.what),
            mend: "Mails have headings, paragraphs, emphasis, links, lists and rules; write it with these."
                .to_owned(),
        })
    }
}
