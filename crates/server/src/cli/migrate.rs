//! `quittance migrate`.

use serde_json::json;

use super::{Common, out};
use crate::failure::{Failure, of_store, without_password};
use crate::serve::sqlite_path;

pub(super) async fn run(common: &Common) -> Result<(), Failure> {
    let loaded = common.load()?;
    let url = &loaded.config.database.url;
    let refused = |error: quittance_store::StoreError| of_store(url, &error);
    let new = sqlite_path(url).is_some_and(|path| !std::path::Path::new(path).exists());
    let db = quittance_store::Db::open(url, quittance_store::Options::default()).await.map_err(refused)?;
    let report = db.migrate().await.map_err(refused)?;
    db.close().await;
    let shown = without_password(url);
    if common.json {
        out::say_json(
            &json!({ "database": shown, "from": report.from, "to": report.to, "applied": report.applied, "created": new }),
        );
    } else if report.applied.is_empty() {
        out::say(&format!("{shown} is up to date (schema {}).", report.to));
    } else {
        let made = if new { "made and " } else { "" };
        out::say(&format!(
            "{shown} was {made}brought from schema {} to {}: {}.\nNext: `quittance keys create --name app`, then `quittance serve`.",
            report.from,
            report.to,
            report.applied.join(", ")
        ));
    }
    Ok(())
}
