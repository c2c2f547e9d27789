//! The `Host` check: what a page whose name was rebound to this machine cannot get past.

use http::header::HOST;
use http::request::Parts;

use super::Entrance;
use super::allowed::Allowed;
use crate::types::refusal::Refusal;

/// The request names this listener, once and without contradiction (RFC 9112, section 3.2).
pub fn check(head: &Parts, entrance: &Entrance, allowed: &Allowed) -> Result<(), Refusal> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = hosts.next().map(|value| value.as_bytes());
    if hosts.next().is_some() {
        return Err(Refusal::BadRequest("it has more than one Host header"));
    }
    let target = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    let named = match (host, target) {
        (None, None) => return Err(Refusal::BadRequest("it has no Host header")),
        // HTTP/2 names the host in `:authority`; HTTP/1.1 has to have the header as well.
        (None, Some(_)) if head.version < http::Version::HTTP_2 => {
            return Err(Refusal::BadRequest("it has no Host header"));
        }
        (None, Some(target)) => target,
        (Some(host), _) => host,
    };
    if !names(named, entrance, allowed) {
        return Err(Refusal::HostNotAllowed);
    }
    match (host, target) {
        (Some(host), Some(target)) if !host.eq_ignore_ascii_case(target) => {
            Err(contradiction(head, target, entrance, allowed))
        }
        _ => Ok(()),
    }
}

fn contradiction(head: &Parts, target: &[u8], entrance: &Entrance, allowed: &Allowed) -> Refusal {
    if head.version < http::Version::HTTP_2 && !names(target, entrance, allowed) {
        return Refusal::BadRequestTarget("its absolute form names another host");
    }
    Refusal::BadRequest("its Host header differs from the host of its target")
}

/// Whether `authority` is a loopback name with this listener's port, or one of those that the
/// configuration adds. Without a port it means 80. On a Unix socket any port will do: there is none
/// to match, and no page that could get there.
pub fn names(authority: &[u8], entrance: &Entrance, allowed: &Allowed) -> bool {
    let Some((host, port)) = split_port(authority) else { return false };
    let host = host.strip_suffix(b".").unwrap_or(host);
    let loopback =
        host.eq_ignore_ascii_case(b"localhost") || host == b"127.0.0.1" || host == b"[::1]";
    loopback && entrance.port.is_none_or(|own| own == port)
        || allowed.hosts.iter().any(|name| name.is(host, port, entrance.port))
}

/// Whether a page at `authority` is the proxy's own. With another port than the listener's it may
/// as well be that of another program, unless this very request came by that name.
pub fn is_own(authority: &[u8], head: &Parts, entrance: &Entrance, allowed: &Allowed) -> bool {
    let by_this_name = || {
        let host = head.headers.get(HOST).map(|value| value.as_bytes());
        let target = || head.uri.authority().map(|authority| authority.as_str().as_bytes());
        host.or_else(target).is_some_and(|host| host.eq_ignore_ascii_case(authority))
    };
    let has_our_port =
        split_port(authority).is_some_and(|(_, port)| entrance.port.is_none_or(|own| own == port));
    names(authority, entrance, allowed) && (has_our_port || by_this_name())
}

