#!/bin/dash
# size: quick
# What POSIX shell scripts do all day: pipelines, traps, here-documents, subshells, background jobs, redirections.
echo "== pipelines"
printf 'c\nb\na\n' | sort | tr a-z A-Z | while read -r line; do echo "got $line"; done
seq 1 2000 | grep 7 | wc -l
yes sbox | head -n 3
false | true; echo "last wins: $?"
! true; echo "negated: $?"

echo "== subshells and exit codes"
(exit 7); echo "subshell: $?"
x=outer; (x=inner; echo "$x"); echo "$x"
$(exit 3); echo "substitution: $?"
sh -c 'kill -TERM $$'; echo "by signal: $?"
sh -c 'kill -KILL $$'; echo "by kill: $?"
nosuchcommand 2>/dev/null; echo "not found: $?"
/etc/passwd 2>/dev/null; echo "not executable: $?"
: > empty; chmod +x empty; ./empty; echo "empty file: $?"
printf 'echo no interpreter line\n' > bare; chmod +x bare; ./bare; echo "bare: $?"

echo "== here-documents"
who=world
cat <<END
hello $who $(echo nested) $((6 * 7))
END
cat <<'END'
not $expanded
END
i=0; while [ $i -lt 500 ]; do i=$((i + 1)); echo "line $i of a long here-document"; done > long
{ echo 'cat <<END'; cat long; echo END; } > heredoc.sh; sh heredoc.sh | cksum

echo "== redirections"
exec 3> out 4< /etc/hostname
echo to-three >&3; exec 3>&- 4<&-
cat out; { echo one; echo two >&2; } 2>&1 | sort
echo append >> out; echo more >> out; wc -l < out
ls nothing > both 2>&1; wc -l < both
set -C; (echo clobber > out) 2>/dev/null; echo "noclobber: $?"; set +C
read -r first < out; echo "$first"
echo x > /dev/null; cat < /dev/null | wc -c
(echo full > /dev/full) 2>/dev/null; echo "full: $?"

echo "== traps"
sh -c 'trap "echo exit trap" EXIT; echo body'
sh -c 'trap "echo usr1" USR1; kill -USR1 $$; echo after'
sh -c 'trap "echo term; exit 9" TERM; kill -TERM $$; echo unreachable'; echo "status $?"
sh -c 'trap "" INT; kill -INT $$; echo survived'
(trap 'echo sub-exit' EXIT; exit 4); echo "status $?"

echo "== jobs"
sleep 0.05 & wait $!; echo "waited: $?"
(exit 5) & wait $!; echo "background status: $?"
sh -c 'sleep 100' & victim=$!; kill $victim; wait $victim 2> /dev/null; echo "killed: $?" # the shell may or may not say so
for n in 1 2 3; do (exit $n) & eval "p$n=$!"; done
wait $p3; echo $?; wait $p1; echo $?; wait $p2; echo $?
mkfifo pipe; (echo through-fifo > pipe) & cat pipe; wait

echo "== files"
umask 027; : > masked; mkdir dir; stat -c '%a %F' masked dir; umask 022
ln -s dir link; cd link && pwd -L | sed 's|.*/||' && pwd -P | sed 's|.*/||'; cd ..
for f in *; do [ -d "$f" ] && echo "dir $f"; [ -L "$f" ] && echo "link $f"; [ -x "$f" ] && echo "exec $f"; [ -p "$f" ] && echo "fifo $f"; done
set -- a 'b c' d; echo $#; shift; echo "$1"; echo "$@"
cd /nonexistent 2>/dev/null; echo "cd: $?"
command -v cat; type cd
times > /dev/null && ulimit -n > /dev/null && echo fine
exit 0
