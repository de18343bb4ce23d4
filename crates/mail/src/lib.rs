//! Mail to customers: one source per notice and language becomes text and HTML, and goes out by SMTP.
//!
//! A template is Markdown with variables. Rendering is pure: the same facts give the same letter. [`post`] alone sends;
//! [`courier`] is the engine's courier of the channel `mail`. Refuses to know: when a notice is due, and what a provider
//! calls its objects.

pub mod compose;
pub mod courier;
pub mod facts;
pub mod format;
pub mod kind;
mod layout;
pub mod letter;
pub mod links;
mod markdown;
pub mod message;
pub mod operators;
pub mod post;
pub mod preferences;
pub mod said;
pub mod samples;
pub mod settings;
pub mod templates;
pub mod told;

pub use courier::MailCourier;
pub use facts::Facts;
pub use format::Language;
pub use kind::Kind;
pub use letter::{Letter, Writer};
pub use links::MailLinks;
pub use post::Post;
pub use settings::MailSettings;
pub use templates::Templates;
