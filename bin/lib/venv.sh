# shellcheck shell=bash
# The virtual environment of the developers' tools on the host, recreated when its lock file has changed.

ensure_venv() {
  # pyproject.toml defines the version and the commands of the installed package.
  local stamp=.venv/set-up-from
  if cat requirements-dev.lock pyproject.toml | cmp --silent - "$stamp"; then return; fi
  say "Setting up .venv from requirements-dev.lock"
  find_python
  rm -rf .venv
  "$python" -m venv .venv
  .venv/bin/python -m pip install -qq --no-deps --require-hashes --requirement requirements-dev.lock
  .venv/bin/uv pip install --quiet --offline --no-deps --editable .
  cat requirements-dev.lock pyproject.toml >"$stamp"
}

find_python() {
  for python in python3 python3.13 python3.12 python3.11; do
    "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
  done
  command -v apt-get >/dev/null || fail "Python 3.11 or newer with venv is missing, which the tests need: install it and run this again"
  . bin/lib/engine.sh
  apt_install python3 python3-venv
  python=python3
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "this machine's packages have $("$python" --version): the tests need Python 3.11 or newer"
}