fn split_port(authority: &[u8]) -> Option<(&[u8], u16)> {
    let end_of_host = match authority.first()? {
        b'[' => authority.iter().position(|b| *b == b']')? + 1,
        _ => authority.iter().position(|b| *b == b':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end_of_host);
    let port = match port {
        [] => 80,
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(digits).ok()?.parse().ok()?
        }
        _ => return None,
    };
    Some((host, port))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::{Entrance, check, is_own, names};
    use crate::pipeline::gate::allowed::Allowed;

    fn allowing(hosts: &[&str]) -> Allowed {
        let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
        Allowed { hosts, ..Allowed::default() }
    }

    #[test]
    fn further_hosts_count_with_their_port_or_the_listeners() {
        let allowed = allowing(&["hubspot.localhost", "web.localhost:80", "127.0.0.2:9000"]);
        for (authority, expected) in [
            ("hubspot.localhost:8787", true),
            ("HubSpot.Localhost.:8787", true),
            ("hubspot.localhost", false),
            ("hubspot.localhost:9000", false),
            ("web.localhost", true),
            ("web.localhost:80", true),
            ("web.localhost:8787", false),
            ("127.0.0.2:9000", true),
            ("127.0.0.2:8787", false),
            ("127.0.0.3:9000", false),
            ("x.hubspot.localhost:8787", false),
            ("hubspot.localhost.evil.example:8787", false),
            ("hubspot.localhost@evil.example:8787", false),
            ("localhost:8787", true),
            ("localhost:9000", false),
        ] {
            let entrance = Entrance::at(8787);
            assert_eq!(names(authority.as_bytes(), &entrance, &allowed), expected, "{authority}");
        }
    }

    #[test]
    fn a_page_on_another_port_is_our_own_only_to_who_came_by_it() {
        let allowed = allowing(&["hubspot.localhost", "localhost:9000"]);
        for (host, page, expected) in [
            ("localhost:8787", "localhost:8787", true),
            ("localhost:8787", "hubspot.localhost:8787", true),
            ("localhost:9000", "localhost:9000", true),
            ("localhost:8787", "localhost:9000", false),
            ("evil.example", "evil.example", false),
        ] {
            let head = Request::get("/a").header("host", host).body(()).unwrap().into_parts().0;
            let entrance = Entrance::at(8787);
            let seen = is_own(page.as_bytes(), &head, &entrance, &allowed);
            assert_eq!(seen, expected, "{host} {page}");
        }
    }

    #[test]
    fn only_loopback_names_with_the_listeners_port_are_ours() {
        let cases = [
            ("localhost:8787", 8787, true),
            ("LOCALHOST:8787", 8787, true),
            ("localhost.:8787", 8787, true),
            ("127.0.0.1:8787", 8787, true),
            ("[::1]:8787", 8787, true),
            ("localhost", 80, true),
            ("[::1]", 80, true),
            ("localhost:80", 80, true),
            ("localhost", 8787, false),
            ("localhost..:8787", 8787, false),
            ("localhost:8788", 8787, false),
            ("localhost:", 80, false),
            ("localhost:+80", 80, false),
            ("localhost:65616", 80, false),
            ("evil.example:8787", 8787, false),
            ("localhost.evil.example:8787", 8787, false),
            ("127.0.0.2:8787", 8787, false),
            ("[::1:8787", 8787, false),
            ("[::1]x:8787", 8787, false),
            ("user@localhost:8787", 8787, false),
            ("", 80, false),
        ];
        for (authority, port, expected) in cases {
            assert_eq!(
                names(authority.as_bytes(), &Entrance::at(port), &Allowed::default()),
                expected,
                "{authority}"
            );
        }
    }

    #[test]
    fn on_a_unix_socket_a_loopback_name_is_ours_with_any_port_or_none() {
        let entrance = Entrance { port: None, ..Entrance::at(0) };
        for authority in ["localhost", "localhost:1", "127.0.0.1:8787", "[::1]", "LOCALHOST."] {
            assert!(names(authority.as_bytes(), &entrance, &Allowed::default()), "{authority}");
        }
        for authority in ["evil.example", "localhost:", "localhost:x", "", "127.0.0.2"] {
            assert!(!names(authority.as_bytes(), &entrance, &Allowed::default()), "{authority}");
        }
    }

    #[test]
    fn a_missing_repeated_or_contradicting_host_is_refused() {
        let cases = [
            ("/a", &[][..], Some("bad-request")),
            ("/a", &["localhost:1", "localhost:1"], Some("bad-request")),
            ("/a", &["localhost:1"], None),
            ("/a", &["evil.example"], Some("host-not-allowed")),
            ("http://localhost:1/a", &["localhost:1"], None),
            ("http://LOCALHOST:1/a", &["localhost:1"], None),
            ("http://localhost:1/a", &[], Some("bad-request")),
            ("http://127.0.0.1:1/a", &["localhost:1"], Some("bad-request")),
            ("http://evil.example/", &["localhost:1"], Some("bad-request-target")),
            ("http://evil.example/", &["evil.example"], Some("host-not-allowed")),
        ];
        for (target, hosts, expected) in cases {
            let mut request = Request::get(target);
            for host in hosts {
                request = request.header("host", *host);
            }
            let head = request.body(()).unwrap().into_parts().0;
            let seen = check(&head, &Entrance::at(1), &Allowed::default())
                .err()
                .map(|refusal| refusal.code());
            assert_eq!(seen, expected, "{target} {hosts:?}");
        }
    }

    #[test]
    fn http_2_names_its_host_in_the_authority_alone() {
        for (target, host, expected) in [
            ("http://localhost:1/", None, None),
            ("http://localhost:1/", Some("localhost:1"), None),
            ("http://localhost:1/", Some("evil.example"), Some("host-not-allowed")),
            ("http://localhost:1/", Some("127.0.0.1:1"), Some("bad-request")),
            ("http://evil.example/", None, Some("host-not-allowed")),
        ] {
            let mut request = Request::get(target).version(http::Version::HTTP_2);
            if let Some(host) = host {
                request = request.header("host", host);
            }
            let head = request.body(()).unwrap().into_parts().0;
            let seen = check(&head, &Entrance::at(1), &Allowed::default())
                .err()
                .map(|refusal| refusal.code());
            assert_eq!(seen, expected, "{target} {host:?}");
        }
    }
}
