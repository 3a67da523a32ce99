//! The subshell of `onetap exec PROFILE` in real shells, with the rc files that Debian gives a new person.

use std::fs;
use std::path::Path;
use std::time::Duration;

use onetap::commands::exec::subshell::subshell;
use onetap_support::aws::{Aws, User, World, policy};
use onetap_support::home::Home;
use onetap_support::pty::{Start, Terminal};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");

const LIMIT: Duration = Duration::from_secs(30);

/// Names that no shell may expand; each would leave a file `pwned` in the home, or show something else.
const HOSTILE: [&str; 10] = [
    "a b",
    "it's",
    r#"say "hi""#,
    "$(touch pwned)",
    "`touch pwned`",
    "${HOME}; touch pwned #",
    r"back\slash \u \w \[",
    "100% %n %~ %F{red} %(?.a.b)",
    "bang!! !$",
    "(star*) ~ {a,b} \\$(touch pwned)",
];

struct Person {
    home: tempfile::TempDir,
    shell: &'static str,
    /// The variables that the person's login set beside the usual ones.
    env: Vec<(&'static str, String)>,
}

impl Person {
    /// A person with what `useradd --create-home` copies. Fails where the shell is not installed.
    fn with(shell: &'static str) -> Self {
        assert!(Path::new(shell).exists(), "{shell} is not installed; tests/run installs it");
        let home = tempfile::tempdir().unwrap();
        for entry in fs::read_dir("/etc/skel").unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), home.path().join(entry.file_name())).unwrap();
            }
        }
        Self { home, shell, env: vec![] }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.home.path().join(name)
    }

    /// Adds lines to one of the person's files.
    fn adds(&self, file: &str, lines: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let before = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, before + lines).unwrap();
    }

    /// A file of the person's, or nothing.
    fn reads(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap_or_default()
    }

    fn enters(&self, profile: &str) -> Terminal {
        let zdotdir = self.env.iter().find(|(name, _)| *name == "ZDOTDIR").map(|(_, value)| value.as_ref());
        let shell = subshell(Some(self.shell.as_ref()), zdotdir, profile, &self.path("cache dir/it's"));
        assert!(shell.unnamed.is_none());
        Start::new(shell.program)
            .args(shell.args)
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("TERM", "xterm-256color")
            .env("LC_ALL", "C.UTF-8")
            .env("LS_COLORS", "")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .envs(shell.env)
            .folder(self.home.path())
            .spawn()
            .unwrap()
    }

    /// Enters, looks at two prompts, leaves.
    fn sees(&self, prompt: &str, profile: &str) {
        let mut terminal = self.enters(profile);
        for _ in 0..2 {
            terminal.wait_for(prompt, LIMIT).unwrap();
            terminal.send(":\r").unwrap();
        }
        terminal.wait_for(prompt, LIMIT).unwrap();
        self.leaves(terminal);
    }

    fn leaves(&self, terminal: Terminal) {
        terminal.send("exit 7\r").unwrap();
        let finished = terminal.finish(LIMIT).unwrap();
        assert_eq!(finished.status.code(), Some(7), "{}", finished.terminal);
        assert!(!self.path("pwned").exists(), "a profile's name was run: {}", finished.terminal);
        assert!(!finished.terminal.contains("(onetap (onetap"), "{}", finished.terminal);
    }
}

#[test]
fn bash_names_the_profile_before_debians_prompt_and_reads_the_persons_rc_once() {
    let person = Person::with("/bin/bash");
    person.adds(".bashrc", "echo bashrc >> ~/ran\nalias hi='echo aliased'\n");
    let mut terminal = person.enters("doug");
    let prompt = terminal.wait_for(":~", LIMIT).unwrap();
    assert!(prompt.starts_with("(onetap doug) ") && prompt.contains('@'), "{prompt:?}");
    terminal.send("hi; echo $ONETAP_PROFILE. $HISTFILE. $PPID\r").unwrap();
    terminal.wait_for("aliased\ndoug. ", LIMIT).unwrap();
    terminal.wait_for(&format!("{}. ", person.path(".bash_history").display()), LIMIT).unwrap();
    terminal.wait_for("(onetap doug) ", LIMIT).unwrap();
    person.leaves(terminal);
    assert_eq!(person.reads("ran"), "bashrc\n");
}

