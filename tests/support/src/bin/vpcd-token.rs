//! Puts a virtual token's file into a `vpcd` reader: `vpcd-token FILE [PORT]`. Ends when the reader goes away.

use std::path::Path;
use std::process::ExitCode;

use onetap_support::vpcd::InsertedToken;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(path), port) = (args.next(), args.next()) else {
        eprintln!("usage: vpcd-token FILE [PORT]");
        return ExitCode::from(2);
    };
    let port = port.and_then(|port| port.parse().ok()).unwrap_or(35963);
    match InsertedToken::insert(Path::new(&path), port).and_then(InsertedToken::wait) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vpcd-token: {error}");
            ExitCode::FAILURE
        }
    }
}
