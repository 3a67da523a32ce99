//! The stand-in for AWS as a command, for scripts and the demo.
//!
//! `stand-in [--world FILE.json] [--listen 127.0.0.1:PORT] [--tls] [--verbose]`
//!
//! Prints `listening on URL` (with `--tls` also `ca bundle PATH`), then serves until stdin ends.
//! `GET /stand-in/requests` answers what was asked so far, as JSON. `worlds/doug.json` shows a world.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;

use onetap_support::aws::{Aws, Options, Seen, World};

const USAGE: &str = "usage: stand-in [--world FILE.json] [--listen 127.0.0.1:PORT] [--tls] [--verbose]";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "stand-in: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = Options::default();
    let mut world = World::example()?;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--listen" => options.listen = Some(loopback(&arguments.next().ok_or(USAGE)?)?),
            "--tls" => options.tls = true,
            "--verbose" => options.watch = Some(Box::new(tell)),
            "--world" => world = serde_json::from_slice(&std::fs::read(arguments.next().ok_or(USAGE)?)?)?,
            _ => return Err(USAGE.into()),
        }
    }
    let aws = Aws::start_with(world, options)?;
    let mut stdout = io::stdout();
    writeln!(stdout, "listening on {}", aws.endpoint())?;
    if let Some(path) = aws.ca_bundle() {
        writeln!(stdout, "ca bundle {}", path.display())?;
    }
    stdout.flush()?;
    let mut stdin = io::stdin();
    // Whatever is typed is passed over; the end of the input is the end of the server.
    while stdin.read(&mut [0; 256])? > 0 {}
    Ok(())
}

fn loopback(text: &str) -> Result<SocketAddr, Box<dyn std::error::Error>> {
    let address: SocketAddr = text.parse()?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => Err("the stand-in listens on loopback addresses only".into()),
    }
}

/// A line about a request; `Seen` holds no secret.
fn tell(seen: &Seen) {
    let Seen { action, access_key_id, region, outcome, status, .. } = seen;
    let code = seen.code_step.map_or(String::new(), |step| format!(" with the code of step {step}"));
    let who = match access_key_id.as_str() {
        "" => "nobody".into(),
        key => format!("{key} in {region}"),
    };
    let role = seen.role_arn.as_ref().map_or(String::new(), |arn| format!(" of {arn}"));
    let _ = writeln!(io::stderr(), "{action}{role}{code} by {who}: {status} {outcome}");
}