#[test]
fn bash_names_the_profile_where_the_person_writes_ps1_before_each_prompt() {
    for command in ["PROMPT_COMMAND='PS1=\"[$?]mine> \"; '", "PROMPT_COMMAND=(true 'PS1=\"[$?]mine> \"')"] {
        let person = Person::with("/bin/bash");
        person.adds(".bashrc", &format!("set -u\n{command}\n"));
        let mut terminal = person.enters("doug");
        terminal.wait_for("(onetap doug) [0]mine> ", LIMIT).unwrap();
        terminal.send("(exit 5)\r").unwrap();
        terminal.wait_for("(onetap doug) [5]mine> ", LIMIT).unwrap();
        person.leaves(terminal);
    }
}

#[test]
fn bash_shows_a_hostile_name_as_it_is() {
    for name in HOSTILE {
        for options in ["", "shopt -u promptvars\n"] {
            let person = Person::with("/bin/bash");
            person.adds(".bashrc", options);
            person.adds(".bashrc", "PS1='mine> '\n");
            person.sees(&format!("(onetap {name}) mine> "), name);
        }
    }
}

#[test]
fn zsh_names_the_profile_before_debians_prompt_and_reads_the_persons_files_once() {
    let person = Person::with("/usr/bin/zsh");
    person.adds(".zshenv", "echo zshenv $ZDOTDIR. >> ~/ran\n");
    person.adds(".zshrc", "echo zshrc $ZDOTDIR. >> ~/ran\nalias hi='echo aliased'\nsetopt nounset\n");
    let mut terminal = person.enters("doug");
    terminal.wait_for("(onetap doug) ", LIMIT).unwrap();
    terminal
        .send("hi; echo $ONETAP_PROFILE. ${ZDOTDIR-none}. ${(k)parameters[(I)ONETAP_Z*|__onetap_[sz]*]}.\r")
        .unwrap();
    terminal.wait_for("aliased\ndoug. none. .\n", LIMIT).unwrap();
    terminal.wait_for("(onetap doug) ", LIMIT).unwrap();
    person.leaves(terminal);
    assert_eq!(person.reads("ran"), "zshenv .\nzshrc .\n");
}

