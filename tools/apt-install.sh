#!/bin/sh
# Installs Debian packages that are missing: quiet, never asking, retried once, lists refreshed only when needed.
# Use: tools/apt-install.sh PACKAGE…      Returns 1 when they can't be installed here.
set -u

missing=''
for package in "$@"; do
    case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
        'install ok installed') ;;
        *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

command -v apt-get >/dev/null 2>&1 || exit 1
if [ "$(id -u)" = 0 ]; then
    as_root=''
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root='sudo -n'
else
    exit 1
fi

export DEBIAN_FRONTEND=noninteractive
apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0"
echo "installing Debian packages:$missing" >&2
for attempt in 1 2; do
    $apt update >/dev/null 2>&1 || echo 'apt-get update failed' >&2
    # shellcheck disable=SC2086  # a list of package names, split on purpose
    if $apt install -y --no-install-recommends $missing >/dev/null; then exit 0; fi
    [ "$attempt" = 2 ] || sleep 5
done
exit 1
