//! How many requests a second the address of `exec --refresh` answers, beside a server of a few lines that says
//! something of the same length to whoever connects.
//!
//! The same client asks both in turns, as a child of `onetap exec --refresh` and as a child of ours: this very binary,
//! called as `bench --ask connections|requests`.

use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use onetap_support::aws::{Aws, User, World};
use onetap_support::home::{Home, said};
use onetap_support::measure::quantile;

use super::Outcome;

/// Requests of one round, over all clients.
const REQUESTS: u32 = 4000;
/// Clients at one time.
const CLIENTS: u32 = 4;
/// Rounds for a median; the servers take turns.
const ROUNDS: usize = 7;
/// Where clients look for the address and its token.
const ADDRESS: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";

/// What a client does between two requests.
const KINDS: [(&str, &str); 2] =
    [("connections", "a connection for each request"), ("requests", "one connection for each client")];

/// What a kind's rounds took: ours, the small server's.
pub(super) struct Endpoint {
    walls: Vec<(&'static str, [Vec<Duration>; 2])>,
    minted: usize,
}

impl Endpoint {
    pub(super) fn measure(onetap: &Path) -> Outcome<Self> {
        let doug = User::doug();
        let aws = Aws::start(World::of(doug.clone()));
        let home = Home::of_doug(onetap, &aws, &doug, "");
        let small = small_server()?;
        let this = std::env::current_exe()?.display().to_string();
        let mut walls = Vec::new();
        for (kind, what) in KINDS {
            let mut both = [Vec::new(), Vec::new()];
            for _ in 0..ROUNDS {
                let ours = home.onetap(&["exec", "doug", "--refresh", "--", &this, "--ask", kind]);
                let mut theirs = home.program(&this);
                theirs.args(["--ask", kind]).env(ADDRESS, &small).env(TOKEN, "none");
                for (mut command, walls) in [ours, theirs].into_iter().zip(&mut both) {
                    walls.push(asked(&mut command)?);
                }
            }
            walls.push((what, both));
        }
        Ok(Self { walls, minted: aws.count("GetSessionToken") })
    }

    /// Whether AWS was asked more than once for all of them.
    pub(super) fn broken(&self) -> bool {
        self.minted > 1
    }

    /// Writes it as Markdown.
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "\n| the address of `exec --refresh` | requests a second | small server | x as many |"
        )?;
        writeln!(out, "|---|---|---|---|")?;
        for (what, walls) in &self.walls {
            let [ours, theirs] =
                walls.each_ref().map(|walls| f64::from(REQUESTS) / quantile(walls, 50).as_secs_f64());
            writeln!(out, "| {what} | {ours:.0} | {theirs:.0} | {:.2} |", ours / theirs)?;
        }
        writeln!(out, "requests to AWS for all of them: {} (budget 1)", self.minted)
    }
}

fn asked(command: &mut Command) -> Outcome<Duration> {
    let answer = said(command);
    let micros = answer.stdout.trim().parse().map_err(|_| format!("{}{}", answer.stdout, answer.stderr))?;
    Ok(Duration::from_micros(micros))
}

/// The client's part: asks, and prints how many microseconds all requests took. Each answer has to be a 200.
pub(super) fn ask(kind: &str) -> Outcome<()> {
    let address = std::env::var(ADDRESS)?;
    let host = address.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let request =
        format!("GET / HTTP/1.1\r\nHost: {host}\r\nAuthorization: {}\r\n\r\n", std::env::var(TOKEN)?);
    let fresh = kind == "connections";
    let began = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (host, request) = (host.clone(), request.clone());
            thread::spawn(move || client(&host, request.as_bytes(), fresh))
        })
        .collect();
    for client in clients {
        client.join().map_err(|_| "a client died")??;
    }
    writeln!(io::stdout(), "{}", began.elapsed().as_micros())?;
    Ok(())
}

fn client(host: &str, request: &[u8], fresh: bool) -> io::Result<()> {
    let mut kept: Option<BufReader<TcpStream>> = None;
    for _ in 0..REQUESTS / CLIENTS {
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(host)?;
                stream.set_nodelay(true)?;
                BufReader::new(stream)
            }
        };
        stream.get_mut().write_all(request)?;
        answer(&mut stream)?;
        kept = (!fresh).then_some(stream);
    }
    Ok(())
}

/// Reads one answer to its end.
fn answer(stream: &mut BufReader<TcpStream>) -> io::Result<()> {
    let (mut line, mut length) = (String::new(), 0);
    stream.read_line(&mut line)?;
    if !line.starts_with("HTTP/1.1 200") {
        return Err(io::Error::other(line));
    }
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    stream.read_exact(&mut vec![0; length])
}

/// Answers every request with fixed bytes, a thread a connection, until the process ends. Its address.
fn small_server() -> io::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = format!("http://{}/", listener.local_addr()?);
    let body = "x".repeat(900); // as long as a session is
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || {
                let _ = stream.set_nodelay(true);
                let (mut reader, mut line) = (BufReader::new(stream), String::new());
                while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                    if line == "\r\n" && reader.get_mut().write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                    line.clear();
                }
            });
        }
    });
    Ok(address)
}
