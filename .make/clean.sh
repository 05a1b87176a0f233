#!/bin/sh
# Removes report/build; says first how many finished trainings go with it, and asks on a terminal.

set -eu
build=report/build
[ -d "$build" ] || exit 0

trainings=$(find "$build/runs" -mindepth 1 -maxdepth 1 -type d 2>/dev/null | wc -l | tr -d ' ')
if [ "$trainings" -gt 0 ]; then
    echo "$build/runs holds $trainings trainings; they are removed too and have to be repeated."
    if [ -t 0 ]; then
        printf 'Remove the trainings? [y/N] '
        read -r answer || answer=
        case $answer in
        [yY]*) ;;
        *)
            find "$build" -mindepth 1 -maxdepth 1 ! -name runs -exec rm -rf {} +
            echo "The trainings stay; the rest of $build is removed."
            exit
            ;;
        esac
    fi
fi
rm -rf "$build"
echo "$build is removed."
