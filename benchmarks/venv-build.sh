#!/usr/bin/env bash
# The environment of the benchmarks' bundle: one large package.
set -eu
pip install numpy==2.2.6
