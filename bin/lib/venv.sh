# shellcheck shell=bash
# The virtual environment of the developers' tools on the host, made anew when its lock file changed.

ensure_venv() {
  local stamp=.venv/requirements-dev.lock
  if cmp --silent requirements-dev.lock "$stamp"; then return; fi
  say "Setting up .venv from requirements-dev.lock"
  find_python
  rm -rf .venv
  "$python" -m venv .venv
  .venv/bin/python -m pip install -qq --require-hashes --requirement requirements-dev.lock
  cp requirements-dev.lock "$stamp"
}

find_python() {
  for python in python3 python3.13 python3.12 python3.11; do
    "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
  done
  command -v apt-get >/dev/null || fail "Python 3.11 or newer with venv is needed to run the tests: install it and run this again"
  . bin/lib/engine.sh
  apt_install python3 python3-venv
  python=python3
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "Python 3.11 or newer is needed to run the tests, and this machine's packages have $("$python" --version)"
}
