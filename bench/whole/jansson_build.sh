# Configures and builds a small C library with two jobs.
. "$(dirname "$0")/lib.sh"
tar xzf "$data"/jansson_*.orig.tar.gz
begin
cmake -S jansson-* -B build -G "Unix Makefiles" -DJANSSON_BUILD_DOCS=OFF > log 2>&1
make -C build -s -j2 > /dev/null
end
