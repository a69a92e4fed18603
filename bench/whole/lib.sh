# Read by every whole program: $1 is the folder with fetched data. Each prepares its work in memory, then calls begin, does
# what is measured, and calls end, which prints the time. Starting the sandbox and preparing are not in the figure.
set -eu
data=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/bench-XXXXXX")
trap 'cd /; rm -rf "$work"' EXIT
cd "$work"
export HOME=$work LC_ALL=C.UTF-8
python=/usr/bin/python3
[ -x $python ] || python=python3

begin() { started=$(date +%s%N); }
end() { echo "elapsed_ns $(($(date +%s%N) - started))"; }
