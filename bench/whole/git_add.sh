# add, commit and status over 5,000 files.
. "$(dirname "$0")/lib.sh"
git init -q repo
cd repo
git config user.name bench
git config user.email bench@localhost
$python - <<'PY'
import os
for folder in range(100):
    os.mkdir(f"folder{folder}")
    for file in range(50):
        with open(f"folder{folder}/file{file}", "w") as f:
            f.write(f"{folder} {file}\n" * 20)
PY
begin
git add .
git commit -q -m everything
git status --short
end
