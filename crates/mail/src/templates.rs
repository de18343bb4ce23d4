//! The templates: built in, and the operator's files over them.
//!
//! A file is `KIND.LANGUAGE.md`: `subject:` and `preview:` (the line that mailboxes show after the subject), an empty
//! line, and Markdown with variables. `footer.LANGUAGE.md` stands under every mail and has no head. Everything that can
//! be found out without a customer is found out when they are read, and named with file, line and mend.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use quittance_domain::digest;

use crate::facts::VARIABLES;
use crate::format::Language;
use crate::kind::Kind;
use crate::letter::Writer;
use crate::markdown;
use crate::samples;

/// The longest file, in bytes.
const MOST_BYTES: u64 = 64 * 1024;
/// How much a template may do: a loop that does not end is stopped.
const FUEL: u64 = 50_000;

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The mails of a kind.
    Kind(Kind),
    /// The foot of all mails.
    Footer,
}

impl Part {
    /// The word in file names.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kind(kind) => kind.as_str(),
            Self::Footer => "footer",
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        Kind::ALL.into_iter().map(Self::Kind).chain([Self::Footer])
    }
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {what}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
pub struct TemplateError {
    /// The file.
    pub file: String,
    /// Which line, from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub mend: String,
}

/// One source.
#[derive(Debug, Clone)]
struct Source {
    /// The file, or the name of a built-in.
    file: String,
    text: String,
    /// The operator's, not built in.
    own: bool,
}

/// All templates, checked; cheap to clone.
#[derive(Clone)]
pub struct Templates {
    sources: Arc<BTreeMap<(Part, Language), Source>>,
    compiled: Arc<Environment<'static>>,
}

impl std::fmt::Debug for Templates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let own: Vec<&str> =
            self.sources.values().filter(|source| source.own).map(|source| source.file.as_str()).collect();
        f.debug_struct("Templates").field("own", &own).finish_non_exhaustive()
    }
}

/// What a template gives: subject, preview and Markdown, each with values in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filled {
    pub subject: String,
    pub preview: String,
    pub body: String,
}

impl Templates {
    /// The built-in templates.
    ///
    /// # Errors
    /// When this build's templates are broken, which a test excludes.
    pub fn built_in() -> Result<Self, TemplateError> {
        Self::checked(built_in_sources())
    }

