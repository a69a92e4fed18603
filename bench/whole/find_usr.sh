# Walks all of /usr.
. "$(dirname "$0")/lib.sh"
begin
find /usr -type f -size +0 > names
end
