# Run `make ARGUMENT...` where there is next to nothing: in a copy of the sources without .git, below a path
# with spaces and beyond ASCII, with no variable but PATH and LANG=C, no compiler and no git on the PATH, an
# empty cache of pip, a folder for temporary files of its own, files private to the user, and no standard
# input. `make setup` has no HOME, the rest one that cannot be written. As root, where the user `nobody` can
# reach Python, all of it is done as `nobody`.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
room=$(mktemp -d)
trap 'umount "$room/home" 2> /dev/null || true; rm -rf "$room"' EXIT
chmod 755 "$room"
copy="$room/Ein Ort für Bilder/seg core"
mkdir -p "$copy" "$room/bin" "$room/tmp"
(cd "$here" && tar -cf - --exclude='./.git' --exclude='./.venv*' --exclude=./demo --exclude=./dist \
    --exclude=__pycache__ --exclude='.*_cache' .) | tar -xf - -C "$copy"

for tool in awk basename cat chmod cp cut date dirname env expr false grep head id ln ls make mkdir mktemp \
    mv rm rmdir sed sh sleep sort tail test touch tr true uname wc; do
    path=$(command -v "$tool" || true)
    case $path in /*) ln -s "$path" "$room/bin/$tool" ;; esac
done
python=$("${PYTHON:-python3}" -c 'import sys; print(sys.executable)')

# how this machine reaches the package index is not what is tried
set -- "$@" --
for name in PIP_CERT PIP_CONFIG_FILE PIP_DEFAULT_TIMEOUT PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_INDEX_URL \
    REQUESTS_CA_BUNDLE SSL_CERT_FILE http_proxy https_proxy no_proxy; do
    eval "value=\${$name-}"
    if [ -n "$value" ]; then set -- "$@" "$name=$value"; fi
done
arguments=
while [ "$1" != -- ]; do
    arguments="$arguments '$1'"
    shift
done
shift

as=
nobody="setpriv --reuid=65534 --regid=65534 --clear-groups"
if [ "$(id -u)" = 0 ] && $nobody sh -c '"$0" -c "import venv"' "$python" 2> /dev/null; then
    as=$nobody
    chown -R 65534:65534 "$room"
fi
mkdir -m 555 "$room/home"
# root may write whatever the mode says, but not to a file system that is read-only
if [ "$(id -u)" = 0 ] && [ -z "$as" ]; then
    mount -t tmpfs -o ro none "$room/home" || echo "HOME can be written: nothing may be mounted here" >&2
fi
umask 077
cd "$copy"
bare() {
    # shellcheck disable=SC2086
    $as env -i PATH="$room/bin" LANG=C TMPDIR="$room/tmp" PIP_CACHE_DIR="$room/tmp/pip" "$@" <&-
}
echo "${as:+as nobody }in $copy"
bare "$@" make setup PYTHON="$python"
eval "bare \"\$@\" HOME='$room/home' make PYTHON='$python' $arguments"
