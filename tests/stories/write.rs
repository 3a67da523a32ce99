//! `onetap write`: a section of ours in somebody's credentials file, whatever that file looks like.
//!
//! Needs `strace`, `unshare`, `flock` and botocore in `$ONETAP_TEST_VENV`; a test whose part lacks fails and says which.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use aws_types::os_shim_internal::{Env, Fs};
use onetap::profiles::Profiles;
use onetap_support::aws::{Aws, User, World, policy};
use onetap_support::home::{Home, Said, python_tool, said};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const LIMIT: Duration = Duration::from_secs(60);
const MARK: &str = "# onetap owns this section: ";

struct Bench {
    aws: Aws,
    home: Home,
}

/// A home whose session is kept, so that each call costs no touch.
fn bench() -> Bench {
    let doug = User::doug().policy(policy::everything());
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    home.lend(".aws");
    assert_eq!(home.run(&["exec", "doug", "--", "true"]).status, 0);
    Bench { aws, home }
}

fn one_line(said: &Said, status: i32, words: &[&str]) {
    assert_eq!((said.status, said.stdout.as_str()), (status, ""), "{}", said.stderr);
    assert!(said.stderr.starts_with("onetap: ") && said.stderr.lines().count() == 1, "{}", said.stderr);
    for word in words {
        assert!(said.stderr.contains(word), "{word:?} lacks in {}", said.stderr);
    }
}

