#!/usr/bin/env bash
# Sets up everything gpunode needs to run from this clone, and nothing twice: a container engine that answers, the
# virtual environment .venv with the exact packages of deploy/requirements.lock, gpunode itself (.venv/bin/gpunode), and
# the demo job's image. Made for Debian 12; elsewhere it says what is missing. Everything it says goes to stderr.
#
#   GPUNODE_PYTHON   the Python to use (default: the distribution's python3.11, else the first 3.11 or newer on PATH)
#   DOCKER_HOST      a container engine other than the one at /var/run/docker.sock
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
umask 022
exec 1>&2

venv="$PWD/.venv"
log_folder="${XDG_DATA_HOME:-$HOME/.local/share}/gpunode/logs"

say() { printf 'setup: %s\n' "$*"; }

fail() {
    printf 'error: %s\nhint: %s\n' "$1" "$2"
    exit 1
}

# Runs a command as root; its first argument says what for.
as_root() {
    local purpose="$1"
    shift
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        say "using sudo to $purpose"
        sudo -- "$@"
    else
        fail "root is needed to $purpose, and there is no sudo" "run as root: $*"
    fi
}

# --- Python ---------------------------------------------------------------------------------------------------------

python_is_usable() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    local candidate
    for candidate in "${GPUNODE_PYTHON:-}" /usr/bin/python3.11 python3.11 python3.12 python3.13 python3; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null && python_is_usable "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

any_python() { find_python || command -v python3.11 || command -v python3; }

# --- The container engine -------------------------------------------------------------------------------------------

# Prints "up", "forbidden" (its socket is not for this user) or "down".
engine_state() {
    local python
    python="$(any_python)" || { echo down; return; }
    "$python" - 2>/dev/null <<'PYTHON' || echo down
import os
import socket
from urllib.parse import urlsplit

address = urlsplit(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
try:
    if address.scheme == "unix":
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(10)
        peer.connect(address.path)
    else:
        peer = socket.create_connection((address.hostname, address.port or 2375), timeout=10)
    with peer:
        peer.sendall(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n")
        answer = peer.recv(64)
    # An engine that wants TLS has answered too; the client that follows knows how to speak with it.
    print("up" if answer else "down")
except PermissionError:
    print("forbidden")
except OSError:
    print("down")
PYTHON
}

start_engine() {
    [ -z "${DOCKER_HOST:-}" ] || fail "no engine answers at $DOCKER_HOST" "start it, or unset DOCKER_HOST"
    local log="" pid=""
    if [ -d /run/systemd/system ]; then
        as_root "start the Docker service" systemctl enable --now docker
    else
        log="$log_folder/dockerd.log"
        mkdir -p "$log_folder"
        cgroups_are_mounted || as_root "mount the control groups" cgroupfs-mount
        say "starting dockerd (there is no systemd here); its log is $log"
        as_root "start dockerd" true # asks for the password, if one is needed, while there is a terminal
        # A session of its own: the engine outlives this script and the terminal.
        as_root "start dockerd" setsid dockerd </dev/null >"$log" 2>&1 &
        pid=$!
    fi
    for _ in $(seq 60); do
        case "$(engine_state)" in
            up) return ;;
            forbidden) forbidden_engine ;;
        esac
        [ -z "$pid" ] || [ -d "/proc/$pid" ] || break
        sleep 1
    done
    if [ -n "$log" ]; then
        fail "dockerd did not start: $(grep -v ' level=info ' "$log" | tail -n 1)" "see $log"
    fi
    fail "the Docker service did not start within a minute" "journalctl -u docker says why"
}

cgroups_are_mounted() { grep -qE '^[^ ]+ /sys/fs/cgroup[^ ]* cgroup2? ' /proc/mounts; }

forbidden_engine() {
    fail "user $(id -un) may not use the container engine" \
        "sudo usermod -aG docker $(id -un), then log in again and repeat this command"
}

ensure_engine() {
    case "$(engine_state)" in
        up) ;;
        forbidden) forbidden_engine ;;
        down) start_engine ;;
    esac
}

# --- Packages of the distribution -----------------------------------------------------------------------------------

ensure_packages() {
    local missing=()
    find_python >/dev/null || missing+=(python3.11 python3.11-venv)
    [ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
    command -v busybox >/dev/null || missing+=(busybox-static)
    command -v nft >/dev/null || missing+=(nftables)
    if [ "$(engine_state)" = down ] && [ -z "${DOCKER_HOST:-}" ]; then
        command -v dockerd >/dev/null || missing+=(docker.io)
        command -v iptables >/dev/null || missing+=(iptables)
        [ -d /run/systemd/system ] || cgroups_are_mounted || missing+=(cgroupfs-mount)
    fi
    [ "${#missing[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null || fail "missing: ${missing[*]} (names of Debian packages)" "install them and repeat this command"
    say "installing missing packages: ${missing[*]}"
    as_root "fetch the package lists" apt-get update -qq
    as_root "install ${missing[*]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# --- The virtual environment ----------------------------------------------------------------------------------------

# What the environment was made from; it also moves with the folder, because an environment cannot.
stamp() {
    { cat deploy/requirements.lock pyproject.toml; echo "$venv"; "$1" -c 'import sys; print(sys.version)'; } | sha256sum
}

ensure_environment() {
    local python wanted
    python="$(find_python)" || fail "no usable Python 3.11 or newer was found" "set GPUNODE_PYTHON to one with the venv module"
    wanted="$(stamp "$python")"
    if [ "$(cat "$venv/gpunode.stamp" 2>/dev/null)" = "$wanted" ] && "$venv/bin/python" -c 'import node' 2>/dev/null; then
        return
    fi
    say "making the virtual environment .venv with $python and installing the packages (a minute or two)"
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$venv"
    local pip=("$venv/bin/python" -m pip --disable-pip-version-check --no-input install --quiet --no-deps)
    "${pip[@]}" --require-hashes --requirement deploy/requirements.lock
    # No isolation: the build backend is in the lock, so this step needs no network.
    "${pip[@]}" --no-build-isolation --editable .
    echo "$wanted" >"$venv/gpunode.stamp"
}

trap 'echo; say "interrupted; the next run goes on from here"; exit 130' INT
export PATH="$PATH:/usr/sbin:/sbin"
ensure_packages
ensure_engine
ensure_environment
"$venv/bin/python" -m node.localnet.images spam >/dev/null
say "ready: .venv/bin/gpunode"
