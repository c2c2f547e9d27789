//! A client of the proxy that says exactly the bytes it is given, and reads what comes back.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::waiting::PATIENCE;

/// One connection to the proxy.
pub struct Client {
    pub stream: TcpStream,
    buffer: Vec<u8>,
    port: u16,
}

/// The head of an answer.
#[derive(Clone, Debug)]
pub struct Head {
    pub status: u16,
    pub reason: String,
    pub headers: Vec<(String, String)>,
}

/// A whole answer, or what came of it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub head: Head,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
    /// Whether the body came to the end that its framing promises.
    pub whole: bool,
}

impl Head {
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() <= 1, "{name} comes twice: {self:?}");
        values.first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.head.status
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// The proxy's own error code, if it is the proxy that answered so.
    pub fn refusal(&self) -> Option<&str> {
        self.header("x-hubspot-proxy-error")
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }
}

impl Client {
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new(), port }
    }

    /// Sends `text`, in which `{host}` is the proxy's own name and port.
    pub fn send(&mut self, text: impl AsRef<[u8]>) -> &mut Self {
        self.try_send(text).unwrap();
        self
    }

    /// As [`Self::send`], where the proxy may have closed already.
    pub fn try_send(&mut self, text: impl AsRef<[u8]>) -> std::io::Result<()> {
        let own = format!("localhost:{}", self.port);
        self.stream.write_all(&replaced(text.as_ref(), b"{host}", own.as_bytes()))
    }

    /// Reads more; `false` at the end of the stream or when the connection is reset.
    fn read_more(&mut self) -> bool {
        let mut part = [0; 64 * 1024];
        match self.stream.read(&mut part) {
            Ok(0) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&part[..count]);
                true
            }
            Err(e) if e.kind() == ErrorKind::ConnectionReset => false,
            Err(e) => panic!("no answer: {e}; so far {:?}", String::from_utf8_lossy(&self.buffer)),
        }
    }

    /// Whether the proxy has closed without a further byte.
    pub fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && !self.read_more()
    }

    /// The next head, 1xx ones too; `None` when the connection ends first.
    pub fn try_head(&mut self) -> Option<Head> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let text: Vec<u8> = self.buffer.drain(..end + 4).collect();
                return Some(parsed_head(&text));
            }
            if !self.read_more() {
                return None;
            }
        }
    }

    pub fn head(&mut self) -> Head {
        self.try_head().unwrap_or_else(|| {
            panic!("closed without an answer, after {:?}", String::from_utf8_lossy(&self.buffer))
        })
    }

    /// What has been read behind the last head.
    pub fn taken(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    /// At least one byte of a body.
    pub fn some_bytes(&mut self) -> Vec<u8> {
        if self.buffer.is_empty() {
            assert!(self.read_more(), "closed without a body");
        }
        std::mem::take(&mut self.buffer)
    }

    /// The answer to a request with `method`; 1xx heads before it are passed over.
    pub fn answer_to(&mut self, method: &str) -> Answer {
        self.try_answer_to(method).unwrap_or_else(|| panic!("closed without an answer"))
    }

    pub fn try_answer_to(&mut self, method: &str) -> Option<Answer> {
        let head = loop {
            let head = self.try_head()?;
            if head.status >= 200 || head.status == 101 {
                break head;
            }
        };
        Some(self.rest_of(head, method))
    }

    /// The body that belongs to `head`.
    pub fn rest_of(&mut self, head: Head, method: &str) -> Answer {
        let mut answer = Answer { head, body: Vec::new(), trailers: Vec::new(), whole: true };
        let status = answer.head.status;
        if method == "HEAD" || status < 200 || status == 204 || status == 304 {
            return answer;
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            self.read_chunks(&mut answer);
        } else if let Some(length) = answer.header("content-length").map(|l| l.parse().unwrap()) {
            while self.buffer.len() < length && self.read_more() {}
            answer.whole = self.buffer.len() >= length;
            answer.body = self.buffer.drain(..length.min(self.buffer.len())).collect();
        } else {
            while self.read_more() {}
            answer.body = std::mem::take(&mut self.buffer);
        }
        answer
    }

    fn read_chunks(&mut self, answer: &mut Answer) {
        loop {
            let Some(line) = self.line() else {
                answer.whole = false;
                return;
            };
            let size = usize::from_str_radix(line.split(';').next().unwrap().trim(), 16).unwrap();
            if size == 0 {
                break;
            }
            while self.buffer.len() < size + 2 && self.read_more() {}
            let held = size.min(self.buffer.len());
            answer.body.extend(self.buffer.drain(..held));
            if held < size || self.line().as_deref() != Some("") {
                answer.whole = false;
                return;
            }
        }
        loop {
            match self.line() {
                None => {
                    answer.whole = false;
                    return;
                }
                Some(line) if line.is_empty() => return,
                Some(line) => answer.trailers.push(header_of(&line)),
            }
        }
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if !self.read_more() {
                return None;
            }
        }
    }
}

/// One request on a connection of its own.
pub fn exchange(port: u16, request: impl AsRef<[u8]>) -> Answer {
    let mut client = Client::connect(port);
    let request = request.as_ref();
    client.send(request);
    let method = request.split(|b| *b == b' ').next().unwrap();
    client.answer_to(std::str::from_utf8(method).unwrap())
}

pub fn get(port: u16, target: &str) -> Answer {
    exchange(port, format!("GET {target} HTTP/1.1\r\nHost: {{host}}\r\n\r\n"))
}

pub fn post(port: u16, target: &str, body: &str) -> Answer {
    let length = body.len();
    exchange(
        port,
        format!(
            "POST {target} HTTP/1.1\r\nHost: {{host}}\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
    )
}

pub fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn replaced(text: &[u8], part: &[u8], by: &[u8]) -> Vec<u8> {
    // A body of many megabytes is not searched.
    let Some(at) = find(&text[..text.len().min(64 * 1024)], part) else { return text.to_vec() };
    let rest = replaced(&text[at + part.len()..], part, by);
    [&text[..at], by, &rest].concat()
}

fn parsed_head(text: &[u8]) -> Head {
    let text = String::from_utf8_lossy(text);
    let mut lines = text.split("\r\n");
    let status_line = lines.next().unwrap();
    let mut words = status_line.splitn(3, ' ');
    assert!(words.next().unwrap().starts_with("HTTP/1."), "{status_line:?}");
    let status = words.next().and_then(|w| w.parse().ok());
    let status = status.unwrap_or_else(|| panic!("not a status line: {status_line:?}"));
    let reason = words.next().unwrap_or_default().to_owned();
    let headers = lines.filter(|line| !line.is_empty()).map(header_of).collect();
    Head { status, reason, headers }
}

fn header_of(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("not a header: {line:?}"));
    (name.to_owned(), value.trim().to_owned())
}