fn until(what: &str, reached: impl Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !reached() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What our section looked like before.
const OURS: &str = "[doug]\n# onetap owns this section: old words\naws_access_key_id = ASIAOLD\naws_secret_access_key = o\naws_session_token = l\n";

/// What becomes of a file.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    /// Refused with these words, and untouched.
    Refused(&'static str),
    /// Written, and read by botocore and by AWS's Rust parser.
    Written,
    /// Written, and read by the Rust parser; botocore could not read the file before either.
    WrittenForRust,
}
use Fate::{Refused, Written, WrittenForRust};

/// In front of our section, behind it (`None`: it is not there yet), and what happens.
const BODIES: [(&str, Option<&str>, Fate); 25] = [
    ("", None, Written),
    ("# only a comment\n", None, Written),
    ("; another\n\n\n", None, Written),
    ("\n", None, Written),
    ("[other]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = x+y/z=\n", None, Written),
    (
        "[default]\naws_access_key_id=AKIAD\naws_secret_access_key=s\n\n[b]\nregion = eu-west-1\n",
        None,
        Written,
    ),
    ("[other]\ns3 =\n  max_concurrent_requests = 20\n  addressing_style = path\n", None, Written),
    ("[other]\nregion\t=\teu-west-1   \n   \n", None, Written),
    ("# grüße 🔑\n[other]\n# [doug]\n;[doug]\nregion = eu-west-1\n", None, Written),
    ("[other]\nregion = eu-west-1 # [doug]\n", None, Written),
    ("[Doug]\nregion = eu-west-1\n[dougs]\nregion = eu-west-1\n", None, Written),
    ("[other]\n[third]\n", None, Written),
    ("[other]\nregion = a\n[other]\nregion = b\n", None, WrittenForRust),
    ("[other]\nregion = a\nregion = b\n", None, WrittenForRust),
    ("[profile doug]\nregion = eu-west-1\n", None, Written),
    ("[other]\nx = 1\n\n", Some("[third]\ny = 2\n"), Written),
    ("", Some("# mine\n[third]\ny = 2\n"), Written),
    ("[other]\nx = 1\n", Some("output = json\n[third]\ny = 2\n"), Written),
    ("[doug]\naws_access_key_id = AKIAMINE\naws_secret_access_key = s\n", None, Refused(":1 begins")),
    ("[other]\n[doug] # mine\nregion = eu-west-1\n", None, Refused(":2 begins")),
    ("[doug]\n\n# onetap owns this section: no longer\nx = 1\n", None, Refused(":1 begins")),
    ("[other]\n", Some("[doug]\nx = 1\n"), Refused(" begins")),
    ("region = eu-west-1\n[other]\n", None, Refused("credentials")),
    ("\u{feff}[other]\nregion = eu-west-1\n", None, Refused("credentials")),
    ("[other]\nregion\n", None, Refused("credentials")),
];

#[test]
fn of_two_hundred_files_each_keeps_every_byte_of_others_or_is_left_alone() {
    let bench = bench();
    let folder = tempfile::tempdir().unwrap();
    let mut read_by_botocore = Vec::new();
    let mut count = 0;
    for (head, tail, fate) in BODIES {
        for (crlf, ends) in [(false, true), (false, false), (true, true), (true, false)] {
            for kind in 0..2 {
                let text = |part: &str| if crlf { part.replace('\n', "\r\n") } else { part.to_owned() };
                let whole = [head, if tail.is_some() { OURS } else { "" }, tail.unwrap_or_default()].concat();
                let mut before = text(&whole);
                if !ends {
                    before.truncate(before.trim_end_matches(['\r', '\n']).len());
                }
                let (place, name) =
                    (folder.path().join(count.to_string()), format!("case {count} {before:?}"));
                fs::create_dir(&place).unwrap();
                count += 1;
                let (file, link) = (place.join("real"), place.join("credentials"));
                let mode = [0o600, 0o400, 0o640, 0o644][(count + kind) % 4];
                fs::write(if kind == 0 { &link } else { &file }, &before).unwrap();
                if kind == 1 {
                    symlink("real", &link).unwrap();
                }
                fs::set_permissions(&link, fs::Permissions::from_mode(mode)).unwrap();
                let inode = fs::metadata(&link).unwrap().ino();
                let run = |arguments: &[&str]| {
                    said(bench.home.onetap(arguments).env("AWS_SHARED_CREDENTIALS_FILE", &link))
                };
                let answer = run(&["write", "doug"]);
                let after = fs::read_to_string(&link).unwrap();
                assert_eq!(fs::symlink_metadata(&link).unwrap().is_symlink(), kind == 1, "{name}");
                assert_eq!(fs::metadata(&link).unwrap().permissions().mode() & 0o777, mode, "{name}");
                assert_eq!(fs::read_dir(&place).unwrap().count(), kind + 1, "{name}: a file was left behind");
                if let Refused(words) = fate {
                    let words =
                        words.strip_prefix(':').map_or(words.to_owned(), |rest| format!("line {rest}"));
                    one_line(&answer, 3, &[&words]);
                    assert_eq!((after, fs::metadata(&link).unwrap().ino()), (before, inode), "{name}");
                    continue;
                }
                assert_eq!(answer.status, 0, "{name}: {}", answer.stderr);
                assert_eq!(answer.stderr.is_empty(), mode & 0o044 == 0, "{name}: {}", answer.stderr);
                let (head, tail) = match tail {
                    None => (before.clone(), String::new()),
                    Some(tail) => {
                        let tail = text(tail);
                        let tail = if ends { &tail } else { tail.trim_end_matches(['\r', '\n']) };
                        (text(head), tail.to_owned())
                    }
                };
                assert!(after.starts_with(&head) && after.ends_with(&tail), "{name}: {after:?}");
                let ours = after[head.len()..after.len() - tail.len()].replace("\r\n", "\n");
                let ours = ours.trim_start_matches('\n').lines().collect::<Vec<_>>();
                assert_eq!((ours[0], ours.len()), ("[doug]", 5), "{name}: {after:?}");
                assert!(
                    ours[1].starts_with(MARK) && ours[2].starts_with("aws_access_key_id = ASIA"),
                    "{ours:?}"
                );
                assert!(
                    !crlf
                        || before.is_empty()
                        || !before.contains('\n')
                        || !after.replace("\r\n", "").contains('\n'),
                    "{name}"
                );
                assert_eq!(after.ends_with('\n'), before.is_empty() || before.ends_with('\n'), "{name}");

                let again = run(&["write", "doug"]);
                assert_eq!((again.status, fs::read_to_string(&link).unwrap()), (0, after.clone()), "{name}");
                let paths = [("HOME", "/absent"), ("AWS_SHARED_CREDENTIALS_FILE", link.to_str().unwrap())];
                let profiles = Profiles::load(&Env::from_slice(&paths), &Fs::real()).unwrap();
                let id = profiles.profile("doug").and_then(|doug| doug.value("aws_access_key_id")).unwrap();
                assert!(id.starts_with("ASIA") && id != "ASIAOLD", "{name}");
                if fate == Written {
                    let copy = place.with_extension("written");
                    fs::write(&copy, &after).unwrap();
                    read_by_botocore.push(copy);
                }
                let removed = run(&["write", "doug", "--remove"]);
                if tail.contains("output = json") {
                    one_line(&removed, 3, &["is somebody else's; move it into a section of its own\n"]);
                    assert_eq!(fs::read_to_string(&link).unwrap(), after, "{name}");
                } else {
                    assert_eq!(removed.status, 0, "{name}: {}", removed.stderr);
                    let left = fs::read_to_string(&link).unwrap();
                    // A blank line in front of a section of ours goes with it.
                    let head = if tail.is_empty() {
                        head
                    } else {
                        head.replacen("\n\r\n", "\n", 1).replacen("\n\n", "\n", 1)
                    };
                    assert_eq!(left, head + &tail, "{name}");
                    assert!(run(&["write", "doug", "--remove"]).stdout.starts_with("There is no [doug]"));
                }
            }
        }
    }
    assert_eq!(count, 200);
    let script = "import sys, botocore.configloader as c\n\
                  for f in sys.argv[1:]: print(c.raw_config_parse(f)['doug']['aws_access_key_id'][:4])";
    let mut python = bench.home.program(python_tool("python"));
    let read = said(python.args(["-c", script]).args(&read_by_botocore));
    assert_eq!((read.status, read.stdout), (0, "ASIA\n".repeat(read_by_botocore.len())), "{}", read.stderr);
    assert!(read_by_botocore.len() > 100);
    assert_eq!((bench.home.touches(), bench.aws.count("GetSessionToken")), (1, 1));
}

#[test]
fn boto3_uses_the_written_profile_with_its_region_and_another_name() {
    let bench = bench();
    let written = bench.home.run(&["write", "doug", "--as", "plain"]);
    assert_eq!((written.status, written.stderr.as_str()), (0, ""));
    assert!(written.stdout.starts_with("Wrote [plain] in ") && written.stdout.contains("; it ends at 20"));
    let text = bench.home.read(".aws/credentials");
    assert!(
        text.contains("write doug --as plain --remove") && text.ends_with("region = eu-west-1\n"),
        "{text}"
    );
    assert_eq!(
        fs::metadata(bench.home.path(".aws/credentials")).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let script = "import boto3; s = boto3.Session(profile_name='plain'); \
                  print(s.region_name, s.client('sts').get_caller_identity()['Arn'])";
    let mut python = bench.home.program(python_tool("python"));
    let answer = said(python.args(["-c", script]));
    assert_eq!(answer.stdout, "eu-west-1 arn:aws:iam::123456789012:user/doug\n", "{}", answer.stderr);
    assert_eq!(bench.home.run(&["exec", "doug", "--", "true"]).status, 0, "our own profile is as it was");
    assert_eq!(bench.home.touches(), 1);
}

#[test]
fn a_refusal_comes_before_the_touch() {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let home = Home::of_doug(BINARY, &aws, &doug, "");
    home.lend(".aws");
    home.private(".aws/credentials", "[mine]\nregion = eu-west-1\n");
    one_line(
        &home.run(&["write", "doug", "--as", "mine"]),
        3,
        &[
            "line 1 begins a section of this name that onetap did not write; choose another name with --as, or remove that section\n",
        ],
    );
    one_line(&home.run(&["write", "doug", "--as", "a b"]), 3, &["cannot be the name of a section"]);
    home.private(".aws/credentials", "[mine]\nregion = eu-west-1\n");
    fs::write(home.path(".aws/credentials"), b"[x]\ny = \xff\n").unwrap();
    one_line(&home.run(&["write", "doug"]), 3, &["it is not UTF-8"]);
    assert_eq!(fs::read(home.path(".aws/credentials")).unwrap(), b"[x]\ny = \xff\n");
    assert_eq!((home.touches(), aws.count("GetSessionToken")), (0, 0));
}

#[test]
fn an_editor_that_saves_meanwhile_loses_nothing() {
    let bench = bench();
    let file = bench.home.private(".aws/credentials", "[a]\nx = 1\n");
    // The temporary file waits for its fsync, long enough for an editor.
    let mut strace = bench.home.program("strace");
    strace.args([
        "-f",
        "-o",
        "/dev/null",
        "-e",
        "trace=fsync",
        "-e",
        "inject=fsync:delay_enter=1500000:when=1",
    ]);
    let child = strace.arg(BINARY).args(["write", "doug"]).stderr(Stdio::piped()).spawn();
    let child = child.expect("strace is not installed; tests/run installs it");
    let temporary = || {
        let found = fs::read_dir(bench.home.path(".aws")).unwrap().flatten();
        found.filter(|entry| entry.file_name().to_string_lossy().starts_with(".onetap-")).count() == 1
    };
    until("the temporary file is there", temporary);
    fs::write(&file, "[a]\nx = 2\n[b]\n").unwrap();
    let answer = Said::from(child.wait_with_output().unwrap());
    assert_eq!(answer.status, 0, "{}", answer.stderr);
    let after = fs::read_to_string(&file).unwrap();
    assert!(after.starts_with("[a]\nx = 2\n[b]\n\n[doug]\n"), "{after}");
}

#[test]
fn twenty_writers_at_once_all_find_their_place() {
    let bench = bench();
    bench.home.private(".aws/credentials", "[a]\nx = 1");
    let names = (0..20).map(|number| format!("n{number}")).collect::<Vec<_>>();
    let spawn = |name: &String| {
        bench.home.onetap(&["write", "doug", "--as", name]).stdout(Stdio::null()).spawn().unwrap()
    };
    for mut child in names.iter().map(spawn).collect::<Vec<_>>() {
        assert!(child.wait().unwrap().success());
    }
    let after = bench.home.read(".aws/credentials");
    assert!(after.starts_with("[a]\nx = 1\n"), "{after}");
    assert_eq!(after.matches(MARK).count(), 20);
    for name in &names {
        assert_eq!(bench.home.run(&["write", "doug", "--as", name, "--remove"]).status, 0);
    }
    assert_eq!(bench.home.read(".aws/credentials"), "[a]\nx = 1");
}

#[test]
fn the_wait_for_another_writer_ends() {
    let bench = bench();
    let lock = bench.home.path(".local/state/onetap/config.lock");
    let mut holder = std::process::Command::new("flock");
    let holder = holder.arg(&lock).args(["sh", "-c", "echo held; read x"]);
    let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("flock lacks");
    std::io::Read::read_exact(&mut holder.stdout.take().unwrap(), &mut [0; 5]).unwrap();
    one_line(&bench.home.run(&["write", "doug"]), 3, &["another onetap is writing it"]);
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert!(!bench.home.path(".aws/credentials").exists());
    assert_eq!(bench.home.run(&["write", "doug"]).status, 0);
}

#[test]
fn killed_at_any_step_the_file_is_the_old_or_the_new_one() {
    let bench = bench();
    let before = "[a]\nx = 1\n";
    let calls = "openat,write,fchmod,fchown,fsync,rename,renameat,renameat2,unlink,flock,mkdir";
    let (mut old, mut new) = (0, 0);
    for step in 1.. {
        assert!(step < 400, "it never came to its end");
        let file = bench.home.private(".aws/credentials", before);
        let mut strace = bench.home.program("strace");
        strace.args(["-f", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
        strace.args(["-e", &format!("inject={calls}:signal=KILL:when={step}")]);
        let answer = said(strace.arg(BINARY).args(["write", "doug"]));
        let after = fs::read_to_string(&file).unwrap();
        match after.strip_prefix(before).unwrap() {
            "" => old += 1,
            ours => {
                assert!(
                    ours.starts_with("\n[doug]\n") && ours.ends_with('\n') && ours.lines().count() == 6,
                    "{ours}"
                );
                new += 1;
            }
        }
        if answer.status == 0 {
            break;
        }
        assert_eq!(answer.status, 128 + 9, "{}", answer.stderr);
    }
    assert!(old > 5 && new >= 2, "{old} {new}");
    // What the killed ones left is for the owner only, and goes once it is old.
    let left = fs::read_dir(bench.home.path(".aws")).unwrap().flatten();
    let left = left.filter(|entry| entry.file_name().to_string_lossy().starts_with(".onetap-"));
    let left = left.map(|entry| entry.path()).collect::<Vec<_>>();
    assert!(!left.is_empty());
    for file in &left {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o077, 0, "{}", file.display());
        let aged = said(bench.home.program("touch").args(["-d", "-2 minutes"]).arg(file));
        assert_eq!(aged.status, 0, "{}", aged.stderr);
    }
    assert_eq!(bench.home.run(&["write", "doug", "--as", "again"]).status, 0);
    assert!(left.iter().all(|file| !file.exists()));
}

/// Runs `onetap write doug` in a mount namespace of its own, after `script` was run there.
fn where_mounted(home: &Home, script: &str) -> Said {
    let own = fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut command = home.program("unshare");
    command.arg(if own { "--mount" } else { "--map-root-user" });
    let script = format!(
        "{script}\n\"$@\"; s=$?; cat \"$AWS_SHARED_CREDENTIALS_FILE\"; ls -A \"$HOME/small\"; exit $s"
    );
    said(command.args(["--mount", "sh", "-ec", &script, "sh", BINARY, "write", "doug"]))
}

#[test]
fn a_full_disk_and_a_read_only_folder_leave_the_file_as_it_was() {
    let bench = bench();
    let small = "mkdir -p \"$HOME/small\"; mount -t tmpfs -o size=8k,mode=700 none \"$HOME/small\"\n\
                 export AWS_SHARED_CREDENTIALS_FILE=\"$HOME/small/credentials\"\n\
                 printf '[a]\\nx = 1\\n' > \"$AWS_SHARED_CREDENTIALS_FILE\"\n";
    let full = "dd if=/dev/zero of=\"$HOME/small/ballast\" bs=4k 2>/dev/null || true; set +e";
    let read_only = "mount -o remount,ro \"$HOME/small\"; set +e";
    for (script, words, left) in [
        (full, "No space left on device", "ballast\ncredentials\n"),
        (read_only, "Read-only file system", "credentials\n"),
    ] {
        let answer = where_mounted(&bench.home, &format!("{small}{script}"));
        assert_eq!((answer.status, answer.stdout), (3, format!("[a]\nx = 1\n{left}")), "{}", answer.stderr);
        assert!(answer.stderr.contains(words) && answer.stderr.lines().count() == 1, "{}", answer.stderr);
    }
}

fn watcher(home: &Home) -> std::process::Child {
    let mut command = home.onetap(&["write", "doug", "--watch"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn id_in(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    Some(text.lines().find_map(|line| line.strip_prefix("aws_access_key_id = "))?.to_owned())
}

#[test]
fn a_watched_section_is_renewed_before_its_end_with_one_touch_and_ends_politely() {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    aws.shorten_sessions(Duration::from_secs(6));
    let home = Home::of_doug(BINARY, &aws, &doug, "fault touch-after 300");
    home.lend(".aws");
    let file = home.path(".aws/credentials");
    let child = watcher(&home);
    until("the first session stands there", || id_in(&file).is_some());
    let first = id_in(&file).unwrap();
    until("the second one does", || id_in(&file).is_some_and(|id| id != first));
    assert_eq!((home.touches(), aws.count("GetSessionToken")), (2, 2));
    let pid = child.id().to_string(); // setsid becomes it
    assert_eq!(said(home.program("kill").args(["-TERM", &pid])).status, 0);
    let answer = Said::from(child.wait_with_output().unwrap());
    assert_eq!(answer.status, 0, "{}", answer.stderr);
    let lines = answer.stdout.lines().collect::<Vec<_>>();
    assert!(
        lines[0].starts_with("Wrote [doug] in ") && lines[0].ends_with("; Ctrl-C ends the watch."),
        "{lines:?}"
    );
    assert!(
        lines[1].starts_with("[doug] in ")
            && lines[1].contains(" stays until you remove it; its session ends at 20")
    );
    assert_eq!(answer.stderr.matches("Touch your YubiKey").count(), 2, "{}", answer.stderr);
    assert!(id_in(&file).is_some());
}

#[test]
fn a_watch_that_waits_costs_nothing_and_ctrl_c_ends_it() {
    let bench = bench();
    let child = watcher(&bench.home);
    until("the section stands there", || id_in(&bench.home.path(".aws/credentials")).is_some());
    let pid = child.id().to_string(); // setsid becomes it
    // Strace sees every call; what a timer does in three seconds is none.
    let mut strace = bench.home.program("timeout");
    let log = bench.home.path("calls");
    strace.args(["-s", "INT", "3", "strace", "-f", "-q", "-o"]).arg(&log).args(["-p", &pid]);
    let _ = said(&mut strace);
    let calls = fs::read_to_string(&log).unwrap();
    let calls = calls.lines().filter(|line| !line.contains("detached")).count();
    assert!(calls <= 12, "{calls} calls in three seconds");
    assert_eq!(said(bench.home.program("kill").args(["-INT", &pid])).status, 0);
    let answer = Said::from(child.wait_with_output().unwrap());
    assert_eq!((answer.status, answer.stderr.as_str()), (0, ""));
    assert!(answer.stdout.contains("stays until you remove it"), "{}", answer.stdout);
}
