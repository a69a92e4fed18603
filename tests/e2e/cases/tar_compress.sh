#!/bin/bash
# needs: xz zstd gzip bzip2
# Packs a part of /usr/share with four compressors, unpacks it again, and compares trees.
set -e -o pipefail
for folder in perl perl5 doc/git bash-completion cmake-3.25 python3 zoneinfo; do [ -d /usr/share/$folder ] && parts+=(share/$folder); done
[ ${#parts[@]} -ge 2 ]
tar=(tar --sort=name --owner=0 --group=0 --numeric-owner)
"${tar[@]}" -C /usr -cf plain.tar "${parts[@]}"
sha256sum plain.tar; tar tf plain.tar | wc -l
gzip -nk plain.tar; xz -T2 -1 -k plain.tar; zstd -q -T2 -k plain.tar; bzip2 -1 -k plain.tar
for kind in gz xz zst bz2; do sha256sum plain.tar.$kind; done
gzip -dc plain.tar.gz | cmp - plain.tar; xz -dc plain.tar.xz | cmp - plain.tar; zstd -dcq plain.tar.zst | cmp - plain.tar
bzip2 -dc plain.tar.bz2 | cmp - plain.tar
mkdir x; tar -C x --zstd -xpf plain.tar.zst
for part in "${parts[@]}"; do diff -r --no-dereference /usr/$part x/$part && echo "same $part"; done
"${tar[@]}" -C x -cf again.tar share; tar df again.tar -C x && echo "tar -d agrees"
find x -printf '%P %y %m %s %l\n' | sed -E 's/^(.*) d ([0-7]+) [0-9]+/\1 d \2/' | sort | sha256sum
tar -C x -cf - . | (mkdir y; tar -C y -xf -); diff -r --no-dereference x y && echo "piped copy is the same"
cp -a x z; rm -rf x/share; [ ! -e x/share ]; mv z/share x/; diff -rq --no-dereference x y && echo "moved"
echo changed > x/share/new; tar -C x -uf again.tar share/new; tar tf again.tar | tail -n 1
xz -l --robot plain.tar.xz | head -n 2 | cut -f1,2; zstd -tq plain.tar.zst && echo tested
rm -rf x y z; ls