    /// The built-in templates with the files of a folder over them.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn with_folder(folder: &Path) -> Result<Self, TemplateError> {
        let mut sources = built_in_sources();
        for path in files_of(folder)? {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let file = path.display().to_string();
            let Some(key) = named(&name) else {
                return Err(TemplateError {
                    file,
                    line: None,
                    what: "no mail has this name".to_owned(),
                    mend: "Name it KIND.LANGUAGE.md as `quittance mail templates export` does, such as payment_failed.ja.md; files for yourself may begin with a point or an underscore.".to_owned(),
                });
            };
            let text = read(&path)?;
            sources.insert(key, Source { file, text, own: true });
        }
        Self::checked(sources)
    }

    /// File names and texts of the built-in templates, to start one's own from.
    #[must_use]
    pub fn export() -> Vec<(String, &'static str)> {
        BUILT_IN.iter().map(|(name, text)| ((*name).to_owned(), *text)).collect()
    }

    /// Whether the operator's file is used.
    #[must_use]
    pub fn is_own(&self, part: Part, language: Language) -> bool {
        self.sources.get(&(part, language)).is_some_and(|source| source.own)
    }

    /// Which wording this is: a digest over the template and the foot, and over the layout's own version.
    #[must_use]
    pub fn version(&self, kind: Kind, language: Language) -> String {
        let text = |part| self.sources.get(&(part, language)).map_or("", |source| source.text.as_str());
        let whole = format!("{}\n{}\n{}", crate::layout::VERSION, text(Part::Kind(kind)), text(Part::Footer));
        digest::sha256_hex(whole.as_bytes()).chars().take(16).collect()
    }

    /// Fills a template in.
    pub(crate) fn fill(
        &self,
        part: Part,
        language: Language,
        values: &BTreeMap<&'static str, Value>,
    ) -> Result<Filled, TemplateError> {
        let one = |piece: Piece| {
            let template = self
                .compiled
                .get_template(&piece.name(part, language))
                .map_err(|error| self.refused(part, language, &error))?;
            template.render(values.clone()).map_err(|error| self.refused(part, language, &error))
        };
        match part {
            Part::Kind(_) => Ok(Filled {
                subject: one(Piece::Subject)?,
                preview: one(Piece::Preview)?,
                body: one(Piece::Body)?,
            }),
            Part::Footer => {
                Ok(Filled { subject: String::new(), preview: String::new(), body: one(Piece::Body)? })
            }
        }
    }

    pub(crate) fn file(&self, part: Part, language: Language) -> String {
        self.sources.get(&(part, language)).map_or_else(String::new, |source| source.file.clone())
    }

    fn refused(&self, part: Part, language: Language, error: &minijinja::Error) -> TemplateError {
        of_engine(&self.file(part, language), error)
    }

    fn checked(sources: BTreeMap<(Part, Language), Source>) -> Result<Self, TemplateError> {
        let mut compiled = Environment::new();
        compiled.set_undefined_behavior(UndefinedBehavior::Strict);
        compiled.set_fuel(Some(FUEL));
        compiled.set_auto_escape_callback(|name| {
            if name.ends_with(Piece::Body.as_str()) {
                AutoEscape::Custom("markdown".into())
            } else {
                AutoEscape::None
            }
        });
        compiled.set_formatter(|out, state, value| {
            // Whatever a template says, a value is never structure; `safe` changes nothing.
            if value.is_none() {
                return Ok(());
            }
            let text = value.to_string();
            let text = match state.auto_escape() {
                AutoEscape::Custom(_) => markdown::escape(&text),
                _ => markdown::one_line(&text),
            };
            out.write_str(&text).map_err(minijinja::Error::from)
        });
        for ((part, language), source) in &sources {
            for (piece, text) in pieces(*part, source)? {
                compiled
                    .add_template_owned(piece.name(*part, *language), text)
                    .map_err(|error| of_engine(&source.file, &error))?;
            }
        }
        let made = Self { sources: Arc::new(sources), compiled: Arc::new(compiled) };
        made.check()?;
        Ok(made)
    }

    /// Unknown variables, and everything that only writing a letter shows: with all facts, and with none.
    fn check(&self) -> Result<(), TemplateError> {
        for ((part, language), source) in self.sources.iter() {
            self.check_variables(*part, *language, source)?;
        }
        let writer = Writer::new(self.clone(), samples::settings());
        for (part, language) in self.sources.keys() {
            let Part::Kind(kind) = part else { continue };
            for facts in [samples::facts(*kind, *language), crate::facts::Facts::default()] {
                writer.write(*kind, *language, &facts)?;
            }
        }
        Ok(())
    }

    fn check_variables(&self, part: Part, language: Language, source: &Source) -> Result<(), TemplateError> {
        for piece in Piece::ALL {
            let Ok(template) = self.compiled.get_template(&piece.name(part, language)) else { continue };
            let mut unknown: Vec<String> = template.undeclared_variables(false).into_iter().collect();
            unknown.retain(|name| !VARIABLES.iter().any(|(known, _)| known == name));
            unknown.sort();
            if let Some(name) = unknown.first() {
                let known: Vec<&str> = VARIABLES.iter().map(|(name, _)| *name).collect();
                return Err(TemplateError {
                    file: source.file.clone(),
                    line: source.text.lines().position(|line| names(line, name)).map(|line| line + 1),
                    what: format!("`{name}` is no variable"),
                    mend: format!("Use one of {}.", known.join(", ")),
                });
            }
        }
        Ok(())
    }
}

/// Whether a line holds this word, not as a part of another.
fn names(line: &str, word: &str) -> bool {
    line.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')).any(|found| found == word)
}

/// The three texts of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Subject,
    Preview,
    Body,
}

impl Piece {
    const ALL: [Self; 3] = [Self::Subject, Self::Preview, Self::Body];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Preview => "preview",
            Self::Body => "body",
        }
    }

    fn name(self, part: Part, language: Language) -> String {
        format!("{}.{}.{}", part.as_str(), language.tag(), self.as_str())
    }
}

