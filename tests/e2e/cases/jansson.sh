#!/bin/bash
# needs: cmake make gcc
# Builds a C library with two jobs, runs its test suite, and builds a program with it.
set -e -o pipefail
tar xzf "$DATA"/jansson_*.orig.tar.gz
cmake -S jansson-* -B build -G 'Unix Makefiles' -DJANSSON_BUILD_DOCS=OFF -DCMAKE_BUILD_TYPE=Release > log 2>&1 || { cat log; exit 1; }
grep -E '^-- (Looking for|Performing)' log | sort
make -C build -j2 > log 2>&1 || { cat log; exit 1; }
grep -c Built log
(cd build && ctest 2>&1) | grep -E 'Passed|Failed|tests passed' | sed -E 's/ +[0-9.]+ sec.*//; s/^ *[0-9]+\/[0-9]+ //; s/\.+//' | sort
cat > use.c <<'END'
#include <jansson.h>
#include <stdio.h>
int main(void)
{
    json_t *j = json_pack("{s:i,s:[b,n,f]}", "a", 1, "list", 1, 2.5);
    char *s = json_dumps(j, JSON_SORT_KEYS | JSON_COMPACT);
    puts(s);
    return 0;
}
END
gcc -O2 -Wall -Ibuild/include use.c build/lib/libjansson.a -o use && ./use
gcc -O2 -Ibuild/include use.c -c -save-temps -o use.o && ls use.*; sha256sum build/lib/libjansson.a use | cut -c1-64
objdump -d use | wc -l | awk '{print ($1 > 100)}'; strip use && ./use; ar t build/lib/libjansson.a | sort
