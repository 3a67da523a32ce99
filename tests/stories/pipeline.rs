//! Somebody else's pipeline: the script in `docs/CI.md`, run as it stands there, with moto's server and no terminal.

use std::net::TcpListener;
use std::path::Path;

use onetap_support::home::{Home, Said, python_tool, said};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");

/// The first block of `docs/CI.md` that bash could read.
fn script() -> String {
    let page = include_str!("../../docs/CI.md");
    let (_, rest) = page.split_once("```bash\n").expect("docs/CI.md holds a script");
    rest.split_once("```\n").expect("the script ends").0.to_owned()
}

/// Runs a script with our binary and the Python programs on PATH, and nothing of this machine's besides.
fn run(script: &str) -> Said {
    let home = Home::new(BINARY);
    let file = home.private("pipeline", script);
    let folders =
        [Path::new(BINARY), &python_tool("moto_server")].map(|file| file.parent().unwrap().to_path_buf());
    let system = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&system))).unwrap();
    // Free a moment ago; moto's server takes no port of its own choice.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = home.program("bash");
    said(command.arg(file).env("PATH", path).env("MOTO_PORT", port.to_string()))
}

#[test]
fn the_script_in_the_docs_gets_credentials_and_counts_one_touch() {
    let served = run(&script());
    assert_eq!(served.status, 0, "{}\n{}", served.stdout, served.stderr);
    let lines = served.stdout.lines().collect::<Vec<_>>();
    assert!(lines.first().is_some_and(|line| line.starts_with("Stored AKIAIOSFODNN7EXAMPLE")), "{lines:?}");
    assert!(served.stdout.contains("\"Account\": \"123456789012\""), "{}", served.stdout);
    assert!(served.stdout.contains("\"Reservations\": ["), "{}", served.stdout);
    assert_eq!(lines.last(), Some(&"touches: 1"));
    let notices = served.stderr.lines().filter(|line| line.starts_with("onetap: ")).collect::<Vec<_>>();
    assert_eq!(notices.len(), 2, "said once each: where codes come from, and the touch; {}", served.stderr);
}

#[test]
fn the_script_s_count_is_a_real_one() {
    let again = "onetap clear ci && onetap --code software,yubikey exec ci -- true\ntouches=$(grep";
    let twice = run(&script().replace("touches=$(grep", again));
    assert_ne!(twice.status, 0, "{}", twice.stdout);
    assert!(twice.stdout.ends_with("touches: 2\n"), "{}\n{}", twice.stdout, twice.stderr);
}
