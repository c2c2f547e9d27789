//! Credentials and other words of a client that must not travel on.

use super::{ask, row, run, sent};

#[test]
fn no_credential_of_a_client_travels_on() {
    let mut rows = Vec::new();
    for lines in [
        "Authorization: Bearer clientsecret",
        "AUTHORIZATION: Basic clientsecret",
        "Authorization: Bearer clientsecret\r\nauthorization: Bearer clientsecret",
        "Authorization: Bearer clientsecret\r\nConnection: authorization",
        "Connection: Authorization, close, host, content-length",
        "Authorization:",
        "Authorization: Bearer clientsecret, Bearer clientsecret",
        "Proxy-Authorization: Basic clientsecret",
        "Cookie: hubspotutk=clientsecret\r\nCookie: a=clientsecret",
        "private-app: clientsecret",
        "Private-App-Legacy: clientsecret",
        "X-HubSpot-Proxy-Key: clientsecret",
        "x-hubspot-PROXY: clientsecret",
        "X-HubSpot-Proxy-Anything: clientsecret",
        "X-Forwarded-For: clientsecret\r\nX-Forwarded-Anything: clientsecret",
        "X-Real-IP: clientsecret\r\nForwarded: for=clientsecret",
        "X-HTTP-Method-Override: clientsecret",
        "Proxy-Connection: clientsecret\r\nKeep-Alive: clientsecret",
        "Upgrade: clientsecret\r\nConnection: upgrade",
        "Connection: x-mine\r\nX-Mine: clientsecret",
        "Connection: ,,X-Mine ,\r\nConnection: x-other\r\nX-Mine: clientsecret\r\nX-Other: clientsecret",
        "TE: clientsecret",
        "Expect: 100-continue",
    ] {
        rows.push(row(ask("GET", "/a", &format!("{lines}\r\n")), sent("GET /a")));
    }
    for query in [
        "hapikey=clientsecret",
        "HAPIKEY=clientsecret",
        "hapikey=clientsecret&hapikey=clientsecret",
        "%68apikey=clientsecret",
        "hapi%6bey=clientsecret",
        "hapi%4Bey=clientsecret",
        "hapikey%20=clientsecret",
        "+hapikey=clientsecret",
        "hapikey%09=clientsecret",
        "hapikey==clientsecret",
        "hapikey=clientsecret=x",
        "a=b;hapikey=clientsecret",
        "a=b;c=d;%68apikey=clientsecret",
        "access_token=clientsecret",
        "ACCESS%5ftoken=clientsecret",
        "access_token=clientsecret;x&hapikey=clientsecret",
        "hapikey%00=clientsecret",
        "hapikey[]=clientsecret",
        "hapikey%5B0%5D=clientsecret",
        "hapikey%3Dclientsecret",
        "%2568apikey=clientsecret",
    ] {
        rows.push(row(ask("GET", &format!("/a?{query}"), ""), sent("GET /a")));
        let both = format!("/a?b=1&{query}&c=%2F");
        rows.push(row(ask("GET", &both, ""), sent("GET /a?b=1&c=%2F")));
    }
    run(|setup| setup, &rows);
}
