//! Programs in Go as callers: docker's credential helper for ECR, which stands on AWS's SDK for Go v2 (as Terraform does),
//! and kubectl, which asks a command for its token.
//!
//! Needs Debian's `amazon-ecr-credential-helper`, a `kubectl`, the AWS CLI, and moto's proxy, which plays ECR.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use onetap_support::aws::tls::Authority;
use onetap_support::aws::{Aws, User, World, policy};
use onetap_support::home::{Home, Said, python_tool, said};
use rustls::{ServerConnection, StreamOwned};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const LIMIT: Duration = Duration::from_secs(90);
const REGISTRY: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

struct Bench {
    aws: Aws,
    home: Home,
}

fn bench(touch: &str) -> Bench {
    let doug = User::doug().policy(policy::everything());
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, touch);
    let line = format!("credential_process = {BINARY} credential-process doug");
    let config = format!("{}\n[profile doug-cp]\nregion = eu-west-1\n{line}\n", home.read(".aws/config"));
    home.private(".aws/config", &config);
    Bench { aws, home }
}

/// The helper takes no address of ECR: moto stands between as a proxy, with a certificate for any name of AWS's.
struct Proxy {
    moto: Child,
    port: u16,
    authority: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

/// Proxies write the certificates that they make into one folder, of moto's: one proxy at a time.
static ALONE: Mutex<()> = Mutex::new(());

impl Proxy {
    fn start(home: &Home) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let found = Command::new(python_tool("python"))
            .args(["-c", "import os, moto; print(os.path.dirname(moto.__file__))"])
            .output()
            .unwrap();
        let moto = PathBuf::from(String::from_utf8(found.stdout).unwrap().trim());
        let mut command = home.program(python_tool("moto_proxy"));
        command.args(["-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        let proxy = Self {
            moto: command.spawn().unwrap(),
            port,
            authority: moto.join("moto_proxy/ca.crt"),
            _alone: alone,
        };
        let deadline = Instant::now() + LIMIT;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "moto's proxy does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        proxy
    }

    /// The helper, as a line for a shell: `docker` calls it so.
    fn helper(&self) -> String {
        assert!(
            PathBuf::from("/usr/bin/docker-credential-ecr-login").exists(),
            "Debian's amazon-ecr-credential-helper lacks: run the tests with tests/run"
        );
        format!(
            "HTTPS_PROXY=http://127.0.0.1:{} AWS_CA_BUNDLE={} AWS_ECR_DISABLE_CACHE=true docker-credential-ecr-login get",
            self.port,
            self.authority.display()
        )
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.moto.kill();
        let _ = self.moto.wait();
    }
}

impl Bench {
    /// Has a shell run the line, with the registry's name on standard input, as docker gives it.
    fn shell(&self, line: &str) -> Said {
        let input = self.home.private("registry", REGISTRY);
        said(self.home.program("bash").args(["-c", line]).stdin(File::open(input).unwrap()))
    }
}

#[test]
fn dockers_helper_for_ecr_is_served_by_exec_by_the_address_and_by_credential_process() {
    let bench = bench("fault touch-after 300");
    let proxy = Proxy::start(&bench.home);
    let helper = proxy.helper();
    let line = |options: &str| format!("{BINARY} exec doug{options} -- sh -c '{helper}'");
    for line in [line(""), line(" --refresh"), format!("AWS_PROFILE=doug-cp {helper}")] {
        let answer = bench.shell(&line);
        assert_eq!(answer.status, 0, "{line}: {answer:?} {}", bench.home.read(".ecr/log/ecr-login.log"));
        let expected = format!(
            "{{\"ServerURL\":\"{REGISTRY}\",\"Username\":\"AWS\",\"Secret\":\"123456789012-auth-token\"}}"
        );
        assert_eq!(answer.stdout.trim(), expected, "{line}");
    }
    assert_eq!((bench.home.touches(), bench.aws.count("GetSessionToken")), (1, 1));
}

#[test]
fn dockers_helper_for_ecr_writes_our_line_to_its_log_when_onetap_fails() {
    let bench = bench("");
    let proxy = Proxy::start(&bench.home);
    let helper = proxy.helper();
    bench.aws.shorten_sessions(Duration::from_secs(1));
    let log = || bench.home.read(".ecr/log/ecr-login.log").replace("\\\"", "\"").replace("\\\\", "");
    let line = "no access key is stored for the profile \"doug\"; run `onetap add doug`";

    let refresh = format!("find . -name vault.age -delete; sleep 1.2; {helper}");
    let answer = bench.shell(&format!("{BINARY} exec doug --refresh -- sh -c '{refresh}'"));
    assert_ne!(answer.status, 0, "{answer:?}");
    assert!(answer.stderr.contains(&format!("onetap: Warning: {line}")), "{answer:?}");
    let at_the_address = log();
    assert!(at_the_address.contains(&format!("onetap: {line}")), "{at_the_address}");

    let answer = bench.shell(&format!("AWS_PROFILE=doug-cp {helper}"));
    assert_ne!(answer.status, 0, "{answer:?}");
    // Here the SDK keeps the exit status, and our standard error is the helper's.
    assert_eq!(answer.stderr, format!("onetap: {line}\n"));
    assert!(
        log()[at_the_address.len()..].contains("error in credential_process: exit status 4"),
        "{}",
        log()
    );
}

/// What a cluster's server would be: answers one request after the other with an empty object, and hands each request's
/// head over. Behind TLS, without which kubectl asks nobody for a token.
fn api_server() -> (Authority, u16, mpsc::Receiver<String>) {
    let (authority, config) = Authority::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, heads) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
                head.push(byte[0]);
            }
            let _ = stream.write_all(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
            );
            stream.conn.send_close_notify();
            let _ = stream.flush();
            if sender.send(String::from_utf8_lossy(&head).into_owned()).is_err() {
                return;
            }
        }
    });
    (authority, port, heads)
}

