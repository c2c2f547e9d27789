//! Requests whose ends two readers could see in different places. Where both framings are there,
//! chunked holds and the connection ends (RFC 9112, section 6.3).

use super::Expected::Malformed;
use super::{ask, row, run, sent_with};

#[test]
fn doubtful_framing_is_refused_or_sent_on_as_exactly_one_request() {
    let mut rows = vec![
        // Length before chunked.
        row(
            "POST /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 6\r\n\
            Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            sent_with("POST /a", "main", &[], ""),
        ),
        // Chunked before a length that is too short.
        row(
            "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\
            Content-Length: 2\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            sent_with("POST /a", "main", &[], "hello"),
        ),
        // A length that is too short before chunked.
        row(
            "POST /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\
            Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            sent_with("POST /a", "main", &[], "hello"),
        ),
        // Two lengths that differ.
        row(
            "POST /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\
            Content-Length: 0\r\n\r\nhello",
            Malformed,
        ),
        // The same length twice.
        row(
            "POST /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\
            Content-Length: 5\r\n\r\nhello",
            sent_with("POST /a", "main", &[], "hello"),
        ),
        // A list of lengths.
        row("POST /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5, 5\r\n\r\nhello", Malformed),
        // A length with a sign.
        row("POST /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: +5\r\n\r\nhello", Malformed),
        // A hexadecimal length.
        row("POST /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0x5\r\n\r\nhello", Malformed),
        // A length that no number holds.
        row(
            "POST /a HTTP/1.1\r\nHost: {host}\r\n\
            Content-Length: 18446744073709551621\r\n\r\nhello",
            Malformed,
        ),
        // Gzip, chunked.
        row(
            "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n\
            5\r\nhello\r\n0\r\n\r\n",
            Malformed,
        ),
        // Chunked twice.
        row(
            "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\
            Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            Malformed,
        ),
        // Chunked, identity.
        row(
            "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked, identity\r\n\r\n\
            5\r\nhello\r\n0\r\n\r\n",
            Malformed,
        ),
        // A coding nobody knows.
        row(
            "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: xchunked\r\n\r\n\
            5\r\nhello\r\n0\r\n\r\n",
            Malformed,
        ),
        // A space before the colon.
        row(
            "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding : chunked\r\n\
            Content-Length: 5\r\n\r\nhello",
            Malformed,
        ),
        // A folded line.
        row(
            "POST /a HTTP/1.1\r\nHost: {host}\r\nX: y\r\n Transfer-Encoding: chunked\r\n\
            Content-Length: 5\r\n\r\nhello",
            Malformed,
        ),
        // A bare carriage return in a value.
        row(
            "POST /a HTTP/1.1\r\nHost: {host}\r\nX: y\rTransfer-Encoding: chunked\r\n\
            Content-Length: 5\r\n\r\nhello",
            Malformed,
        ),
        // NUL in a value.
        row(
            "POST /a HTTP/1.1\r\nHost: {host}\r\nX: y\0z\r\nContent-Length: 5\r\n\r\nhello",
            Malformed,
        ),
        // Chunk extensions.
        row(
            "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n\
            5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n",
            sent_with("POST /a", "main", &[], "hello"),
        ),
        // Capitals in the coding.
        row(
            "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: Chunked\r\n\r\n\
            5\r\nhello\r\n0\r\n\r\n",
            sent_with("POST /a", "main", &[], "hello"),
        ),
        // A chunk size with a sign.
        row(
            "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n\
            +5\r\nhello\r\n0\r\n\r\n",
            Malformed,
        ),
        // A chunk size with 0x.
        row(
            "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n\
            0x5\r\nhello\r\n0\r\n\r\n",
            Malformed,
        ),
        // A chunk size that no number holds.
        row(
            "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n\
            10000000000000005\r\nhello\r\n0\r\n\r\n",
            Malformed,
        ),
        // A chunk longer than it says.
        row(
            "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n\
            5\r\nhelloworld\r\n0\r\n\r\n",
            Malformed,
        ),
        // Bare line feeds in chunks.
        row(
            "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n\
            5\nhello\n0\n\n",
            Malformed,
        ),
        // Chunked in HTTP/1.0.
        row(
            "POST /a HTTP/1.0\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n\
            5\r\nhello\r\n0\r\n\r\n",
            Malformed,
        ),
        // Bare line feeds in the head.
        row(
            "POST /a HTTP/1.1\nHost: {host}\nContent-Length: 5\n\nhello",
            sent_with("POST /a", "main", &[], "hello"),
        ),
        // A GET with a body.
        row(
            "GET /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nhello",
            sent_with("GET /a", "main", &[], "hello"),
        ),
        // A GET with chunks.
        row(
            "GET /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n\
            5\r\nhello\r\n0\r\n\r\n",
            sent_with("GET /a", "main", &[], "hello"),
        ),
    ];
    let chunked = "Transfer-Encoding: chunked\r\n";
    for body in [
        "5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "00005\r\nhello\r\n000\r\n\r\n",
        "2\r\nhe\r\n3;x\r\nllo\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX: y\r\n\r\n",
        "5\r\nhello\r\n0\r\nAuthorization: Bearer clientsecret\r\nContent-Length: 9\r\n\r\n",
    ] {
        let whole = sent_with("POST /a", "main", &[], "hello");
        rows.push(row(ask("POST", "/a", chunked) + body, whole));
    }
    for body in [
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5_\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "6\r\nhello\r\n0\r\n\r\n",
        "4\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nbad trailer\r\n\r\n",
        "5\r\nhello\r\n0\r\nX : y\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    ] {
        rows.push(row(ask("POST", "/a", chunked) + body, Malformed));
    }
    for lines in [
        "Content-Length: -5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 5;x\r\n",
        "Content-Length: 5.0\r\n",
        "Content-Length: five\r\n",
        "Content-Length: \r\n",
        "Content-Length:\t5\r\nContent-Length: 6\r\n",
        "Content-Length : 5\r\n",
        "Content-Length\t: 5\r\n",
        " Content-Length: 5\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: identity\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\x0b\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: \r\n chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: ,chunked\r\n",
        "Transfer-Encoding: gzip\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: \r\nContent-Length: 5\r\n",
        "Transfer\0-Encoding: chunked\r\nContent-Length: 5\r\n",
        "X[y]: z\r\nContent-Length: 5\r\n",
        "(X): z\r\nContent-Length: 5\r\n",
        ": z\r\nContent-Length: 5\r\n",
        "X\u{e9}: z\r\nContent-Length: 5\r\n",
        "X Y: z\r\nContent-Length: 5\r\n",
        "no colon\r\nContent-Length: 5\r\n",
        "X: y\rz\r\nContent-Length: 5\r\n",
        "X: y\x7f\r\nContent-Length: 5\r\n",
        "X: y\x01\r\nContent-Length: 5\r\n",
    ] {
        rows.push(row(ask("POST", "/a", lines) + "hello", Malformed));
    }
    for text in [
        "GET /a\r\n\r\n",
        "GET /a HTTP/0.9\r\n\r\n",
        "POST /a HTTP/1.1\r\n Host: {host}\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    ] {
        rows.push(row(text, Malformed));
    }
    run(|setup| setup, &rows);
}
