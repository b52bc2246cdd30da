"""Looking at what a job and its build need, one thing after the other, without launching anything."""

from __future__ import annotations

import enum
import http.client
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from mrjob_pybundle import options
from mrjob_pybundle.aws import releases as emr_releases
from mrjob_pybundle.aws.emr import is_known_to_have_emr
from mrjob_pybundle.aws.errors import DENIED, error_code, explained
from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.bundle.files import InputFile
from mrjob_pybundle.bundle.inputs import find_build_files
from mrjob_pybundle.bundle.venv_build import examine as examine_venv_build
from mrjob_pybundle.cache import layout
from mrjob_pybundle.cache.housekeeping import DAY
from mrjob_pybundle.cache.inventory import take_inventory
from mrjob_pybundle.cache.sources import fetch
from mrjob_pybundle.errors import PyBundleError
from mrjob_pybundle.job.buckets import cache_elsewhere, tmp_dir_elsewhere
from mrjob_pybundle.runner import PyBundleEMRJobRunner

_NETWORK_TIMEOUT_SECONDS = 20
#: From then on, the doctor takes note of the age of a bundle's OpenSSL.
_OLD_DAYS = 90


class Verdict(enum.Enum):
    """What came of a check."""

    OK = "ok"
    NOTE = "note"
    NOT_CHECKED = "not checked"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's."""

    check: str
    verdict: Verdict
    text: str


def examine(make_runner: Callable[[type[Patient]], Patient]) -> Iterator[Finding]:
    """Run all checks. *make_runner* makes a runner of the given class from the options.

    Needs nothing but requests: see docs/cache.md.
    """
    try:
        patient = make_runner(Patient)
        options.tmp_dir(patient._opts)
        cache = patient.cache
    except PyBundleError as error:
        yield Finding("configuration", Verdict.FAILED, f"{str(error).rstrip('.')}. Nothing else was checked.")
        return
    yield Finding("configuration", Verdict.OK, f"cache {cache.root}")
    unknown: set[str] = set()
    for name, check in patient.checks().items():
        without = [needed for needed in _NEEDS.get(name, ()) if needed in unknown]
        try:
            verdict, text = (Verdict.NOT_CHECKED, f"without {' and '.join(without)}") if without else check()
        except PyBundleError as error:
            verdict, text = Verdict.FAILED, str(error)
        if verdict in (Verdict.FAILED, Verdict.NOT_CHECKED):
            unknown.add(name)
        yield Finding(name, verdict, text)


#: What could only fail in the same way if something else has failed.
_NEEDS = {
    "bucket": ("credentials",),
    "cloud_tmp_dir": ("credentials",),
    "bucket owner": ("bucket",),
    "encryption": ("bucket",),
    "list the cache": ("bucket",),
    "write to the cache": ("bucket",),
    "service role": ("credentials",),
    "instance profile": ("credentials",),
    "build's profile": ("credentials",),
    "bundle": ("bucket", "EMR release", "architecture"),
    "build's machine": ("credentials", "architecture"),
    "OpenSSL": ("bundle",),
    "Python's source": ("bundle",),
}

_Answer = tuple[Verdict, str]


