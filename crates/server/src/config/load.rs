//! Reading: the file, then the environment over it.

use std::path::{Path, PathBuf};

use toml::Table;

use super::{Config, DEFAULT_FILE, Secret, keys};
use crate::failure::Failure;

/// A configuration and where it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// The file that was read, if one was.
    pub file: Option<PathBuf>,
    /// Whether somebody named a catalog, so that it must exist.
    pub catalog_named: bool,
}

/// Where the environment is read from; a map in tests.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads `file` (or `QUITTANCE_CONFIG`, or `quittance.toml` where there is one) and the environment.
///
/// # Errors
/// Names the key that cannot be used and the mend.
pub fn load(file: Option<&Path>, environment: Environment<'_>) -> Result<Loaded, Failure> {
    // An empty variable is one that nobody set: container files often name them all.
    let get = |name: &str| environment(name).filter(|value| !value.is_empty());
    let named = file.map(Path::to_owned).or_else(|| get("QUITTANCE_CONFIG").map(PathBuf::from));
    let path = named.clone().or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()));
    let table = match &path {
        Some(path) => read(path)?,
        None => Table::new(),
    };
    let catalog_named =
        table.get("catalog").is_some_and(|value| value.as_str() != Some(super::DEFAULT_CATALOG));
    let mut config = parse(table, path.as_deref())?;
    let folder = path.as_deref().and_then(Path::parent).unwrap_or_else(|| Path::new(""));
    // What is relative lies beside the file that names it.
    config.catalog = folder.join(&config.catalog).display().to_string();
    config.notice_rules = config.notice_rules.map(|file| folder.join(file).display().to_string());
    for file in [&mut config.mail.templates, &mut config.mail.ca_file].into_iter().flatten() {
        *file = folder.join(&*file).display().to_string();
    }
    from_environment(&mut config, &get);
    Ok(Loaded { config, file: path, catalog_named: catalog_named || get("QUITTANCE_CATALOG").is_some() })
}

fn read(path: &Path) -> Result<Table, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::config(
            format!("the configuration file {shown} cannot be read: {error}"),
            "Correct --config or QUITTANCE_CONFIG, or remove it to use the defaults and the environment.",
        )
    })?;
    text.parse::<Table>().map_err(|error| {
        // Its own text shows the line, in which a secret may stand.
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        Failure::config(
            format!("{shown} is not TOML: line {line}: {}", error.message().trim()),
            "Correct the line that it names.",
        )
    })
}

fn parse(table: Table, path: Option<&Path>) -> Result<Config, Failure> {
    let shown = path.map_or_else(|| DEFAULT_FILE.to_owned(), |path| path.display().to_string());
    if let Some((key, nearest)) = keys::unknown(&table) {
        return Err(Failure::config(
            format!("{shown} has `{key}`, which is no setting"),
            format!("Did you mean `{nearest}`? The quittance.toml of the repository names every setting."),
        ));
    }
    table.try_into().map_err(|error: toml::de::Error| {
        Failure::config(
            format!("{shown}: {}", in_words(error.to_string().trim())),
            "Correct the value; the quittance.toml of the repository shows what each setting takes.",
        )
    })
}

/// The parser's words without types of Rust, and with the setting first: its own name it puts on a line at the end.
fn in_words(error: &str) -> String {
    let (what, setting) = error.rsplit_once("\nin ").unwrap_or((error, ""));
    let mut words = what.to_owned();
    for (kind, name) in [
        ("usize", "a whole number, 0 or more"),
        ("u16", "a whole number from 0 to 65535"),
        ("u32", "a whole number, 0 or more"),
        ("u64", "a whole number, 0 or more"),
        ("i64", "a whole number"),
        ("bool", "true or false"),
        ("a boolean", "true or false"),
        ("a sequence", "a list"),
        ("a string", "a text"),
    ] {
        if let Some(start) = words.strip_suffix(&format!("expected {kind}")) {
            words = format!("{start}expected {name}");
        }
    }
    if setting.is_empty() { words } else { format!("{setting}: {words}") }
}

/// Lets the environment win. Values that need more than a text are checked with the rest.
fn from_environment(config: &mut Config, get: &dyn Fn(&str) -> Option<String>) {
    let texts: [(&str, &mut String); 4] = [
        ("QUITTANCE_LISTEN", &mut config.listen),
        ("QUITTANCE_CATALOG", &mut config.catalog),
        ("DATABASE_URL", &mut config.database.url),
        ("STRIPE_API_BASE", &mut config.stripe.api_base),
    ];
    for (name, setting) in texts {
        if let Some(value) = get(name) {
            *setting = value;
        }
    }
    let secrets: [(&str, &mut Option<Secret>); 4] = [
        ("QUITTANCE_SECRET", &mut config.secret),
        ("STRIPE_SECRET_KEY", &mut config.stripe.secret_key),
        ("STRIPE_WEBHOOK_SECRET", &mut config.stripe.webhook_secret),
        ("SMTP_URL", &mut config.mail.url),
    ];
    for (name, setting) in secrets {
        if let Some(value) = get(name) {
            *setting = Some(Secret::new(value));
        }
    }
    let optional: [(&str, &mut Option<String>); 3] = [
        ("QUITTANCE_PUBLIC_URL", &mut config.public_url),
        ("QUITTANCE_APP_URL", &mut config.app_url),
        ("STRIPE_PUBLISHABLE_KEY", &mut config.stripe.publishable_key),
    ];
    for (name, setting) in optional {
        if let Some(value) = get(name) {
            *setting = Some(value);
        }
    }
}
