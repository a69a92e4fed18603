#!/usr/bin/env bash
# Fetches the upstream tar file of a Debian source package: tools/debian-source.sh PACKAGE FOLDER. Prints its path.
# The machine's own apt set-up stays as it is: the same sources are read as deb-src in a private one beside the file.
set -euo pipefail
package=$1 folder=$(mkdir -p "$2" && cd "$2" && pwd)

found() { find "$folder" -maxdepth 1 -name "${package}_*.orig.tar.*" ! -name '*.asc' | head -n 1; }

if [ -z "$(found)" ]; then
    apt=$folder/apt
    mkdir -p "$apt"/lists/partial "$apt/cache/archives/partial" "$apt/parts"
    for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -f "$list" ] && sed -n 's/^deb /deb-src /p' "$list"
    done > "$apt/parts/all.list"
    for list in /etc/apt/sources.list.d/*.sources; do
        [ -f "$list" ] && sed 's/^Types:.*/Types: deb-src/' "$list" > "$apt/parts/$(basename "$list")"
    done
    options=(-o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$apt/parts" -o Dir::State::Lists="$apt/lists"
        -o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update -qq >&2
    (cd "$folder" && apt-get "${options[@]}" source -qq --download-only "$package" >&2)
    rm -rf "$apt"
fi
[ -n "$(found)" ] || { echo "debian-source: $package: nothing was fetched" >&2; exit 1; }
found
