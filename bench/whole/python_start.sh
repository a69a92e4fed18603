# 20 times the start of an interpreter with a few modules: many small files are looked up, opened and read.
. "$(dirname "$0")/lib.sh"
begin
i=0
while [ $i -lt 20 ]; do
    $python -c 'import json, re, subprocess, email'
    i=$((i + 1))
done
end