#[test]
fn kubectl_sends_the_token_that_its_plugin_had_from_a_session_of_onetaps() {
    let mut bench = bench("fault touch-after 300");
    let (authority, port, heads) = api_server();
    let folders =
        [PathBuf::from(BINARY), python_tool("aws")].map(|file| file.parent().unwrap().to_path_buf());
    let system = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&system))).unwrap();
    bench.home.set("PATH", path);
    let cluster = "apiVersion: v1\nkind: Config\ncurrent-context: demo\n\
                   clusters: [{name: demo, cluster: {server: 'https://127.0.0.1:PORT', certificate-authority: 'PEM'}}]\n\
                   contexts: [{name: demo, context: {cluster: demo, user: demo}}]\n";
    let cluster =
        cluster.replace("PORT", &port.to_string()).replace("PEM", authority.path().to_str().unwrap());
    // The lines that docs/RECIPES.md gives for the user of a kubeconfig.
    let page = include_str!("../../docs/RECIPES.md");
    let users = page.split_once("```yaml\n").unwrap().1.split_once("```").unwrap().0;
    bench.home.private(".kube/config", &(cluster + users));
    for _ in ["cold", "cached"] {
        let answer = bench.shell("kubectl get --raw /version");
        assert_eq!((answer.status, answer.stdout.trim()), (0, "{}"), "{answer:?}");
        // Some distributions' kubectl first asks for the version by itself.
        let head = heads.recv_timeout(LIMIT).unwrap();
        let first = head.starts_with("GET /version?timeout=");
        let head = if first { heads.recv_timeout(LIMIT).unwrap() } else { head };
        assert!(head.starts_with("GET /version HTTP/1.1\r\n"), "{head}");
        let token =
            head.lines().find_map(|line| line.strip_prefix("Authorization: Bearer k8s-aws-v1.")).unwrap();
        let url = data_encoding::BASE64URL_NOPAD.decode(token.as_bytes()).unwrap();
        let url = String::from_utf8(url).unwrap();
        assert!(url.contains("Action=GetCallerIdentity") && url.contains("X-Amz-Credential=ASIA"), "{url}");
        assert!(url.contains("X-Amz-Security-Token=") && url.contains("x-k8s-aws-id"), "{url}");
    }
    assert_eq!((bench.home.touches(), bench.aws.count("GetSessionToken")), (1, 1));
    assert!(!fs::exists(bench.home.path(".aws/credentials")).unwrap());

    // Without a session to be had, kubectl shows our line.
    assert_eq!(bench.home.run(&["clear"]).status, 0);
    bench.home.token("fault removed-after 1");
    let answer = bench.shell("find . -name vault.age -delete; kubectl get --raw /version");
    assert_ne!(answer.status, 0, "{answer:?}");
    assert!(answer.stderr.contains("onetap: no access key is stored for the profile \"doug\""), "{answer:?}");
    assert!(heads.try_recv().is_err(), "nothing is sent without a token");
}
