# Read by run and test: sets $here (this directory) and $python (the first Python >= 3.11).
# This much is shell, so that an old Python is met with a sentence and not with a traceback.
here=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f "$0")")" && pwd -P)
python=
for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    found=$(python3 --version 2>/dev/null || echo "no python3")
    echo "deploy/${0##*/}: Python 3.11 or newer is needed; this machine has $found." >&2
    exit 1
fi
