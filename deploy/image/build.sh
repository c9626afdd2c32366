#!/bin/sh
# Builds the image with what is here: Docker, Podman or Buildah. From the top of the checkout:
#
#     deploy/image/build.sh IMAGE
#
# From the environment, all of it optional:
#   REQUIREMENTS  runtime, or otel for an image that can send traces
#   BASE          another base image, such as one with a digest or from a registry of your own
#   BUILDER       docker, podman or buildah
#   PIP_CONF      a pip.conf for an index of your own; it is in no layer
#   PIP_CA        its authorities, in PEM; say `cert = /run/secrets/ca.pem` in that pip.conf
set -eu
cd "$(dirname "$0")/../.."
image=${1:?the name of the image, such as registry.example.com/wicketgate:0.1.0}

# Docker's client alone builds nothing, and is often there without its daemon.
builder=${BUILDER:-}
if [ -z "$builder" ]; then
    for candidate in docker podman buildah; do
        if command -v "$candidate" >/dev/null 2>&1 && "$candidate" info >/dev/null 2>&1; then
            builder=$candidate
            break
        fi
    done
fi
if [ -z "$builder" ]; then
    echo "image: none of docker, podman and buildah works here; make image-check needs no daemon" >&2
    exit 1
fi

version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' src/wicketgate/__init__.py)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
# A tree with changes is not what its last commit says.
if [ "$revision" != unknown ] && ! git diff --quiet HEAD -- 2>/dev/null; then
    revision=$revision-modified
fi

set -- --file deploy/Dockerfile --tag "$image" \
    --build-arg "REQUIREMENTS=${REQUIREMENTS:-runtime}" \
    --build-arg "VERSION=$version" --build-arg "REVISION=$revision"
if [ -n "${BASE:-}" ]; then set -- "$@" --build-arg "BASE=$BASE"; fi
if [ -n "${PIP_CONF:-}" ]; then set -- "$@" --secret "id=pip.conf,src=$PIP_CONF"; fi
if [ -n "${PIP_CA:-}" ]; then set -- "$@" --secret "id=ca.pem,src=$PIP_CA"; fi
# OCI's own format knows no health check.
case $builder in podman | buildah) set -- --format docker "$@" ;; esac

echo "image: building $image with $builder"
"$builder" build "$@" .
echo "image: built $image, version $version of $revision"
