#!/usr/bin/env bash
# Runs once, on the build cluster, with the bundle's virtual environment active.
set -eu
pip install regex==2024.11.6
