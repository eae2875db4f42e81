# --- builder: the virtual environment, from pinned and hashed packages --------------------------------------------
FROM debian:trixie-slim AS builder
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]

# Where TLS is signed by a local authority, that authority is in the base image's store.
ENV UV_SYSTEM_CERTS=1 UV_LINK_MODE=copy UV_NO_PROGRESS=1

# hadolint ignore=DL3008
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    rm -f /etc/apt/apt.conf.d/docker-clean && apt-get -q update && \
    apt-get -qy install --no-install-recommends python3 python3-pip python3-venv

RUN --mount=type=bind,source=docker/builder.lock,target=/builder.lock --mount=type=cache,target=/root/.cache \
    python3 -m venv /opt/builder && /opt/builder/bin/pip install --quiet --require-hashes --requirement /builder.lock

# Bytecode is compiled here, because the runtime's root is read-only: it is half of the start's time.
RUN --mount=type=bind,source=requirements.lock,target=/requirements.lock --mount=type=cache,target=/root/.cache \
    /opt/builder/bin/uv venv --python /usr/bin/python3 /opt/venv && \
    VIRTUAL_ENV=/opt/venv /opt/builder/bin/uv pip install --quiet --require-hashes --compile-bytecode --requirement /requirements.lock && \
    find /opt/venv -type d -name tests -prune -exec rm -rf {} +


# --- runtime: Debian's python, Redis and tini, no compiler and no installer ----------------------------------------
FROM debian:trixie-slim AS runtime
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]

# hadolint ignore=DL3008
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    rm -f /etc/apt/apt.conf.d/docker-clean && apt-get -q update && \
    apt-get -qy install --no-install-recommends python3 redis-server tini && \
    rm -rf /var/log/* /usr/share/doc/* /usr/share/man/*

ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/srv/tandem \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=2

# Whatever is written lies here; a new volume takes over the owner.
# A tmpfs on /run takes over the mode of the folder that it covers.
RUN chmod 1777 /run && install -d -o 10001 -g 10001 -m 0750 /data /run/tandem && install -d -o 10001 -g 10001 /var/log/supervisor

COPY --link docker/redis.conf /etc/tandem/redis.conf
COPY --link docker/supervisor /etc/supervisor
COPY --link docker/entrypoint.sh docker/bin/queue bin/worker-logs.sh /usr/local/bin/
COPY --link --from=builder /opt/venv /opt/venv
WORKDIR /srv/tandem
COPY --link app app
RUN python -m compileall -q app

USER 10001:10001
VOLUME ["/data", "/var/log/supervisor"]
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --start-interval=0.5s --retries=3 CMD ["queue", "health"]
ENTRYPOINT ["/usr/bin/tini", "--", "entrypoint.sh"]

LABEL org.opencontainers.image.title="Tandem" \
      org.opencontainers.image.description="A web application and its background workers in one container" \
      org.opencontainers.image.licenses="MIT"
