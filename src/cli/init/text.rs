//! The text of the file: the settings that were chosen, and beside them the keys that are changed most,
//! in comments.

use std::path::Path;

use super::answers::{Answers, Credential, Kind};
use super::place::{list, quoted};
use super::{KindArg, ModeArg};
use crate::config::Folders;

const HEAD: &str = "\
# Configuration of hubspot-proxy. It never holds a secret, only the place of one:
# { env = \"NAME\" }, { file = \"PATH\" }, { command = [\"PROGRAM\", \"ARG\"] } or { keyring = \"NAME\" }.
#
# These are the keys that are changed most; proxy.toml.example has all. A line that begins with `#` and no
# blank is a key that is not set: take the `#` away to set it.
";

const SERVER: &str = "
[server]
# Where the proxy listens: `localhost:PORT`, a loopback `IP:PORT` or `unix:PATH`.
{listen}
# Whether a request has to show a client key (`hubspot-proxy keys create`): \"optional\" or \"required\".
#client_keys = \"optional\"

[policy]
# What requests may do: \"read-write\"; \"no-destructive\", all but DELETE and POSTs that destroy; or
# \"read-only\", only GET, HEAD, OPTIONS and POSTs that read, such as .../search.
{mode}
# Rules beside that. What one of them matches is refused, whatever the mode.
#deny = [\"DELETE /crm/**\"]

[log]
# Whether each request is logged in a line.
#requests = false
";

const LOGIN: &str = "
[oauth]
# Where HubSpot sends the browser back to after a login. The app needs it among its redirect URLs.
#redirect_uri = \"http://localhost:3000/oauth-callback\"
";

const HUB_ID: &str = "\
# The Hub ID of the account: a token of another one is refused.
#hub_id = 1234567
";

/// The text, for a file in `folder`.
pub fn of(answers: &Answers, folder: &Path, folders: &Folders) -> String {
    let listen = match &answers.listen {
        Some(listen) => format!("listen = [{}]", quoted(listen)),
        None => "#listen = [\"localhost:8787\"]".to_owned(),
    };
    let mode = match answers.policy {
        ModeArg::ReadWrite => "#mode = \"read-write\"".to_owned(),
        mode => format!("mode = {}", quoted(mode.name())),
    };
    let server = SERVER.replace("{listen}", &listen).replace("{mode}", &mode);
    let account = match &answers.credential {
        Some(credential) => account(credential, folder, folders),
        None => no_account(),
    };
    format!("{HEAD}{server}{account}")
}

fn account(credential: &Credential, folder: &Path, folders: &Folders) -> String {
    let Credential { account, kind, secret } = credential;
    let place = secret.as_toml(folder, folders);
    let table = format!("[accounts.{account}]");
    let typed = |key: &str, place: &str| {
        let kind = quoted(kind.name());
        format!("\n{table}\ntype = {kind}\n{key} = {place}\n{HUB_ID}")
    };
    match (kind, place) {
        (Kind::OAuth { client_id, scopes }, place) => {
            let secret = match place {
                Some(place) => format!("client_secret = {place}"),
                None => "# The client secret is in the encrypted store: a login asks for it.\n#client_secret = { env = \"ACME_CLIENT_SECRET\" }".to_owned(),
            };
            format!(
                "{LOGIN}\n{table}\ntype = \"oauth\"\nclient_id = {}\n{secret}\n# What a login asks for: each scope that the app requires.\nscopes = {}\n{HUB_ID}",
                quoted(client_id),
                list(scopes)
            )
        }
        (Kind::AccessToken, Some(place)) => typed("token", &place),
        (Kind::PersonalAccessKey, Some(place)) => typed("key", &place),
        (kind, None) => format!(
            "\n# The account `{account}` is in the encrypted store: `hubspot-proxy accounts import {account} --kind {}` puts\n# it there. It needs nothing here, and can have settings of its own:\n#{table}\n{HUB_ID}",
            kind.name()
        ),
    }
}

fn no_account() -> String {
    "
# Accounts come from `hubspot-proxy login`, `hubspot-proxy accounts import` or the variable
# HUBSPOT_ACCESS_TOKEN and need nothing here. Or one stands here, such as:
#[accounts.acme]
#type = \"access_token\"
#token = { env = \"ACME_TOKEN\" }
"
    .to_owned()
}

impl Kind {
    /// As `type` and `--kind` have it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::OAuth { .. } => KindArg::Oauth.name(),
            Self::AccessToken => KindArg::AccessToken.name(),
            Self::PersonalAccessKey => KindArg::PersonalAccessKey.name(),
        }
    }
}
