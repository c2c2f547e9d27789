//! Names of accounts, and what is known of one.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The name of an account: `[a-z0-9][a-z0-9_-]{0,62}` and not all digits, since digits alone
/// are a Hub ID wherever an account can be named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName(Box<str>);

/// Why a text is not an account name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "an account name has 1 to 63 characters of a-z, 0-9, `_` and `-`, starts with a letter or digit, and is not all digits"
)]
pub struct InvalidAccountName;

/// What is known of an account beside its Hub ID.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Who consented, as HubSpot names them.
    pub user: Option<String>,
    pub user_id: Option<u64>,
    pub app_id: Option<u64>,
    /// What was granted.
    pub scopes: Vec<String>,
}

/// What HubSpot says of the token of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub hub_id: Option<u64>,
    pub about: About,
}

impl Identity {
    /// The same, with what `other` says where this says nothing.
    pub fn or(self, other: &Self) -> Self {
        let (about, others) = (self.about, &other.about);
        let scopes = if about.scopes.is_empty() { others.scopes.clone() } else { about.scopes };
        Self {
            hub_id: self.hub_id.or(other.hub_id),
            about: About {
                user: about.user.or_else(|| others.user.clone()),
                user_id: about.user_id.or(others.user_id),
                app_id: about.app_id.or(others.app_id),
                scopes,
            },
        }
    }
}

impl AccountName {
    /// The account that the environment alone, or the sandbox, makes.
    pub fn default_name() -> Self {
        Self("default".into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountName {
    type Err = InvalidAccountName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        let first = *text.as_bytes().first().ok_or(InvalidAccountName)?;
        let starts_well = first.is_ascii_lowercase() || first.is_ascii_digit();
        let all_digits = text.bytes().all(|b| b.is_ascii_digit());
        if !starts_well || all_digits || text.len() > 63 || !text.bytes().all(legal) {
            return Err(InvalidAccountName);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{About, AccountName, Identity};

    #[test]
    fn what_one_answer_does_not_say_another_may() {
        let scopes = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let older = Identity {
            hub_id: Some(1),
            about: About {
                user: Some("ada".to_owned()),
                user_id: Some(2),
                app_id: Some(3),
                scopes: scopes(&["oauth"]),
            },
        };
        assert_eq!(Identity::default().or(&older), older);
        let newer = Identity {
            hub_id: Some(9),
            about: About { scopes: scopes(&["oauth", "tickets"]), ..About::default() },
        };
        let both = newer.or(&older);
        assert_eq!((both.hub_id, both.about.app_id), (Some(9), Some(3)));
        assert_eq!(both.about.scopes, ["oauth", "tickets"]);
    }

    #[test]
    fn only_names_that_cannot_be_mistaken_are_accepted() {
        let longest = "a".repeat(63);
        for good in ["a", "default", "acme-eu_2", "0a", longest.as_str()] {
            assert!(good.parse::<AccountName>().is_ok(), "{good}");
        }
        let too_long = "a".repeat(64);
        for bad in ["", "-a", "_a", "1234567", "Acme", "a b", "a/b", "é", too_long.as_str()] {
            assert!(bad.parse::<AccountName>().is_err(), "{bad}");
        }
    }
}
