# shellcheck shell=bash
# Provides the base image of the Dockerfiles: pulls it, or builds it from Debian's packages on a machine that reaches a
# package mirror but no image registry.

# The name in the Dockerfiles. docker/base-image may pin it by a digest, which renovate keeps up to date.
base_image=debian:trixie-slim

ensure_base_image() {
  if docker image inspect "$base_image" >/dev/null 2>&1; then return; fi
  say "Getting the base image $base_image"
  local pinned
  pinned=$(cat docker/base-image)
  if timeout 300 docker pull --quiet "$pinned" 2>/dev/null; then
    [ "$pinned" = "$base_image" ] || docker tag "$pinned" "$base_image"
    return
  fi
  note "no image registry answers: building it from Debian's packages"
  build_base_image
}

build_base_image() {
  command -v mmdebstrap >/dev/null || {
    command -v apt-get >/dev/null || fail "$base_image cannot be pulled, and can only be built on Debian or Ubuntu: configure a registry or load the image"
    apt_install mmdebstrap
  }
  local work
  work=$(mktemp -d)
  mmdebstrap --quiet --variant=minbase --include=ca-certificates \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    trixie "$work/slim.tar" || fail "mmdebstrap could not build $base_image"
  docker import --change 'CMD ["bash"]' "$work/slim.tar" "$base_image" >/dev/null
  trust_the_machines_authorities "$work"
  rm -rf "$work"
}

# Where a local authority re-signs outgoing TLS, builds inside the image have to trust it too.
trust_the_machines_authorities() {
  local authorities=/usr/local/share/ca-certificates
  compgen -G "$authorities/*.crt" >/dev/null || return 0
  note "adding this machine's certificate authorities to it"
  cp "$authorities"/*.crt "$1"
  printf 'FROM %s\nCOPY *.crt %s/\nRUN update-ca-certificates\n' "$base_image" "$authorities" |
    docker build --quiet --tag "$base_image" --file - "$1" >/dev/null
}
