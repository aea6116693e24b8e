#!/bin/sh
# Installs Debian packages that are missing: quiet, never asking, retried, lists refreshed only when something
# is missing, and no server among them is started. Use: tools/apt-install.sh PACKAGE…
# Returns 0 when all are there, 1 when not.
set -u

missing_of() {
    for package in "$@"; do
        case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
            'install ok installed') ;;
            *) printf '%s ' "$package" ;;
        esac
    done
}

command -v apt-get >/dev/null 2>&1 && command -v dpkg-query >/dev/null 2>&1 || exit 1
missing=$(missing_of "$@")
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=''
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root='sudo -n'
else
    echo "missing Debian packages: $missing" >&2
    exit 1
fi

# A package's server must not start to listen on this machine only because a test wants its program.
guard=/usr/sbin/policy-rc.d
if [ ! -e "$guard" ]; then
    trap '$as_root rm -f "$guard"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$guard" >/dev/null && $as_root chmod 755 "$guard"
fi

apt() {
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@" >/dev/null
}

echo "installing Debian packages: $missing" >&2
apt update || echo 'apt-get update did not succeed' >&2
# shellcheck disable=SC2086  # a list of names, split on purpose
if ! apt install -y --no-install-recommends $missing; then
    sleep 5
    apt update || true
    for package in $missing; do # one by one, so that one that is not to be had does not take the others with it
        apt install -y --no-install-recommends "$package" || true
    done
fi

if [ -d /run/systemd/system ]; then
    case " $missing" in *' openssh-server '*) $as_root systemctl disable -q ssh.service ssh.socket 2>/dev/null ;; esac
    case " $missing" in *' nginx-light '*) $as_root systemctl disable -q nginx.service 2>/dev/null ;; esac
fi
[ -z "$(missing_of "$@")" ]
