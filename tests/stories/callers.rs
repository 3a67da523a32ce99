//! Who really asks onetap: the AWS CLI 1 and 2, boto3, the JavaScript SDK and the Rust SDK; cold, cached, and when
//! onetap fails, by `credential_process` and at the address of `exec --refresh`.
//!
//! Needs Debian's `awscli`, node with the SDK in `target/node`, and the Python programs; a test whose part lacks says so.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::BehaviorVersion;
use aws_credential_types::provider::ProvideCredentials as _;
use onetap_support::aws::{Aws, User, World, policy};
use onetap_support::home::{Home, Said, python_tool, said};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const ARN: &str = "arn:aws:iam::123456789012:user/doug";

struct Bench {
    aws: Aws,
    home: Home,
}

fn bench() -> Bench {
    let doug = User::doug().policy(policy::everything());
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::of_doug(BINARY, &aws, &doug, "fault touch-after 300");
    let line = format!("credential_process = {BINARY} credential-process doug");
    let config = format!("{}\n[profile doug-cp]\nregion = eu-west-1\n{line}\n", home.read(".aws/config"));
    home.private(".aws/config", &config);
    home.set("AWS_REGION", "eu-west-1");
    Bench { aws, home }
}

/// Debian's own, which is version 2; the one in the Python environment is version 1.
fn cli_2() -> PathBuf {
    let path = PathBuf::from("/usr/bin/aws");
    let version = Command::new(&path).arg("--version").output();
    let version = version.expect("Debian's awscli lacks: run the tests with tests/run").stdout;
    assert!(version.starts_with(b"aws-cli/2."), "{}", String::from_utf8_lossy(&version));
    path
}

fn node_modules() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/node/node_modules");
    assert!(
        folder.join("@aws-sdk/client-sts").exists(),
        "the JavaScript SDK lacks: run the tests with tests/run"
    );
    folder
}

const BOTO3: &str = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])";
const JAVASCRIPT: &str = "const { STSClient, GetCallerIdentityCommand } = require('@aws-sdk/client-sts');\
                          new STSClient({}).send(new GetCallerIdentityCommand({})).then(a => console.log(a.Arn))";
/// The SDK's chain of all providers tells no reason why one of them failed; the profile's own provider does.
const BY_PROFILE: (&str, &str) =
    ("STSClient({})", "STSClient({ credentials: require('@aws-sdk/credential-provider-ini').fromIni() })");
const IDENTITY: [&str; 6] = ["sts", "get-caller-identity", "--query", "Arn", "--output", "text"];

/// Each caller's program with its arguments; all print the ARN, the Rust SDK the key's kind.
fn callers(aws: &Aws) -> Vec<(&'static str, Vec<String>)> {
    let line = |program: PathBuf, arguments: &[&str]| {
        let program = program.display().to_string();
        [program].into_iter().chain(arguments.iter().map(|word| word.to_string())).collect::<Vec<_>>()
    };
    let endpoint = aws.endpoint();
    let two = [&IDENTITY[..], &["--endpoint-url", &endpoint]].concat();
    let own = std::env::current_exe().unwrap();
    let node = format!("NODE_PATH={}", node_modules().display());
    vec![
        ("AWS CLI 1", line(python_tool("aws"), &IDENTITY)),
        ("AWS CLI 2", line(cli_2(), &two)),
        ("boto3", line(python_tool("python"), &["-c", BOTO3])),
        ("JavaScript", line("env".into(), &[&node, "node", "-e", JAVASCRIPT])),
        ("Rust", line(own, &["--exact", "callers::a_program_with_the_rust_sdk", "--ignored", "--nocapture"])),
    ]
}

/// Not a story: the program of the caller called Rust, in a process of its own, where the environment is the home's.
#[test]
#[ignore = "other stories run it as a program"]
fn a_program_with_the_rust_sdk() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let key = runtime.block_on(async {
        let http = aws_smithy_http_client::Builder::new().build_http();
        let config = aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await;
        config.credentials_provider().unwrap().provide_credentials().await
    });
    match key {
        Ok(key) => println!("\n{ARN} {}", &key.access_key_id()[..4]),
        Err(error) => panic!("{}", aws_smithy_types::error::display::DisplayErrorContext(error)),
    }
}

fn with_profile(home: &Home, command: &[String]) -> Said {
    said(home.program(&command[0]).args(&command[1..]).env("AWS_PROFILE", "doug-cp"))
}

#[test]
fn every_caller_of_credential_process_is_served_cold_and_cached() {
    let bench = bench();
    let callers = callers(&bench.aws);
    for (touches, (name, command)) in (1..).zip(&callers) {
        assert_eq!(bench.home.run(&["clear"]).status, 0);
        for _ in ["cold", "cached"] {
            let answer = with_profile(&bench.home, command);
            assert_eq!(answer.status, 0, "{name}: {}{}", answer.stdout, answer.stderr);
            assert!(answer.stdout.contains(ARN), "{name}: {}", answer.stdout);
            assert_eq!(bench.home.touches(), touches, "{name}");
        }
    }
    assert_eq!(bench.aws.count("GetSessionToken"), callers.len());
}

