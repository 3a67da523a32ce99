# What a machine needs before onetap's tests and checks can run. Sourced by tests/run and .ci/run, in the project's
# top folder; changes nothing but Debian packages and target/.
# shellcheck shell=bash

# Says one line about the work.
say() {
    printf '== %s\n' "$*" >&2
}

# Says what lacks, and ends.
give_up() {
    printf '%s\n' "$@" >&2
    exit 1
}

# The Rust that Cargo.toml asks for, before a compiler's own complaint fills the screen.
need_rust() {
    local wanted found
    wanted=$(sed -n 's/^rust-version = "\([^"]*\)".*/\1/p' Cargo.toml)
    if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then
        give_up "onetap needs Rust ${wanted} or newer, and there is none. See https://rustup.rs"
    fi
    found=$(rustc --version | sed 's/^rustc \([0-9.]*\).*/\1/')
    if [[ $(printf '%s\n' "${wanted}" "${found}" | sort -V | head -n 1) != "${wanted}" ]]; then
        give_up "onetap needs Rust ${wanted} or newer; this is ${found}. With rustup: rustup update stable"
    fi
}

# Installs the Debian packages that lack: as root, or by sudo if it may ask or need not. Otherwise prints the line to
# type and ends.
need_packages() {
    local package lacking=() apt=(env DEBIAN_FRONTEND=noninteractive apt-get)
    local install=(install --yes --no-install-recommends)
    if ! command -v dpkg-query >/dev/null; then
        say "this is no Debian: the tests expect what these packages hold: $*"
        return
    fi
    for package in "$@"; do
        if [[ $(dpkg-query --show --showformat '${db:Status-Status}' "${package}" 2>/dev/null) != installed ]]; then
            lacking+=("${package}")
        fi
    done
    if ((${#lacking[@]} == 0)); then
        return
    fi
    if ((EUID != 0)); then
        if ! command -v sudo >/dev/null || { ! sudo -n true 2>/dev/null && ! may_ask; }; then
            give_up "These Debian packages lack. Type this, and then start again:" \
                "  sudo apt-get ${install[*]} ${lacking[*]}"
        fi
        apt=(sudo "${apt[@]}")
    fi
    say "installing ${lacking[*]}"
    if ! "${apt[@]}" "${install[@]}" "${lacking[@]}" </dev/null >&2; then
        say "once more, with fresh lists of packages"
        "${apt[@]}" update </dev/null >&2 || true
        "${apt[@]}" "${install[@]}" "${lacking[@]}" </dev/null >&2 ||
            give_up "These Debian packages could not be installed: ${lacking[*]}"
    fi
}

# Whether there is a person at a terminal who can be asked for a password.
may_ask() {
    [[ -z ${CI-} && -t 0 && -t 2 ]]
}

# The Python programs of the stories, in target/venv. Exports ONETAP_TEST_VENV.
need_python_programs() {
    ONETAP_TEST_VENV=${PWD}/target/venv
    export ONETAP_TEST_VENV
    python_environment "${ONETAP_TEST_VENV}" "the AWS CLI, boto3, Yubico's client and moto" \
        --requirement tests/requirements.txt
}

# The JavaScript SDK and Nushell (on x86-64), in target/node. A machine that has npm from elsewhere than Debian keeps it.
need_node_programs() {
    local stamp node=${PWD}/target/node
    if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
        need_packages nodejs npm
    fi
    stamp="$(node --version) $(sha256sum tests/node/package-lock.json)"
    if [[ $(cat "${node}/stamp" 2>/dev/null) == "${stamp}" ]]; then
        return
    fi
    say "installing the AWS SDK for JavaScript and Nushell in target/node"
    rm -rf "${node}"
    mkdir -p "${node}"
    cp tests/node/package.json tests/node/package-lock.json "${node}"
    (cd "${node}" && npm ci --silent --no-audit --no-fund </dev/null >&2) ||
        give_up "The AWS SDK for JavaScript and Nushell could not be installed; npm says why above."
    printf '%s\n' "${stamp}" >"${node}/stamp"
}

# The AWS CLI alone, in target/aws, at the version that the stories run. Exports AWS_PYTHON: with "-m awscli" it is the CLI.
need_aws_cli() {
    local version
    version=$(sed -n 's/^awscli==//p' tests/requirements.txt)
    AWS_PYTHON=${PWD}/target/aws/bin/python
    export AWS_PYTHON
    python_environment "${PWD}/target/aws" "the AWS CLI ${version}" "awscli==${version}"
}

# A Python environment of the project's own: its folder, what is in it, and pip's words for that. Made again whenever
# those or tests/requirements.txt change.
python_environment() {
    local venv=$1 what=$2 stamp python
    shift 2
    stamp="$* $(sha256sum tests/requirements.txt)"
    if [[ $(cat "${venv}/stamp" 2>/dev/null) == "${stamp}" ]] && "${venv}/bin/python" -c '' 2>/dev/null; then
        return
    fi
    for python in /usr/bin/python3 python3; do
        if "${python}" -c 'import ensurepip, venv' 2>/dev/null; then
            say "installing ${what} in ${venv#"${PWD}/"}"
            rm -rf "${venv}"
            "${python}" -m venv "${venv}"
            # pip is asked through Python, since a script's first line cannot name a path with a blank.
            "${venv}/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@" </dev/null >&2 ||
                give_up "Python's packages could not be installed; pip says why above."
            printf '%s\n' "${stamp}" >"${venv}/stamp"
            return
        fi
    done
    give_up "There is no Python 3 with its venv module. On Debian: apt-get install python3-venv"
}

# Forgets what this machine's environment says to AWS's tools, to onetap and about proxies: the tests talk to this
# machine only.
forget_environment() {
    local name
    for name in $(compgen -e); do
        case ${name} in
            ONETAP_TEST_VENV | ONETAP_TEST_ALL) ;;
            AWS_* | ONETAP_* | [Hh][Tt][Tt][Pp]_[Pp][Rr][Oo][Xx][Yy] | [Hh][Tt][Tt][Pp][Ss]_[Pp][Rr][Oo][Xx][Yy] | \
                [Aa][Ll][Ll]_[Pp][Rr][Oo][Xx][Yy] | [Nn][Oo]_[Pp][Rr][Oo][Xx][Yy]) unset "${name}" ;;
            *) ;;
        esac
    done
}
