//! Client keys: what looks like one and is none gets nothing through, wherever it stands.

use super::{Expected, Row, ask, row, run, sent, sent_with};

#[test]
fn what_looks_like_a_key_and_is_none_is_refused_wherever_it_stands() {
    let invalid = || Expected::Refused(401, "client-key-invalid");
    let refused = [
        ("/a", "Authorization: Bearer hsp_clientsecret\r\n"),
        ("/a", "authorization: bEaReR   hsp_clientsecret  \r\n"),
        ("/a", "Authorization: hsp_clientsecret\r\n"),
        // anybody:hsp_clientsecret, and the key as the user.
        ("/a", "Authorization: Basic YW55Ym9keTpoc3BfY2xpZW50c2VjcmV0\r\n"),
        ("/a", "Authorization: Basic aHNwX2NsaWVudHNlY3JldDo=\r\n"),
        ("/a", "Authorization: Bearer clientsecret\r\nAuthorization: Bearer hsp_clientsecret\r\n"),
        ("/a", "X-HubSpot-Proxy-Key: hsp_clientsecret\r\n"),
        ("/a", "X-HubSpot-Proxy-Key: clientsecret\r\nx-hubspot-proxy-key: hsp_clientsecret\r\n"),
        ("/a?hapikey=hsp_clientsecret", ""),
        ("/a?b=1&hapikey=clientsecret&hapikey=hsp_clientsecret", ""),
        ("/a?HAPIKEY=%68%73%70_clientsecret", ""),
        ("/a?hapi%6bey=hsp%5Fclientsecret", ""),
        ("/a?access_token=hsp_clientsecret", ""),
        ("/a?b;hapikey=hsp_clientsecret", ""),
        ("/@key:hsp_clientsecret/a", ""),
        ("/@key:clientsecret/a", ""),
        ("/@key:/a", ""),
        ("/@key:hsp_clientsecret", ""),
        ("/@key:hsp_clientsecret/@other/a", ""),
        ("/@key:hsp_clientsecret//_proxy/health", ""),
        ("/@key:hsp_clientsecret/oauth/v1/token", ""),
    ];
    let placeholders = [
        ("/a", "Authorization: Bearer HSP_clientsecret\r\n"),
        ("/a", "Authorization: Bearer xhsp_clientsecret\r\n"),
        ("/a", "Authorization: Basic clientsecret\r\n"),
        ("/a", "X-HubSpot-Proxy-Key: clientsecret\r\n"),
        ("/a?hapikey=clientsecret", ""),
        ("/a?hapikey=", ""),
    ];
    let mut rows: Vec<Row> =
        refused.iter().map(|(target, lines)| row(ask("GET", target, lines), invalid())).collect();
    rows.extend(
        placeholders.iter().map(|(target, lines)| row(ask("GET", target, lines), sent("GET /a"))),
    );
    // Neither takes the other's place, and a second one is a path like any other.
    rows.push(row(
        ask("GET", "/@other/@key:clientsecret/a", ""),
        Expected::Refused(400, "bad-request-target"),
    ));
    rows.push(row(
        ask("GET", "//@key:clientsecret/a", ""),
        Expected::Refused(400, "bad-request-target"),
    ));
    rows.push(row(ask("GET", "/a/@key:x/b", ""), sent_with("GET /a/@key:x/b", "main", &[], "")));
    run(|setup| setup, &rows);
}
