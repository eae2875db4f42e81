# shellcheck shell=bash
# Translates a paragraph through the published port and prints both.

demo_text="The house stands on a hill near the sea. Every morning the old man opens the windows and looks at the boats. \
In the evening his daughter brings bread and fruit from the market, and they talk about the day."

translate_a_paragraph() {
  command -v curl >/dev/null || apt_install curl
  base_url="http://$(docker compose port app 8000 | sed 's/^0\.0\.0\.0:/localhost:/')"
  say "Translating a paragraph through $base_url/translations"
  local answer path
  answer=$(printf '{"text": "%s", "source": "en", "target": "es"}' "$demo_text" |
    curl --silent --show-error --fail-with-body --max-time 10 --header 'Content-Type: application/json' --data @- "$base_url/translations") ||
    fail "the web did not accept it: $answer"
  path="/translations/$(field id <<<"$answer")"
  await 600 "the translation" translation_ended "$path" || fail "it is still not translated: $base_url$path"
  answer=$(curl --silent --max-time 10 "$base_url$path")
  [ "$(field status <<<"$answer")" = "done" ] || fail "the translation failed: $(field error <<<"$answer")"
  note "English:"
  fold -s -w 100 <<<"$demo_text" | sed 's/^/    /'
  note "Spanish:"
  field translation <<<"$answer" | fold -s -w 100 | sed 's/^/    /'
}

# field NAME: a field of the JSON object on stdin. The container's Python reads it: the host may have none.
field() { docker compose exec -T app python -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

translation_ended() {
  curl --silent --max-time 10 "$base_url$1" | grep -qE '"status": ?"(done|failed|cancelled)"'
}
