#!/bin/sh
# Installs locks into the virtual environment /opt/saiki/venv of an image; run by the Dockerfile in its builder stages.
#
#     install-in-image.sh LOCK...
#
# What runs needs neither headers nor the packages' own tests: without them TensorFlow's image is a third smaller.
# Bytecode is compiled now, since a step's root file system is read-only: compiled at every start instead, imports take
# several times as long. Its validity does not hang on the sources' times, which builders change.
set -eu
[ ! -f /run/secrets/installer ] || . /run/secrets/installer

set -- "$@" kfp-runtime.txt
for lock; do
    set -- "$@" "/locks/$lock"
    shift
done
uv venv --quiet --no-project --python /usr/bin/python3 /opt/saiki/venv
uv pip sync --quiet --require-hashes --build-constraints /locks/build.txt --python /opt/saiki/venv/bin/python "$@"

packages=$(echo /opt/saiki/venv/lib/python3.*/site-packages)
find "$packages" -type d -name tests -prune -exec rm -rf {} +
rm -rf "$packages"/tensorflow/include "$packages"/pyarrow/include "$packages"/clang
# Which machine and which hour it was installed in; no program reads it.
find "$packages" \( -name direct_url.json -o -name uv_cache.json -o -name INSTALLER -o -name REQUESTED \) -delete
PYTHONHASHSEED=0 python3 -m compileall -q -q -j 0 --invalidation-mode unchecked-hash "$packages" || true
chmod -R u=rwX,go=rX /opt/saiki/venv