/// Takes a source apart. Each piece begins with as many empty lines as stand before it, so that errors name the file's lines.
fn pieces(part: Part, source: &Source) -> Result<Vec<(Piece, String)>, TemplateError> {
    if part == Part::Footer {
        return Ok(vec![(Piece::Body, source.text.clone())]);
    }
    let (mut subject, mut preview) = (None, String::new());
    let mut lines = source.text.lines().enumerate();
    for (place, line) in lines.by_ref() {
        let padded = |value: &str| format!("{}{}", "\n".repeat(place), value.trim());
        if line.trim().is_empty() {
            break;
        } else if let Some(value) = line.strip_prefix("subject:") {
            subject = Some(padded(value));
        } else if let Some(value) = line.strip_prefix("preview:") {
            preview = padded(value);
        } else {
            return Err(TemplateError {
                file: source.file.clone(),
                line: Some(place + 1),
                what: "the head has something that is neither `subject:` nor `preview:`".to_owned(),
                mend: "Begin the file with `subject: …`, then `preview: …` if you like, then an empty line."
                    .to_owned(),
            });
        }
    }
    let Some(subject) = subject.filter(|subject| !subject.trim().is_empty()) else {
        return Err(TemplateError {
            file: source.file.clone(),
            line: Some(1),
            what: "there is no subject".to_owned(),
            mend: "Begin the file with `subject: …` and an empty line.".to_owned(),
        });
    };
    let rest: Vec<(usize, &str)> = lines.collect();
    let before = rest.first().map_or(0, |(place, _)| *place);
    let body: Vec<&str> = rest.into_iter().map(|(_, line)| line).collect();
    let body = format!("{}{}", "\n".repeat(before), body.join("\n"));
    Ok(vec![(Piece::Subject, subject), (Piece::Preview, preview), (Piece::Body, body)])
}

fn of_engine(file: &str, error: &minijinja::Error) -> TemplateError {
    let detail = error
        .detail()
        .map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    TemplateError {
        file: file.to_owned(),
        line: error.line(),
        what: detail,
        mend: "Correct the line; `quittance mail templates export DIR` shows how templates are written."
            .to_owned(),
    }
}

fn named(file: &str) -> Option<(Part, Language)> {
    let (part, language) = file.strip_suffix(".md")?.split_once('.')?;
    let part = Part::all().find(|known| known.as_str() == part)?;
    let language = Language::ALL.into_iter().find(|known| known.tag() == language)?;
    Some((part, language))
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>, TemplateError> {
    let refused = |error: std::io::Error| TemplateError {
        file: folder.display().to_string(),
        line: None,
        what: format!("the folder of templates cannot be read: {error}"),
        mend: "Correct `mail.templates`, or make the folder with `quittance mail templates export DIR`."
            .to_owned(),
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(refused)? {
        let path = entry.map_err(refused)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(['.', '_']));
        if !hidden && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<String, TemplateError> {
    let refused = |what: String, mend: &str| TemplateError {
        file: path.display().to_string(),
        line: None,
        what,
        mend: mend.to_owned(),
    };
    let size = std::fs::metadata(path).map(|meta| meta.len()).unwrap_or_default();
    if size > MOST_BYTES {
        return Err(refused(format!("it has {size} bytes"), "A template has at most 65536 bytes."));
    }
    let text = std::fs::read_to_string(path).map_err(|error| {
        refused(format!("it cannot be read: {error}"), "Save it as UTF-8, readable by the server.")
    })?;
    Ok(text.trim_start_matches('\u{feff}').replace("\r\n", "\n"))
}

fn built_in_sources() -> BTreeMap<(Part, Language), Source> {
    BUILT_IN
        .iter()
        .filter_map(|(name, text)| {
            let source = Source { file: format!("{name} (built in)"), text: (*text).to_owned(), own: false };
            Some((named(name)?, source))
        })
        .collect()
}

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        &[$((concat!($name, ".en.md"), include_str!(concat!("../templates/", $name, ".en.md"))),
            (concat!($name, ".ja.md"), include_str!(concat!("../templates/", $name, ".ja.md"))),)*]
    };
}

/// Every built-in file.
const BUILT_IN: &[(&str, &str)] = built_in!(
    "payment_failed",
    "payment_action_required",
    "payment_recovered",
    "grace_ending",
    "access_ended",
    "trial_ending",
    "renewal_ahead",
    "price_changing",
    "terms_changing",
    "plan_changed",
    "subscription_cancelled",
    "receipt",
    "refund_made",
    "refund_failed",
    "card_expiring",
    "purchase_processing",
    "purchase_failed",
    "footer",
);
