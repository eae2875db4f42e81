# shellcheck shell=bash
# Provides a Docker engine with compose and buildx: uses the running one, otherwise starts an installed one, otherwise
# installs the distribution's packages (Debian and Ubuntu).

engine_is_up() { timeout 10 docker info >/dev/null 2>&1; }
plugins_are_here() { docker compose version >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1; }

ensure_engine() {
  if engine_is_up && plugins_are_here; then return; fi
  if ! command -v dockerd >/dev/null || ! plugins_are_here; then
    engine_is_up && note "a Docker engine is running, but its compose or buildx plugin is missing"
    install_engine
  fi
  engine_is_up || start_engine
  plugins_are_here || fail "docker compose and docker buildx are still missing: install them (https://docs.docker.com/compose/install) and run this again"
}

install_engine() {
  local id codename
  [ -r /etc/os-release ] || fail "no Docker engine answers: install Docker (https://docs.docker.com/get-docker) and run this again"
  id=$(. /etc/os-release && echo "$ID")
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  case $id in
    debian | ubuntu) ;;
    *) fail "no Docker engine with compose answers, and only Debian's and Ubuntu's packages are known here: install Docker (https://docs.docker.com/get-docker) and run this again" ;;
  esac
  note "no Docker engine with compose answers; Docker's own packages: https://docs.docker.com/engine/install/$id"
  ask_for_packages "$id" "$codename" || fail "nothing was installed: start or install Docker and run this again"
  say "Installing the Docker engine, compose and buildx from $id's packages"
  if [ "$id" = ubuntu ]; then
    apt_install docker.io docker-compose-v2 docker-buildx
  elif [ "$codename" = bookworm ]; then
    # Bookworm's own engine is too old for the compose plugin; trixie's packages run on it.
    add_trixie_source
    apt_install docker.io/trixie docker-cli/trixie docker-buildx/trixie docker-compose/trixie containerd/trixie iptables tini
  else
    apt_install docker.io docker-cli docker-buildx docker-compose iptables
  fi
  # A docker command that comes before the packages' own on the path keeps working: it only needs the plugins, which the
  # packages install where every docker command searches.
}

# Packages of another release than the machine's own are a change that nobody expects, so Enter alone is a no there.
ask_for_packages() {
  if [ "$1 $2" = "debian bookworm" ]; then
    note "bookworm's own engine is too old. Debian's next release, trixie, has one that runs here: its packages would be"
    note "added as a second source of apt, with a priority at which nothing else is taken from it"
    ask "Add that source to this machine, and install Docker from it?" n
  else
    ask "Install Docker from the packages of $1 $2?"
  fi
}

apt_install() {
  local log
  log=$(mktemp)
  note "apt-get install $*"
  if ! { as_root apt-get -q update && as_root env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "$@"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    fail "apt-get could not install $* (the whole output: $log)"
  fi
  rm -f "$log"
}

# Adds trixie besides bookworm with the machine's own mirror, at a priority that changes nothing by itself.
add_trixie_source() {
  local sources=/etc/apt/sources.list.d
  if [ -f "$sources/debian.sources" ]; then
    sed 's/bookworm/trixie/g' "$sources/debian.sources" | as_root tee "$sources/tandem-trixie.sources" >/dev/null
  else
    sed 's/bookworm/trixie/g' /etc/apt/sources.list | as_root tee "$sources/tandem-trixie.list" >/dev/null
  fi
  printf 'Package: *\nPin: release n=trixie*\nPin-Priority: 100\n' | as_root tee /etc/apt/preferences.d/tandem-trixie >/dev/null
}

start_engine() {
  say "Starting the Docker engine"
  if [ -d /run/systemd/system ]; then
    as_root systemctl start docker
    await 60 "the engine" engine_is_up && return
  elif command -v dockerd >/dev/null; then
    # A killed dockerd leaves a pid file and can refuse to start for some seconds: start it until it keeps running.
    for _ in 1 2 3 4 5 6; do
      start_dockerd
      await 15 "the engine" engine_is_up && return
    done
    tail -n 5 "$(dockerd_log)" >&2
  fi
  fail "the Docker engine did not start: start it manually and run this again"
}

dockerd_log() { echo "${TMPDIR:-/tmp}/tandem-dockerd.log"; }

# Without systemd: in its own session, so that it outlives this script, with the MTU of the default route, because larger
# packets of a container would be dropped there.
start_dockerd() {
  local device mtu
  device=$(ip route show default 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
  mtu=$(cat "/sys/class/net/${device:-none}/mtu" 2>/dev/null || echo 1500)
  mtu=$(ip route show default 2>/dev/null | sed -n 's/.* mtu \([0-9]*\).*/\1/p' | head -n 1 | grep . || echo "$mtu")
  as_root setsid dockerd --mtu "$mtu" >"$(dockerd_log)" 2>&1 </dev/null &
}
