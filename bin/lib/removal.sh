# shellcheck shell=bash
# The test of the design: the application goes on without its reference workload, and the platform never knew it.

# What nothing but the workload's own folder and the two lines that name it may contain.
removal_words='translat|ollama|apertium'

removal_test() {
  say "Tests: without the reference workload"
  local copy tag=$1
  copy=$(mktemp -d)
  # shellcheck disable=SC2064  # the folder of now
  trap "rm -rf '$copy'" RETURN
  git ls-files --cached --others --exclude-standard -z | xargs -0 cp --parents --target-directory "$copy"
  ln -s "$PWD/.venv" "$copy/.venv"
  (
    cd "$copy" || exit
    rm -r app/translation
    # The two lines that name it.
    sed -i '/"app.translation",/d' app/__init__.py
    sed -i '/app\/translation\/compose.yaml/d' compose.yaml
    ! grep --recursive --ignore-case --extended-regexp --line-number "$removal_words" \
      tandem tests bin docker compose.yaml Dockerfile pyproject.toml mkdocs.yml --exclude=removal.sh ||
      fail "the lines above name the reference workload"
    export PYTHONPATH=$PWD
    .venv/bin/ruff check --quiet .
    .venv/bin/mypy
    docker compose config --quiet
    .venv/bin/pytest --quiet --numprocesses 2 tests/unit app/tests/unit
    docker build --quiet --tag "tandem:$tag-removal" .
    smoke_test "tandem:$tag-removal"
  )
}

# smoke_test IMAGE: a container becomes healthy, answers, and knows the actors that are left.
smoke_test() {
  local container
  container=$(docker run --detach --rm --read-only --tmpfs /run --tmpfs /tmp --label "$TANDEM_TEST_LABEL" "$1")
  # shellcheck disable=SC2064  # the container of now
  trap "docker rm --force --volumes '$container' >/dev/null" RETURN
  await 60 "a healthy container" is_healthy "$container" || fail "it is not healthy: $(docker logs "$container" 2>&1 | tail -n 20)"
  # Not grep --quiet, which leaves at the first match: the writer would then die of SIGPIPE.
  docker exec "$container" queue actors | grep '^deliver ' >/dev/null || fail "queue actors does not name deliver"
  docker exec "$container" python -c \
    'from urllib.request import urlopen; assert urlopen("http://127.0.0.1:8000/readyz", timeout=5).status == 200'
}

is_healthy() { [ "$(docker inspect --format '{{.State.Health.Status}}' "$1")" = healthy ]; }
