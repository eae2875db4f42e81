# shellcheck shell=bash
# Makes the token that opens the operations page, unless somebody has decided about it: OPS_TOKEN= keeps it closed.

ensure_ops_token() {
  if [ -n "${OPS_TOKEN+set}" ] || grep -qsE '^(export +)?OPS_TOKEN(_FILE)?=' .env; then return; fi
  say "Making a token for the operations page: OPS_TOKEN in .env"
  local token
  token=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
  [ -e .env ] || (umask 077 && : >.env)
  # A last line without an end would run into this one.
  if [ -s .env ] && [ -n "$(tail -c 1 .env)" ]; then echo >>.env; fi
  echo "OPS_TOKEN=$token" >>.env
}