#[test]
fn zsh_finds_its_files_where_the_person_moved_them() {
    // By the environment, and by .zshenv itself.
    for moved_by_environment in [true, false] {
        let mut person = Person::with("/usr/bin/zsh");
        let folder = person.path("my zsh").display().to_string();
        if moved_by_environment {
            person.env.push(("ZDOTDIR", folder.clone()));
            person.adds("my zsh/.zshenv", "echo zshenv >> ~/ran\n");
        } else {
            person.adds(".zshenv", "echo zshenv >> ~/ran\nexport ZDOTDIR=~/'my zsh'\n");
        }
        person.adds(".zshrc", "echo wrong >> ~/ran\n");
        person.adds(
            "my zsh/.zshrc",
            "echo zshrc >> ~/ran\nHISTFILE=${ZDOTDIR:-$HOME}/history\nPROMPT='mine> '\n",
        );
        let mut terminal = person.enters("doug");
        terminal.wait_for("(onetap doug) mine> ", LIMIT).unwrap();
        terminal.send("echo $HISTFILE. $(printenv ZDOTDIR).\r").unwrap();
        terminal.wait_for(&format!("{folder}/history. {folder}.\n"), LIMIT).unwrap();
        person.leaves(terminal);
        assert_eq!(person.reads("ran"), "zshenv\nzshrc\n");
        let mut names: Vec<_> = fs::read_dir(person.path("cache dir/it's/zsh"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, [".zshenv", ".zshrc"], "nothing of the person's is kept with ours");
    }
}

#[test]
fn zsh_names_the_profile_where_a_theme_writes_the_prompt_before_each() {
    let person = Person::with("/usr/bin/zsh");
    person.adds(
        ".zshrc",
        "autoload -Uz add-zsh-hook\ntheme() { PROMPT=\"[$?]mine> \"; }\nadd-zsh-hook precmd theme\n",
    );
    let mut terminal = person.enters("doug");
    terminal.wait_for("(onetap doug) [0]mine> ", LIMIT).unwrap();
    terminal.send("(exit 5)\r").unwrap();
    terminal.wait_for("(onetap doug) [5]mine> ", LIMIT).unwrap();
    person.leaves(terminal);
}

#[test]
fn zsh_shows_a_hostile_name_as_it_is() {
    for name in HOSTILE {
        for options in [
            "",
            "setopt prompt_subst\n",
            "setopt prompt_subst prompt_bang ksh_arrays sh_word_split extended_glob\n",
        ] {
            let person = Person::with("/usr/bin/zsh");
            person.adds(".zshrc", options);
            person.adds(".zshrc", "PROMPT='mine> '\n");
            person.sees(&format!("(onetap {name}) mine> "), name);
        }
    }
}

#[test]
fn fish_names_the_profile_before_its_own_prompt_and_reads_the_persons_config_once() {
    let person = Person::with("/usr/bin/fish");
    person.adds(".config/fish/config.fish", "echo config >> ~/ran\nalias hi 'echo aliased'\n");
    let mut terminal = person.enters("doug");
    let prompt = terminal.wait_for("~", LIMIT).unwrap();
    assert!(prompt.contains("(onetap doug) ") && prompt.contains('@'), "{prompt:?}");
    terminal.send("hi; echo $ONETAP_PROFILE.; false | true | false\r").unwrap();
    terminal.wait_for("aliased\ndoug.\n", LIMIT).unwrap();
    // Fish's own prompt shows how each part of the pipe ended: ours took nothing away.
    terminal.wait_for("(onetap doug) ", LIMIT).unwrap();
    terminal.wait_for("[1|0|1]", LIMIT).unwrap();
    person.leaves(terminal);
    assert_eq!(person.reads("ran"), "config\n");
}

#[test]
fn fish_shows_a_hostile_name_as_it_is() {
    for name in HOSTILE {
        let person = Person::with("/usr/bin/fish");
        person.adds(".config/fish/config.fish", "function fish_prompt\n  echo -n 'mine> '\nend\n");
        person.sees(&format!("(onetap {name}) mine> "), name);
    }
}

#[test]
fn dash_names_the_profile_and_reads_the_persons_env_file_once() {
    let mut person = Person::with("/bin/dash");
    person.env.push(("ENV", person.path("shrc").display().to_string()));
    person.adds("shrc", "echo shrc >> ~/ran\n");
    for (times, name) in (1..).zip(HOSTILE.iter().chain(&["doug"])) {
        person.sees(&format!("(onetap {name}) $ "), name);
        assert_eq!(person.reads("ran"), "shrc\n".repeat(times));
    }
}

#[test]
fn a_name_cannot_steer_the_terminal() {
    for shell in ["/bin/bash", "/usr/bin/zsh", "/usr/bin/fish"] {
        let person = Person::with(shell);
        person.sees("(onetap a?[2Jb?c) ", "a\x1b[2Jb\x07c");
    }
}

#[test]
fn exec_becomes_the_persons_shell_which_knows_what_it_is() {
    let doug = User::doug().policy(policy::everything());
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::of_doug(BINARY, &aws, &doug, "fault touch-after 400");
    home.set("SHELL", "/bin/bash");
    home.set("TERM", "xterm-256color");
    fs::copy("/etc/skel/.bashrc", home.path(".bashrc")).unwrap();

    let start = Start::new(home.binary()).args(["exec", "doug"]).env_clear().envs(home.env());
    let mut terminal = start.folder(home.path("")).spawn().unwrap();
    terminal.wait_for("Touch your YubiKey for arn:aws:iam::123456789012:mfa/doug", LIMIT).unwrap();
    terminal.wait_for("(onetap doug) ", LIMIT).unwrap();
    terminal.send("echo \"$ONETAP_PROFILE ${AWS_ACCESS_KEY_ID:0:4} $$\"\r").unwrap();
    // The shell has the number that onetap was started with.
    terminal.wait_for(&format!("doug ASIA {}\n", terminal.pid()), LIMIT).unwrap();
    terminal.wait_for("(onetap doug) ", LIMIT).unwrap();
    terminal.send("exit 7\r").unwrap();
    assert_eq!(terminal.finish(LIMIT).unwrap().status.code(), Some(7));
    assert_eq!((home.touches(), aws.count("GetSessionToken")), (1, 1));
}
