#!/usr/bin/env bash
# Packages of three kinds, in versions that the bundle's Python has: with C code (regex), a wheel with libraries of its
# own (numpy), and one that is compiled against a library of the system's, which nodes do not have (psycopg2).
set -eu
sudo apt-get -q -y install libpq-dev
case $(python -c 'import sys; print("%d.%d" % sys.version_info[:2])') in
    2.7) pip install regex==2020.11.13 numpy==1.16.6 psycopg2==2.8.6 ;;
    3.9) pip install regex==2024.11.6 numpy==2.0.2 && pip install --no-binary psycopg2 psycopg2==2.9.10 ;;
    *) pip install regex==2024.11.6 numpy==2.2.6 && pip install --no-binary psycopg2 psycopg2==2.9.10 ;;
esac
