# Test the wheels of the folder $1 in an empty environment away from the checkout, in stages: the core
# alone, then with all plugins, then with Paddle too, then with each plugin by itself.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
wheels=$(cd "$1" && pwd)
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT

install() { "$room/env/bin/python" -m pip install --quiet "$@"; }
check() { (cd "$room/tests" && "$room/env/bin/python" -m pytest -p no:cacheprovider "$@"); }
plugins() { ls "$wheels"/segcore_*.whl; }

"${PYTHON:-python3}" -m venv "$room/env"
mkdir "$room/tests"
cp "$here"/*.py "$room/tests/"
unset PYTHONPATH SEGCORE_DISABLE_PLUGINS

install --upgrade pip
install pytest "$wheels"/segcore-*.whl
check test_core_alone.py
install "$wheels"/*.whl
check test_without_paddle.py
install "${PADDLE:-paddlepaddle}" "$(ls "$wheels"/segcore-*.whl)[cpu]"
check test_wheels.py test_wrong_requests.py

names=$(for wheel in $(plugins); do basename "$wheel" | cut -d- -f1; done)
"$room/env/bin/python" -m pip uninstall --quiet --yes $names
for name in $names; do
    install "$wheels/$name"-*.whl
    check test_plugin_alone.py
    "$room/env/bin/python" -m pip uninstall --quiet --yes "$name"
done
