#!/usr/bin/env bash
# Packages in versions that the bundle's Python has: with C code (regex), a wheel with libraries of its own (numpy), one that
# is compiled against a library of the system's, which nodes do not have (psycopg2), and projects beside this script, made
# by what makes wheels. What makes them makes environments from this one, and so may anybody.
set -eu
sudo apt-get -q -y install libpq-dev
case $(python -c 'import sys; print("%d.%d" % sys.version_info[:2])') in
    2.7) pip install regex==2020.11.13 numpy==1.16.6 psycopg2==2.8.6 ./made_by_setuptools && greet everyone && exit ;;
    3.9) numpy=2.0.2 ;;
    *) numpy=2.2.6 ;;
esac
pip install regex==2024.11.6 numpy=="$numpy" uv==0.13.9 ./made_by_setuptools ./made_by_flit
pip install --no-binary psycopg2 psycopg2==2.9.10
uv pip install ./made_by_hatchling
python -m venv other
other/bin/pip install ./made_by_flit
other/bin/python -c 'import made_by_flit'
greet everyone
