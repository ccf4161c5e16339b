#!/usr/bin/env bash
# Writes the manifests that automation applies, each with the author of its change in the annotation
# eventcenter.io/authored-by. It needs bash (4.4), git (2.35) and kubectl, which contacts no cluster.
#
#   set-author.sh BEFORE AFTER FOLDER TARGET
#
#   BEFORE AFTER  the commits before and after a push to the branch that people merge into
#   FOLDER        the manifests in that branch, from the root of the current Git repository
#   TARGET        a folder with what automation applies: a checkout of a branch that only the pipeline pushes to
#
# Each manifest that differs between the commits (added, modified, renamed) is written to TARGET with its author, and a removed
# one is removed there. The author is the one of all commits in between that touched the file, under any of its names; of
# a merge only if the merge itself changed the file. If there are several, nothing is written: an approval needs one author.
#
# Exit codes: 0 written, 1 refused, 2 an error.
set -euo pipefail
shopt -s inherit_errexit
export GIT_NO_REPLACE_OBJECTS=1 GIT_LITERAL_PATHSPECS=1

readonly ANNOTATION=eventcenter.io/authored-by

fail() { # CODE MESSAGE
  printf 'set-author: %s\n' "$2" >&2
  exit "$1"
}

[ $# -eq 4 ] || fail 2 'usage: set-author.sh BEFORE AFTER FOLDER TARGET'
folder=${3%/}
case $folder in . | '') prefix='' ;; *) prefix=$folder/ ;; esac
target=$(cd "$4" && pwd) || fail 2 "$4 is not a folder: check out the branch that automation applies there"
cd "$(git rev-parse --show-toplevel)" || fail 2 'this is not a Git repository'
[ "$(git rev-parse --is-shallow-repository)" = false ] ||
  fail 2 'this is a shallow clone, which lacks commits: fetch the whole history'
before=$(git rev-parse --quiet --verify "$1^{commit}") ||
  fail 2 "there is no commit $1: pass the commit before the push, which must not be the first of the branch"
after=$(git rev-parse --quiet --verify "$2^{commit}") || fail 2 "there is no commit $2: pass the commit after the push"
git merge-base --is-ancestor "$before" "$after" ||
  fail 1 "$1 is not an ancestor of $2: the history was rewritten, so the authors of its changes are unknown"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

is_manifest() { # PATH
  case $1 in "$prefix"*.yaml | "$prefix"*.yml | "$prefix"*.json) true ;; *) false ;; esac
}

# Prints the changes of a diff as STATUS, OLD PATH, NEW PATH, each terminated by NUL.
changes() { # GIT ARGUMENTS
  local status old new
  local -a command=("$@")
  git "${command[0]}" --name-status -z --find-renames -l0 "${command[@]:1}" | while IFS= read -r -d '' status; do
    IFS= read -r -d '' old
    new=$old
    case $status in R* | C*) IFS= read -r -d '' new ;; esac
    printf '%s\0%s\0%s\0' "${status:0:1}" "$old" "$new"
  done
}

# The changes and the authors of each commit, oldest first. The changes of a merge are those by which it differs from the
# automatic merge of its parents. The authors are its own, and those that its message names besides.
commits=()
git rev-list --reverse --topo-order --parents "$before..$after" > "$work/commits"
while read -r commit parents; do
  commits+=("$commit")
  case $parents in
    *' '*' '*) changes diff-tree -r "$commit^1" "$commit" > "$work/$commit" ;;
    *) changes show --format= --no-show-signature --remerge-diff "$commit" > "$work/$commit" ;;
  esac
  git show --no-patch --no-show-signature \
    --format='%an <%ae>%n%(trailers:key=Co-authored-by,valueonly,unfold)' "$commit" > "$work/$commit.authors"
done < "$work/commits"

# Prints the authors of a file in the commits, a line each: COMMIT AUTHOR.
authors_of_file() { # PATH
  local -A names=(["$1"]=1)
  local commit status old new author known=0
  # The name on one branch becomes known by a rename on another, so this repeats until no other is found.
  while [ "${#names[@]}" -gt "$known" ]; do
    known=${#names[@]}
    for commit in "${commits[@]}"; do
      while IFS= read -r -d '' status && IFS= read -r -d '' old && IFS= read -r -d '' new; do
        if [ "$status" = R ] && [ -n "${names["$new"]:-}" ]; then names["$old"]=1; fi
      done < "$work/$commit"
    done
  done
  for commit in "${commits[@]}"; do
    while IFS= read -r -d '' status && IFS= read -r -d '' old && IFS= read -r -d '' new; do
      if [ -n "${names["$old"]:-}${names["$new"]:-}" ]; then
        while read -r author; do
          [ -z "$author" ] || printf '%s %s\n' "${commit:0:12}" "$author"
        done < "$work/$commit.authors"
        break
      fi
    done < "$work/$commit"
  done
}

# The address of an author, in lower case.
address_of() { # AUTHOR
  local address=${1##*<}
  address=${address%>}
  printf '%s' "${address,,}"
}

# The author as the annotation names them: without a display name that could be taken for a list.
form_of() { # AUTHOR
  case ${1%<*} in
    *[\<\>,\;@\"]* | '' | ' ') printf '%s' "$(address_of "$1")" ;;
    *) printf '%s' "$1" ;;
  esac
}

changes diff-tree -r "$before" "$after" -- "${folder:-.}" > "$work/changes"
written=() removed=() authors=() refused=0
while IFS= read -r -d '' status && IFS= read -r -d '' old && IFS= read -r -d '' new; do
  case $status in R | D) if is_manifest "$old"; then removed+=("$old"); fi ;; esac
  if [ "$status" = D ] || ! is_manifest "$new"; then continue; fi
  lines=$(authors_of_file "$new")
  first='' last='' several=''
  while read -r commit author; do
    [ -n "$author" ] || continue
    first=${first:-$author} last=$author
    [ "$(address_of "$author")" = "$(address_of "$first")" ] || several=yes
  done <<< "$lines"
  if [ -z "$first" ]; then
    printf 'set-author: %s has no author in %s..%s: change it in a commit of its own\n' "$new" "$1" "$2" >&2
    refused=1
  elif [ -n "$several" ]; then
    printf 'set-author: %s has several authors in %s..%s, and an approval needs one:\n' "$new" "$1" "$2" >&2
    printf '%s\n' "$lines" | sed 's/^/  /' >&2
    printf '  Merge the changes of several authors one after the other: run this for a shorter range first.\n' >&2
    refused=1
  else
    written+=("$new") authors+=("$(form_of "$last")")
  fi
done < "$work/changes"
[ "$refused" -eq 0 ] || exit 1

# Everything is built before anything is written.
for index in "${!written[@]}"; do
  file=${written[index]}
  git show "$after:$file" |
    kubectl annotate --local --overwrite -o yaml -f - "$ANNOTATION=${authors[index]}" > "$work/built-$index" ||
    fail 2 "$file is not a manifest that kubectl reads"
done
for file in "${removed[@]}"; do rm -f "$target/$file"; done
for index in "${!written[@]}"; do
  mkdir -p "$(dirname "$target/${written[index]}")"
  cp "$work/built-$index" "$target/${written[index]}"
  printf '%s: %s\n' "${written[index]}" "${authors[index]}"
done
