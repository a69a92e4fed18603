#!/bin/sh
# size: quick
# The core utilities over files made here.
echo "== text"
seq 1 300 > n; shuf --random-source=/bin/ls n > shuffled; sort -n shuffled | cmp - n && echo sorted
sort -R --random-source=/bin/ls n | sort -n | uniq -c | awk '$1 != 1' | wc -l
printf 'b 2\na 1\nc 3\n' > l; printf 'a x\nc z\n' > r; sort l | join - r
cut -d' ' -f2 l | paste -sd+ ; comm -12 n shuffled 2>/dev/null | wc -l
head -c 1000 /bin/ls | base64 -w 60 | base64 -d | cmp - /bin/ls 2>&1 | sed 's/ on .*//; s/after byte.*//'
nl -ba l; tac l; rev l; fold -w 3 l; expand -t 4 l; fmt -w 10 l; tr -d '0-9' < l; tr -s ' ' < l | wc
od -An -tx1 -N 16 /bin/ls; sha256sum n l r; md5sum < n; cksum n; b2sum n | cut -c1-20
split -l 100 n part-; ls part-*; cat part-* | cmp - n && echo joined; csplit -s n 50 100; wc -l xx*
numfmt --to=iec 1048576; factor 1234567; expr 6 \* 7; seq -s, 5; printf '%08.3f\n' 2.5; date -u -d @86400 +%F
tsort <<'END'
a b
b c
END
echo "== files"
mkdir -p tree/a/b/c; echo 1 > tree/a/one; echo 2 > tree/a/b/two; ln -s one tree/a/sym; ln tree/a/one tree/a/hard
touch -d '2001-02-03 04:05:06 UTC' tree/a/one; chmod 640 tree/a/one; cp -a tree copy
stat -c '%n %a %h %s %F %Y' copy/a/one copy/a/sym copy/a/b | sed 's/ 4096 / /; s/ [0-9]* directory.*/ directory/; s/link [0-9]*/link/'
diff -r tree copy && echo same; cp --reflink=auto tree/a/one x1; cp -l tree/a/one x2; stat -c %h x2
mv copy moved && ls -R moved; mv -n x1 x2; install -D -m 755 l deep/er/l; stat -c '%a' deep/er/l
rm -r moved; [ -e moved ] || echo gone; rmdir tree 2>/dev/null; echo "rmdir: $?"
dd if=/dev/zero of=z bs=1k count=64 seek=64 status=none; stat -c %s z; du -k --apparent-size z | cut -f1
truncate -s 5M sparse; stat -c %s sparse; cp --sparse=always sparse s2; cmp sparse s2 && echo equal
dd if=n of=conv bs=7 count=3 skip=1 conv=ucase status=none; cat conv; echo
ln -sf nowhere dangling; readlink dangling; readlink -f tree/a/sym | sed 's|.*/||'; realpath --relative-to=. tree/a/b/..
mkfifo p; (cat n > p) & wc -l < p; wait; mknod nod p && ls -l nod | cut -c1; rm -f p nod
echo "== processes and names"
timeout 0.2 sleep 10; echo "timeout: $?"; env -i A=b env; nice -n 5 nice; nohup true 2>/dev/null; echo $?
seq 20 | xargs -n 5 -P 4 echo | sort -n; seq 4 | xargs -I{} echo item {}; echo a b | xargs -n 1 sh -c 'echo $0'
tee t1 t2 < l | wc -l; cmp t1 t2; mktemp -u XXXX | wc -c; basename /a/b.c .c; dirname /a/b/c; pathchk a/b; echo $?
test -f n -a -r n -a ! -d n; echo $?; id -u; whoami; uname -s; arch > /dev/null; nproc > /dev/null; tty; echo $?
ls -la tree/a | awk 'NR > 1 {print $1, $2, $NF}'; ls -1 --sort=size n l r; dircolors -b | wc -l; stdbuf -oL echo line
head -n -295 n; tail -n +298 n; tail -c 4 n; (tail -n 2 -f --pid=$$ n & t=$!; sleep 0.2; echo new >> n; sleep 1.5; kill $t); wait
chmod -R go-w tree; chmod u+s l; stat -c %A l; chmod 1777 deep; stat -c %A deep
sync n; chown 12:34 l; stat -c %u:%g l; chgrp 0 l; stat -c %u:%g l; df . > /dev/null; echo $?
