#!/usr/bin/env bash
# Installs gpunode on this host as a service of the system, from this copy of the project; run it as root. Harmless
# twice: what is there stays, and an unchanged version is not installed again. A newer copy's install.sh is the upgrade.
#
#     bash deploy/install.sh              install or upgrade
#     bash deploy/install.sh --check      only say what this host lacks
#     bash deploy/install.sh --rollback   go back to the version before
#     bash deploy/install.sh --uninstall  remove the program; settings, wallets, journal and user stay
#     bash deploy/install.sh --purge      remove those as well; wallets are moved aside, never deleted
#
#   --prefix DIR   where versions are put (default /opt/gpunode)
#   --root DIR     install below DIR, for images and packages: no users are made, and no service unless DIR runs systemd
#   --dry-run      say what would be done, and do nothing
#   --force        go on although something is missing, or a job is open
#   GPUNODE_PYTHON the Python to use (default: python3.11 or newer of this host)
#
# It asks no package source but the one pip is set up for, and adds none. What it needs of the distribution it names.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
umask 022
export PATH="$PATH:/usr/sbin:/sbin"

prefix=/opt/gpunode root="" action=install dry="" force=""
user=gpunode group=gpunode

say() { printf 'install: %s\n' "$*" >&2; }

fail() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

usage() {
    sed -n '2,18s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit "$1"
}

while [ $# -gt 0 ]; do
    case "$1" in
        --check | --rollback | --uninstall | --purge) action="${1#--}" ;;
        --prefix | --root)
            [ $# -gt 1 ] && [ "${2#/}" != "$2" ] || fail "$1 needs an absolute folder" "bash deploy/install.sh --help"
            [ "$1" = --prefix ] && prefix="${2%/}" || root="${2%/}"
            shift
            ;;
        --dry-run) dry=yes ;;
        --force) force=yes ;;
        -h | --help) usage 0 ;;
        *)
            printf 'error: %s is not known\nhint: bash deploy/install.sh --help\n' "$1" >&2
            exit 2
            ;;
    esac
    shift
done
[ -n "$prefix" ] || fail "the prefix cannot be /" "name a folder of its own"

versions="$root$prefix"
settings="$root/etc/gpunode"
data="$root/var/lib/gpunode"
units="$root/etc/systemd/system"
link="$root/usr/local/bin/gpunode"

# Changes something, or only says so.
change() {
    if [ -n "$dry" ]; then
        say "would: $*"
    else
        "$@"
    fi
}

has_systemd() { [ -d "$root/run/systemd/system" ]; }
is_running() { has_systemd && systemctl is-active --quiet gpunode.service; }

# --- What this host has ---------------------------------------------------------------------------------------------

lacking=()

lacks() {
    lacking+=("$1")
    printf '  ✘ %s\n      → %s\n' "$1" "$2" >&2
}

has() { printf '  ✔ %s\n' "$1" >&2; }
notes() { printf '  – %s\n' "$1" >&2; }

distribution() { (. /etc/os-release 2>/dev/null && printf '%s %s' "${ID:-unknown}" "${VERSION_ID:-}") || printf unknown; }

find_python() {
    local candidate
    for candidate in "${GPUNODE_PYTHON:-}" /usr/bin/python3.11 python3.11 python3.12 python3.13 python3; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# Prints the command that installs packages: their names on Debian and Ubuntu, then on Fedora.
packages() {
    case "$(distribution)" in
        debian* | ubuntu*) printf 'sudo apt-get install %s' "$1" ;;
        fedora*) printf 'sudo dnf install %s' "$2" ;;
        *) printf 'install %s (names of Debian packages) with this distribution'"'"'s tools' "$1" ;;
    esac
}

check_system() {
    local what
    what="$(distribution)"
    case "$what" in
        "debian 12" | "debian 13" | "ubuntu 24."* | "ubuntu 25."* | "fedora "*) has "$what" ;;
        "ubuntu 22.04") notes "$what: its own Python is too old; name a 3.11 with GPUNODE_PYTHON" ;;
        *) notes "$what: not a distribution this was made for (Debian 12, Ubuntu 24.04, Fedora)" ;;
    esac
    if grep -qi microsoft /proc/sys/kernel/osrelease 2>/dev/null; then
        lacks "this is WSL2, which is not supported: its driver has no NVML of its own and its engine no GPU isolation" "use a Linux host"
    fi
    [ -d /run/systemd/system ] || notes "no systemd runs here: the unit is put in place, starting it is up to you"
}

