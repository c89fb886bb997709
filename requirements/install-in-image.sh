#!/bin/sh
# Installs a lock into the virtual environment /opt/saiki/venv of an image; run by the Dockerfile, whose builder is
# mounted as /build.
#
#     install-in-image.sh LOCK               everything; what has no wheel was copied to /opt/saiki/compiled
#     install-in-image.sh LOCK PACKAGE...    in the builder: builds packages that have no wheel into /opt/saiki/compiled
#
# What runs needs neither headers nor the packages' own tests. Bytecode is compiled now, since a step's root file system
# is read-only: compiled at every start instead, imports take several times as long. Its validity does not hang on the
# sources' times, which builders change.
set -eu
[ ! -f /run/secrets/installer ] || . /run/secrets/installer
export UV_CACHE_DIR=/cache/uv UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
cd "$(dirname "$0")"
lock=$1
compiled=/opt/saiki/compiled
shift

# Of a lock, the lines of the packages that are named, or all others.
select_packages() {
    awk -v names=" $1 " -v wanted="$2" \
        '/^[^ #]/ { split($0, part, "=="); named = (index(names, " " part[1] " ") > 0) } named == wanted' "$lock"
}

if [ $# -gt 0 ]; then
    select_packages "$*" 1 > /tmp/lock.txt
    /build/uv/bin/uv pip install --quiet --no-cache --no-deps --require-hashes --build-constraints build.txt \
        --python /usr/bin/python3 --target "$compiled/packages" -r /tmp/lock.txt
    echo "$*" > "$compiled/names"
    exit
fi

venv=/opt/saiki/venv
/build/uv/bin/uv venv --quiet --no-project --python /usr/bin/python3 "$venv"
packages=$(echo "$venv"/lib/python3.*/site-packages)
names=$(cat "$compiled/names" 2> /dev/null || true)
select_packages "$names" 0 > /tmp/lock.txt
/build/uv/bin/uv pip sync --quiet --require-hashes --only-binary :all: --python "$venv/bin/python" \
    /tmp/lock.txt kfp-runtime.txt
[ -z "$names" ] || cp -r "$compiled/packages/." "$packages"
rm -rf /tmp/lock.txt "$compiled"

find "$packages" -type d -name tests -prune -exec rm -rf {} +
rm -rf "$packages"/tensorflow/include "$packages"/pyarrow/include "$packages"/clang
# From where it was installed, and when; no program reads it.
find "$packages" -path '*.dist-info/*' \
    \( -name direct_url.json -o -name uv_cache.json -o -name INSTALLER -o -name REQUESTED \) -delete
# A template that is no Python does not matter.
PYTHONHASHSEED=0 "$venv/bin/python" -m compileall -q -q -j 0 --invalidation-mode unchecked-hash "$packages" || true
chmod -R u=rwX,go=rX "$venv"
