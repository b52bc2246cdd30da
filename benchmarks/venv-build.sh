#!/usr/bin/env bash
# The environment of the benchmarks' bundle: a large package, and one with code in C that mappers spend their time in.
set -eu
pip install numpy==2.2.6 regex==2024.11.6