check_programs() {
    local python
    if python="$(find_python)"; then
        has "$("$python" --version) ($python)"
    else
        lacks "no Python 3.11 or newer with the venv module" "$(packages python3-venv python3)"
    fi
    if command -v nft >/dev/null; then
        has "$(nft --version 2>/dev/null | cut -d' ' -f1,2)"
    else
        lacks "no nft: jobs could not be kept off this host's network" "$(packages nftables nftables)"
    fi
    [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ] ||
        lacks "no certificates of the web's authorities" "$(packages ca-certificates ca-certificates)"
}

check_engine() {
    local socket=/var/run/docker.sock
    if [ ! -S "$socket" ]; then
        lacks "no container engine at $socket" "$(packages docker.io moby-engine), or Docker's own packages"
    elif [ "$(stat -c %G "$(readlink -f "$socket")")" = root ]; then
        notes "$socket belongs to group root, not docker: let its group be docker (the unit joins that one)"
    else
        has "container engine at $socket"
    fi
    if [ -z "$root" ] && ! getent group docker >/dev/null; then
        lacks "there is no group docker, which the unit joins to reach the engine" "sudo groupadd --system docker, then restart the engine"
    fi
}

# Hints only: driver and toolkit come from NVIDIA's or the distribution's sources, which are not this script's to add.
check_gpu() {
    if ! grep -qs 0x10de /sys/bus/pci/devices/*/vendor; then
        notes "no NVIDIA device on the PCI bus: this host can serve a localnet only"
        return
    fi
    if [ -r /proc/driver/nvidia/version ]; then
        has "NVIDIA driver: $(sed -n 's/^NVRM version: *//p' /proc/driver/nvidia/version | cut -c1-70)"
    else
        case "$(distribution)" in
            debian*) lacks "an NVIDIA device without its driver" "sudo apt-get install nvidia-driver (component non-free), then reboot" ;;
            ubuntu*) lacks "an NVIDIA device without its driver" "sudo ubuntu-drivers install --gpgpu, then reboot" ;;
            fedora*) lacks "an NVIDIA device without its driver" "sudo dnf install akmod-nvidia (repository RPM Fusion), then reboot" ;;
            *) lacks "an NVIDIA device without its driver" "install NVIDIA's driver, then reboot" ;;
        esac
    fi
    if command -v nvidia-ctk >/dev/null || command -v nvidia-container-runtime >/dev/null; then
        has "NVIDIA Container Toolkit"
    else
        lacks "no NVIDIA Container Toolkit" "add NVIDIA's package source by its own guide, install nvidia-container-toolkit, then: sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker"
    fi
}

check() {
    say "what this host has:"
    check_system
    check_programs
    check_engine
    check_gpu
}

# --- A version ------------------------------------------------------------------------------------------------------

sources() { find node pyproject.toml README.md deploy/runtime.lock -type f ! -name '*.pyc' ! -path '*.egg-info/*' -print0 | LC_ALL=C sort -z; }

# The version's number, and which copy of it: one changed file makes another.
version_name() {
    local number content
    number="$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' node/__init__.py)"
    content="$(sources | xargs -0 sha256sum | sha256sum)"
    printf '%s-%s' "$number" "${content:0:10}"
}

