# Write the locks of this folder anew, of the newest versions that there are: what `make setup` installs
# with each Paddle, and, in lowest.txt, the lowest versions that the metadata allow. uv works them out, in
# an environment of its own.
set -eu

: "${PYTHON:=python3}" "${VENV:=.venv-lock}"
cd "$(dirname "$0")/.."
export UV_PYTHON_DOWNLOADS=never

"$PYTHON" -m venv "$VENV"
"$VENV/bin/python" -m pip install --quiet --upgrade uv
uv() { "$VENV/bin/uv" --quiet "$@"; }

projects=$(for file in pyproject.toml plugins/*/pyproject.toml; do dirname "$file"; done)
ours=$(sed -n 's/^name = "\(segcore[a-z-]*\)"$/--no-emit-package \1/p' pyproject.toml plugins/*/pyproject.toml)

# lock NAME EXTRAS REQUIREMENT OPTION...: the core with its EXTRAS, all plugins, and what installs them
lock() {
    file=requirements/$1.txt
    printf '%s\n' "$3" "hatchling>=1.27" "editables>=0.5" "pip>=23.2" "-e .[$2]" > "$VENV/requirements.in"
    for project in $projects; do
        [ "$project" = . ] || echo "-e ./$project" >> "$VENV/requirements.in"
    done
    shift 3
    # shellcheck disable=SC2086
    uv pip compile --upgrade --python-version 3.10 --generate-hashes --no-annotate --no-emit-index-url \
        --custom-compile-command "make lock" $ours "$@" --output-file "$file" "$VENV/requirements.in"
}

# installable NAME PYTHONS MACHINES: fail unless there is a wheel of everything for each of them, but for
# Paddle's own on aarch64, of which the package index has none for Linux
installable() {
    for python in $2; do
        for machine in $3; do
            awk -v machine="$machine" '
                /^[a-z]/ { skip = machine == "aarch64" && /^paddlepaddle/ }
                !skip
            ' "requirements/$1.txt" > "$VENV/expected.txt"
            uv pip install --dry-run --target "$VENV/none" --only-binary :all: --require-hashes \
                --python-version "$python" --python-platform "$machine-manylinux_2_28" \
                --requirement "$VENV/expected.txt" || { echo "$1: no wheels: $python, $machine" >&2; exit 1; }
        done
    done
}

lock paddlepaddle-3.3.1 cpu,safetensors,tiff,test,lint "paddlepaddle==3.3.1" --universal
lock paddlepaddle-3.1.1 cpu,safetensors,tiff,test "paddlepaddle==3.1.1" --universal
lock paddlepaddle-2.6.2 cpu,safetensors,tiff,test "paddlepaddle==2.6.2" --universal
lock lowest cpu,safetensors,tiff,test "paddlepaddle>=2.6.2" --resolution lowest-direct

installable paddlepaddle-3.3.1 "3.10 3.11 3.12 3.13" "x86_64 aarch64"
installable paddlepaddle-3.1.1 "3.10 3.11 3.12 3.13" "x86_64 aarch64"
installable paddlepaddle-2.6.2 "3.10 3.11 3.12" "x86_64 aarch64"
installable lowest "3.10 3.11" x86_64
