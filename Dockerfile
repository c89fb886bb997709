# One image per environment, from its lock: light, analysis, tensorflow, tensorflow-gpu.
#
#     docker build --target light --tag saiki-light .
#
# `make image` builds them with Docker, Podman or Buildah, and gives them the tags that the steps name; docs/images.md.
# This machine's CA bundle, index and proxies come as the build secrets `ca` and `installer`, if at all: no layer has them.

ARG BASE_IMAGE=debian:trixie-slim

# What every image has: Python, time zones, the CA certificates, a user.
FROM ${BASE_IMAGE} AS base
RUN --mount=type=secret,id=installer --mount=type=secret,id=ca \
    [ ! -f /run/secrets/installer ] || . /run/secrets/installer; \
    set -eu; \
    export DEBIAN_FRONTEND=noninteractive; \
    apt-get ${APT_OPTIONS:-} update; \
    apt-get ${APT_OPTIONS:-} install --yes --no-install-recommends python3 tzdata; \
    # Nobody becomes root here.
    find / -xdev -type f -perm /6000 -exec chmod a-s {} +; \
    groupadd --gid 65532 saiki; \
    useradd --uid 65532 --gid 65532 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin --no-log-init saiki; \
    # As for our packages: valid whatever time the files bear.
    PYTHONHASHSEED=0 python3 -m compileall -q -q -f -j 0 --invalidation-mode unchecked-hash /usr/lib/python3.*; \
    rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* /usr/share/doc/* /usr/share/man/* /tmp/* \
        /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow-
# Only /tmp can be written to. HOME and caches lie there; of TensorFlow's log, warnings and errors.
ENV PATH=/opt/saiki/venv/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    XDG_CACHE_HOME=/tmp/.cache \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    KERAS_HOME=/tmp/.keras \
    MPLCONFIGDIR=/tmp/.matplotlib \
    PYTHONPATH=/opt/saiki/source \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TF_CPP_MIN_LOG_LEVEL=2
WORKDIR /opt/saiki/source

# What installs: a compiler for the one package without a wheel, and uv as pinned.
FROM base AS builder
RUN --mount=type=secret,id=installer --mount=type=secret,id=ca \
    [ ! -f /run/secrets/installer ] || . /run/secrets/installer; \
    set -eu; \
    export DEBIAN_FRONTEND=noninteractive; \
    apt-get ${APT_OPTIONS:-} update; \
    apt-get ${APT_OPTIONS:-} install --yes --no-install-recommends ca-certificates g++ python3-dev python3-venv
COPY requirements/bootstrap.txt /locks/
RUN --mount=type=secret,id=installer --mount=type=secret,id=ca \
    [ ! -f /run/secrets/installer ] || . /run/secrets/installer; \
    set -eu; \
    python3 -m venv /opt/uv; \
    /opt/uv/bin/pip install --quiet --no-cache-dir --no-deps --require-hashes --only-binary :all: -r /locks/bootstrap.txt
ENV PATH=/opt/uv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH= \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never
COPY requirements/install-in-image.sh requirements/build.txt requirements/kfp-runtime.txt /locks/

FROM builder AS packages-light
COPY requirements/light.txt /locks/
RUN --mount=type=secret,id=installer --mount=type=secret,id=ca --mount=type=cache,target=/tmp/.cache/uv \
    sh /locks/install-in-image.sh light.txt

FROM builder AS packages-analysis
COPY requirements/analysis.txt /locks/
RUN --mount=type=secret,id=installer --mount=type=secret,id=ca --mount=type=cache,target=/tmp/.cache/uv \
    sh /locks/install-in-image.sh analysis.txt

FROM builder AS packages-tensorflow
COPY requirements/tensorflow.txt /locks/
RUN --mount=type=secret,id=installer --mount=type=secret,id=ca --mount=type=cache,target=/tmp/.cache/uv \
    sh /locks/install-in-image.sh tensorflow.txt

FROM builder AS packages-tensorflow-gpu
COPY requirements/tensorflow-gpu.txt /locks/
RUN --mount=type=secret,id=installer --mount=type=secret,id=ca --mount=type=cache,target=/tmp/.cache/uv \
    sh /locks/install-in-image.sh tensorflow-gpu.txt

# What the four share; a container of it is nobody in particular: not root, and owner of no file.
FROM base AS runtime
COPY --from=builder /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
USER 65532:65532

# The components, and what their digests are made of: `plan` names the code that it plans with.
FROM base AS source
COPY components /opt/saiki/source/components
COPY requirements/*.txt requirements/install-in-image.sh /opt/saiki/source/requirements/
COPY Dockerfile /opt/saiki/source/
RUN PYTHONHASHSEED=0 python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash components \
    && chmod -R u=rwX,go=rX /opt/saiki/source

# The four images. The packages' layer changes with the lock alone; the source's, which is small, comes last.
FROM runtime AS light
COPY --from=packages-light /opt/saiki/venv /opt/saiki/venv
COPY --from=source /opt/saiki/source /opt/saiki/source
LABEL org.opencontainers.image.title="saiki-light" \
    org.opencontainers.image.description="Saiki: plan, ingest, split, judge, push" \
    org.opencontainers.image.licenses="Apache-2.0"

FROM runtime AS analysis
COPY --from=packages-analysis /opt/saiki/venv /opt/saiki/venv
COPY --from=source /opt/saiki/source /opt/saiki/source
LABEL org.opencontainers.image.title="saiki-analysis" \
    org.opencontainers.image.description="Saiki: validate, evaluate" \
    org.opencontainers.image.licenses="Apache-2.0"

FROM runtime AS tensorflow
COPY --from=packages-tensorflow /opt/saiki/venv /opt/saiki/venv
COPY --from=source /opt/saiki/source /opt/saiki/source
LABEL org.opencontainers.image.title="saiki-tensorflow" \
    org.opencontainers.image.description="Saiki: train, predict, smoke_test" \
    org.opencontainers.image.licenses="Apache-2.0"

FROM runtime AS tensorflow-gpu
COPY --from=packages-tensorflow-gpu /opt/saiki/venv /opt/saiki/venv
COPY --from=source /opt/saiki/source /opt/saiki/source
LABEL org.opencontainers.image.title="saiki-tensorflow-gpu" \
    org.opencontainers.image.description="Saiki: train, predict, smoke_test, with CUDA" \
    org.opencontainers.image.licenses="Apache-2.0"
