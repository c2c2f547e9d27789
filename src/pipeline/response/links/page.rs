//! The paging links of a JSON text, found by their place in it and edited there.
//!
//! The text is not taken apart and written anew, since that would change numbers, escapes and the
//! order of members that a client may depend on.

use serde::Deserialize;
use serde_json::value::RawValue;

// Each level is read by itself from its raw text: a derived struct would also accept an array.

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    paging: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Paging<'a> {
    #[serde(borrow)]
    next: Option<&'a RawValue>,
    #[serde(borrow)]
    prev: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Cursor<'a> {
    #[serde(borrow)]
    link: Option<&'a RawValue>,
}

/// The text with `paging.next.link` and `paging.prev.link` as `moved` has them; `None` where
/// nothing changes, also because it is no JSON or no page.
pub fn with_links(text: &str, moved: impl Fn(&str) -> Option<String>) -> Option<Vec<u8>> {
    let page: Page<'_> = object(text)?;
    let paging: Paging<'_> = object(page.paging?.get())?;
    let link = |cursor: Option<&'_ RawValue>| -> Option<(usize, usize, String)> {
        let raw = object::<Cursor<'_>>(cursor?.get())?.link?.get();
        let url: String = serde_json::from_str(raw).ok()?;
        let value = serde_json::to_string(&moved(&url)?).ok()?;
        // A part of the very same text, so that its address tells where it stands.
        let start = (raw.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
        Some((start, start + raw.len(), value))
    };
    let mut edits: Vec<_> = [paging.next, paging.prev].into_iter().filter_map(link).collect();
    if edits.is_empty() {
        return None;
    }
    edits.sort_unstable();
    let mut edited = Vec::with_capacity(text.len() + 64);
    let mut copied = 0;
    for (start, end, value) in edits {
        edited.extend_from_slice(text.get(copied..start)?.as_bytes());
        edited.extend_from_slice(value.as_bytes());
        copied = end;
    }
    edited.extend_from_slice(text.get(copied..)?.as_bytes());
    Some(edited)
}

fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    let is_object = text.trim_ascii_start().starts_with('{');
    is_object.then(|| serde_json::from_str(text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::with_links;

    fn moved(url: &str) -> Option<String> {
        url.strip_prefix("https://api.hubapi.com").map(|rest| format!("http://p{rest}"))
    }

    fn edited(text: &str) -> Option<String> {
        with_links(text, moved).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn only_the_values_of_the_two_links_change() {
        for (text, expected) in [
            (
                r#"{"results":[],"paging":{"next":{"after":"1","link":"https://api.hubapi.com/a?b=c&d=%3D"}}}"#,
                r#"{"results":[],"paging":{"next":{"after":"1","link":"http://p/a?b=c&d=%3D"}}}"#,
            ),
            (
                "\n{ \"paging\" :\t{ \"prev\": {\"link\":\"https://api.hubapi.com/p\"} , \"next\":{\"link\" : \"https://api.hubapi.com/n\" }},\"x\":1.0e+2 , \"y\":\"\\u00e9\\/\" }\r\n",
                "\n{ \"paging\" :\t{ \"prev\": {\"link\":\"http://p/p\"} , \"next\":{\"link\" : \"http://p/n\" }},\"x\":1.0e+2 , \"y\":\"\\u00e9\\/\" }\r\n",
            ),
            (
                r#"{"paging":{"next":{"link":"https:\/\/api.hubapi.com\/a\u003fb=\"é"},"prev":null}}"#,
                r#"{"paging":{"next":{"link":"http://p/a?b=\"é"},"prev":null}}"#,
            ),
            (
                r#"{"paging":{"next":{"link":"https://other.example/"},"prev":{"link":"https://api.hubapi.com/"}}}"#,
                r#"{"paging":{"next":{"link":"https://other.example/"},"prev":{"link":"http://p/"}}}"#,
            ),
        ] {
            assert_eq!(edited(text).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_is_not_at_its_place_stays() {
        for text in [
            "",
            "{",
            "null",
            "\"https://api.hubapi.com/\"",
            r#"{"results":[{"paging":{"next":{"link":"https://api.hubapi.com/"}}}]}"#,
            r#"{"link":"https://api.hubapi.com/"}"#,
            r#"{"next":{"link":"https://api.hubapi.com/"}}"#,
            r#"{"paging":{"link":"https://api.hubapi.com/"}}"#,
            r#"{"paging":{"next":{"url":"https://api.hubapi.com/"}}}"#,
            r#"{"paging":{"next":{"link":["https://api.hubapi.com/"]}}}"#,
            r#"{"paging":{"next":{"link":{"link":"https://api.hubapi.com/"}}}}"#,
            r#"{"paging":{"next":"https://api.hubapi.com/"}}"#,
            r#"{"paging":{"next":{"link":null}}}"#,
            r#"{"paging":{"next":{"link":"https://other.example/"}}}"#,
            r#"{"paging":null}"#,
            r#"[{"next":{"link":"https://api.hubapi.com/"}}]"#,
            r#"{"paging":[{"link":"https://api.hubapi.com/"}]}"#,
            r#"{"paging":{"next":["https://api.hubapi.com/"]}}"#,
            r#"{"paging":{"next":{"link":"https://api.hubapi.com/"}}} trailing"#,
            r#"{"paging":{"next":{"link":"https://api.hubapi.com/"}},}"#,
            r#"{"paging":{},"paging":{"next":{"link":"https://api.hubapi.com/"}}}"#,
            "\u{feff}{\"paging\":{\"next\":{\"link\":\"https://api.hubapi.com/\"}}}",
        ] {
            assert_eq!(edited(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fail(text in ".*") {
            edited(&text);
        }

        #[test]
        fn all_around_a_link_stays_byte_for_byte(
            before in "[ \t\r\n]{0,3}", key in "[a-zé]{1,8}", value in "[^\"\\\\\\x00-\\x1f]{0,20}",
            path in "/[a-z0-9/?&=%]{0,20}",
        ) {
            prop_assume!(key != "paging");
            let page = |link: &str| format!(
                "{before}{{\"{key}\":\"{value}\",\"paging\":{{\"next\":{{\"link\":\"{link}{path}\"}}}}}}{before}"
            );
            prop_assert_eq!(edited(&page("https://api.hubapi.com")), Some(page("http://p")));
        }
    }
}
