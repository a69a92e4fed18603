#!/bin/sh
# size: quick
# find, xargs, grep, sed and awk over a tree made here and over folders of the machine.
mkdir -p t/a t/b/c t/d; i=0
while [ $i -lt 120 ]; do echo "line $i alpha" > t/a/f$i.txt; echo "beta $i" > t/b/c/g$i.c; i=$((i + 1)); done
touch -d '2020-01-01' t/a/f1.txt; chmod 600 t/a/f2.txt; ln -s ../a t/b/link; : > t/d/empty; mkfifo t/fifo
echo "== find"
find t -type f | wc -l; find t -name '*1.txt' | sort; find t -empty | sort; find t -perm 600; find t -type l -o -type p | sort
find t ! -newermt 2021-01-01 -type f; find -L t -name 'f7.txt' | sort; find t -maxdepth 1 | sort; find t -size -2 -type f | wc -l
find t -name 'g*.c' -newer t/a/f1.txt -exec grep -l 'beta 11' {} + | sort; find t -name '*.c' -print0 | xargs -0 cat | sort | cksum
find t -type f -name 'f9*' -delete -print | sort; find t -path '*/c/*' -prune -o -type d -print | sort; find t -printf '%y %d %f\n' | sort | cksum
find t -regex '.*/g[0-9]\.c' | sort; find t -links +1 -type d | sort; find nowhere 2>&1; find t -type f -execdir sh -c 'pwd' \; | sort -u | sed 's|.*/||'
echo "== the machine"
find /usr/include -name '*.h' | sort | cksum; find /usr/share/perl -type f 2>/dev/null | wc -l; find /etc -maxdepth 1 -name 'p*' | sort
find /usr/lib -type l -lname '*.so*' 2>/dev/null | sort | cksum; find /usr/bin -perm -4000 | sort; find /usr/share/zoneinfo -samefile /usr/share/zoneinfo/UTC 2>/dev/null | sort
echo "== grep"
grep -rn 'line 11' t/a | sort; grep -c alpha t/a/f0.txt; grep -rlE 'beta (1|2)$' t | sort; grep -rohP '\d+(?= alpha)' t | sort -n | tail -n 3
grep -q nothing t/a/f0.txt; echo $?; grep -x 'beta 5' -r t/b/c -h; grep -rw define /usr/include/linux | cut -d: -f1 | sort -u | wc -l; grep -z root /etc/passwd | tr '\0' '\n' | head -n 1
grep -A1 -B1 'b' <<'END' | head -n 20
a
b
c
END
echo "== sed"
sed -i 's/alpha/gamma/; 1!d' t/a/f3.txt; cat t/a/f3.txt; sed -n '/root/{s/:.*//;p;q}' /etc/passwd; seq 20 | sed -n '5,8p;15{=;q}'
seq 10 | sed 'N;s/\n/ /'; printf 'a-b\n' | sed -E 's/(.)-(.)/\2-\1/'; sed -i.bak 's/beta/B/' t/b/c/g1.c; cat t/b/c/g1.c t/b/c/g1.c.bak; seq 3 | sed '2w out' > /dev/null; cat out
echo "== awk"
awk -F: '{n[$7]++} END {for (s in n) print s, n[s]}' /etc/passwd | sort; seq 100 | awk '{s += $1} END {print s, s / NR}'
awk 'BEGIN {while (("echo a; echo b" | getline l) > 0) print "got", l; close("echo a; echo b"); system("echo from system"); print "piped" | "cat"}'
awk '{print > ("split-" NR % 3)}' t/b/c/g1?.c; cat split-0 split-1 split-2 | sort | cksum; awk 'BEGIN {printf "%s %d\n", toupper("x"), 3.9; exit 3}'; echo $?