#[test]
fn every_caller_of_credential_process_shows_our_line_when_it_fails() {
    let mut bench = bench();
    let token = bench.home.read("token") + "\nfault removed-after 1\n";
    bench.home.token(&token);
    let line = "onetap: the YubiKey was removed; plug it in again and leave it in until the code was read";
    for (name, mut command) in callers(&bench.aws) {
        command.iter_mut().for_each(|word| *word = word.replace(BY_PROFILE.0, BY_PROFILE.1));
        let answer = with_profile(&bench.home, &command);
        assert_ne!(answer.status, 0, "{name}");
        let shown = [answer.stdout, answer.stderr].concat().replace("\\n", "\n");
        assert!(shown.contains(line), "{name}: {shown}");
        assert!(!shown.contains("src/commands") && !shown.contains("RUST_BACKTRACE=full"), "{name}: {shown}");
    }
    assert_eq!(bench.aws.count("GetSessionToken"), 0);
}

#[test]
fn every_caller_of_the_address_is_served_cold_and_cached() {
    let bench = bench();
    for (name, command) in callers(&bench.aws) {
        for _ in ["cold", "cached"] {
            let line =
                ["exec", "doug", "--refresh", "--"].into_iter().chain(command.iter().map(String::as_str));
            let answer = bench.home.run(&line.collect::<Vec<_>>());
            assert_eq!(answer.status, 0, "{name}: {}{}", answer.stdout, answer.stderr);
            assert!(answer.stdout.contains(ARN), "{name}: {}", answer.stdout);
        }
    }
    assert_eq!((bench.home.touches(), bench.aws.count("GetSessionToken")), (1, 1));
}

/// Sessions that are over at once, and no code before the next time step.
#[test]
fn every_caller_of_the_address_fails_with_our_line_while_there_is_no_session() {
    let bench = bench();
    bench.aws.shorten_sessions(std::time::Duration::from_secs(1));
    for (name, command) in callers(&bench.aws).into_iter().filter(|(name, _)| *name != "Rust") {
        let quoted =
            command.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect::<Vec<_>>();
        // A new code must not come to the rescue: the step that is begun here lasts to the end.
        let step = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() % 30;
        while step() > 12 {
            std::thread::sleep(Duration::from_millis(50));
        }
        // By then the session is over.
        let script = format!("sleep 1.2; {}", quoted.join(" "));
        let answer = bench.home.run(&["exec", "doug", "--refresh", "--", "sh", "-c", &script]);
        assert_ne!(answer.status, 0, "{name}: {}", answer.stdout);
        assert_eq!(answer.stdout, "", "{name}");
        // The JavaScript SDK's chain tells no reason.
        let told = answer.stderr.contains("onetap: the session is over, and a new one is waited for");
        assert_eq!(told, name != "JavaScript", "{name}: {}", answer.stderr);
    }
}

/// The default chains of the Rust and the JavaScript SDK drop what the address said; onetap says it beside them.
#[test]
fn a_renewal_that_fails_is_told_by_onetap_once_and_by_those_callers_who_tell_reasons() {
    let mut bench = bench();
    bench.aws.shorten_sessions(Duration::from_secs(1));
    bench.home.set("RUST_BACKTRACE", "0");
    let line = "no access key is stored for the profile \"doug\"; run `onetap add doug`";
    let callers = callers(&bench.aws);
    let mut script = "find . -name vault.age -delete; sleep 1.2\n".to_owned();
    for (name, command) in &callers {
        let quoted =
            command.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect::<Vec<_>>();
        script += &format!("if {} > '{name}' 2>&1; then echo {name} was served; fi\n", quoted.join(" "));
    }
    let answer = bench.home.run(&["exec", "doug", "--refresh", "--", "sh", "-c", &script]);
    assert_eq!((answer.status, answer.stdout.as_str()), (0, ""), "{}", answer.stderr);
    assert_eq!(answer.stderr.matches(line).count(), 1, "{}", answer.stderr);
    assert!(
        answer.stderr.lines().any(|said| said == format!("onetap: Warning: {line}")),
        "{}",
        answer.stderr
    );
    for (name, _) in callers {
        let shown = bench.home.read(name);
        let told = shown.replace("\\\"", "\"").contains(&format!("onetap: {line}"));
        assert_eq!(told, !["JavaScript", "Rust"].contains(&name), "{name}: {shown}");
        if name == "Rust" {
            assert!(
                shown.contains("Non-success status from HTTP credential provider: StatusCode(503)"),
                "{shown}"
            );
        }
    }
    assert_eq!((bench.home.touches(), bench.aws.count("GetSessionToken")), (1, 1));
}
