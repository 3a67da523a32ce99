//! Stories of credentials on their way out: every form of `export` through the shell or the library that reads it, and what
//! `list`, `status` and `clear` tell about them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use onetap::cli::Format;
use onetap::commands::export::quote;
use onetap_support::aws::{Aws, User, World, policy};
use onetap_support::home::{Home, Said, python_tool, said};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const ARN: &str = "arn:aws:iam::123456789012:mfa/doug";

/// Values that a shell could take for something else; each in a variable of its own.
fn values() -> Vec<String> {
    let printable: String = (0x20..0x7f_u8).map(char::from).collect();
    let mut values = vec![
        printable.clone(),
        printable.chars().rev().collect(),
        printable.repeat(20),
        String::new(),
        "'".into(),
        "''''".into(),
        "\\".into(),
        "\\\\'\\'".into(),
        "ends in \\".into(),
        "$(touch pwned) `touch pwned` ${HOME} $HOME (touch pwned)".into(),
        "';touch pwned;'".into(),
        "\"; touch pwned; \"".into(),
        "a\nb\n\n  c".into(),
        "\n".into(),
        "ends in lines\n\n".into(),
        "\r\n\t\u{b}\u{c}".into(),
        "-n".into(),
        "~".into(),
        "!!".into(),
        "%PATH% 100% %% ^& !PATH!".into(),
        "{a,b} * ? [a-z] # ; &".into(),
        "h\u{e9}llo \u{2018}\u{2019}\u{201a}\u{201b}\u{201c}\u{201d} \u{1f511} \u{2028}".into(),
        (1..0x20_u8).chain([0x7f]).map(char::from).collect(),
    ];
    // Each character alone, and beside an apostrophe and a backslash.
    for c in (1..0x80_u8).map(char::from) {
        values.extend([c.to_string(), format!("'{c}"), format!("{c}\\")]);
    }
    values
}

/// The values that a form can carry, as variables V0, V1, ...; those that it refuses are counted.
fn carried(format: Format) -> (BTreeMap<String, String>, usize) {
    let fits = |value: &String| quote::text(format, "doug", &[("AWS_REGION", value)]).is_ok();
    let (carried, refused): (Vec<_>, Vec<_>) = values().into_iter().partition(fits);
    let name = |(index, value)| (format!("V{index}"), value);
    (carried.into_iter().enumerate().map(name).collect(), refused.len())
}

fn written(format: Format, variables: &BTreeMap<String, String>) -> String {
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    quote::text(format, "doug", &variables).unwrap().to_string()
}

/// Has a shell take in the text and tell the variables that it then hands to a child.
fn through(shell: &str, script: &str, text: &str) -> BTreeMap<String, String> {
    assert!(Path::new(shell).exists(), "{shell} is not installed; tests/run installs it");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("text"), text).unwrap();
    let output = Command::new(shell)
        .args(["-c", script])
        .env_clear()
        .envs([("HOME", folder.path().as_os_str()), ("PATH", "/usr/bin:/bin".as_ref())])
        .env("LC_ALL", "C.UTF-8")
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{shell} {script}");
    assert!(output.status.success() && !folder.path().join("pwned").exists(), "{shell} {script}");
    let ours = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let number = name.strip_prefix('V')?;
        number.parse::<usize>().ok()?;
        Some((name.to_owned(), value.to_owned()))
    };
    String::from_utf8(output.stdout).unwrap().split('\0').filter_map(ours).collect()
}

#[test]
fn every_value_comes_back_byte_for_byte_through_the_real_shells() {
    let (variables, refused) = carried(Format::Env);
    assert_eq!((variables.len() > 400, refused), (true, 0));
    let text = written(Format::Env, &variables);
    for shell in ["/bin/bash", "/bin/dash", "/usr/bin/zsh"] {
        for script in ["eval \"$(cat text)\"; exec env -0", ". ./text; exec env -0"] {
            assert_eq!(through(shell, script, &text), variables, "{shell} {script}");
        }
    }
    let text = written(Format::Fish, &variables);
    for script in ["cat text | source; exec env -0", "eval (cat text | string collect); exec env -0"] {
        assert_eq!(through("/usr/bin/fish", script, &text), variables, "{script}");
    }
}

