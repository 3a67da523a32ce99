//! The blocks of `docs/RECIPES.md` that are called tried, run as they stand there.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use onetap_support::aws::{Aws, User, World, policy};
use onetap_support::home::{Home, python_tool, said};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const PAGE: &str = include_str!("../../docs/RECIPES.md");

/// What each block prints at its end, in the order of the page.
const SAID: [&str; 7] = [
    "a token for kubectl\n",
    "a password for docker login\n",
    "until its end.\n",
    "http://127.0.0.1:\n",
    "arn:aws:iam::123456789012:user/doug\n",
    "arn:aws:iam::123456789012:user/doug\n",
    "[profile old] is in ~/.aws/config.\n",
];

/// ECR is not among what our own stand-in plays; moto's server gives out passwords.
struct Moto(Child, u16);

impl Moto {
    fn start(home: &Home) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = home.program(python_tool("moto_server"));
        command
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let moto = Self(command.spawn().unwrap(), port);
        let deadline = Instant::now() + Duration::from_secs(90);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "moto's server does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        moto
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn every_recipe_that_is_called_tried_works_as_it_stands() {
    let doug = User::doug().policy(policy::everything());
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::of_doug(BINARY, &aws, &doug, "");
    home.lend(".aws");
    let moto = Moto::start(&home);
    home.set("AWS_ENDPOINT_URL_ECR", format!("http://127.0.0.1:{}", moto.1));
    let folders = [Path::new(BINARY), &python_tool("aws")].map(|file| file.parent().unwrap().to_path_buf());
    let system = std::env::var_os("PATH").unwrap();
    home.set(
        "PATH",
        std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&system))).unwrap(),
    );
    home.set("TERM", "xterm");
    home.set("TMUX_TMPDIR", home.path(""));
    let blocks = PAGE.split("```bash tried\n").skip(1).map(|rest| rest.split_once("```\n").unwrap().0);
    let blocks = blocks.collect::<Vec<_>>();
    assert_eq!(blocks.len(), SAID.len());
    for (block, end) in blocks.into_iter().zip(SAID) {
        let answer = said(home.program("bash").args(["-euo", "pipefail", "-c", block]).stdin(Stdio::null()));
        assert_eq!(answer.status, 0, "{block}\n{}\n{}", answer.stdout, answer.stderr);
        let shown = answer.stdout.replace(home.path("").to_str().unwrap(), "~/").replace("~//", "~/");
        assert!(shown.ends_with(end), "{block}\n{shown}");
    }
    assert_eq!((home.touches(), aws.count("GetSessionToken")), (1, 1), "one touch for all of them");
    assert!(!home.read(".aws/credentials").contains("AKIA"));
}