class Patient(PyBundleEMRJobRunner):
    """A runner that does not refuse what it is to be examined for."""

    def _check_options(self) -> None:
        pass

    def _check_machines(self) -> None:
        pass

    def checks(self) -> dict[str, Callable[[], _Answer]]:
        """Name → check, in the order in which they make sense. A check may raise :class:`PyBundleError`."""
        return {
            "credentials": self._check_credentials,
            "region": self._check_region,
            "bucket": self._check_bucket,
            "cloud_tmp_dir": self._check_tmp_dir,
            "bucket owner": self._check_bucket_owner,
            "encryption": self._check_encryption,
            "list the cache": self._check_list,
            "write to the cache": self._check_write,
            "service role": lambda: self._check_role("iam_service_role", self._wanted.service_role),
            "instance profile": lambda: self._check_profile("iam_instance_profile", self._wanted.instance_profile),
            "build's profile": self._check_build_profile,
            "EMR release": self._check_release,
            "architecture": self._check_architecture,
            "venv-build.sh": self._check_venv_build,
            "build's machine": self._check_build_machine,
            "bundle": self._check_bundle,
            "OpenSSL": self._check_openssl,
            "Python's source": self._check_source,
        }

    # account

    def _check_credentials(self) -> _Answer:
        with explained("asking who we are (GetCallerIdentity)"):
            identity = self.context.credentials.client("sts").get_caller_identity()
        return Verdict.OK, f"{identity['Arn']} (account {identity['Account']})"

    def _check_region(self) -> _Answer:
        region = self._opts["region"]
        if not is_known_to_have_emr(region):
            return Verdict.NOTE, f"{region}, which the installed boto3 does not know to have EMR"
        return Verdict.OK, region

    # bucket

    def _check_bucket(self) -> _Answer:
        bucket = self.cache.root.bucket
        try:
            with explained(f"asking for s3://{bucket} (HeadBucket)"):
                answer = _head_bucket(self.context.s3, bucket)
        except _MissingError as missing:
            if self._pybundle.cache_uri is None:
                return Verdict.NOT_CHECKED, f"there is no {bucket} yet: the first build makes it"
            return Verdict.FAILED, f"{missing}. Create it, or set pybundle_cache_uri to one that exists."
        region, ours = answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region"), self._opts["region"]
        if region and region != ours:
            return Verdict.NOTE, cache_elsewhere(bucket, region, ours)
        return Verdict.OK, f"{bucket}, in {region or ours}"

    def _check_tmp_dir(self) -> _Answer:
        bucket, ours = self._tmp_dir.bucket, self._opts["region"]
        try:
            with explained(f"asking for s3://{bucket} (HeadBucket)"):
                answer = _head_bucket(self.context.s3, bucket)
        except _MissingError:
            return Verdict.NOT_CHECKED, f"there is no {bucket} yet: the first job makes it"
        region = answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")
        if region and region != ours:
            return Verdict.NOTE, tmp_dir_elsewhere(bucket, region, ours)
        return Verdict.OK, f"{bucket}, in {region or ours}"

    def _check_bucket_owner(self) -> _Answer:
        owner, bucket = self.context.bucket_owner, self.cache.root.bucket
        if owner is None:
            return Verdict.NOTE, "any; with pybundle_bucket_owner, nobody else's bucket can take its place"
        try:
            with explained(f"asking for s3://{bucket} of account {owner} (HeadBucket)"):
                _head_bucket(self.context.s3, bucket, ExpectedBucketOwner=owner)
        except _MissingError as missing:
            return Verdict.FAILED, str(missing)
        return Verdict.OK, f"account {owner}"

    def _check_encryption(self) -> _Answer:
        with _not_denied("s3:GetEncryptionConfiguration") as denied, explained("asking for the bucket's encryption"):
            try:
                answer = self.context.s3.get_bucket_encryption(Bucket=self.cache.root.bucket)
            except ClientError as error:
                if error_code(error) == "ServerSideEncryptionConfigurationNotFoundError":
                    return Verdict.OK, "the bucket has no default encryption of its own"
                raise
            rule = answer["ServerSideEncryptionConfiguration"]["Rules"][0]["ApplyServerSideEncryptionByDefault"]
            key = rule.get("KMSMasterKeyID")
            return Verdict.OK, f"{rule['SSEAlgorithm']} by default" + (f", key {key}" if key else "")
        return denied.answer

    def _check_list(self) -> _Answer:
        next(self.cache.store.objects(layout.keys(layout.VENV)), None)
        return Verdict.OK, f"{self.cache.store.prefix}/"

    def _check_write(self) -> _Answer:
        """Writes, reads and deletes a probe, with the conditions by which authors of the same bundle agree."""
        probe = self.cache.store.uri(layout.probe(uuid.uuid4().hex))
        with _not_denied(f"writing {probe}") as denied, explained(f"writing {probe}"):
            etag = self._put(probe, b"1", IfNoneMatch="*")
            answer = self._check_conditions(probe, str(etag))
            try:
                self.context.s3.delete_object(**self._probe(probe))
            except ClientError as error:
                if error_code(error) not in DENIED:
                    raise
                return Verdict.NOTE, f"works, but {probe} may not be deleted (s3:DeleteObject); gc does that"
            return answer
        return Verdict.NOTE, f"{denied.answer[1]}: not needed by a job. Builds write elsewhere, which is not tried"

    def _check_conditions(self, probe: S3Uri, etag: str) -> _Answer:
        works = {
            "a second PutObject with If-None-Match": self._put(probe, b"2", IfNoneMatch="*") is None,
            "PutObject with a wrong If-Match": self._put(probe, b"3", IfMatch='"0123456789abcdef"') is None,
            "PutObject with the right If-Match": self._put(probe, b"4", IfMatch=etag) is not None,
        }
        content = self.context.s3.get_object(**self._probe(probe))["Body"].read()
        wrong = [name for name, as_it_should in works.items() if not as_it_should]
        if wrong or content != b"4":
            reason = f"{', '.join(wrong) or 'reading'} did not do what S3 does"
            return Verdict.FAILED, f"{reason}. Two authors could build the same bundle. Is this Amazon S3?"
        return Verdict.OK, "with conditional writes, by which authors agree who builds"

    def _put(self, uri: S3Uri, body: bytes, **conditions: str) -> str | None:
        """The ETag; ``None`` if the condition did not hold."""
        try:
            return str(self.context.s3.put_object(**self._probe(uri), Body=body, **conditions)["ETag"])
        except ClientError as error:
            if error_code(error) in ("PreconditionFailed", "412"):
                return None
            raise

    def _probe(self, uri: S3Uri) -> dict[str, str]:
        owner = self.context.bucket_owner
        return {"Bucket": uri.bucket, "Key": uri.key, **({"ExpectedBucketOwner": owner} if owner else {})}

    # roles

    def _check_role(self, option: str, name: str | None) -> _Answer:
        if not name:
            return _nobody_named(option)
        name = name.rsplit("/", 1)[-1]
        with _not_denied("iam:GetRole") as denied, explained(f"looking for role {name} (GetRole)"):
            try:
                self._iam.get_role(RoleName=name)
            except ClientError as error:
                if error_code(error) != "NoSuchEntity":
                    raise
                return Verdict.FAILED, f"there is no role {name}. Create it, or set {option} to one that exists."
            return Verdict.OK, name
        return denied.answer

    def _check_profile(self, option: str, name: str | None) -> _Answer:
        if not name:
            return _nobody_named(option)
        name = name.rsplit("/", 1)[-1]
        action = "iam:GetInstanceProfile"
        with _not_denied(action) as denied, explained(f"looking for instance profile {name} (GetInstanceProfile)"):
            try:
                profile = self._iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
            except ClientError as error:
                if error_code(error) != "NoSuchEntity":
                    raise
                return (
                    Verdict.FAILED,
                    f"there is no instance profile {name}. Create it, or set {option} to one that exists.",
                )
            if not profile["Roles"]:
                return Verdict.FAILED, f"instance profile {name} has no role in it"
            return Verdict.OK, f"{name} (role {profile['Roles'][0]['RoleName']})"
        return denied.answer

    def _check_build_profile(self) -> _Answer:
        option = "pybundle_build_iam_instance_profile"
        if self._pybundle.build_iam_instance_profile is None:
            return Verdict.NOTE, f"the job's. With {option}, job nodes need not be able to write to the cache"
        return self._check_profile(option, self._pybundle.build_iam_instance_profile)

    @property
    def _iam(self) -> Any:
        return self.context.credentials.client("iam", self._opts["iam_endpoint"])

    # bundle

    def _check_release(self) -> _Answer:
        release, version = self._release, self._pybundle.python_version
        if self._machines.image_id:
            return Verdict.OK, f"{release.label}, on custom AMI {self._machines.image_id}"
        emr_releases.check_python(version, release.os_family)
        newest = emr_releases.as_text(release.spark.newest_python)
        return Verdict.OK, f"{release.label} ({release.os_family}); CPython {version}; its Spark runs up to {newest}"

    def _check_architecture(self) -> _Answer:
        types = sorted(set(self._machines.instance_types))
        arch = emr_releases.common_architecture(types)
        if self._pybundle.build_instance_type:
            emr_releases.check_build_instance_type(self._pybundle.build_instance_type, arch)
        if not self._existing_cluster:
            self._check_request()
        return Verdict.OK, f"{arch} ({', '.join(types)})"

    def _check_venv_build(self) -> _Answer:
        path = self._pybundle.venv_build
        if path is None:
            return Verdict.NOTE, "none: a bundle of Python and mrjob alone (pybundle_venv_build)"
        build_files = find_build_files(self._pybundle.build_files).files
        script = examine_venv_build(path, InputFile.look_at(path).read(), build_files)
        if script.warnings:
            return Verdict.NOTE, " ".join(script.warnings)
        run_by = f"{path}, run by {script.interpreter or 'bash, for it names no interpreter'}"
        if script.may_be_missing:
            return Verdict.NOTE, f"{run_by}. Whether the build's machine has that is seen there, before it compiles"
        return Verdict.OK, run_by

    def _check_build_machine(self) -> _Answer:
        arch = emr_releases.common_architecture(list(self._machines.instance_types))
        wanted = self._pybundle.build_instance_type or emr_releases.build_instance_type(arch)
        action, region = "ec2:DescribeInstanceTypeOfferings", self._opts["region"]
        filters = [{"Name": "instance-type", "Values": [wanted]}]
        with _not_denied(action) as denied, explained(f"asking for {wanted} (DescribeInstanceTypeOfferings)"):
            client = self.context.credentials.client("ec2")
            if not client.describe_instance_type_offerings(Filters=filters)["InstanceTypeOfferings"]:
                return (
                    Verdict.FAILED,
                    f"{region} has no {wanted}. Set pybundle_build_instance_type to one that it has.",
                )
            return Verdict.OK, f"{wanted}, which {region} has; whether your quota has room for it is not known"
        return denied.answer

    def _check_bundle(self) -> _Answer:
        spec = self.bundle_spec
        if self.cache.bundles.find(spec) is not None:
            return Verdict.OK, f"cached (key {spec.key[:12]})"
        if self.cache.bundles.find_python(spec.python) is not None:
            return Verdict.NOTE, f"not cached (key {spec.key[:12]}), but its Python is. See mrjob-pybundle why"
        return Verdict.NOTE, f"not cached (key {spec.key[:12]}). See mrjob-pybundle why"

    def _check_openssl(self) -> _Answer:
        if self.cache.bundles.find(self.bundle_spec) is None:
            return Verdict.OK, "that of the build's machine, when the bundle is built"
        inventory = take_inventory(self.cache)
        bundle = next((shelf.manifest for shelf in inventory.bundles if shelf.key == self.bundle_spec.key), None)
        openssl = inventory.openssl_of(bundle) if bundle else None
        if bundle is None or openssl is None:
            return Verdict.NOTE, "which one the bundle has is not known. --pybundle-rebuild brings the newest"
        python = inventory.python_of(bundle) or bundle
        days = int((self.cache.store.clock() - python.built_at) / DAY)
        built = f"{openssl} ({openssl.day}), compiled {days} {'day' if days == 1 else 'days'} ago"
        if days < _OLD_DAYS:
            return Verdict.OK, built
        return Verdict.NOTE, f"{built}. --pybundle-rebuild brings the one that the operating system has by now"

    def _check_source(self) -> _Answer:
        source = self._source
        if self.cache.bundles.find_python(self.bundle_spec.python) is not None:
            return Verdict.OK, "not needed: this Python is compiled, and cached"
        if source.sha256 and self.cache.sources.find(source.sha256, source.file_name):
            return Verdict.OK, f"{source.file_name} is in the cache"
        if source.file is not None:
            fetch(source, self.context.s3)
        elif source.location.startswith("s3://"):
            uri = S3Uri.parse(source.location)
            with explained(f"reading {uri}"):
                self.context.s3.head_object(Bucket=uri.bucket, Key=uri.key)
        else:
            request = urllib.request.Request(source.location, method="HEAD")
            try:
                with urllib.request.urlopen(request, timeout=_NETWORK_TIMEOUT_SECONDS) as answer:
                    reason = "an HTML page" if answer.headers.get_content_type() == "text/html" else None
            except (OSError, http.client.HTTPException) as error:
                reason = f"HTTP status {error.code}" if isinstance(error, urllib.error.HTTPError) else str(error)
            if reason:
                return (
                    Verdict.FAILED,
                    f"cannot get {source.shown} ({reason}). Point pybundle_python_source to a tarball.",
                )
        return Verdict.OK, source.shown


def _nobody_named(option: str) -> _Answer:
    return Verdict.NOTE, f"none named: mrjob makes one, with AWS policies that are being withdrawn. Set {option}."


class _MissingError(Exception):
    """There is no such bucket."""


def _head_bucket(s3_client: Any, bucket: str, **owner: str) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = s3_client.head_bucket(Bucket=bucket, **owner)
    except ClientError as error:
        if error_code(error) in ("404", "NoSuchBucket"):
            raise _MissingError(f"there is no bucket {bucket}") from error
        raise
    return answer


class _Denied:
    answer: _Answer = Verdict.NOT_CHECKED, ""


@contextmanager
def _not_denied(action: str) -> Iterator[_Denied]:
    """Where AWS says that we may not: *answer* says so, and what follows the ``with`` block is run."""
    denied = _Denied()
    try:
        yield denied
    except PyBundleError as error:
        if error.__cause__ is None or error_code(error.__cause__) not in DENIED:
            raise
        denied.answer = Verdict.NOT_CHECKED, f"no permission ({action})"
