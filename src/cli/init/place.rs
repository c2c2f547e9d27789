//! Where a secret is, as flags and answers say it.

use std::path::{Path, PathBuf};

use crate::config::Folders;

/// The places that can be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretPlace {
    /// The encrypted store, into which a later command puts it.
    Store,
    Env(String),
    File(String),
    Keyring(String),
    Command(Vec<String>),
}

impl SecretPlace {
    /// Reads `store`, `env:NAME`, `file:PATH`, `keyring:NAME` or `command:PROGRAM ARG...`. The error never
    /// repeats the text, which may be the secret itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        const FORMS: &str = "write store, env:NAME, file:PATH, keyring:NAME or command:PROGRAM ARG..., never the secret itself";
        let text = text.trim();
        if text == "store" {
            return Ok(Self::Store);
        }
        let (place, rest) = text.split_once(':').ok_or_else(|| FORMS.to_owned())?;
        let rest = rest.trim();
        if rest.is_empty() || rest.chars().any(char::is_control) {
            return Err(FORMS.to_owned());
        }
        match place {
            "env" if is_variable(rest) => Ok(Self::Env(rest.to_owned())),
            "env" => Err("what follows env: is no name of an environment variable".to_owned()),
            "file" => Ok(Self::File(rest.to_owned())),
            "keyring" => Ok(Self::Keyring(rest.to_owned())),
            "command" => Ok(Self::Command(rest.split_whitespace().map(str::to_owned).collect())),
            _ => Err(FORMS.to_owned()),
        }
    }

    /// The value in a file in `folder`; `None` for the store, of which the file says nothing. A path that
    /// was given in the current folder still leads to the same file from there.
    pub fn as_toml(&self, folder: &Path, folders: &Folders) -> Option<String> {
        Some(match self {
            Self::Store => return None,
            Self::Env(name) => format!("{{ env = {} }}", quoted(name)),
            Self::File(path) => {
                let path = seen_from(path, folder, folders);
                format!("{{ file = {} }}", quoted(&path.display().to_string()))
            }
            Self::Keyring(name) => format!("{{ keyring = {} }}", quoted(name)),
            Self::Command(words) => format!("{{ command = {} }}", list(words)),
        })
    }
}

fn seen_from(path: &str, folder: &Path, folders: &Folders) -> PathBuf {
    match path.starts_with("~/") || folder == folders.current {
        true => PathBuf::from(path),
        false => folders.current.join(path),
    }
}

/// A string of TOML: the escapes of JSON are among its own.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A list of strings of TOML.
pub fn list(words: &[String]) -> String {
    format!("[{}]", words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", "))
}

fn is_variable(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::SecretPlace;

    #[test]
    fn what_is_no_place_is_refused_and_not_repeated() {
        for text in
            ["pat-na1-4711", "env:pat-na1-4711", "env:", "file:", "token:pat-4711", "", "x\u{1}"]
        {
            let problem = SecretPlace::parse(text).unwrap_err();
            assert!(!problem.contains("4711"), "{problem}");
        }
        let words = ["op", "read", "op://a/b"].map(str::to_owned).to_vec();
        assert_eq!(
            SecretPlace::parse("command: op read  op://a/b"),
            Ok(SecretPlace::Command(words))
        );
    }
}
