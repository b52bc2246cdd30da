"""Which bootstrap commands install Python packages, in the forms that mrjob's conf files have them."""

from __future__ import annotations

import pytest

from mrjob_pybundle.job.python_installs import lines_that_install_python


@pytest.mark.parametrize(
    "line",
    [
        "pip install numpy",
        "sudo pip3 install boto3 mrjob[aws] warcio",
        "sudo -H pip-3.6 install -U simplejson",
        "sudo -u hadoop pip3 install --user numpy",
        "sudo /usr/local/bin/pip3.9 install -q numpy",
        "sudo pip --no-cache-dir install numpy",
        "sudo PYTHONPATH= env X=1 pip install numpy",
        "sudo python3 -m pip install --upgrade pip",
        "python3.7 -m easy_install x",
        "python3 -m ensurepip",
        "sudo easy_install-2.7 pip",
        "easy_install simplejson",
        "sudo pip install ~/lib/mylib-1.0.tar.gz#",
        "sudo pip install -r s3://bucket/requirements.txt#req.txt",
        "cd mylib.tar.gz#mylib/ && sudo python setup.py install",
        "tar xzf src.tgz#; cd src; python setup.py develop",
        "sudo yum install -y python3 python3-devel python3-pip gcc-c++",
        "sudo yum -y install python36u",
        "sudo dnf install -y python3.11-pip",
        "sudo apt-get -qy install python3-numpy",
        "sudo DEBIAN_FRONTEND=noninteractive apt-get install -y python3-dev",
        "sudo amazon-linux-extras install python3.8",
        "sudo rpm -ivh python3-numpy.rpm#",
        "sudo dpkg -i ~/debs/python-foo.deb#",
        "conda install -y numpy",
        "/opt/conda/bin/conda create -n x numpy",
        "bash Miniconda3-latest-Linux-x86_64.sh# -b -p /opt/conda",
        "curl -s https://bootstrap.example.com/get-pip.py | sudo python3",
        "sudo python get-pip.py#",
        "timeout 600 sudo pip install numpy",
        "sudo bash -c 'pip3 install numpy && echo done'",
        "test -e /x || (sudo pip install numpy)",
        "if true; then sudo pip install numpy; fi",
        "echo numpy | xargs -n 1 sudo pip install",
        "uv pip install numpy",
        "set -x; pip install numpy > /tmp/log 2>&1",
        'sudo pip install "unbalanced',
    ],
)
def test_these_do(line: str) -> None:
    assert lines_that_install_python([line]) == [line]


@pytest.mark.parametrize(
    "line",
    [
        "sudo yum install -y gcc-c++ libxml2-devel",
        "sudo apt-get update",
        "pip freeze",
        "pip3 --version",
        "python3 prepare.py#",
        "python -c 'print(1)'",
        "echo pip install numpy",
        "# sudo pip install numpy",
        "true # pip install numpy",
        "aws s3 cp s3://bucket/pip install",
        "mkdir -p /tmp/python install",
        "sudo yum remove -y python3-pip",
        "sudo mount -o remount /dev/shm",
        "",
    ],
)
def test_these_do_not(line: str) -> None:
    assert lines_that_install_python([line]) == []


def test_lines_of_a_command() -> None:
    """A block of YAML is one command of many lines; what is said twice is told once."""
    block = "set -e\nsudo pip install \\\n  numpy\nsudo yum -y install git\nsudo pip3 install x\n"
    assert lines_that_install_python([block, "sudo pip3 install x"]) == [
        "sudo pip install    numpy",
        "sudo pip3 install x",
    ]


def test_credentials_are_not_shown() -> None:
    line = "pip install --index-url https://me:secret@packages.example.com/simple x"
    assert lines_that_install_python([line]) == ["pip install --index-url https://…@packages.example.com/simple x"]
