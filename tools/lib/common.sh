# SPDX-License-Identifier: BSD-2-Clause
# Shell functions that the scripts of tools/ share. Source it; it sets `root` to the repository's folder.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() {
    printf '%s\n' "$*"
}

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

is_debian_12() {
    [ -r /etc/os-release ] && (. /etc/os-release && [ "${ID:-}" = debian ] && [ "${VERSION_ID:-}" = 12 ])
}

# missing_packages PACKAGE...: those that dpkg does not know as installed.
missing_packages() {
    local package status
    for package in "$@"; do
        status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) || status=none
        [ "$status" = "install ok installed" ] || printf '%s ' "$package"
    done
}

# need_packages PACKAGE...: installs those that are missing, without a question; elsewhere than on Debian 12 as root it
# names them and ends the script. Asks the network nothing when all are there.
need_packages() {
    local missing
    if ! is_debian_12; then
        have_tools && return 0
        die "this installs Debian 12 packages; elsewhere, install the likes of these and set CLATTN_SKIP_INSTALL=1: $*"
    fi
    missing=$(missing_packages "$@")
    [ -z "$missing" ] && return 0
    [ "$(id -u)" = 0 ] || die "these packages are missing, and only root may install them: apt-get install $missing"
    say "installing: $missing"
    apt_quietly update || die "apt-get update failed (log above); needed: $missing"
    # shellcheck disable=SC2086 # one word a package
    apt_quietly install -y --no-install-recommends $missing || die "apt-get could not install: $missing"
}

# Shows apt's output only when it fails.
apt_quietly() {
    local log
    log=$(mktemp)
    if DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 "$@" >"$log" 2>&1 </dev/null; then
        rm -f "$log"
        return 0
    fi
    cat "$log" >&2
    rm -f "$log"
    return 1
}

# On a system without these packages' names, CLATTN_SKIP_INSTALL=1 says that the user has seen to everything.
have_tools() {
    [ "${CLATTN_SKIP_INSTALL:-0}" = 1 ]
}

# meson_build FOLDER OPTION...: configures once, again when the options changed, and builds.
meson_build() {
    local dir=$1 log="$1.log"
    shift
    mkdir -p "$(dirname "$dir")"
    if ! { [ -f "$dir/build.ninja" ] && [ "$(cat "$dir/clattn.options" 2>/dev/null)" = "$*" ]; }; then
        rm -rf "$dir"
        meson setup "$dir" "$root" "$@" >"$log" 2>&1 || { cat "$log" >&2; return 1; }
        printf '%s\n' "$*" >"$dir/clattn.options"
    fi
    ninja -C "$dir" >"$log" 2>&1 || { grep -v '^\[' "$log" >&2; return 1; }
}
