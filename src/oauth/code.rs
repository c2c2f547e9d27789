//! The authorization-code grant: exchanging a code (RFC 6749, section 4.1.3), and why that fails.

use serde::Deserialize;
use thiserror::Error;

use super::answer;
use super::client::Answer;
use super::{App, FORM, IssuedToken, TokenEndpoint, TokenError, form};
use crate::types::secret::Secret;

/// Why a code was not exchanged; what to do is in each.
#[derive(Debug, Error)]
pub enum CodeError {
    #[error("HubSpot no longer takes this code: log in again, and do not wait too long on the way")]
    Code,
    #[error(
        "HubSpot does not accept the redirect URI: register exactly {0} in the app's settings, or set oauth.redirect_uri to what is registered"
    )]
    RedirectUri(String),
    #[error(
        "HubSpot refused the client id or the client secret: compare both with the app's settings in HubSpot"
    )]
    Client,
    #[error(
        "HubSpot sent no refresh token, so nothing would be left of this login in half an hour"
    )]
    NoRefreshToken,
    #[error("{0}")]
    Other(#[from] TokenError),
}

/// A code, and what it was asked for with.
pub struct Code<'a> {
    pub code: &'a Secret,
    /// Byte for byte as in the request for the code.
    pub redirect_uri: &'a str,
    /// Where PKCE was used (RFC 7636, section 4.5).
    pub verifier: Option<&'a Secret>,
}

#[derive(Deserialize)]
struct Rejection {
    error: Option<String>,
    status: Option<String>,
}

impl TokenEndpoint {
    /// Exchanges a code for tokens, the client authenticated in the body whether PKCE is used or not.
    pub async fn exchange(
        &self,
        app: App<'_>,
        code: Code<'_>,
    ) -> Result<(IssuedToken, Secret), CodeError> {
        let form = form(&[
            ("grant_type", "authorization_code"),
            ("client_id", app.client_id),
            ("client_secret", app.client_secret.expose()),
            ("redirect_uri", code.redirect_uri),
            ("code", code.code.expose()),
            ("code_verifier", code.verifier.map(Secret::expose).unwrap_or_default()),
        ]);
        let answer = self.0.post(FORM, form).await?;
        let mut issued = answer::token(&answer).map_err(|error| explain(error, &answer, &code))?;
        let refresh_token = issued.refresh_token.take().ok_or(CodeError::NoRefreshToken)?;
        Ok((issued, refresh_token))
    }
}

fn explain(error: TokenError, answer: &Answer, code: &Code<'_>) -> CodeError {
    if let TokenError::Busy { .. } | TokenError::Malformed(_) = error {
        return error.into();
    }
    let rejection = serde_json::from_slice(&answer.body);
    let Rejection { error: name, status } =
        rejection.unwrap_or(Rejection { error: None, status: None });
    // HubSpot's own word is more exact than that of the RFC.
    match (status.as_deref(), name.as_deref()) {
        (Some("MISMATCH_REDIRECT_URI_AUTH_CODE" | "BAD_REDIRECT_URI"), _) => {
            CodeError::RedirectUri(code.redirect_uri.to_owned())
        }
        (Some("BAD_AUTH_CODE" | "EXPIRED_AUTH_CODE"), _) => CodeError::Code,
        (Some("BAD_CLIENT_ID" | "BAD_CLIENT_SECRET"), _) => CodeError::Client,
        (_, Some("invalid_client" | "unauthorized_client")) => CodeError::Client,
        (_, Some("invalid_grant")) => CodeError::Code,
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::{Answer, Code, CodeError, answer, explain};
    use crate::types::secret::Secret;

    #[test]
    fn each_refusal_names_its_mend() {
        let secret = Secret::new("the-code".to_owned());
        let cases = [
            (400, r#"{"status":"BAD_AUTH_CODE"}"#, "log in again"),
            (400, r#"{"status":"EXPIRED_AUTH_CODE","error":"invalid_grant"}"#, "log in again"),
            (400, r#"{"error":"invalid_grant"}"#, "log in again"),
            (
                400,
                r#"{"status":"MISMATCH_REDIRECT_URI_AUTH_CODE","error":"invalid_grant"}"#,
                "register exactly http://localhost:3000/cb",
            ),
            (400, r#"{"status":"BAD_REDIRECT_URI"}"#, "register exactly http://localhost:3000/cb"),
            (400, r#"{"status":"BAD_CLIENT_ID"}"#, "client id or the client secret"),
            (401, r#"{"error":"invalid_client"}"#, "client id or the client secret"),
            (503, r#"{"error":"invalid_grant"}"#, "503"),
            (400, "<html>", "400"),
            (200, "<html>", "cannot be used"),
        ];
        for (status, body, expected) in cases {
            let answer = Answer {
                status: status.try_into().unwrap(),
                retry_after: None,
                body: Zeroizing::new(body.as_bytes().to_vec()),
            };
            let code =
                Code { code: &secret, redirect_uri: "http://localhost:3000/cb", verifier: None };
            let error = answer::token(&answer).map_err(|error| explain(error, &answer, &code));
            let said = error.map_err(|error: CodeError| error.to_string()).unwrap_err();
            assert!(said.contains(expected), "{body}: {said}");
            assert!(!said.contains("the-code"));
        }
    }
}
