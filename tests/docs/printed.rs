//! What a page shows of a command's output, compared with what the command printed.

use regex::Regex;

/// What differs from run to run: as it looks on a page, and what may stand there instead.
const DIFFERS: [(&str, &str); 9] = [
    (
        r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    ),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"),
    // A port of the system's choice.
    (r"localhost:[345]\d{4}", r"localhost:\d{4,5}"),
    (r"process \d+", r"process \d+"),
    (r"\d+(\.\d+)? (ms|s|min|h)\b", r"\d+(\.\d+)? (ms|s|min|h)\b"),
    (r"_ms=\d+", r"_ms=\d+"),
    (r"sandbox-issued-[0-9a-f]+", r"sandbox-issued-[0-9a-f]+"),
    (r"hsp_\w+", r"hsp_\w+"),
    (r"curl/[\d.]+", r"curl/[\d.]+"),
];

/// Whether `printed` is what the page shows. `...` is anything; spaces may be more or fewer, and a line may
/// be broken on the page where it was not.
pub fn is_as_shown(shown: &str, printed: &str) -> bool {
    pattern(shown).is_match(printed.trim())
}

fn pattern(shown: &str) -> Regex {
    let kinds: Vec<String> = DIFFERS.iter().map(|(look, _)| format!("(?:{look})")).collect();
    let parts = format!(r"(\s*\.\.\.\s*)|(\s*\n\s*)|([ \t]+)|{}", kinds.join("|"));
    let parts = Regex::new(&parts).unwrap();
    let shown = shown.trim();
    let (mut pattern, mut done) = ("(?s)^".to_owned(), 0);
    for found in parts.find_iter(shown) {
        pattern.push_str(&regex::escape(&shown[done..found.start()]));
        done = found.end();
        let part = found.as_str();
        pattern.push_str(match part {
            part if part.trim() == "..." => r".*?",
            part if part.trim().is_empty() && part.contains('\n') => r"\s*",
            part if part.trim().is_empty() => r"\s+",
            part => instead_of(part),
        });
    }
    pattern.push_str(&regex::escape(&shown[done..]));
    pattern.push('$');
    Regex::new(&pattern).unwrap()
}

fn instead_of(part: &str) -> &'static str {
    let is_whole = |look: &str| Regex::new(&format!("^(?:{look})$")).unwrap().is_match(part);
    DIFFERS.iter().find(|(look, _)| is_whole(look)).unwrap().1
}

#[test]
fn what_a_page_shows_is_compared() {
    let id = "362bf32d-db79-8f3e-8000-000057726da5";
    let same = [
        ("one  two\nthree", "one two three\n"),
        ("{\"a\":1, ...,\n\"z\":2}", "{\"a\":1,\"b\":[\n3],\"z\":2}"),
        (
            "id=362bf32d-0000-8f3e-8000-000057726da5; account=acme",
            &format!("id={id}; account=acme"),
        ),
        ("at http://localhost:34763\nafter 0.1 ms", "at http://localhost:40001\nafter 12.25 ms"),
        ("", ""),
        ("begin\n...\nend", "begin\nend"),
    ];
    for (shown, printed) in same {
        assert!(is_as_shown(shown, printed), "{shown}\n{printed}");
    }
    let different = [
        ("one", "one two"),
        ("one two", "onetwo"),
        ("id=362bf32d-0000-8f3e-8000-000057726da5", "id=none"),
        ("Listening on http://localhost:8787", "Listening on http://localhost:8788"),
        ("a.c", "abc"),
        ("", "x"),
        ("begin\n...\nend", "begin\nend\nmore"),
    ];
    for (shown, printed) in different {
        assert!(!is_as_shown(shown, printed), "{shown}\n{printed}");
    }
}
