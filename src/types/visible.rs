//! Text that others have chosen, as a person may see it: a path, what HubSpot calls a scope, what a
//! process answers.
//!
//! A terminal takes some characters for commands, and some turn the order of a line around. They are shown
//! by their number, in the form that JSON has for it, so that JSON stays what it was.

use std::borrow::Cow;
use std::fmt::Write;

/// `text` with nothing in it that is more than a letter, but for the ends of lines.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_command) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match is_command(letter) {
            // A string takes whatever is written to it.
            true => drop(write!(shown, "\\u{:04x}", u32::from(letter))),
            false => shown.push(letter),
        }
    }
    Cow::Owned(shown)
}

/// Control characters of ASCII and of Latin-1, which hold the beginning of commands, line and paragraph
/// separators, and what sets the direction of text (Unicode Standard Annex 9).
fn is_command(letter: char) -> bool {
    let turns = matches!(
        letter,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    turns || letter.is_control() && letter != '\n'
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn what_a_terminal_obeys_is_shown_by_its_number() {
        for (text, shown) in [
            ("/crm/v3/Größe é 漢字\nnext", "/crm/v3/Größe é 漢字\nnext"),
            ("\u{1b}[2J", "\\u001b[2J"),
            ("a\u{9b}31m\u{7f}\u{7}\t\r", "a\\u009b31m\\u007f\\u0007\\u0009\\u000d"),
            ("gpj\u{202e}exe\u{2066}\u{2028}", "gpj\\u202eexe\\u2066\\u2028"),
        ] {
            assert_eq!(visible(text), shown);
        }
        let json = serde_json::json!({ "path": "\u{9b}\u{1b}\u{202e}" });
        let again: serde_json::Value = serde_json::from_str(&visible(&json.to_string())).unwrap();
        assert_eq!(again, json);
    }
}
