#!/usr/bin/env bash
# Installs the packages of requirements.txt into a folder of its own, where the scenarios look for them. Does nothing where
# it is done already. A test whose package is missing skips itself, so a machine without a network only says so.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=${WAYBILL_PYTHON:-${HOME:-/root}/.cache/waybill/python}
if cmp -s "$here/requirements.txt" "$folder/installed.txt"; then
  echo "all Python packages are there"
  exit 0
fi
for python in /usr/bin/python3 python3; do
  if "$python" -m pip --version >/dev/null 2>&1; then
    mkdir -p "$folder"
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target "$folder" \
      -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$folder/installed.txt"
    exit 0
  fi
done
echo "install.sh: no python3 with pip (apt-get install python3-pip)" >&2
exit 3
