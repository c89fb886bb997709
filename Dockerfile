# One image per environment, from its lock: light, analysis, tensorflow, tensorflow-gpu.
#
#     docker build --target light --tag saiki-light .
#
# `make image` builds them with Docker, Podman or Buildah, and gives them the tags that the steps name; docs/images.md.
# A machine's CA bundle, package index and proxies come as the build secrets `ca` and `installer`, and stay in no layer.

ARG BASE_IMAGE=debian:trixie-slim

# What every image has: Python, time zones, a user.
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
    # Valid whatever time the files bear: builders change it.
    PYTHONHASHSEED=0 python3 -m compileall -q -q -f -j 0 --invalidation-mode unchecked-hash /usr/lib/python3.*; \
    rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* /usr/share/doc/* /usr/share/man/* /tmp/* \
        /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow-
# Only /tmp can be written to: HOME and caches lie there. Of TensorFlow's log, warnings and errors.
ENV PATH=/opt/saiki/venv/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    XDG_CACHE_HOME=/tmp/.cache \
    KERAS_HOME=/tmp/.keras \
    MPLCONFIGDIR=/tmp/.matplotlib \
    PYTHONPATH=/opt/saiki/source \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    TF_CPP_MIN_LOG_LEVEL=2
WORKDIR /opt/saiki/source

# What installs: uv, as pinned, and a compiler. No image is made FROM it: its /opt is mounted, below, as /build.
FROM base AS builder
RUN --mount=type=secret,id=installer --mount=type=secret,id=ca \
    [ ! -f /run/secrets/installer ] || . /run/secrets/installer; \
    set -eu; \
    export DEBIAN_FRONTEND=noninteractive; \
    apt-get ${APT_OPTIONS:-} update; \
    apt-get ${APT_OPTIONS:-} install --yes --no-install-recommends ca-certificates g++ python3-dev python3-venv
COPY requirements/bootstrap.txt /opt/
RUN --mount=type=secret,id=installer --mount=type=secret,id=ca \
    [ ! -f /run/secrets/installer ] || . /run/secrets/installer; \
    set -eu; \
    python3 -m venv /opt/uv; \
    /opt/uv/bin/pip install --quiet --no-cache-dir --no-deps --require-hashes --only-binary :all: \
        -r /opt/bootstrap.txt

# The packages that have no wheel; the first is C++.
FROM builder AS compiled
COPY requirements/install-in-image.sh requirements/build.txt requirements/analysis.txt /opt/saiki/locks/
RUN --mount=type=secret,id=installer --mount=type=secret,id=ca \
    ln -s /opt /build && sh /opt/saiki/locks/install-in-image.sh analysis.txt pyfarmhash rouge-score

# The components, and what their digests are made of: `plan` names the code that it plans with.
FROM base AS source
COPY components /opt/saiki/source/components
COPY requirements/*.txt requirements/install-in-image.sh /opt/saiki/source/requirements/
COPY Dockerfile /opt/saiki/source/
RUN PYTHONHASHSEED=0 python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash components \
    && chmod -R u=rwX,go=rX /opt/saiki/source

# The locks are copied, not mounted: not every builder sees that a mounted file has changed.
FROM base AS runtime
COPY requirements/install-in-image.sh requirements/kfp-runtime.txt /opt/saiki/locks/
COPY --from=builder /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt

# The four images. The packages' layer changes with the lock alone; the source's, which is small, comes last. Who runs
# in them is nobody in particular: not root, and owner of no file.
FROM runtime AS light
COPY requirements/light.txt /opt/saiki/locks/
RUN --mount=type=secret,id=installer --mount=type=secret,id=ca \
    --mount=type=bind,from=builder,source=/opt,target=/build \
    --mount=type=cache,target=/cache \
    sh /opt/saiki/locks/install-in-image.sh light.txt
COPY --from=source /opt/saiki/source /opt/saiki/source
USER 65532:65532
LABEL org.opencontainers.image.title="saiki-light" \
    org.opencontainers.image.description="Saiki's light steps: plan, ingest, split, compare, judge, push, conclude" \
    org.opencontainers.image.licenses="Apache-2.0"

FROM runtime AS analysis
COPY requirements/analysis.txt /opt/saiki/locks/
# Copied, not mounted: of a stage that is in its cache, Podman 4.3 mounts what the stage began with.
COPY --from=compiled /opt/saiki/compiled /opt/saiki/compiled
RUN --mount=type=secret,id=installer --mount=type=secret,id=ca \
    --mount=type=bind,from=builder,source=/opt,target=/build \
    --mount=type=cache,target=/cache \
    sh /opt/saiki/locks/install-in-image.sh analysis.txt
COPY --from=source /opt/saiki/source /opt/saiki/source
USER 65532:65532
LABEL org.opencontainers.image.title="saiki-analysis" \
    org.opencontainers.image.description="Saiki's steps with TensorFlow Data Validation and Model Analysis: validate, evaluate" \
    org.opencontainers.image.licenses="Apache-2.0"

FROM runtime AS tensorflow
COPY requirements/tensorflow.txt /opt/saiki/locks/
RUN --mount=type=secret,id=installer --mount=type=secret,id=ca \
    --mount=type=bind,from=builder,source=/opt,target=/build \
    --mount=type=cache,target=/cache \
    sh /opt/saiki/locks/install-in-image.sh tensorflow.txt
COPY --from=source /opt/saiki/source /opt/saiki/source
USER 65532:65532
LABEL org.opencontainers.image.title="saiki-tensorflow" \
    org.opencontainers.image.description="Saiki's steps with TensorFlow: train, predict, smoke_test, settle, behave, explain" \
    org.opencontainers.image.licenses="Apache-2.0"

FROM runtime AS tensorflow-gpu
COPY requirements/tensorflow-gpu.txt /opt/saiki/locks/
RUN --mount=type=secret,id=installer --mount=type=secret,id=ca \
    --mount=type=bind,from=builder,source=/opt,target=/build \
    --mount=type=cache,target=/cache \
    sh /opt/saiki/locks/install-in-image.sh tensorflow-gpu.txt
COPY --from=source /opt/saiki/source /opt/saiki/source
# Where the drivers of a node are mounted, and what is to be mounted of them.
ENV LD_LIBRARY_PATH=/usr/local/nvidia/lib64:/usr/local/nvidia/lib \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 65532:65532
LABEL org.opencontainers.image.title="saiki-tensorflow-gpu" \
    org.opencontainers.image.description="Saiki's steps with TensorFlow and CUDA: train, predict, smoke_test, settle, behave, explain" \
    org.opencontainers.image.licenses="Apache-2.0"
