# shellcheck shell=bash
# Translates a paragraph through the published port and prints both.

demo_text="The red house is very beautiful today. Yesterday I read a good book about the history of the sea. \
We have two cats and a small garden with many flowers."

# The container knows its token, wherever that was set.
tell_authorization='
from app.settings import current
if token := current().api_token:
    print("Authorization: Bearer", token.get_secret_value())
'

translate_a_paragraph() {
  command -v curl >/dev/null || apt_install curl
  authorization=$(docker compose exec -T app python -c "$tell_authorization")
  base_url="http://$(docker compose port app 8000 | sed 's/^0\.0\.0\.0:/localhost:/')"
  say "Translating a paragraph through $base_url/translations"
  local answer path
  answer=$(printf '{"text": "%s", "source": "en", "target": "es"}' "$demo_text" |
    ask_api --show-error --fail-with-body --header 'Content-Type: application/json' --data @- "$base_url/translations") ||
    fail "the web did not accept it: $answer"
  path="/translations/$(field id <<<"$answer")"
  await 600 "the translation" translation_ended "$path" || fail "it is still not translated: $base_url$path"
  answer=$(ask_api "$base_url$path")
  [ "$(field status <<<"$answer")" = "done" ] || fail "the translation failed: $(field error <<<"$answer")"
  note "English:"
  indented <<<"$demo_text"
  note "Spanish:"
  field translation <<<"$answer" | indented
}

# ask_api OPTIONS...: a request to the API. The token comes from a file descriptor, since every user can list arguments.
ask_api() { curl --silent --max-time 10 --header @<(echo "$authorization") "$@"; }

indented() { fold -s -w 90 | sed 's/^/    /; s/ *$//'; }

# field NAME: a field of the JSON object on stdin. The container's Python reads it: the host may have none.
field() { docker compose exec -T app python -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

translation_ended() {
  ask_api "$base_url$1" | grep -qE '"status": ?"(done|failed|cancelled)"'
}
