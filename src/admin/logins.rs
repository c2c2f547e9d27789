//! `POST /_proxy/api/accounts/NAME/login` begins a login, `GET` says how it stands.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use http::StatusCode;
use serde_json::json;

use super::api::{Knowledge, wrong};
use crate::accounts::login::here::{LONGEST, Standing};
use crate::types::account::AccountName;

const PATH: &str = "/_proxy/api/accounts/{name}/login";

/// Whether a login is begun by POST at `path`. A dashboard may do that, and change nothing else.
pub fn is_begun_at(path: &str) -> bool {
    let name = path.strip_prefix("/_proxy/api/accounts/").and_then(|p| p.strip_suffix("/login"));
    name.is_some_and(|name| !name.contains('/'))
}

/// Both of them.
pub fn routes() -> Router<Arc<Knowledge>> {
    Router::new().route(PATH, routing::get(show).post(begin))
}

async fn begin(State(knowledge): State<Arc<Knowledge>>, Path(name): Path<String>) -> Response {
    let Some((account, logins)) = account(&name).zip(knowledge.logins.get()) else {
        return wrong(StatusCode::NOT_FOUND, "this proxy begins no login of such an account");
    };
    match logins.begin(&account).await {
        Ok(url) => {
            Json(json!({ "url": url, "expires_in_seconds": LONGEST.as_secs() })).into_response()
        }
        Err(why) => wrong(StatusCode::CONFLICT, &why),
    }
}

async fn show(State(knowledge): State<Arc<Knowledge>>, Path(name): Path<String>) -> Response {
    let account = account(&name);
    let standing = account.zip(knowledge.logins.get()).and_then(|(account, logins)| {
        // The accounts follow the store by themselves.
        logins.standing(&account)
    });
    let (state, message) = match standing {
        None => ("none", None),
        Some(Standing::Waiting) => ("waiting", None),
        Some(Standing::Done(sentence)) => ("done", Some(sentence)),
        Some(Standing::Failed(why)) => ("failed", Some(why)),
    };
    Json(json!({ "state": state, "message": message })).into_response()
}

fn account(name: &str) -> Option<AccountName> {
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::is_begun_at;

    #[test]
    fn a_login_is_begun_at_one_kind_of_path() {
        for (path, expected) in [
            ("/_proxy/api/accounts/acme/login", true),
            ("/_proxy/api/accounts/a/b/login", false),
            ("/_proxy/api/accounts/acme/login/", false),
            ("/_proxy/api/accounts/login", false),
            ("/_proxy/api/dashboard/codes", false),
            ("/_proxy/api/dashboard/codes?/_proxy/api/accounts/acme/login", false),
        ] {
            assert_eq!(is_begun_at(path), expected, "{path}");
        }
    }
}
