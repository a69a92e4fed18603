# 2,000 rows in 200 transactions of a database in a file.
. "$(dirname "$0")/lib.sh"
cat > insert.py <<'PY'
import sqlite3
db = sqlite3.connect("rows.db")
db.execute("create table rows (id integer primary key, name text, value real)")
for batch in range(200):
    with db:
        db.executemany("insert into rows (name, value) values (?, ?)", [(f"row {batch} {i}", i * 1.5) for i in range(10)])
assert db.execute("select count(*) from rows").fetchone()[0] == 2000
PY
begin
$python insert.py
end
