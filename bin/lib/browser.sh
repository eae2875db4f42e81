# shellcheck shell=bash
# Provides Chromium for the browser tests: the distribution's, because Playwright's own builds would have to be downloaded.

ensure_chromium() {
  command -v chromium >/dev/null || command -v google-chrome >/dev/null && return
  command -v apt-get >/dev/null || fail "Chromium is missing, which the browser tests need: install it and run this again"
  say "Installing Chromium"
  apt_install chromium
}
