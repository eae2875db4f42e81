# shellcheck shell=bash
# The images of Prometheus, Alertmanager and Grafana: the official ones, or on a machine that reaches no image registry
# the first two from Debian's packages and no Grafana, of which Debian has no package.

ensure_observability_images() {
  say "Getting the images of Prometheus, Alertmanager and Grafana"
  local built=observability/prometheus
  if can_have prometheus && can_have alertmanager; then
    :
  else
    note "no image registry answers: building Prometheus and Alertmanager from Debian's packages"
    docker build --quiet --target prometheus --tag tandem-prometheus "$built" >/dev/null
    docker build --quiet --target alertmanager --tag tandem-alertmanager "$built" >/dev/null
    export PROMETHEUS_IMAGE=tandem-prometheus ALERTMANAGER_IMAGE=tandem-alertmanager
  fi
  if COMPOSE_PROFILES=grafana can_have grafana; then
    export COMPOSE_PROFILES=grafana
  else
    note "no image registry has Grafana: it is left out; its board is observability/grafana/dashboards/tandem.json"
  fi
}

# Whether the image of a service is here or can be pulled.
can_have() {
  local image
  image=$(docker compose config --images "$1" | head -n 1)
  docker image inspect "$image" >/dev/null 2>&1 || timeout 120 docker pull --quiet "$image" >/dev/null 2>&1
}

observability_notes() {
  # The rules may have changed with the settings.
  docker compose kill --signal HUP prometheus >/dev/null 2>&1 || true
  note "metrics   http://localhost:${PROMETHEUS_PORT:-9090}/alerts, .../targets"
  note "alerts    http://localhost:${ALERTMANAGER_PORT:-9093}"
  [ "${COMPOSE_PROFILES:-}" != grafana ] || note "board     http://localhost:${GRAFANA_PORT:-3000}"
}