/// npm's package holds the released program itself, for x86-64.
fn nushell() -> String {
    let nu = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/node/node_modules/@nushell/linux-x64/bin/nu");
    nu.display().to_string()
}

#[test]
fn every_value_comes_back_byte_for_byte_through_nushell() {
    let (variables, refused) = carried(Format::Nu);
    assert_eq!((variables.len() > 400, refused), (true, 0));
    let text = written(Format::Nu, &variables);
    let script = "open --raw text | from nuon | load-env; exec env -0";
    assert_eq!(through(&nushell(), script, &text), variables);
}

#[test]
fn what_dotenv_carries_a_shell_and_python_dotenv_read_alike_and_the_rest_is_refused() {
    let (variables, refused) = carried(Format::Dotenv);
    assert!(variables.len() > 80 && refused > 100, "{} {refused}", variables.len());
    let text = written(Format::Dotenv, &variables);
    assert_eq!(through("/bin/dash", "set -a; . ./text; exec env -0", &text), variables);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("text"), &text).unwrap();
    let script = "import dotenv, json\nprint(json.dumps(dotenv.dotenv_values('text')))";
    let mut python = Command::new(python_tool("python"));
    let output = python.args(["-c", script]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(serde_json::from_slice::<BTreeMap<String, String>>(&output.stdout).unwrap(), variables);
    // What every value of AWS's is made of stands without quotes, which docker and systemd would keep.
    assert_eq!(*quote::text(Format::Dotenv, "doug", &[("A", "aZ09+/=:.-_")]).unwrap(), "A=aZ09+/=:.-_\n");
}

#[test]
fn what_ini_carries_botocore_reads_alike_and_the_rest_is_refused() {
    let (variables, refused) = carried(Format::Ini);
    assert!(variables.len() > 150 && refused > 60, "{} {refused}", variables.len());
    let folder = tempfile::tempdir().unwrap();
    let sections: String = variables
        .iter()
        .map(|(name, value)| quote::text(Format::Ini, name, &[("AWS_SECRET_ACCESS_KEY", value)]).unwrap())
        .map(|section| section.to_string())
        .collect();
    let file = folder.path().join("credentials");
    fs::write(&file, sections).unwrap();
    let script = "import json, sys\nfrom botocore.configloader import raw_config_parse\n\
                  parsed = raw_config_parse(sys.argv[1], parse_subsections=False)\n\
                  print(json.dumps({n: v['aws_secret_access_key'] for n, v in parsed.items()}))";
    let output = Command::new(python_tool("python")).args(["-c", script]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(serde_json::from_slice::<BTreeMap<String, String>>(&output.stdout).unwrap(), variables);
}

#[test]
fn the_forms_without_their_shell_here_hold_to_the_documented_grammar() {
    let (variables, refused) = carried(Format::Powershell);
    assert_eq!(refused, 0);
    let text = written(Format::Powershell, &variables);
    // about_Quoting_Rules: an apostrophe is doubled; about_Operators: + joins strings; [char]N is UTF-16's.
    assert!(text.is_ascii());
    let read: BTreeMap<_, _> = text.lines().map(powershell).collect();
    assert_eq!(read, variables);

    let (variables, refused) = carried(Format::Nu);
    assert_eq!(refused, 0);
    let text = written(Format::Nu, &variables);
    assert_eq!(text.lines().count(), 1);
    // But for its names without quotes and its \u{...}, Nushell's record is JSON.
    let mut json = text;
    for code in (1..0x20).chain([0x7f]) {
        json = json.replace(&format!("\\u{{{code:x}}}"), &format!("\\u{code:04x}"));
    }
    for name in variables.keys() {
        json = json.replacen(&format!("{name}: \""), &format!("\"{name}\": \""), 1);
    }
    assert_eq!(serde_json::from_str::<BTreeMap<String, String>>(&json).unwrap(), variables);

    let (variables, refused) = carried(Format::Cmd);
    assert!(variables.len() > 150 && refused > 60, "{} {refused}", variables.len());
    let text = written(Format::Cmd, &variables);
    // set /?: all up to the last quotation mark is the value; inside of it & | < > ^ stand for themselves.
    let line = |line: &str| {
        let (name, value) = line.strip_prefix("set \"")?.strip_suffix('"')?.split_once('=')?;
        (!value.contains(['"', '%', '!'])).then(|| (name.to_owned(), value.to_owned()))
    };
    assert_eq!(
        text.split_terminator("\r\n").map(|text| line(text).unwrap()).collect::<BTreeMap<_, _>>(),
        variables
    );
}

/// One assignment, read as PowerShell's documentation says.
fn powershell(line: &str) -> (String, String) {
    let (name, mut rest) = line.strip_prefix("$env:").unwrap().split_once(" = ").unwrap();
    let mut units: Vec<u16> = vec![];
    loop {
        if let Some(code) = rest.strip_prefix("[char]") {
            let digits = code.find(|c: char| !c.is_ascii_digit()).unwrap_or(code.len());
            units.push(code[..digits].parse().unwrap());
            rest = &code[digits..];
        } else {
            rest = rest.strip_prefix('\'').unwrap();
            loop {
                let end = rest.find('\'').unwrap();
                units.extend(rest[..end].encode_utf16());
                rest = &rest[end + 1..];
                match rest.strip_prefix('\'') {
                    Some(more) => (units.push(u16::from(b'\'')), rest = more).0,
                    None => break,
                }
            }
        }
        match rest.strip_prefix('+') {
            Some(more) => rest = more,
            None => break,
        }
    }
    assert_eq!(rest, "");
    (name.into(), String::from_utf16(&units).unwrap())
}

struct Bench {
    aws: Aws,
    home: Home,
    doug: User,
}

fn bench(touch: &str) -> Bench {
    let doug = User::doug().policy(policy::everything());
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, touch);
    Bench { aws, home, doug }
}

