#!/usr/bin/env bash
# What the jobs of these tests import: regex, of tests/jobs and examples; warcio, of one of mrjob's own examples.
set -eu
pip install regex==2024.11.6 warcio==1.7.5
