//! What goes into the file, as far as flags or answers have said it.

use super::{InitArgs, KindArg, ModeArg, SecretPlace};
use crate::cli::Failure;
use crate::config::Listen;
use crate::types::account::AccountName;

/// `None` stands for what has not been said.
#[derive(Debug)]
pub struct Given {
    pub kind: Option<KindArg>,
    pub account: Option<AccountName>,
    pub client_id: Option<String>,
    pub scopes: Option<Vec<String>>,
    pub secret: Option<SecretPlace>,
    pub policy: Option<ModeArg>,
    pub listen: Option<String>,
}

/// All of it.
#[derive(Debug)]
pub struct Answers {
    /// `None` where the file is to have no account: one comes by a login, an import or a variable.
    pub credential: Option<Credential>,
    pub policy: ModeArg,
    pub listen: Option<String>,
}

/// An account and its credential.
#[derive(Debug)]
pub struct Credential {
    pub account: AccountName,
    pub kind: Kind,
    pub secret: SecretPlace,
}

/// What kind it is, with what that kind has beside the secret.
#[derive(Debug)]
pub enum Kind {
    OAuth { client_id: String, scopes: Vec<String> },
    AccessToken,
    PersonalAccessKey,
}

impl Answers {
    /// What flags say.
    pub fn given(args: &InitArgs) -> Result<Given, Failure> {
        let is_of_app = args.client_id.is_some() || !args.scopes.is_empty();
        let kind = args.kind.or(is_of_app.then_some(KindArg::Oauth));
        if is_of_app && kind != Some(KindArg::Oauth) {
            return Err(Failure::usage(
                "--client-id and --scope are for --kind oauth: leave them out, or change the kind",
            ));
        }
        let secret = args.secret.as_deref().map(SecretPlace::parse).transpose();
        let listen = args.listen.as_deref().map(str::parse::<Listen>).transpose();
        listen.map_err(|error| Failure::usage(format!("--listen: {error}")))?;
        Ok(Given {
            kind,
            account: args.account.clone(),
            client_id: args.client_id.clone(),
            scopes: (!args.scopes.is_empty()).then(|| with_oauth(args.scopes.clone())),
            secret: secret.map_err(|problem| Failure::usage(format!("--secret: {problem}")))?,
            policy: args.policy,
            listen: args.listen.clone(),
        })
    }
}

impl Given {
    /// With the defaults for the rest.
    pub fn completed(self) -> Result<Answers, Failure> {
        let policy = self.policy.unwrap_or(ModeArg::ReadWrite);
        let Some(kind) = self.kind else {
            if self.account.is_some() || self.secret.is_some() {
                return Err(Failure::usage(
                    "--account and --secret are of an account of some kind: add --kind",
                ));
            }
            return Ok(Answers { credential: None, policy, listen: self.listen });
        };
        let kind = match kind {
            KindArg::Oauth => Kind::OAuth {
                client_id: self.client_id.ok_or_else(|| {
                    Failure::usage(
                        "an account with OAuth needs the client id of its app: add --client-id",
                    )
                })?,
                scopes: self.scopes.unwrap_or_else(|| with_oauth(Vec::new())),
            },
            KindArg::AccessToken => Kind::AccessToken,
            KindArg::PersonalAccessKey => Kind::PersonalAccessKey,
        };
        let account = self.account.unwrap_or_else(AccountName::default_name);
        let secret = self.secret.unwrap_or(SecretPlace::Store);
        let credential = Some(Credential { account, kind, secret });
        Ok(Answers { credential, policy, listen: self.listen })
    }
}

/// `oauth` is required of every app.
pub fn with_oauth(mut scopes: Vec<String>) -> Vec<String> {
    if !scopes.iter().any(|scope| scope == "oauth") {
        scopes.insert(0, "oauth".to_owned());
    }
    scopes
}
