# shellcheck shell=bash
# Makes sure that there is a Chromium for the tests of the page: the distribution's, because Playwright's own builds
# would have to be downloaded.

ensure_chromium() {
  command -v chromium >/dev/null || command -v google-chrome >/dev/null && return
  command -v apt-get >/dev/null || fail "Chromium is needed to test the page: install it and run this again"
  say "Installing Chromium"
  apt_install chromium
}
