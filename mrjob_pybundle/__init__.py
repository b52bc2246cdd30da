"""mrjob-pybundle: the Python you want on every node of an Amazon EMR cluster.

A runner for `mrjob <https://mrjob.readthedocs.io>`_. ``python myjob.py -r pybundle-emr`` finds
(or builds, once for the whole team) a compiled CPython and a virtual environment in S3, and has
every node of the job's cluster fetch, verify and unpack the two.
"""

__version__ = "0.1.0"
