//! Logging in: the authorization-code flow (RFC 6749, section 4.1), from the URL that the user opens to
//! what is to be stored.
//!
//! It asks HubSpot and judges what comes; it reads no terminal, and only [`keep`] writes to the store.

pub mod callback;
pub mod here;
pub mod keep;
pub mod listener;
pub mod page;

use oauth2::basic::BasicClient;
use oauth2::{
    AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, RedirectUrl, Scope, url::ParseError,
};

use crate::config::{Config, Consent};
use crate::oauth::{
    App, Code, CodeError, Introspected, IntrospectionEndpoint, TokenEndpoint, TokenError,
};
use crate::store::{NewAccount, Obtained, StoredKind, StoredToken};
use crate::types::account::Identity;
use crate::types::clock::SharedClock;
use crate::types::origin::Origin;
use crate::types::secret::Secret;

/// Scopes that other vendors have for refresh tokens, and HubSpot has not.
const FOREIGN_SCOPES: [&str; 2] = ["offline", "offline_access"];
/// What is asked for where nothing is configured.
const LEAST_SCOPE: &str = "oauth";
/// Bytes of randomness in `state`.
const STATE_LENGTH: u32 = 32;

/// A login that has been begun: what the user opens, and what the callback is held against.
pub struct Begun {
    /// To be opened in a browser.
    pub url: String,
    /// Comes back with the code, and with no other.
    pub state: Secret,
    verifier: Option<Secret>,
    redirect_uri: String,
    asked: Consent,
}

/// What is asked of whom.
pub struct Wish<'a> {
    pub authorize_url: &'a str,
    pub redirect_uri: &'a str,
    pub client_id: &'a str,
    pub consent: &'a Consent,
}

/// The endpoints that a login ends with.
pub struct Endpoints {
    pub token: TokenEndpoint,
    pub introspection: IntrospectionEndpoint,
    pub clock: SharedClock,
}

/// What a login has brought.
#[derive(Debug)]
pub struct Brought {
    pub new: NewAccount,
    pub hub_domain: Option<String>,
    /// Asked for, and not granted.
    pub missing: Vec<String>,
    /// Granted, and not asked for.
    pub beyond: Vec<String>,
    /// Why HubSpot did not say whose token it is.
    pub unknown: Option<TokenError>,
}

/// What is wrong with the scopes that are asked for, if anything is.
pub fn objection(consent: &Consent) -> Option<String> {
    let all = consent.scopes.iter().chain(&consent.optional_scopes);
    let foreign = all.into_iter().find(|scope| FOREIGN_SCOPES.contains(&scope.as_str()))?;
    Some(format!(
        "HubSpot has no scope `{foreign}`, and shows an error page when it is asked for: remove it, since a refresh token always comes"
    ))
}

/// Refuses an endpoint that would get a credential and is at neither of the origins that it is for. `key`
/// is the setting that `url` is from.
pub fn check_origin(config: &Config, key: &str, url: &str) -> Result<(), String> {
    let of = |url: &str| Origin::of_url(url).map(|origin| origin.serialized());
    let origin = of(url).map_err(|error| format!("{key}: {error}"))?;
    let token = of(&config.oauth.token_url).map_err(|error| format!("oauth.token_url: {error}"))?;
    if [config.upstream.url.serialized(), token].contains(&origin) {
        return Ok(());
    }
    Err(format!(
        "{key} is at {origin}, where no credential is sent, since neither upstream.url nor oauth.token_url is there: correct it"
    ))
}

impl Begun {
    /// A new login, with a `state` of its own. Fails where a URL is none.
    pub fn new(wish: &Wish<'_>) -> Result<Self, ParseError> {
        let mut asked = wish.consent.clone();
        if asked.scopes.is_empty() {
            asked.scopes.push(LEAST_SCOPE.to_owned());
        }
        let client = BasicClient::new(ClientId::new(wish.client_id.to_owned()))
            .set_auth_uri(AuthUrl::new(wish.authorize_url.to_owned())?)
            .set_redirect_uri(RedirectUrl::new(wish.redirect_uri.to_owned())?);
        let mut request = client
            .authorize_url(|| CsrfToken::new_random_len(STATE_LENGTH))
            .add_scopes(asked.scopes.iter().cloned().map(Scope::new));
        if !asked.optional_scopes.is_empty() {
            request = request.add_extra_param("optional_scope", asked.optional_scopes.join(" "));
        }
        let mut verifier = None;
        if asked.pkce {
            let (challenge, proof) = PkceCodeChallenge::new_random_sha256();
            verifier = Some(Secret::new(proof.into_secret()));
            request = request.set_pkce_challenge(challenge);
        }
        let (url, state) = request.url();
        Ok(Self {
            url: url.into(),
            state: Secret::new(state.into_secret()),
            verifier,
            redirect_uri: wish.redirect_uri.to_owned(),
            asked,
        })
    }

