#!/bin/sh
# Runs the tests on a Python of that version, in an environment of its own: with the lowest versions of all that
# pyproject.toml names, or with the newest of everything. CI calls it by `make test-oldest` and `make test-newest`.
#   tests/versions.sh 3.10 lowest-direct [tests...]
set -eu
python=$1 resolution=$2
shift 2
cd "$(dirname "$0")/.."

# Its name may also be that of a switch between versions, which says no where none is chosen: whatever runs is it.
for found in "python$python" "$HOME/.pyenv/versions/$python".*/bin/python "$(uv python find "$python" 2> /dev/null)"; do
  "$found" -c "import sys; sys.exit('$python' != '%d.%d' % sys.version_info[:2])" 2> /dev/null && break
  found=
done
if [ -z "$found" ]; then
  echo "no Python $python here; 'uv python install $python', 'pyenv install $python' or conda brings it" >&2
  exit 1
fi

venv=.venv-$python-$resolution
test -x "$venv/bin/uv" || { "$found" -m venv "$venv" && "$venv/bin/python" -m pip install -q uv; }
"$venv/bin/uv" pip install -q --python "$venv/bin/python" --resolution "$resolution" --upgrade --editable '.[test,browser,site,lab]'
echo "$("$venv/bin/python" --version), $resolution: $("$venv/bin/python" -m pip list 2> /dev/null |
  awk '$1 ~ /^(numpy|numba|autograd|sympy|matplotlib|papermill|distributed|pandas)$/ {printf "%s %s  ", $1, $2}')"
exec "$venv/bin/python" -m pytest -n logical --maxprocesses 2 --dist loadgroup "$@"
