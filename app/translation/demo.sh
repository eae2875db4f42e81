#!/usr/bin/env bash
# Translates a paragraph through the published port and prints source and translation. Usage: demo.sh BASE_URL
# (bin/up runs it)
set -euo pipefail
cd "$(dirname "$0")/../.."
. bin/lib/say.sh
. bin/lib/engine.sh

base_url=$1
text="The red house is very beautiful today. Yesterday I read a good book about the history of the sea. \
We have two cats and a small garden with many flowers."

# Read the token in the container, where it is known however it was set.
print_authorization='
from tandem.config.environment import api_token
if token := api_token():
    print("Authorization: Bearer", token)
'

model_is_available() { docker compose exec -T app queue health | grep '^ok  *model ' >/dev/null; }

# ask_api OPTIONS...: a request to the API. The token is passed by a file descriptor, because other users can see
# command-line arguments.
ask_api() { curl --silent --max-time 10 --header @<(echo "$authorization") "$@"; }

indented() { fold -s -w 90 | sed 's/^/    /; s/ *$//'; }

# field NAME: a field of the JSON object on stdin. Uses the container's Python, because the host may have none.
field() { docker compose exec -T app python -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

translation_ended() {
  ask_api "$base_url$1" | grep -E '"status": ?"(done|failed|cancelled)"' >/dev/null
}

if ! model_is_available; then
  say "Downloading the model into a volume, once (progress: docker compose logs -f app)"
  await 14400 "the model" model_is_available || fail "the model is still not available: docker compose exec app queue health"
fi

command -v curl >/dev/null || apt_install curl
authorization=$(docker compose exec -T app python -c "$print_authorization")
say "Translating a paragraph through $base_url/translations"
answer=$(printf '{"text": "%s", "source": "en", "target": "es"}' "$text" |
  ask_api --show-error --fail-with-body --header 'Content-Type: application/json' --data @- "$base_url/translations") ||
  fail "the API did not accept the translation: $answer"
path="/translations/$(field id <<<"$answer")"
await 600 "the translation" translation_ended "$path" || fail "the translation has not ended: $base_url$path"
answer=$(ask_api "$base_url$path")
[ "$(field status <<<"$answer")" = "done" ] || fail "the translation failed: $(field error <<<"$answer")"
note "English:"
indented <<<"$text"
note "Spanish:"
field translation <<<"$answer" | indented
note "again     docker compose exec app queue translate 'Good morning.' --from en --to es --wait"
