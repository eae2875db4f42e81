# shellcheck shell=bash
# Output of the scripts in bin/: a step, a remark, an error that says what to do.

say() { printf '\033[1m▸ %s\033[0m\n' "$*"; }
note() { printf '  %s\n' "$*"; }
fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# ask QUESTION [y|n]: asks on a terminal, where Enter alone is y or n; without a terminal the answer is yes, because a
# script has already decided.
ask() {
  [ -t 0 ] && [ -t 1 ] || return 0
  local answer default=${2:-y} choice='Y/n'
  [ "$default" = y ] || choice='y/N'
  read -r -p "$1 [$choice] " answer
  [[ ${answer:-$default} == [Yy]* ]]
}

# await SECONDS WHAT COMMAND...: repeats COMMAND until it succeeds, with a dot for each second.
await() {
  local seconds=$1 what=$2 waited=0
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$waited" -lt "$seconds" ] || {
      printf '\n'
      return 1
    }
    [ "$waited" -gt 0 ] || printf '  waiting for %s ' "$what"
    printf '.'
    sleep 1
    waited=$((waited + 1))
  done
  [ "$waited" -eq 0 ] || printf ' %s s\n' "$waited"
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# variant_name FILE: NAME of a file compose.NAME.yaml.
variant_name() { basename "$1" .yaml | sed 's/^compose\.//'; }

# variant_options FILE...: the options of bin/up, by the compose files of the platform and of the workloads.
variant_options() {
  local file names=
  for file in "$@"; do names+=" --$(variant_name "$file")"; done
  echo "expected nothing${names:+ or one of$names}"
}
