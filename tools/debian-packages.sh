#!/bin/sh
# Installs the Debian packages that tests drive. Where it may not, it says so; the tests that need them are skipped.
set -u
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)

# Clients and verifiers that are not ours; a browser with a font; servers to revoke at and to stand behind.
sh "$here/apt-install.sh" \
    openssh-client openssh-server openssh-sftp-server lftp rclone sshfs curl \
    golang-go golang-golang-x-mod-dev postgresql \
    chromium fonts-dejavu-core \
    nginx-light wrk faketime strace procps \
    rsyslog rsyslog-gnutls ||
    echo 'Not all Debian packages could be installed; tests that need one of them will be skipped.' >&2