    /// Exchanges the code and asks whose the token is. Nothing is kept of it yet.
    pub async fn finish(
        &self,
        endpoints: &Endpoints,
        app: App<'_>,
        code: &Secret,
    ) -> Result<Brought, CodeError> {
        let verifier = self.verifier.as_ref();
        let code = Code { code, redirect_uri: &self.redirect_uri, verifier };
        let (issued, refresh_token) = endpoints.token.exchange(app, code).await?;
        let now = endpoints.clock.now();
        let asked = endpoints.introspection.introspect(app, &issued.access_token).await;
        let (known, unknown) = match asked {
            Ok(known) if known.active => (known, None),
            Ok(_) => (
                Introspected::default(),
                Some(TokenError::Malformed("it says that the new token is not active")),
            ),
            Err(error) => (Introspected::default(), Some(error)),
        };
        let Identity { hub_id, about } = known.identity.or(&issued.identity);
        let (missing, beyond) = self.compare(&about.scopes);
        let access_token = StoredToken {
            token: issued.access_token,
            issued: now,
            expires: now.after(issued.life),
            hub_id,
        };
        let new = NewAccount {
            obtained: Obtained::Login,
            kind: StoredKind::OAuth,
            secret: refresh_token,
            access_token: Some(access_token),
            client_id: Some(app.client_id.to_owned()),
            client_secret: None,
            hub_id,
            about,
            at: now,
        };
        Ok(Brought { new, hub_domain: known.hub_domain, missing, beyond, unknown })
    }

    /// Scopes that were asked for and not granted, and the other way round; nothing where it is not
    /// known what was granted.
    fn compare(&self, granted: &[String]) -> (Vec<String>, Vec<String>) {
        if granted.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let asked: Vec<&String> =
            self.asked.scopes.iter().chain(&self.asked.optional_scopes).collect();
        let missing = asked.iter().filter(|scope| !granted.contains(scope));
        let missing = missing.map(|scope| (*scope).clone()).collect();
        let beyond = granted.iter().filter(|scope| !asked.contains(scope)).cloned().collect();
        (missing, beyond)
    }
}

#[cfg(test)]
mod tests {
    use super::{Begun, Wish, objection};
    use crate::config::Consent;

    fn begun(consent: &Consent) -> Begun {
        Begun::new(&Wish {
            authorize_url: "https://app.hubspot.com/oauth/authorize",
            redirect_uri: "http://localhost:3000/oauth-callback",
            client_id: "a-client",
            consent,
        })
        .unwrap()
    }

    fn parameters(url: &str) -> Vec<(String, String)> {
        let query = url.split_once('?').unwrap().1;
        form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    #[test]
    fn the_url_asks_for_what_is_configured_and_nothing_else() {
        let words = |list: &[&str]| list.iter().map(|scope| (*scope).to_owned()).collect();
        let consent = Consent {
            scopes: words(&["oauth", "crm.objects.contacts.read"]),
            optional_scopes: words(&["crm.objects.deals.read", "tickets"]),
            pkce: false,
        };
        let one = begun(&consent);
        let given = parameters(&one.url);
        let value = |name: &str| {
            let mut values = given.iter().filter(|(given, _)| given == name);
            let value = values.next().map(|(_, value)| value.as_str());
            assert!(values.next().is_none(), "{name} comes twice");
            value
        };
        assert_eq!(value("client_id"), Some("a-client"));
        assert_eq!(value("redirect_uri"), Some("http://localhost:3000/oauth-callback"));
        assert_eq!(value("scope"), Some("oauth crm.objects.contacts.read"));
        assert_eq!(value("optional_scope"), Some("crm.objects.deals.read tickets"));
        assert_eq!(value("state"), Some(one.state.expose()));
        assert_eq!(value("code_challenge"), None);
        assert!(one.state.expose().len() >= 43, "256 bits");
        assert!(!begun(&consent).state.same_as(&one.state));
    }

    #[test]
    fn pkce_is_used_where_it_is_asked_for_and_oauth_is_the_least_scope() {
        let one = begun(&Consent { pkce: true, ..Consent::default() });
        let given = parameters(&one.url);
        let value =
            |name: &str| given.iter().find(|(given, _)| given == name).map(|(_, v)| v.as_str());
        assert_eq!(value("code_challenge_method"), Some("S256"));
        assert_eq!(value("scope"), Some("oauth"));
        let verifier = one.verifier.unwrap();
        assert!(!one.url.contains(verifier.expose()));
    }

    #[test]
    fn scopes_are_compared_both_ways_where_they_are_known() {
        let words =
            |list: &[&str]| -> Vec<String> { list.iter().map(|s| (*s).to_owned()).collect() };
        let consent =
            Consent { scopes: words(&["oauth", "a"]), optional_scopes: words(&["b"]), pkce: false };
        let one = begun(&consent);
        assert_eq!(one.compare(&words(&["oauth", "a", "c"])), (words(&["b"]), words(&["c"])));
        assert_eq!(one.compare(&[]), (vec![], vec![]));
    }

    #[test]
    fn a_scope_that_hubspot_does_not_have_is_told_beforehand() {
        for (scopes, refused) in [("offline", true), ("offline_access", true), ("oauth", false)] {
            let consent = Consent { scopes: vec![scopes.to_owned()], ..Consent::default() };
            assert_eq!(objection(&consent).is_some(), refused, "{scopes}");
        }
    }
}
