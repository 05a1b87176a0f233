#!/bin/sh
# Prints the Python that the Makefile works with, or says what was found and what is needed.
#
#     sh .make/find-python.sh               .venv's if it is whole, else the first that can make one
#     sh .make/find-python.sh INTERPRETER   that one
#
# A Python is believed only when it runs: pyenv leaves a python3.12 that does nothing but complain.

version='import sys; print("%d.%d.%d" % sys.version_info[:3])'

fits() { # VERSION NEWEST: is it from 3.11 to 3.NEWEST?
    case $1 in 3.*.*) ;; *) return 1 ;; esac
    minor=${1#3.} && minor=${minor%%.*}
    [ "$minor" -ge 11 ] && [ "$minor" -le "$2" ]
}

if [ -n "$1" ]; then
    found=$("$1" -c "$version" 2>/dev/null) || found="does not run"
    fits "$found" 99 && echo "$1" && exit
    echo "error: PYTHON must be Python 3.11 or newer, not '$1' ($found)" >&2
    exit 1
fi

# .venv/ready is written last, and names the folder: an environment does not survive a move.
if [ "$(head -n 1 .venv/ready 2>/dev/null)" = "$(pwd -P)" ]; then
    fits "$(.venv/bin/python -c "$version" 2>/dev/null)" 99 && echo .venv/bin/python && exit
fi

seen=
for name in python3.11 python3.12 python3.13 python3.14 python3; do
    found=$("$name" -c "$version" 2>/dev/null) || continue
    fits "$found" 14 && command -v "$name" && exit # 14: the last with wheels of torch 2.14.1
    seen="${seen:+$seen,} $name is $found"
done
echo "error: advlib needs Python 3.11, 3.12, 3.13 or 3.14 on the PATH; found:${seen:- none}" >&2
exit 1
