# Compiles the modules of the interpreter's own library.
. "$(dirname "$0")/lib.sh"
lib=$($python -c 'import json, pathlib; print(pathlib.Path(json.__file__).parent.parent)')
for part in email json xml unittest asyncio importlib http urllib logging concurrent; do
    cp -r "$lib/$part" .
done
find . -name __pycache__ -prune -exec rm -rf {} +
begin
$python -m compileall -q .
end
