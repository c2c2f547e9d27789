//! What has to be read of a message's head: where it ends, and how long the body is.

/// Where the head ends: behind its empty line.
pub fn end(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

/// A request's head as the upstream gets it, and the length of the body behind it. `None` for one
/// that the floor does not serve.
pub fn request(head: &[u8], fixed: &[u8], out: &mut Vec<u8>) -> Option<u64> {
    let mut length = 0;
    let mut rest = head;
    out.extend_from_slice(next_line(&mut rest)?);
    out.extend_from_slice(fixed);
    while let Some(line) = next_line(&mut rest) {
        match line[0] | 0x20 {
            b'h' if is(line, b"host") => continue,
            b'a' if is(line, b"authorization") => continue,
            b'c' if is(line, b"connection") => continue,
            b'c' if is(line, b"content-length") => length = number(line)?,
            b't' if is(line, b"transfer-encoding") => return None,
            b'e' if is(line, b"expect") => return None,
            _ => {}
        }
        out.extend_from_slice(line);
    }
    Some(length)
}

/// Length of an answer's body, and whether the connection stays open. `None` for an answer that
/// the floor does not pass on.
pub fn answer(head: &[u8]) -> Option<(u64, bool)> {
    let (mut length, mut keep) = (None, true);
    let mut rest = head;
    next_line(&mut rest)?;
    while let Some(line) = next_line(&mut rest) {
        match line[0] | 0x20 {
            b'c' if is(line, b"content-length") => length = Some(number(line)?),
            b'c' if is(line, b"connection") => {
                keep = memchr::memmem::find(line, b"close").is_none()
            }
            _ => {}
        }
    }
    Some((length?, keep))
}

/// The next line with its end, unless it is the empty one.
fn next_line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = memchr::memchr(b'\n', rest)? + 1;
    let (line, behind) = rest.split_at(end);
    *rest = behind;
    (2 < line.len()).then_some(line)
}

fn is(line: &[u8], name: &[u8]) -> bool {
    line.get(name.len()) == Some(&b':') && line[..name.len()].eq_ignore_ascii_case(name)
}

fn number(line: &[u8]) -> Option<u64> {
    let value = &line[memchr::memchr(b':', line)? + 1..];
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{answer, end, request};

    #[test]
    fn a_request_gets_the_fixed_headers_and_loses_its_own() {
        let head = b"POST /a HTTP/1.1\r\nHost: x\r\nauthorization: no\r\nContent-Length: 5\r\n\
            Connection: close\r\nAccept: */*\r\n\r\n";
        assert_eq!(end(head), Some(head.len()));
        let mut out = Vec::new();
        assert_eq!(request(head, b"Host: y\r\n", &mut out), Some(5));
        let expected = "POST /a HTTP/1.1\r\nHost: y\r\nContent-Length: 5\r\nAccept: */*\r\n";
        assert_eq!(std::str::from_utf8(&out), Ok(expected));
    }

    #[test]
    fn an_answer_without_length_is_not_passed_on() {
        assert_eq!(answer(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"), Some((7, true)));
        assert_eq!(answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), None);
        let closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(answer(closing), Some((0, false)));
    }
}