ensure_version() {
    local folder="$versions/$1" python pip scratch
    if [ -e "$folder/installed" ]; then
        say "version $1 is there"
        return
    fi
    python="$(find_python)" || fail "no usable Python 3.11 or newer was found" "$(packages python3-venv python3)"
    say "installing version $1 into $folder (a minute or two)"
    [ -z "$dry" ] || return 0
    rm -rf "$folder"
    mkdir -p "$versions"
    scratch="$(mktemp -d)"
    trap 'rm -rf "${scratch:-}"' EXIT
    # A copy, because a build leaves files beside its sources.
    sources | tar --null --files-from=- --create --file=- | tar -x -C "$scratch"
    "$python" -m venv "$folder"
    pip=("$folder/bin/python" -m pip --disable-pip-version-check --no-input install --quiet --no-deps)
    "${pip[@]}" --require-hashes --requirement deploy/runtime.lock ||
        fail "the packages of deploy/runtime.lock could not be installed" "see above; the next run begins anew"
    "${pip[@]}" --no-build-isolation "$scratch"
    "$folder/bin/gpunode" --version >/dev/null
    if [ -n "$root" ]; then
        # Programs name their Python by its place, which is another one when DIR is the system's root.
        grep -rlI --binary-files=without-match "$root$prefix" "$folder/bin" "$folder/pyvenv.cfg" | xargs -r sed -i "s|$root$prefix|$prefix|g"
    fi
    echo "$1" >"$folder/installed"
}

# Points a link elsewhere in one step, so that there is no moment without it.
point() {
    ln -sfn "$1" "$2.new"
    mv -fT "$2.new" "$2"
}

version_at() { basename "$(readlink "$versions/$1" 2>/dev/null || true)"; }

# --- User, folders, unit --------------------------------------------------------------------------------------------

ensure_user() {
    [ -z "$root" ] || return 0
    getent group "$group" >/dev/null || change groupadd --system "$group"
    if ! getent passwd "$user" >/dev/null; then
        change useradd --system --gid "$group" --home-dir /var/lib/gpunode --no-create-home --shell /usr/sbin/nologin \
            --comment "gpunode agent" "$user"
    fi
    if getent group docker >/dev/null && ! id -nG "$user" 2>/dev/null | tr ' ' '\n' | grep -qx docker; then
        say "user $user joins group docker: whoever may use the engine's socket is as good as root on this host"
        change usermod --append --groups docker "$user"
    fi
}

# Usage: folder PATH MODE OWNER GROUP
folder() {
    if [ -n "$root" ]; then
        change install -d -m "$2" "$1"
    else
        change install -d -m "$2" -o "$3" -g "$4" "$1"
    fi
}

ensure_folders() {
    # The service's user may add files there (gpunode init), and take none of root's away (the sticky bit).
    folder "$settings" 1770 root "$group"
    folder "$settings/keys" 0700 "$user" "$group"
    folder "$data" 0700 "$user" "$group"
}

# Writes a file if it is another one; its text comes from standard input.
put() {
    local text
    text="$(cat)"
    [ "$text" != "$(cat "$1" 2>/dev/null)" ] || return 0
    if [ -n "$dry" ]; then
        say "would: write $1"
        return
    fi
    mkdir -p "$(dirname "$1")"
    printf '%s\n' "$text" >"$1.new"
    chmod 0644 "$1.new"
    mv -f "$1.new" "$1"
}

ensure_units() {
    sed "s|/opt/gpunode/|$prefix/|" deploy/gpunode.service | put "$units/gpunode.service"
    put "$units/gpunode-firewall.service" <deploy/gpunode-firewall.service
    ! has_systemd || change systemctl daemon-reload
}

ensure_link() {
    if [ -e "$link" ] && [ ! -L "$link" ]; then
        say "$link is a file of its own, and stays: run $prefix/current/bin/gpunode"
        return
    fi
    change mkdir -p "$(dirname "$link")"
    change point "$prefix/current/bin/gpunode" "$link"
}

completions() {
    printf '%s\n' "bash $root/usr/local/share/bash-completion/completions/gpunode" \
        "zsh $root/usr/local/share/zsh/site-functions/_gpunode" \
        "fish $root/usr/local/share/fish/vendor_completions.d/gpunode.fish"
}

ensure_completion() {
    local shell file
    [ -z "$dry" ] || return 0
    while read -r shell file; do
        PYTHONDONTWRITEBYTECODE=1 "$(program "$1")" completion "$shell" | put "$file"
    done < <(completions)
}

