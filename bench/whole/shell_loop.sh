# A shell starts 300 programs, one after the other.
. "$(dirname "$0")/lib.sh"
begin
i=0
while [ $i -lt 300 ]; do
    /bin/true
    i=$((i + 1))
done
end
