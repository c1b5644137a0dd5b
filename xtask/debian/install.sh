#!/usr/bin/env bash
# Installs the packages of packages.txt that are missing, all groups or the named ones. Does nothing where none is.
#
#   install.sh [GROUP…]            as root on Debian
#   install.sh --missing [GROUP…]  prints the names of the missing ones, installs nothing
#
# Exit codes: 0 all there (or printed), 1 apt failed, 3 no Debian, 4 not root.
set -euo pipefail

list=$(dirname "${BASH_SOURCE[0]}")/packages.txt
only_print=no
if [ "${1:-}" = --missing ]; then
  only_print=yes
  shift
fi

command -v dpkg-query >/dev/null || { echo "install.sh: no dpkg-query here: not a Debian system" >&2; exit 3; }

# The packages of the wanted groups, without the ones that dpkg knows as installed.
missing() {
  local wanted present
  wanted=$(awk -v groups=" $* " '!/^#/ && NF && (groups == "  " || index(groups, " " $1 " ")) { print $2 }' "$list" | sort -u)
  # shellcheck disable=SC2086  # one argument a package
  present=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^installed //p' | sort -u || true)
  comm -23 <(printf '%s\n' "$wanted") <(printf '%s\n' "$present")
}

names=$(missing "$@" | tr '\n' ' ')
names=${names% }
if [ "$only_print" = yes ]; then
  echo "$names"
  exit 0
fi
if [ -z "$names" ]; then
  echo "all Debian packages are there"
  exit 0
fi
[ "$(id -u)" = 0 ] || { echo "install.sh: installing needs root; missing: $names" >&2; exit 4; }

echo "installing: $names"
export DEBIAN_FRONTEND=noninteractive

# A service that starts because its package was installed would take port 25 on a machine that only wanted a test tool.
guard=/usr/sbin/policy-rc.d
if [ ! -e "$guard" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$guard"
  chmod 755 "$guard"
  trap 'rm -f "$guard"' EXIT
fi
case " $names " in
  *" postfix "*) echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections ;;
esac

# --no-remove: a machine that has another mail server keeps it, and learns why the tools are missing.
attempt() {
  apt-get update -qq &&
    apt-get install -y -q --no-install-recommends --no-remove -o Dpkg::Use-Pty=0 $names </dev/null
}
attempt || {
  echo "apt-get failed; once more" >&2
  attempt
}
