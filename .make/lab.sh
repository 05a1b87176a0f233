#!/bin/sh
# JupyterLab on the notebooks, without its news: sh .make/lab.sh PYTHON
set -eu
if [ "$(id -u)" = 0 ] && [ "${ROOT:-}" != yes ]; then
    cat >&2 <<'END'
make lab: you are root, and whoever gets at a JupyterLab of root's is root. Start it as another user,
or, where nobody else is (a container of your own), with
    ROOT=yes make lab
END
    exit 2
fi
# .make/jupyter/labconfig has the defaults; what a user has chosen in JupyterLab goes before them
export JUPYTER_CONFIG_PATH="$PWD/.make/jupyter${JUPYTER_CONFIG_PATH:+:$JUPYTER_CONFIG_PATH}"
exec "$1" -m jupyterlab --notebook-dir=. --LabApp.default_url=/lab/tree/notebooks/explore.ipynb \
    ${ROOT:+--allow-root}