# The command of a version; below --root its first line names a Python that is not there yet.
program() {
    if [ -n "$root" ] && [ ! -x "$prefix/$1/bin/python" ] && [ -x "$versions/$1/bin/python" ]; then
        printf '%s' "$versions/$1/bin/gpunode-here"
        [ -e "$versions/$1/bin/gpunode-here" ] || {
            printf '#!/bin/sh\nexec "%s" -m node.cli "$@"\n' "$versions/$1/bin/python" >"$versions/$1/bin/gpunode-here"
            chmod 0755 "$versions/$1/bin/gpunode-here"
        }
    else
        printf '%s' "$versions/$1/bin/gpunode"
    fi
}

# --- Going from one version to another ------------------------------------------------------------------------------

# Asks a version about the service's settings and journal, without changing either: prints the journal's file, its
# schema and the number of open jobs. Fails where the version does not take the settings, or cannot read the journal.
examine() {
    [ -f "$settings/node.yaml" ] || return 0
    "$versions/$1/bin/python" -I - "$settings/node.yaml" <<'PYTHON'
import os
import sqlite3
import sys
from pathlib import Path

from node.errors import GpunodeError
from node.journal.schema import check_version
from node.settings_source import load_settings

os.environ["GPUNODE_SYSTEM"] = "1"
schema = opened = 0
try:
    journal = load_settings(Path(sys.argv[1])).locations.journal
    if journal.is_file():
        with sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True) as file:
            schema = file.execute("PRAGMA user_version").fetchone()[0]
            check_version(schema)
            if file.execute("SELECT count(*) FROM sqlite_master WHERE name = 'jobs'").fetchone()[0]:
                opened = file.execute("SELECT count(*) FROM jobs WHERE stage <> 'done'").fetchone()[0]
except GpunodeError as error:
    sys.exit(f"error: {error.message}\nhint: {error.hint}")
except sqlite3.Error as error:
    sys.exit(f"error: {journal}: {error}\nhint: see whether the file is whole")
print(journal, schema, opened)
PYTHON
}

schema_of() { examine "$1" 2>/dev/null | cut -d' ' -f2 || true; }

start() { systemctl start gpunode.service; }

switch() {
    local new="$1" old schema_before schema_after
    old="$(version_at current)"
    if [ "$old" = "$new" ]; then
        say "version $new is the current one"
        return
    fi
    if [ -n "$dry" ]; then
        say "would: make $new the current version${old:+ in place of $old}"
        return
    fi
    examine "$new" >/dev/null || fail "version $new cannot serve with this host's settings and journal (see above); nothing was changed" "mend that and repeat this command"
    if ! is_running; then
        replace "$old" "$new"
        return
    fi
    say "stopping the agent: it detaches, containers run on"
    systemctl stop gpunode.service
    schema_before="$(schema_of "$new")"
    replace "$old" "$new"
    say "starting version $new"
    if start; then
        say "version $new runs"
        return
    fi
    systemctl stop gpunode.service || true
    schema_after="$(schema_of "$new")"
    if [ "$schema_before" != "$schema_after" ]; then
        fail "version $new does not start, and it has brought the journal from schema $schema_before to $schema_after, which $old cannot read" \
            "journalctl -u gpunode says why; jobs that run go on meanwhile, and the next start takes them up"
    fi
    [ -n "$old" ] || fail "version $new does not start" "journalctl -u gpunode says why"
    say "version $new does not start; going back to $old, the journal is as it was"
    replace "" "$old"
    start || fail "neither $new nor $old starts" "journalctl -u gpunode says why"
    fail "version $new does not start; $old runs again" "journalctl -u gpunode says why"
}

# Usage: replace OLD NEW; an empty OLD leaves what --rollback goes back to.
replace() {
    [ -z "$1" ] || point "$1" "$versions/previous"
    point "$2" "$versions/current"
}

