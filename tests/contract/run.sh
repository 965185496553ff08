# Install the wheels of the folder $1 into an empty environment and run the contract tests there.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
wheels=$(cd "$1" && pwd)
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT

"${PYTHON:-python3}" -m venv "$room/env"
"$room/env/bin/python" -m pip install --quiet --upgrade pip
"$room/env/bin/python" -m pip install --quiet "${PADDLE:-paddlepaddle}" setuptools pytest "$wheels"/*.whl
cp "$here"/test_*.py "$room/"
cd "$room"
"$room/env/bin/python" -m pytest --import-mode=importlib -p no:cacheprovider "$room"
