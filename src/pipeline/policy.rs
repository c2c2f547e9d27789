//! Third stage: what may be done at all.
//!
//! Guards the paths that mint, read or end credentials: through the proxy a client could otherwise
//! get hold of a token, or end the grant that everybody shares. Both forms of the path are judged.

use http::Method;

use crate::types::path;
use crate::types::refusal::Refusal;

/// A `DELETE` of this uninstalls the app whose grant the proxy holds.
const UNINSTALL: &[u8] = b"/external-install";

/// Refuses a request that touches credentials.
pub fn check(method: &Method, raw: &str) -> Result<(), Refusal> {
    let decoded = path::decoded_form(raw);
    if is_guarded(method, &decoded) || is_guarded(method, raw.as_bytes()) {
        return Err(Refusal::CredentialPathBlocked);
    }
    Ok(())
}

fn is_guarded(method: &Method, path: &[u8]) -> bool {
    if path::credential_prefix(path).is_some() {
        return true;
    }
    // What else than GET and HEAD a server might take for a DELETE is none of its documented uses.
    !matches!(*method, Method::GET | Method::HEAD) && path.ends_with(UNINSTALL)
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::check;

    #[test]
    fn credential_paths_are_blocked_in_every_spelling() {
        let blocked = [
            (Method::POST, "/oauth/v1/token"),
            (Method::POST, "/oauth/2026-03/token/introspect"),
            (Method::GET, "/oauth/v1/access-tokens/abc"),
            (Method::POST, "/OAUTH/v1/token"),
            (Method::POST, "/oauth"),
            (Method::POST, "/%6Fauth/v1/token"),
            (Method::POST, "/oauth%2Fv1%2Ftoken"),
            (Method::POST, "/oauth;a=b/v1/token"),
            (Method::POST, "/localdevauth/v1/auth/refresh"),
            (Method::DELETE, "/appinstalls/v3/external-install"),
            (Method::DELETE, "/appinstalls/v3/external-install/"),
            (Method::DELETE, "/appinstalls/2026-03/External%2Dinstall"),
        ];
        for (method, path) in blocked {
            assert!(check(&method, path).is_err(), "{method} {path}");
        }
        let open = [
            (Method::GET, "/oauthx/y"),
            (Method::GET, "/crm/v3/objects/contacts"),
            (Method::POST, "/crm/oauth/x"),
            (Method::GET, "/appinstalls/v3/external-install"),
        ];
        for (method, path) in open {
            assert!(check(&method, path).is_ok(), "{method} {path}");
        }
    }
}
