"""The policies of docs/security.md, each in an IAM role of the run's own, and taking these away."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from mrjob_pybundle.aws.errors import error_code, explained
from mrjob_pybundle.errors import OptionError
from mrjob_pybundle.selftest.names import TAG, Names

#: Not in the package: it comes with a clone.
DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"

_USE, _BUILD = "Submitter who may only use the cache", "Submitter who may build"

#: Whose role → the headings of its policies
POLICIES: Mapping[str, tuple[str, ...]] = {
    "submitter": (_USE,),
    "builder": (_USE, _BUILD),
    "build-master": ("Build master",),
    "job-node": ("Job node",),
}
_ON_INSTANCES = ("build-master", "job-node")

#: "Changes that I make are not always immediately visible" (IAM User Guide, "Troubleshoot IAM"): before they count.
_SETTLING_SECONDS = 20


@dataclass(frozen=True)
class Roles:
    """The run's roles: one for each of :data:`POLICIES`, and instance profiles of the same names."""

    names: Names
    iam: Any
    sts: Any
    region: str
    #: ``iam_service_role``: a name, its path before it if it has one, or an ARN
    service_role: str
    settling_seconds: float = _SETTLING_SECONDS

    def create(self) -> str:
        """Make all of them. The result is the account's id.

        :raises CacheError: IAM said no.
        :raises OptionError: this is no clone, which alone has the policies; or a partition of AWS's own, such as China.
        """
        with explained("asking which account this is (GetCallerIdentity)"):
            caller = self.sts.get_caller_identity()
        account = str(caller["Account"])
        if not caller["Arn"].startswith("arn:aws:"):
            raise OptionError("The policies of docs/security.md are for regions outside of GovCloud and China.")
        documents = self.documents(account)
        with explained("creating the run's IAM roles"):
            for whose, given in documents.items():
                name = self.names.role(whose)
                tags = [{"Key": TAG, "Value": self.names.id}]
                trust = json.dumps(_trust(whose, account))
                self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, Tags=tags)
                for number, document in enumerate(given):
                    self.iam.put_role_policy(RoleName=name, PolicyName=f"policy-{number}", PolicyDocument=document)
                if whose in _ON_INSTANCES:
                    self.iam.create_instance_profile(InstanceProfileName=name, Tags=tags)
                    self.iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
        time.sleep(self.settling_seconds)
        return account

    def documents(self, account: str) -> dict[str, list[str]]:
        """Whose role → its policies, with the run's own places filled in."""
        if not DOCUMENT.exists():
            raise OptionError("The policies are in docs/security.md, which comes with a clone of the repository.")
        text = DOCUMENT.read_text("utf-8")
        found = dict(re.findall(r"^### ([^\n]+)\n(?:(?!^#).)*?^```json\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
        return {
            whose: [self._filled_in(found[heading], account) for heading in headings]
            for whose, headings in POLICIES.items()
        }

    def _filled_in(self, document: str, account: str) -> str:
        own = self.names.directory
        # DATA-BUCKET is the same bucket: left whole, nodes could write to the cache. mrjob uploads all data there are.
        places = {
            "CACHE-BUCKET/pybundle/": f"{own.bucket}/{self.names.cache.key}/",
            "TMP-BUCKET/tmp/": f"{own.bucket}/{own.key}/tmp/",
            "DATA-BUCKET/": f"{own.bucket}/{own.key}/data/",
            **dict.fromkeys(("CACHE-BUCKET", "TMP-BUCKET", "DATA-BUCKET"), own.bucket),
            "EMR-SERVICE-ROLE": self.service_role.partition(":role/")[2] or self.service_role,
            "JOB-NODE-ROLE": self.names.role("job-node"),
            "BUILD-MASTER-ROLE": self.names.role("build-master"),
            "REGION": self.region,
            "ACCOUNT": account,
        }
        for placeholder, value in places.items():
            document = document.replace(placeholder, value)
        return json.dumps(json.loads(document))  # without spaces: IAM counts characters

    def environment(self, whose: str, account: str) -> dict[str, str]:
        """In which a command has that role (AssumeRole)."""
        with explained(f"taking the role {self.names.role(whose)} (AssumeRole)"):
            answer = self.sts.assume_role(
                RoleArn=f"arn:aws:iam::{account}:role/{self.names.role(whose)}", RoleSessionName=self.names.label[:64]
            )["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": answer["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": answer["SecretAccessKey"],
            "AWS_SESSION_TOKEN": answer["SessionToken"],
        }


def remove(names: Names, iam: Any, say: Callable[[str], None]) -> int:
    """Take away those of the run's roles that are there; how many were."""
    with explained("removing the run's IAM roles"):
        return sum(_remove(names.role(whose), iam, say) for whose in POLICIES)


def _remove(name: str, iam: Any, say: Callable[[str], None]) -> bool:
    _unless_missing(lambda: iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name))
    _unless_missing(lambda: iam.delete_instance_profile(InstanceProfileName=name))
    policies = _unless_missing(lambda: iam.list_role_policies(RoleName=name)) or {"PolicyNames": []}
    for policy in policies["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    if _unless_missing(lambda: iam.delete_role(RoleName=name)) is None:
        return False
    say(f"removed role {name}")
    return True


def _trust(whose: str, account: str) -> dict[str, Any]:
    """Who may take the role: instances, or whoever the account lets."""
    service = {"Service": "ec2.amazonaws.com"}
    principal = service if whose in _ON_INSTANCES else {"AWS": f"arn:aws:iam::{account}:root"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def _unless_missing(request: Callable[[], Any]) -> Any:
    """The answer; ``None`` if there is no such thing."""
    try:
        return request()
    except ClientError as error:
        if error_code(error) != "NoSuchEntity":
            raise
        return None
