#!/bin/bash
# needs: git
# 200 commits on two branches, merges, a clone, gc, fsck, stash, rebase, bisect.
set -e
export GIT_CONFIG_GLOBAL=$HOME/config GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000'
git config --global user.name sbox; git config --global user.email sbox@localhost; git config --global init.defaultBranch main
git config --global advice.detachedHead false; git config --global gc.autoDetach false; git config --global protocol.file.allow always
git init -q repo; cd repo
for i in $(seq 200); do
    echo "change $i" >> file$((i % 10)); mkdir -p dir$((i % 7)); echo "$i" > dir$((i % 7))/n$i
    git add -A; git commit -qm "commit $i"; [ $i != 100 ] || git branch side
done
git log --oneline | wc -l; git rev-parse HEAD; git log --stat -n 2 | cat; git diff HEAD~3 --stat | cat; git status --short
git checkout -q side; for i in 1 2 3; do echo "side $i" > side$i; git add .; git commit -qm "side $i"; done; git checkout -q main
git merge -q --no-edit side; git log --graph --oneline -n 4 | cat; git blame file3 | cut -c1-8 | sort | uniq -c | sort -rn | head -n 2
git tag -a -m "a tag" v1; git describe; git show --stat v1 | head -n 8; echo dirty >> file0; git stash -q; git status --short; git stash pop -q; git status --short
git checkout -q -- file0; git checkout -qb topic HEAD~5 2>/dev/null; echo t > topic; git add topic; git commit -qm topic; git rebase -q main; git log --oneline -n 2 | cat; git checkout -q main
echo "one" > conflict; git add conflict; git commit -qm one; git checkout -qb other HEAD~1; echo two > conflict; git add conflict; git commit -qm two
git merge main > merge.txt 2>&1 && exit 1; grep -c CONFLICT merge.txt; git diff --name-only --diff-filter=U; git merge --abort; rm merge.txt; git checkout -q main
cd ..; git clone -q repo clone 2>&1; git clone -q --bare file://$PWD/repo bare.git; diff -r --exclude=.git repo clone && echo "clone is the same"
cd clone; git log --oneline | wc -l; echo c > fromclone; git add .; git commit -qm "from clone"; git push -q ../bare.git HEAD:refs/heads/pushed; git -C ../bare.git rev-parse pushed
cd ../repo; git fetch -q ../bare.git pushed; git rev-parse FETCH_HEAD; git gc -q --aggressive --prune=now; git count-objects -v | grep -E '^(count|packs|garbage)'; git fsck --strict --no-dangling 2>&1
git bisect start HEAD HEAD~150 > /dev/null 2>&1; git bisect run sh -c 'test ! -e dir2/n100 -a ! -e dir2/n163' 2>&1 | grep 'is the first bad'; git bisect reset > /dev/null 2>&1
git archive --format=tar HEAD | sha256sum; git ls-files | wc -l; git grep -c 'change 5' | head -n 3; git worktree add -q ../wt side; ls ../wt | wc -l; git worktree list | wc -l
git clean -fdxn | cat; git reset -q --hard HEAD~10; git ls-files | wc -l; git reflog | wc -l; git rm -q -r dir1; git commit -qm rm; git ls-files | wc -l
