//! Ways to the paths that mint, read or end credentials.

use super::Expected::Refused;
use super::{ask, row, run, sent};

#[test]
fn credential_paths_are_blocked_in_every_spelling() {
    let mut rows = Vec::new();
    for target in [
        "/oauth",
        "/oauth/",
        "/oauth?x=y",
        "/oauth/v1/token",
        "/oauth/v3/token",
        "/oauth/2026-03/token",
        "/oauth/2026-09/token/introspect",
        "/oauth/2026-09-beta/token/revoke",
        "/oauth/v1/access-tokens/x",
        "/oauth/v2/private-apps/get/access-token-info",
        "//oauth/v1/token",
        "/@other/oauth/v1/token",
        "/@main//oauth/v1/token",
        "/OAuth/v1/token",
        "/OAUTH",
        "/%6fauth/v1/token",
        "/%4Fauth/v1/token",
        "/oauth%2fv1%2ftoken",
        "/%2foauth/v1/token",
        "/;a=b/oauth/v1/token",
        "/oauth;a=b/v1/token",
        "/oauth%00",
        "/oauth%3bx",
        "/%256fauth",
        "/o%2561uth",
        "/localdevauth/v1/auth/refresh",
        "/LocalDevAuth/v1/auth/refresh",
        "/%6cocaldevauth/x",
        "http://{host}/oauth/v1/token",
    ] {
        for method in ["GET", "POST", "oauth"] {
            rows.push(row(ask(method, target, ""), Refused(403, "credential-path-blocked")));
        }
    }
    for target in [
        "/appinstalls/v3/external-install",
        "/appinstalls/2026-03/external-install",
        "/appinstalls/2026-09/external-install",
        "/appinstalls/2027-03-beta/external-install",
        "/appinstalls/v3/external-install/?a=b",
        "/appinstalls/v3/External%2dinstall;x",
        "/appinstalls/v3/external-install%00",
        "/appinstalls/v3/external-install%3Bx",
        "/appinstalls//v3//external-install//",
        "/@other/appinstalls%2Fv3%2Fexternal-install",
        "/appinstalls/v3/external%252dinstall",
    ] {
        for method in ["DELETE", "delete", "POST"] {
            rows.push(row(ask(method, target, ""), Refused(403, "credential-path-blocked")));
        }
        rows.push(row(
            ask("DELETE", &format!("{target}#x"), ""),
            Refused(403, "credential-path-blocked"),
        ));
    }
    for target in [
        "/appinstalls/v3/external-install;%2Fx",
        "/appinstalls/v3/external-install%3b%2fx",
        "/;%2Fx/oauth/v1/token",
        "/oauth%252fv1%252ftoken",
    ] {
        rows.push(row(ask("DELETE", target, ""), Refused(400, "bad-request-target")));
    }
    for target in ["/oauthx", "/a/oauth/token", "/appinstalls/v3/external-installs"] {
        rows.push(row(ask("DELETE", target, ""), sent(&format!("DELETE {target}"))));
    }
    run(|setup| setup, &rows);
}