# Versions that neither link names go, except this one.
tidy() {
    local each name
    for each in "$versions"/*/pyvenv.cfg; do
        each="$(dirname "$each")"
        # What an installation that was cut off has left goes as well; links stay, whatever they point to.
        [ -d "$each" ] && [ ! -L "$each" ] || continue
        name="$(basename "$each")"
        case "$name" in
            "$(version_at current)" | "$(version_at previous)" | "$1") ;;
            *) change rm -rf "${versions:?}/$name" ;;
        esac
    done
}

# --- What can be asked for ------------------------------------------------------------------------------------------

need_root() {
    [ -n "$dry" ] || [ -n "$root" ] || [ "$(id -u)" -eq 0 ] || fail "root is needed to install a service" "sudo bash deploy/install.sh"
}

act_install() {
    local name
    need_root
    check
    if [ "${#lacking[@]}" -gt 0 ] && [ -z "$force" ] && [ -z "$root" ]; then
        [ -n "$dry" ] || fail "something is missing (see above); nothing was changed" "mend it and repeat this command, or --force"
    fi
    name="$(version_name)"
    ensure_version "$name"
    ensure_user
    ensure_folders
    ensure_units
    switch "$name"
    ensure_link
    ensure_completion "$name"
    tidy "$name"
    next_steps
}

next_steps() {
    [ -z "$dry" ] || return 0
    if [ -f "$settings/node.yaml" ]; then
        is_running || say "next: sudo -u $user gpunode doctor; sudo systemctl enable --now gpunode"
        return
    fi
    cat >&2 <<TEXT
install: next:
  sudo -u $user gpunode init --cluster devnet --country NL --market MARKET
  sudo -u $user gpunode doctor                              until nothing is left to mend
  sudo -u $user gpunode firewall show | sudo tee /etc/gpunode/firewall.nft >/dev/null
  sudo systemctl enable --now gpunode-firewall gpunode
  sudo usermod -aG $group YOU                               to use gpunode status, jobs, logs without sudo
TEXT
}

act_rollback() {
    local old
    need_root
    old="$(version_at previous)"
    [ -n "$old" ] && [ -e "$versions/$old/installed" ] || fail "there is no version before the current one" "ls $versions"
    switch "$old"
}

require_no_open_job() {
    local current opened
    current="$(version_at current)"
    [ -n "$current" ] && [ -z "$force" ] || return 0
    opened="$(examine "$current" | cut -d' ' -f3)" ||
        fail "whether jobs are open cannot be told (see above)" "mend that, or --force"
    [ "${opened:-0}" = 0 ] || fail "$opened jobs are not settled yet: their pay would be lost" "gpunode drain, wait until gpunode status says drained; or --force"
}

act_uninstall() {
    local shell file unit
    need_root
    require_no_open_job
    if has_systemd && [ -e "$units/gpunode.service" ]; then
        change systemctl disable --now gpunode.service || true
        change systemctl disable gpunode-firewall.service || true
    fi
    for unit in gpunode.service gpunode-firewall.service; do
        change rm -f "$units/$unit"
    done
    ! has_systemd || change systemctl daemon-reload
    while read -r shell file; do
        change rm -f "$file"
    done < <(completions)
    [ ! -L "$link" ] || change rm -f "$link"
    change rm -f "$versions/current" "$versions/previous"
    for file in "$versions"/*/pyvenv.cfg; do
        [ ! -e "$file" ] || change rm -rf "$(dirname "$file")"
    done
    [ -n "$dry" ] || rmdir "$versions" 2>/dev/null || true
    say "removed; settings and wallets are in $settings, the journal in $data; the packet filter stays until the next boot (nft delete table inet gpunode)"
}

act_purge() {
    local kept
    act_uninstall
    if [ -n "$(ls -A "$settings/keys" 2>/dev/null)" ]; then
        kept="$root/root/gpunode-keys-$(date -u +%Y%m%dT%H%M%SZ)"
        change mkdir -p -m 0700 "$(dirname "$kept")"
        change mv "$settings/keys" "$kept"
        [ -n "$root" ] || change chown -R root:root "$kept"
        say "wallets were moved to $kept: whoever deletes them gives up what is in them"
    fi
    change rm -rf "$settings" "$data"
    [ -n "$root" ] || ! getent passwd "$user" >/dev/null || change userdel "$user"
    [ -n "$root" ] || ! getent group "$group" >/dev/null || change groupdel "$group"
    say "settings and data are gone"
}

act_check() {
    check
    [ "${#lacking[@]}" -eq 0 ] || exit 3
}

"act_$action"
