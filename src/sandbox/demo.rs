//! The credentials that the sandbox accepts from the start. They open nothing anywhere else.

/// The portal that every demo credential belongs to.
pub const HUB_ID: u64 = 1_234_567;
/// The app that every grant is made for.
pub const APP_ID: u64 = 7_654_321;
/// The user behind every grant.
pub const USER_ID: u64 = 501;
pub const CLIENT_ID: &str = "sandbox-client";
pub const CLIENT_SECRET: &str = "sandbox-secret";
/// The grant that exists without a login.
pub const REFRESH_TOKEN: &str = "sandbox-refresh-token";
/// The static token: it never expires and is never refreshed.
pub const ACCESS_TOKEN: &str = "sandbox-access-token";
pub const PERSONAL_ACCESS_KEY: &str = "sandbox-personal-access-key";
pub const DEVELOPER_KEY: &str = "sandbox-hapikey";

/// What an access token, a refresh token and an authorization code of the sandbox start with.
pub(super) const ISSUED_ACCESS: &str = "sandbox-issued-";
pub(super) const ISSUED_REFRESH: &str = "sandbox-refresh-";
pub(super) const ISSUED_CODE: &str = "sandbox-code-";
/// How many hexadecimal digits follow that start.
pub(super) const ISSUED_DIGITS: usize = 32;

/// Whether the sandbox knows this credential from the start or has the form of those it issues:
/// only then may it be shown.
pub(super) fn is_demo(credential: &str) -> bool {
    const FIXED: [&str; 6] =
        [CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, ACCESS_TOKEN, PERSONAL_ACCESS_KEY, DEVELOPER_KEY];
    let issued = |start: &str| {
        credential.strip_prefix(start).is_some_and(|rest| {
            rest.len() == ISSUED_DIGITS && rest.bytes().all(|b| b.is_ascii_hexdigit())
        })
    };
    FIXED.contains(&credential)
        || [ISSUED_ACCESS, ISSUED_REFRESH, ISSUED_CODE].into_iter().any(issued)
}
