#!/bin/bash
# size: quick
# What bash has beyond POSIX: job control, process substitution, coprocesses, wait -n, PIPESTATUS, ERR and DEBUG traps.
# Nothing here may depend on how long something takes: what must have happened is waited for.
until_true() { until eval "$1"; do sleep 0.02; done; }
echo "== pipelines"
true | false | (exit 3); echo "${PIPESTATUS[@]}"
set -o pipefail; false | cat; echo "pipefail: $?"; set +o pipefail
yes | head -n 1; echo "${PIPESTATUS[0]} ${PIPESTATUS[1]}"
shopt -s lastpipe; echo value | read -r got; echo "$got"; shopt -u lastpipe
{ time -p true; } 2>&1 | cut -d ' ' -f 1 | xargs; { time true; } 2>&1 | grep -c real

echo "== process substitution"
diff <(seq 5) <(seq 2 6)
paste <(echo a) <(echo b) <(echo c)
seq 100 | tee >(wc -l > count) > /dev/null; until_true "test -s count"; cat count
while read -r a b; do echo "$b-$a"; done < <(printf '1 x\n2 y\n')
cat <<< "here string $((1 + 1))"

echo "== job control" # before any other job: the numbers of later ones depend on when earlier ones have ended
set -m
sleep 50 & jobs | sed 's/ .*sleep/ sleep/'; kill -STOP %1; until_true 'jobs -s | grep -q Stopped'; jobs -s | grep -c Stopped
kill -CONT %1; until_true 'jobs -r | grep -q Running'; jobs -r | grep -c Running; kill %1; wait %1 2>/dev/null; echo "status $?"
(sleep 60 | cat) & kill -- -$!; wait $! 2>/dev/null; echo "group: $?"
set +m

echo "== wait -n"
# The first has ended before bash looks: one that ends between its look and its wait(2) is lost to this bash, natively too.
mkfifo gate; (read -r < gate; exit 4) & (exit 2) & until_true "! kill -0 $! 2> /dev/null"
wait -n; echo "first done: $?"; echo > gate; wait -n; echo "second: $?"; wait -n; echo "none left: $?"
for i in 1 2 3 4; do (sleep 0.0$i; echo "$i" >> order) & done; wait; sort order | xargs

echo "== coprocess"
coproc { while read -r line; do echo "echo: $line"; done; }
echo hello >&"${COPROC[1]}"; read -r reply <&"${COPROC[0]}"; echo "$reply"
pid=$COPROC_PID; exec {COPROC[1]}>&-; wait "$pid" 2>/dev/null; echo "ended $?" # COPROC_PID goes when it has ended

echo "== traps"
f() { trap 'echo "return trap"' RETURN; echo in f; }; f; trap - RETURN
(trap 'echo "err at $?"' ERR; false; true)
(set -e; trap 'echo leaving' EXIT; false; echo unreachable); echo "status $?"
(trap 'echo caught; exit 6' USR2; kill -USR2 $BASHPID; sleep 5); echo "status $?"
bash -c 'trap "echo chld" CHLD; set -m; /bin/true; sleep 0.1' | sort -u
bash -c 'trap "echo int; exit 3" INT; (sleep 0.2; kill -INT $$) & wait'; echo "status $?"
timeout -s TERM 2 bash -c 'trap "echo got term; exit 8" TERM; while :; do sleep 0.05; done' 2> /dev/null; echo "timeout: $?"

echo "== variables"
declare -A map=([one]=1 [two]=2); for k in $(printf '%s\n' "${!map[@]}" | sort); do echo "$k=${map[$k]}"; done
mapfile -t lines < <(seq 3); echo "${#lines[@]} ${lines[2]}"
s="some text here"; echo "${s/text/words} ${s^^} ${#s} ${s:5:4} ${s##* }"
printf '%q %05.2f %x %(%Y)T\n' 'a b' 3.14159 255 0
[[ "abc123" =~ ^([a-z]+)([0-9]+)$ ]] && echo "${BASH_REMATCH[1]} ${BASH_REMATCH[2]}"
echo $((2 ** 40)) $((0x1f ^ 3)) {a..e} {01..05}
exec {fd}> numbered; echo in-file >&$fd; exec {fd}>&-; cat numbered
exec 8<> gate; read -r -t 0.1 never <&8; echo "read timed out: $(($? > 128))"
read -r -N 3 three <<< abcdef; echo "$three"
printf 'a\0b\0' | while IFS= read -r -d '' item; do echo "[$item]"; done
exec 9> lock; flock 9; (flock -n lock true); echo "lock held: $?"; flock -u 9; flock -n lock true; echo "free: $?"