impl Bench {
    fn good(&self, arguments: &[&str]) -> String {
        let said = self.home.run(arguments);
        assert_eq!(said.status, 0, "{arguments:?}: {}", said.stderr);
        said.stdout
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.good(arguments);
        assert!(text.ends_with('\n') && text.lines().count() == 1, "{text:?}");
        serde_json::from_str(&text).unwrap()
    }

    fn config(&self, more: &str) {
        let before = self.home.read(".aws/config");
        self.home.private(".aws/config", &(before + more));
    }
}

#[test]
fn eval_of_export_gives_a_shell_what_exec_gives_its_child_with_one_touch_for_all_forms() {
    let bench = bench("fault touch-after 100");
    let child = bench.good(&["exec", "doug", "--", "env", "-0"]);
    let environment = |text: &str| -> BTreeMap<String, String> {
        let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut found: BTreeMap<_, _> = text.split('\0').filter_map(pair).collect();
        found.retain(|name, _| name.starts_with("AWS_"));
        found
    };
    let expected = environment(&child);
    assert!(expected["AWS_SESSION_TOKEN"].len() > 20 && expected["AWS_REGION"] == "eu-west-1");
    let (onetap, nushell) = (BINARY, nushell());
    let lines = [
        ("/bin/bash", format!("eval \"$({onetap} export doug)\"; exec env -0")),
        ("/bin/dash", format!("eval \"$({onetap} export doug --format env)\"; exec env -0")),
        ("/usr/bin/zsh", format!("source <({onetap} export doug --format=env); exec env -0")),
        ("/usr/bin/fish", format!("{onetap} export doug --format fish | source; exec env -0")),
        ("/bin/bash", format!("set -a; . <({onetap} export doug --format dotenv); exec env -0")),
        (&nushell, format!("{onetap} export doug --format nu | from nuon | load-env; exec env -0")),
    ];
    for (shell, line) in lines {
        let mut command = bench.home.program(shell);
        let answer = said(command.args(["-c", &line]));
        assert_eq!(answer.status, 0, "{line}: {}", answer.stderr);
        assert_eq!(environment(&answer.stdout), expected, "{line}");
    }
    assert_eq!(
        bench.good(&["export", "doug", "--format", "json"]),
        bench.good(&["credential-process", "doug"])
    );
    assert_eq!((bench.home.touches(), bench.aws.count("GetSessionToken")), (1, 1));
}

