//! HTTP/1.1 over any stream: one request in, one reply out.
//!
//! Threads and `httparse` rather than a server framework: features that a framework switches on in crates shared with
//! the AWS SDK would compile the SDK twice, and a fault here may end a connection at any byte.
//! Refuses what clients of AWS do not send: bodies in chunks, heads over 64 KiB, bodies over 1 MiB.

use std::io::{self, ErrorKind, Read, Write};

const LONGEST_HEAD: usize = 64 * 1024;
const LONGEST_BODY: usize = 1024 * 1024;
const MOST_HEADERS: usize = 64;

/// A request as it was received.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query, still encoded.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The first value of a header; `name` in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The path without the query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The parameters of the query and, if the body is a form, of the body.
    pub(crate) fn parameters(&self) -> Vec<(String, String)> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let is_form = self
            .header("content-type")
            .is_some_and(|kind| kind.trim().starts_with("application/x-www-form-urlencoded"));
        let body = if is_form { self.body.as_slice() } else { &[] };
        let read = |text| form_urlencoded::parse(text).into_owned();
        read(query.as_bytes()).chain(read(body)).collect()
    }
}

/// An answer to be sent.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

/// Reads one request; `Ok(None)` if the client closed instead. `left` keeps what came after it.
pub(crate) fn read(stream: &mut (impl Read + Write), left: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let (mut request, head) = loop {
        if let Some(found) = parse(left)? {
            break found;
        }
        if left.len() > LONGEST_HEAD {
            return Err(bad("the head is too long"));
        }
        if more(stream, left)? == 0 {
            return if left.is_empty() { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
        }
    };
    if request.header("transfer-encoding").is_some() {
        return Err(bad("bodies in chunks are not taken"));
    }
    let length = match request.header("content-length") {
        Some(text) => text.parse().ok().filter(|length| *length <= LONGEST_BODY),
        None => Some(0),
    };
    let whole = head.saturating_add(length.ok_or_else(|| bad("the length of the body makes no sense"))?);
    if request.header("expect").is_some() && left.len() < whole {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        stream.flush()?;
    }
    while left.len() < whole {
        if more(stream, left)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    let rest = left.split_off(whole);
    request.body = left.split_off(head);
    *left = rest;
    Ok(Some(request))
}

fn more(stream: &mut impl Read, left: &mut Vec<u8>) -> io::Result<usize> {
    let mut chunk = [0; 8192];
    let length = stream.read(&mut chunk)?;
    left.extend(chunk.iter().take(length));
    Ok(length)
}

fn parse(bytes: &[u8]) -> io::Result<Option<(Request, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(bad(&error.to_string())),
    };
    let mut request = Request {
        method: parsed.method.unwrap_or_default().into(),
        target: parsed.path.unwrap_or_default().into(),
        ..Request::default()
    };
    for header in parsed.headers.iter() {
        let value = std::str::from_utf8(header.value).map_err(|_| bad("a header is not UTF-8"))?;
        request.headers.push((header.name.to_ascii_lowercase(), value.into()));
    }
    Ok(Some((request, length)))
}

fn bad(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

/// Writes a reply; the connection stays open.
pub(crate) fn write(stream: &mut impl Write, reply: &Reply) -> io::Result<()> {
    let mut text = format!("HTTP/1.1 {} {}\r\n", reply.status, phrase(reply.status));
    for (name, value) in &reply.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("content-length: {}\r\n\r\n{}", reply.body.len(), reply.body));
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const TWO: &[u8] = b"POST /?a=b HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded; charset=utf-8\r\n\
        Content-Length: 5\r\n\r\nc=%20GET /x HTTP/1.1\r\n\r\n";

    #[test]
    fn two_requests_in_one_stream_are_told_apart() {
        let (mut stream, mut left) = (Cursor::new(TWO.to_vec()), Vec::new());
        let first = read(&mut stream, &mut left).unwrap().unwrap();
        let wanted = vec![("a".into(), "b".into()), ("c".into(), " ".into())];
        assert_eq!((first.path(), first.header("host"), first.parameters()), ("/", Some("h"), wanted));
        let second = read(&mut stream, &mut left).unwrap().unwrap();
        assert_eq!((second.method.as_str(), second.target.as_str(), second.body.len()), ("GET", "/x", 0));
        assert!(read(&mut stream, &mut left).unwrap().is_none());
    }

    #[test]
    fn a_request_cut_short_is_an_error() {
        for length in 1..TWO.len() - 22 {
            let (mut stream, mut left) = (Cursor::new(TWO[..length].to_vec()), Vec::new());
            assert!(read(&mut stream, &mut left).is_err(), "{length}");
        }
    }

    #[test]
    fn what_no_client_of_aws_sends_is_refused() {
        for head in ["Transfer-Encoding: chunked", "Content-Length: -1", "Content-Length: 99999999"] {
            let text = format!("POST / HTTP/1.1\r\n{head}\r\n\r\n");
            assert!(read(&mut Cursor::new(text.into_bytes()), &mut Vec::new()).is_err(), "{head}");
        }
    }
}
