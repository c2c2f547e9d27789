//! `server.allowed_users`: whose connections are served.

use super::error::shown;

/// Whose connections are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedUsers {
    /// `["any"]`: nobody asks.
    Any,
    Listed(Vec<AllowedUser>),
}

/// One entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedUser {
    /// `self`: who runs the proxy.
    Own,
    /// `root`: user id 0, however this machine calls it.
    Root,
    Id(u32),
    Name(String),
}

const FORMS: &str = "an entry is `self`, `root`, a user's name or a user id such as \"1000\"; [\"any\"] alone asks nobody";

impl Default for AllowedUsers {
    fn default() -> Self {
        Self::Listed(vec![AllowedUser::Own, AllowedUser::Root])
    }
}

/// All entries; the error is what is wrong with which.
pub(super) fn parse(entries: &[String]) -> Result<AllowedUsers, String> {
    let problem = |what: &str| Err(format!("`server.allowed_users`: {what}: {FORMS}"));
    match entries {
        [] => return problem("the list is empty, so that nobody could connect"),
        [only] if only == "any" => return Ok(AllowedUsers::Any),
        _ => {}
    }
    let mut users = Vec::with_capacity(entries.len());
    for entry in entries {
        users.push(match entry.as_str() {
            "self" => AllowedUser::Own,
            "root" => AllowedUser::Root,
            "any" => return problem("`any` stands beside other entries"),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => match digits.parse() {
                // The highest id means "no user" to the system.
                Ok(id) if id != u32::MAX => AllowedUser::Id(id),
                _ => return problem(&format!("{} is no user id", shown(digits, "an entry"))),
            },
            // A name that cannot be shown, perhaps a token that was pasted here, has an id to go by.
            name if shown(name, "").is_empty() || name.contains([':', '/']) => {
                return problem(&format!("{} is no user's name", shown(name, "an entry")));
            }
            name => AllowedUser::Name(name.to_owned()),
        });
    }
    Ok(AllowedUsers::Listed(users))
}

#[cfg(test)]
mod tests {
    use super::{AllowedUser, AllowedUsers, parse};

    fn parsed(entries: &[&str]) -> Result<AllowedUsers, String> {
        parse(&entries.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn names_ids_and_the_three_words_are_understood() {
        assert_eq!(parsed(&["any"]), Ok(AllowedUsers::Any));
        assert_eq!(parsed(&["self", "root"]), Ok(AllowedUsers::default()));
        let expected = vec![AllowedUser::Name("www-data".to_owned()), AllowedUser::Id(1000)];
        assert_eq!(parsed(&["www-data", "1000"]), Ok(AllowedUsers::Listed(expected)));
    }

    #[test]
    fn a_list_that_lets_nobody_or_everybody_in_by_mistake_is_refused() {
        let cases: [(&[&str], &str); 7] = [
            (&[], "the list is empty"),
            (&["any", "self"], "`any` stands beside"),
            (&["self", "any"], "`any` stands beside"),
            (&[""], "is no user id"),
            (&["4294967295"], "`4294967295` is no user id"),
            (&["99999999999"], "is no user id"),
            (&["a b"], "is no user's name"),
        ];
        for (entries, expected) in cases {
            let error = parsed(entries).unwrap_err();
            assert!(error.contains(expected), "{entries:?}: {error}");
            assert!(error.contains("an entry is `self`"), "{error}");
        }
    }
}