#[test]
fn the_aws_cli_takes_the_section_that_export_writes() {
    let bench = bench("");
    let section = bench.good(&["export", "doug", "--format", "ini"]);
    assert!(section.starts_with("[doug]\naws_access_key_id = ASIA"), "{}", section.lines().count());
    let file = bench.home.private("plain", &section);
    let mut command = bench.home.program(python_tool("aws"));
    command
        .args(["sts", "get-caller-identity", "--profile", "doug", "--query", "Arn", "--output", "text"])
        .env("AWS_SHARED_CREDENTIALS_FILE", file)
        .env("AWS_CONFIG_FILE", "/dev/null");
    let answer = said(&mut command);
    assert_eq!(
        answer,
        Said { status: 0, stdout: "arn:aws:iam::123456789012:user/doug\n".into(), stderr: String::new() }
    );
}

#[test]
fn a_profile_that_a_form_cannot_carry_is_refused_before_any_touch() {
    let mut bench = bench("");
    bench.home.unset("AWS_ENDPOINT_URL");
    bench.config("endpoint_url = http://localhost:1/100%25\n");
    let refused = bench.home.run(&["export", "doug", "--format", "cmd"]);
    let line = "onetap: AWS_ENDPOINT_URL holds one of \" % !, which the format cmd cannot carry; choose another --format\n";
    assert_eq!(refused, Said { status: 2, stdout: String::new(), stderr: line.into() });
    assert_eq!(bench.home.touches(), 0);
}

#[test]
fn status_tells_scripts_how_long_a_session_lives_and_clear_how_long_aws_keeps_it() {
    let bench = bench("");
    let nothing = json!({"profiles": [{"profile": "doug", "mfa_device": ARN, "session": null}]});
    assert_eq!(bench.json(&["status", "--json"]), nothing);
    assert_eq!(bench.json(&["clear", "--json"]), json!({"sessions": 0, "alive_until": null}));
    let process: Value = serde_json::from_str(&bench.good(&["credential-process", "doug"])).unwrap();
    let status = bench.json(&["status", "doug", "--json"]);
    let session = &status["profiles"][0]["session"];
    assert_eq!(session["access_key_id"], process["AccessKeyId"]);
    assert_eq!(session["expires"], process["Expiration"]);
    assert_eq!((&session["mfa"], &session["role"]), (&json!(true), &json!(false)));
    let left = session["seconds_left"].as_u64().unwrap();
    assert!((43_000..=43_200).contains(&left), "{left}");
    assert_eq!(session.as_object().unwrap().len(), 5);
    let table = bench.good(&["status"]);
    assert!(
        table.contains("11 h 59 min left, with MFA") || table.contains("12 h 00 min left, with MFA"),
        "{table}"
    );

    let cleared = bench.json(&["clear", "doug", "--json"]);
    assert_eq!(cleared, json!({"sessions": 1, "alive_until": process["Expiration"]}));
    assert_eq!(bench.json(&["status", "--json"]), nothing);
    let process: Value = serde_json::from_str(&bench.good(&["credential-process", "doug"])).unwrap();
    let until = process["Expiration"].as_str().unwrap();
    assert_eq!(
        bench.good(&["clear"]),
        format!("Forgot 1 session. AWS itself keeps a session alive until its end, {until}.\n")
    );
    assert_eq!(bench.good(&["clear", "doug"]), "Forgot 0 sessions.\n");
}

