//! The frame of the HTML form: one column, styles in the elements, dark mode where the reader's program has it.
//!
//! Nothing is fetched: no image, no font, no style sheet, nothing that tells whether the mail was opened.

use crate::format::Language;
use crate::markdown::html_text;

/// Grows when the frame changes, so that a record of a mail names it.
pub(crate) const VERSION: &str = "layout 1";

const DARK: &str = "\
:root { color-scheme: light dark; supported-color-schemes: light dark }
@media (prefers-color-scheme: dark) {
  .paper { background: #121417 !important }
  .ink { color: #e9eaec !important }
  .muted { color: #9aa1ab !important }
  .line { border-color: #2a2e34 !important }
  .accent { color: #4cc38a !important }
  .button { background: #4cc38a !important; color: #08140e !important }
}
@media (max-width: 480px) { .column { padding: 24px 20px !important } }";

/// A whole document. `site`, `subject` and `preview` are text, `body` and `foot` are HTML.
pub(crate) fn document(
    language: Language,
    site: &str,
    subject: &str,
    preview: &str,
    body: &str,
    foot: &str,
) -> String {
    let fonts = "system-ui,-apple-system,'Segoe UI','Hiragino Sans','Noto Sans JP','Noto Sans CJK JP',Meiryo,sans-serif";
    let hidden = if preview.is_empty() {
        String::new()
    } else {
        format!("<div style=\"display:none;max-height:0;overflow:hidden\">{}</div>\n", html_text(preview))
    };
    format!(
        "<!DOCTYPE html>
<html lang=\"{lang}\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta name=\"color-scheme\" content=\"light dark\">
<meta name=\"supported-color-schemes\" content=\"light dark\">
<title>{title}</title>
<style>
{DARK}
</style>
</head>
<body class=\"paper\" style=\"margin:0;padding:0;background:#fbfbf9\">
{hidden}<div class=\"paper\" style=\"background:#fbfbf9\">
<div class=\"column\" lang=\"{lang}\" style=\"max-width:560px;margin:0 auto;padding:40px 24px;font-family:{fonts};overflow-wrap:break-word\">
<p class=\"ink\" style=\"margin:0 0 24px;font-size:16px;font-weight:600;color:#16181d\">{site}</p>
{body}<div class=\"line\" style=\"margin:40px 0 0;padding:24px 0 0;border-top:1px solid #e4e5e1\">
{foot}</div>
</div>
</div>
</body>
</html>
",
        lang = language.tag(),
        title = html_text(subject),
        site = html_text(site),
    )
}
