use http::{HeaderMap, Request};

use super::{Links, ask_for_readable, decoded, describe_anew, is_json};

fn links(target: &str) -> Links {
    let request = Request::get(target).header("host", "localhost:8787");
    Links::of(&request.body(()).unwrap().into_parts().0)
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

#[test]
fn links_to_the_api_point_to_where_the_request_came_in() {
    let cases = [
        ("https://api.hubapi.com/a?b#c", Some("/a?b#c")),
        ("https://api.hubspot.com/a", Some("/a")),
        ("http://api.hubapi.com/a", Some("/a")),
        ("HTTPS://API.HubApi.com/a", Some("/a")),
        ("https://api.hubapi.com:443/a", Some("/a")),
        ("http://api.hubapi.com:80/a", Some("/a")),
        ("https://api.hubapi.com", Some("")),
        ("https://api.hubapi.com?b", Some("?b")),
        ("https://api.hubapi.com/a@b", Some("/a@b")),
        (
            "https://api.hubapi.com/a?u=https://api.hubapi.com/",
            Some("/a?u=https://api.hubapi.com/"),
        ),
        ("https://api.hubapi.com/a?limit=1&hapikey=k&after=%3D", Some("/a?limit=1&after=%3D")),
        ("https://api.hubapi.com/a?HAPIkey=k", Some("/a")),
        ("https://api.hubapi.com:8443/a", None),
        ("http://api.hubapi.com:443/a", None),
        ("https://api.hubapi.com.evil.example/a", None),
        ("https://evil-api.hubapi.com/a", None),
        ("https://app.hubspot.com/a", None),
        ("https://api.hubapi.com@evil.example/a", None),
        ("https://user@api.hubapi.com/a", None),
        ("https://api.hubapi.com\\@evil.example/", None),
        ("https://evil.example/https://api.hubapi.com/", None),
        ("ftp://api.hubapi.com/a", None),
        ("//api.hubapi.com/a", None),
        ("/a", None),
        (" https://api.hubapi.com/a", None),
        ("https://api.hubapi.com/@beta/a", None),
        ("https://api.hubapi.com//@beta/a", None),
        ("", None),
    ];
    for (url, expected) in cases {
        for (target, base) in [
            ("/crm/v3/x", "http://localhost:8787"),
            ("/@acme/crm/v3/x", "http://localhost:8787/@acme"),
            ("/@1234567/x", "http://localhost:8787/@1234567"),
            ("/@acme?x=/y", "http://localhost:8787/@acme"),
            ("/@key:hsp_secret/crm/v3/x", "http://localhost:8787"),
            ("/@key:hsp_secret/@acme/x", "http://localhost:8787/@acme"),
        ] {
            let expected = expected.map(|rest| [base, rest].concat());
            assert_eq!(links(target).moved(url), expected, "{target} {url}");
        }
    }
}

#[test]
fn over_http_2_the_authority_is_the_host() {
    let request = Request::get("http://hubspot.localhost:9/@acme/x").body(()).unwrap();
    let links = Links::of(&request.into_parts().0);
    let moved = links.moved("https://api.hubapi.com/a");
    assert_eq!(moved.as_deref(), Some("http://hubspot.localhost:9/@acme/a"));
}

#[test]
fn only_a_location_at_an_api_host_changes() {
    for (before, after) in [
        ("https://api.hubapi.com/files/1", "http://localhost:8787/@acme/files/1"),
        ("https://cdn.example/1", "https://cdn.example/1"),
        ("/files/1", "/files/1"),
    ] {
        let mut headers = headers(&[("location", before)]);
        links("/@acme/files").rewrite_location(&mut headers);
        assert_eq!(headers["location"], after);
    }
}

#[test]
fn a_changed_body_is_described_as_what_it_now_is() {
    let all = [
        ("content-encoding", "gzip"),
        ("content-length", "5"),
        ("etag", "\"a\""),
        ("accept-ranges", "bytes"),
        ("content-md5", "x"),
        ("repr-digest", "x"),
        ("vary", "Accept-Encoding"),
    ];
    let mut changed = headers(&all);
    describe_anew(&mut changed, Some(9));
    let expected = [("vary", "Accept-Encoding"), ("content-length", "9"), ("etag", "W/\"a\"")];
    assert_eq!(changed, headers(&expected));
    let mut weak = headers(&[("etag", "W/\"a\"")]);
    describe_anew(&mut weak, None);
    assert_eq!(weak, headers(&[("etag", "W/\"a\"")]));
}

#[test]
fn a_coding_that_cannot_be_read_is_not_asked_for() {
    for (asked, expected) in [
        (&[][..], None),
        (&["gzip, deflate, br, zstd"], Some("gzip")),
        (&["br", "gzip;q=0.5"], Some("gzip")),
        (&["*"], Some("gzip")),
        (&["br"], Some("identity")),
        (&["gzip;q=0, br"], Some("identity")),
        (&["identity"], Some("identity")),
    ] {
        let lines: Vec<_> = asked.iter().map(|asked| ("accept-encoding", *asked)).collect();
        let mut headers = headers(&lines);
        ask_for_readable(&mut headers);
        let seen: Vec<_> = headers.get_all("accept-encoding").iter().collect();
        assert_eq!(seen, expected.as_slice(), "{asked:?}");
    }
}

#[test]
fn what_is_not_json_in_a_known_coding_is_not_looked_at() {
    for (media_type, expected) in [
        ("application/json", true),
        ("Application/JSON; charset=utf-8", true),
        ("application/json;charset=utf-8", true),
        ("application/hal+json", false),
        ("application/jsonp", false),
        ("text/html", false),
        ("", false),
    ] {
        assert_eq!(is_json(&headers(&[("content-type", media_type)])), expected, "{media_type}");
    }
    let plain = || b"{}".to_vec();
    assert_eq!(decoded(&headers(&[]), plain()).as_deref(), Some("{}"));
    assert_eq!(decoded(&headers(&[("content-encoding", "br")]), plain()), None);
    assert_eq!(decoded(&headers(&[("content-encoding", "gzip")]), plain()), None);
    let twice = [("content-encoding", "identity"), ("content-encoding", "gzip")];
    assert_eq!(decoded(&headers(&twice), plain()), None);
    assert_eq!(decoded(&headers(&[]), vec![0xff]), None);
}
