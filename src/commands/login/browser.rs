//! An address shown in the person's browser without standing in any process's arguments, where others could read it.
//!
//! The browser is started with an address of this machine that leads on, once, to whoever knows its random path.

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use secrecy::{ExposeSecret as _, SecretString};

/// How long one connection may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(2);

/// Shows it. Blocks until the browser came, or until `deadline`.
pub(super) fn show(address: SecretString, program: &OsString, deadline: Instant) -> io::Result<()> {
    let (here, listener) = doorway()?;
    let (came, waiting) = mpsc::channel();
    let path = here.rsplit('/').next().unwrap_or_default().to_owned();
    thread::Builder::new().name("doorway".into()).spawn(move || {
        let shown =
            listener.incoming().flatten().any(|stream| lead_on(stream, &path, &address).unwrap_or(false));
        let _ = came.send(shown);
    })?;
    Command::new(program)
        .arg(here)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", program.display())))?;
    match waiting.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(true) => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::TimedOut, "the browser did not come for the address")),
    }
}

/// An address of this machine that nobody can guess.
fn doorway() -> io::Result<(String, TcpListener)> {
    let mut path = [0; 16];
    getrandom::fill(&mut path).map_err(io::Error::other)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    Ok((format!("http://{}/{}", listener.local_addr()?, HEXLOWER.encode(&path)), listener))
}

/// Answers one connection; `true` if it was led on.
fn lead_on(mut stream: TcpStream, path: &str, address: &SecretString) -> io::Result<bool> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    let mut request = BufReader::new(io::Read::take(&stream, 8192));
    request.read_line(&mut line)?;
    // The rest is read, since a connection that is closed before it may lose the answer.
    let mut header = String::new();
    while request.read_line(&mut header)? > 2 {
        header.clear();
    }
    let wanted = line.split(' ').nth(1).and_then(|target| target.strip_prefix('/')) == Some(path);
    if line.starts_with("GET ") && wanted {
        let head = "HTTP/1.1 303 See Other\r\nContent-Length: 0\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n";
        write!(stream, "{head}Connection: close\r\nLocation: {}\r\n\r\n", address.expose_secret())?;
        return Ok(true);
    }
    stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn got(here: &str, target: &str) -> String {
        let host = here.trim_start_matches("http://").split('/').next().unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        write!(stream, "GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn only_who_knows_the_path_is_led_on_and_only_once() {
        let (here, listener) = doorway().unwrap();
        let path = here.rsplit('/').next().unwrap().to_owned();
        assert_eq!(path.len(), 32);
        let target = format!("/{path}");
        let server = thread::spawn(move || {
            let secret = SecretString::from("https://signin/?SigninToken=x");
            listener
                .incoming()
                .flatten()
                .map(|stream| lead_on(stream, &path, &secret).unwrap())
                .position(|led| led)
        });
        for wrong in ["/", "/favicon.ico", "/0000"] {
            let answer = got(&here, wrong);
            assert!(answer.starts_with("HTTP/1.1 404") && !answer.contains("SigninToken"), "{answer}");
        }
        let answer = got(&here, &target);
        assert!(
            answer.starts_with("HTTP/1.1 303")
                && answer.contains("\r\nLocation: https://signin/?SigninToken=x\r\n")
        );
        assert_eq!(server.join().unwrap(), Some(3));
    }

    #[test]
    fn a_browser_that_is_not_there_or_never_comes_is_an_error() {
        let soon = || Instant::now() + Duration::from_millis(50);
        let absent = show("x".into(), &"/absent/browser".into(), soon()).unwrap_err().to_string();
        assert!(absent.starts_with("/absent/browser: "), "{absent}");
        let never = show("x".into(), &"/bin/true".into(), soon()).unwrap_err();
        assert_eq!(never.kind(), io::ErrorKind::TimedOut);
    }
}
