# --- build: uv and compilers' place; the platform's packages and the platform itself in one virtual environment -----
FROM debian:trixie-slim AS build
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]

# Where TLS is signed by a local authority, that authority is in the base image's store.
ENV UV_SYSTEM_CERTS=1 UV_LINK_MODE=copy UV_NO_PROGRESS=1 VIRTUAL_ENV=/opt/venv PATH=/opt/builder/bin:/usr/local/bin:/usr/bin:/bin

# hadolint ignore=DL3008
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    rm -f /etc/apt/apt.conf.d/docker-clean && apt-get -q update && \
    apt-get -qy install --no-install-recommends python3 python3-pip python3-venv

RUN --mount=type=bind,source=docker/builder.lock,target=/builder.lock --mount=type=cache,target=/root/.cache \
    python3 -m venv /opt/builder && /opt/builder/bin/pip install --quiet --require-hashes --requirement /builder.lock

# Bytecode is compiled here, because the runtime's root is read-only: it is half of the start's time.
RUN --mount=type=bind,source=requirements.lock,target=/requirements.lock --mount=type=cache,target=/root/.cache \
    uv venv --python /usr/bin/python3 /opt/venv && \
    uv pip install --quiet --no-deps --require-hashes --compile-bytecode --requirement /requirements.lock && \
    find /opt/venv -type d -name tests -prune -exec rm -rf {} +

# The wheel of the platform; uv builds it by itself, without a package from elsewhere.
WORKDIR /src
COPY --link pyproject.toml ./
COPY --link tandem tandem
COPY --link docker/testing.lock docker/debug.lock docker/tracing.lock docker/sentry.lock /dist/
RUN --mount=type=cache,target=/root/.cache uv build --quiet --offline --wheel --out-dir /dist . && \
    uv pip install --quiet --offline --no-deps --compile-bytecode /dist/*.whl


# --- packages: what the workloads of this application need beside the platform -------------------------------------
FROM build AS packages
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
COPY --link app /src/app
# DEV=1: with a debugger, for bin/dev. EXTRAS: "tracing sentry", or one of them, for OTEL_EXPORTER_OTLP_ENDPOINT and SENTRY_DSN.
ARG DEV=0
ARG EXTRAS=
# Libraries of Debian's release only; a workload that needs more says so in a Dockerfile of its own.
RUN --mount=type=cache,target=/root/.cache mkdir -p /opt/packages && find app -mindepth 2 -maxdepth 2 -name requirements.lock -print0 | \
      xargs --null --no-run-if-empty --max-args=1 uv pip install --quiet --target /opt/packages --no-deps --require-hashes --compile-bytecode --requirement && \
    for extra in $(if [ "$DEV" = 1 ]; then echo debug; fi) $EXTRAS; do uv pip install --quiet --target /opt/packages --no-deps --require-hashes --compile-bytecode --requirement "/dist/$extra.lock"; done && \
    find /opt/packages -type d -name tests -prune -exec rm -rf {} +


# --- platform: Debian's python, Redis, nginx and tini, no compiler and no installer; what others build FROM ----------
FROM debian:trixie-slim AS platform
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]

# nginx without what it depends on for other uses (iproute2 for an init script, a default site): 10 MB. All its libraries
# are Python's and Debian's own; a missing one ends the build. apt has to find the package whole as well, or it would
# install nothing in an image that builds on this one.
# hadolint ignore=DL3008,DL3003
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    rm -f /etc/apt/apt.conf.d/docker-clean && apt-get -q update && \
    apt-get -qy install --no-install-recommends python3 redis-server tini && \
    cd /tmp && apt-get -q download nginx && mkdir /etc/nginx && dpkg --force-depends --install nginx_*.deb && rm nginx_*.deb && \
    sed -i '/^Package: nginx$/,/^$/s/, iproute2, nginx-common ([^)]*)//' /var/lib/dpkg/status && apt-get -q check && \
    nginx -v && rm -rf /var/log/* /usr/share/doc/* /usr/share/man/*

# Nobody here changes to another user, so no program needs that bit: not even where no-new-privileges is left out.
RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} +

ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/srv/tandem:/opt/packages \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=2

# Whatever is written lies here; a new volume takes over the owner.
# A tmpfs on /run takes over the mode of the folder that it covers.
RUN chmod 1777 /run && install -d -o 10001 -g 10001 -m 0750 /data /run/tandem && install -d -o 10001 -g 10001 /var/log/supervisor

COPY --link docker/redis.conf docker/nginx.conf /etc/tandem/
COPY --link docker/supervisor /etc/supervisor
COPY --link docker/entrypoint.sh docker/bin/redis-cli docker/bin/new bin/worker-logs.sh /usr/local/bin/
COPY --link --from=build /opt/venv /opt/venv
WORKDIR /srv/tandem

USER 10001:10001
VOLUME ["/data", "/var/log/supervisor"]
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --start-interval=0.25s --retries=3 CMD ["python", "-m", "tandem.health.docker_healthcheck"]
ENTRYPOINT ["/usr/bin/tini", "--", "entrypoint.sh"]

LABEL org.opencontainers.image.title="Tandem" \
      org.opencontainers.image.description="A web application and its background workers in one container" \
      org.opencontainers.image.licenses="MIT"


# --- app: this application on it -------------------------------------------------------------------------------------
FROM platform AS app
USER 0:0
COPY --link --from=packages /opt/packages /opt/packages
COPY --link app app
# A missing package or an actor that cannot run fails the build, not the start.
RUN python -m compileall -q app && queue check
USER 10001:10001