#[test]
fn list_tells_what_each_profile_is_and_where_its_keys_are() {
    let bench = bench("");
    bench.config(
        "[profile admin]\nrole_arn = arn:aws:iam::123456789012:role/admin\nsource_profile = doug\n\
         [profile sso]\nsso_session = corp\n[profile tool]\ncredential_process = other\n[profile empty]\nregion = eu-west-2\n",
    );
    bench.home.private(".aws/credentials", "[old]\naws_access_key_id = AKIAOLD\naws_secret_access_key = x\n");
    let plain = |profile: &str, kind: &str| json!({"profile": profile, "kind": kind, "keys": null, "access_key_id": null, "mfa_device": null, "region": null});
    let mut empty = plain("empty", "settings");
    empty["region"] = "eu-west-2".into();
    let mut old = plain("old", "keys");
    (old["keys"], old["access_key_id"]) = ("plain text".into(), "AKIAOLD".into());
    let doug = json!({"profile": "doug", "kind": "mfa", "keys": "file", "access_key_id": bench.doug.access_key_id,
        "mfa_device": ARN, "region": "eu-west-1"});
    let expected =
        json!([plain("admin", "role"), doug, empty, old, plain("sso", "sso"), plain("tool", "process")]);
    assert_eq!(bench.json(&["list", "--json"]), json!({"profiles": expected}));
    let table = bench.good(&["list"]);
    let titles: Vec<_> = table.lines().next().unwrap().split("  ").filter(|cell| !cell.is_empty()).collect();
    assert_eq!(
        titles.iter().map(|title| title.trim()).collect::<Vec<_>>(),
        ["PROFILE", "KIND", "KEYS", "ACCESS KEY", "MFA DEVICE"]
    );
    assert_eq!(table.lines().count(), 7);
    assert_eq!(bench.home.touches(), 0);

    let fresh = Home::new(BINARY);
    assert_eq!(fresh.run(&["list"]).stdout, "There is no profile yet; `onetap add PROFILE` makes one.\n");
    assert_eq!(fresh.run(&["list", "--json"]).stdout, "{\"profiles\":[]}\n");
}

#[test]
fn the_prompts_line_asks_no_vault_and_is_silent_where_nothing_is_kept() {
    let mut bench = bench("");
    let silent = Said { status: 0, stdout: String::new(), stderr: String::new() };
    assert_eq!(bench.home.run(&["status", "--prompt", "doug"]), silent);
    bench.good(&["credential-process", "doug"]);
    // Neither the vault nor the person's files are needed any more.
    fs::remove_file(bench.home.path(".local/state/onetap/vault.age")).unwrap();
    fs::remove_dir_all(bench.home.path(".aws")).unwrap();
    let line = bench.good(&["status", "--prompt", "doug"]);
    assert!(line == "doug 11h59m\n" || line == "doug 12h00m\n", "{line:?}");
    assert_eq!(bench.home.run(&["status", "--prompt"]), silent);
    assert_eq!(bench.home.run(&["status", "--prompt", "other"]), silent);
    bench.home.set("AWS_PROFILE", "doug");
    assert_eq!(bench.good(&["status", "--prompt"]), line);
    bench.home.set("ONETAP_PROFILE", "other");
    assert_eq!(bench.home.run(&["status", "--prompt"]), silent, "a subshell's own profile comes first");
    let sessions = bench.home.path(".cache/onetap/sessions");
    fs::write(&sessions, "broken").unwrap();
    assert_eq!(bench.home.run(&["status", "--prompt", "doug"]), silent);
    fs::remove_file(sessions).unwrap();
    assert_eq!(bench.home.run(&["status", "--prompt", "doug"]), silent);
    let both = bench.home.run(&["status", "--prompt", "--json"]);
    assert_eq!((both.status, both.stdout.as_str()), (2, ""));
}

#[test]
fn login_says_plainly_that_a_users_session_does_not_open_the_console_before_any_touch() {
    let bench = bench("fault touch never");
    let line = "onetap: the profile \"doug\" gives a session of an IAM user (GetSessionToken), and AWS lets only a role's into the \
                console; name a profile with role_arn, or sign in with the user's password and the code of `onetap code doug`\n";
    for arguments in
        [&["login", "doug"][..], &["login", "doug", "--url", "--region", "eu-west-2", "--service", "ec2"]]
    {
        let refused = bench.home.run(arguments);
        assert_eq!(refused, Said { status: 3, stdout: String::new(), stderr: line.into() });
    }
    assert_eq!((bench.home.touches(), bench.aws.count("GetSessionToken")), (0, 0));
}
