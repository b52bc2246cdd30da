"""Puts an archive and its manifest into the cache.

The archive first, named by its digest; then the manifest, by whose existence readers know that the archive is
complete. Neither replaces what another build has published in the meantime.

Takes any botocore: conditional writes go in as a header, since botocore knows them as parameters only since
2024, and the last one for Python 2.7 is older.
"""

from __future__ import print_function

import argparse
import codecs
import hashlib
import io
import json
import os
import re
import ssl
import sys
import time

import botocore.config
import botocore.exceptions
import botocore.session
from s3transfer.manager import TransferConfig, TransferManager

TRIES = 8

# Bytes of a part, from which on an archive goes up in several. In one, S3 takes 5 GiB.
PART = 64 << 20

S3_URI = re.compile(r"s3://([^/]+)/(.*)$", re.DOTALL)

# What is written down of a build, and where it is to be found: all options take one value.
OPTIONS = [
    "key",
    "directory",
    "archive",
    "description",
    "inputs",
    "python-key",
    "python-directory",
    "python-description",
    "freeze",
    "contents",
    "python-contents",
    "source-name",
    "source-sha256",
    "python-version",
    "build-id",
    "owner",
    "cluster-id",
    "os",
    "arch",
    "pybundle-version",
    "seconds",
    "rebuild",
    "bucket-owner",
    "region",
]


class RefusedError(Exception):
    """S3 did not take it. The text says what and why."""


def main():
    if sys.version_info < (3,):
        speak_unicode()
    options = parse_arguments()
    try:
        cache = Cache(options.directory, options.bucket_owner, options.region)
        archive = read_json(options.description)
        publish(cache, options, archive)
    except RefusedError as error:
        print(error, file=sys.stderr)
        return 1
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        print("%s: %s" % (options.directory, " ".join(str(error).split())), file=sys.stderr)
        return 1
    return 0


def speak_unicode():
    """What Python 3 does by itself: arguments are text, and text can be printed."""
    sys.argv = [argument.decode("utf-8") for argument in sys.argv]
    sys.stdout, sys.stderr = (codecs.getwriter("utf-8")(stream) for stream in (sys.stdout, sys.stderr))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", required=True, choices=["python", "venv"])
    for name in OPTIONS:
        parser.add_argument("--" + name, required=True)
    return parser.parse_args()


def publish(cache, options, archive):
    archive_key = archive_key_in(options.directory, archive)
    if cache.create(archive_key, options.archive, "application/gzip"):
        print("published " + cache.uri(archive_key))
    elif cache.digest(archive_key) == archive["sha256"]:
        print("the same archive is there already: " + cache.uri(archive_key))
    else:
        print("replacing a damaged archive: " + cache.uri(archive_key))
        cache.replace(archive_key, options.archive, "application/gzip")

    manifest_key = key_of(options.directory) + "/manifest.json"
    body = json.dumps(manifest(cache, options, archive), indent=1, sort_keys=True).encode("utf-8")
    if options.rebuild == "yes":
        cache.replace(manifest_key, io.BytesIO(body), "application/json")
        print("published " + cache.uri(manifest_key))
    elif cache.create(manifest_key, io.BytesIO(body), "application/json"):
        print("published " + cache.uri(manifest_key))
    else:
        published = json.loads(cache.read(manifest_key).decode("utf-8"))
        # A PUT that S3 carried out and whose answer got lost is sent again, and then meets itself.
        if published["build"]["id"] == options.build_id:
            print("published " + cache.uri(manifest_key))
        elif has_its_archives(cache, options, published):
            print("build %(id)s of %(owner)s has published this key first; that one stays" % published["build"])
        else:
            print("replacing the manifest of build %(id)s, an archive of which is lost" % published["build"])
            cache.replace(manifest_key, io.BytesIO(body), "application/json")
            print("published " + cache.uri(manifest_key))


def archive_key_in(directory, archive):
    return "%s/%s.tar.gz" % (key_of(directory), archive["sha256"])


def has_its_archives(cache, options, published):
    """Whether what a manifest names is there, as far as its size tells: readers take it for missing otherwise."""
    named = [(options.directory, published["archive"])]
    if "python" in published:  # on the same Python: its key is in this one
        named.append((options.python_directory, published["python"]))
    return all(cache.size(archive_key_in(directory, archive)) == archive["size"] for directory, archive in named)


def manifest(cache, options, archive):
    result = {
        "format": 1,
        "kind": options.kind,
        "key": options.key,
        "archive": archive,
        "inputs": read_json(options.inputs),
        "build": {
            "id": options.build_id,
            "owner": options.owner,
            "cluster_id": options.cluster_id or None,
            "built_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds": read_seconds(options.seconds),
            "os": options.os,
            "arch": options.arch,
            "pybundle_version": options.pybundle_version,
        },
    }
    # What contents.py could not find out, a manifest does not have.
    contents = dict(
        read_json(options.contents) if os.path.exists(options.contents) else {}, openssl=ssl.OPENSSL_VERSION
    )
    if options.kind == "python":
        result["source"] = {"name": options.source_name, "sha256": options.source_sha256}
        result["contents"] = dict(contents, python_version=options.python_version)
    else:
        result["python"] = dict(read_json(options.python_description), key=options.python_key)
        with open(options.freeze) as file:
            result["contents"] = dict(contents, freeze=file.read().splitlines(), python=python_inside(cache, options))
    return result


def python_inside(cache, options):
    """What is inside of the Python of an environment; of one that was cached, what its own manifest says."""
    if os.path.exists(options.python_contents):
        source = {"name": options.source_name, "sha256": options.source_sha256}
        return dict(read_json(options.python_contents), source=source, python_version=options.python_version)
    try:
        published = json.loads(cache.read(key_of(options.python_directory) + "/manifest.json").decode("utf-8"))
        if published["archive"]["sha256"] != read_json(options.python_description)["sha256"]:
            raise ValueError("it is of another archive by now")
        return dict(published["contents"], source=published["source"])
    except (
        KeyError,
        TypeError,
        ValueError,
        botocore.exceptions.BotoCoreError,
        botocore.exceptions.ClientError,
    ) as error:
        # A bundle of which this is not known is as good as any.
        print("what is inside of the Python is not known: %s" % error)
        return {"python_version": options.python_version}


def read_json(path):
    with io.open(path, encoding="utf-8") as file:
        return json.load(file)


def read_seconds(path):
    """{stage: seconds} from lines of "stage seconds"."""
    with open(path) as file:
        return dict((name, int(seconds)) for name, seconds in (line.split() for line in file))


class Cache(object):
    """The bucket of an S3 URI, and what publishing does in it."""

    def __init__(self, uri, bucket_owner, region):
        self.bucket = S3_URI.match(uri).group(1)
        self.owner = {"ExpectedBucketOwner": bucket_owner} if bucket_owner else {}
        self.client = make_client(region or bucket_region(self.bucket))
        self.if_none_match = False
        for operation in ("PutObject", "CompleteMultipartUpload"):
            self.client.meta.events.register("before-sign.s3." + operation, self._add_condition)
        config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART)
        self.transfers = TransferManager(self.client, config)

    def uri(self, key):
        return "s3://%s/%s" % (self.bucket, key)

    def create(self, key, body, content_type):
        """Put the object, a file's path or what can be read, unless there is one: then return False, and leave it."""
        for attempt in range(TRIES):
            try:
                self._put(key, body, content_type, if_none_match=True)
                return True
            except botocore.exceptions.ClientError as error:
                code = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
                if code == 412:
                    return False
                # Somebody else is creating or deleting it at this moment: S3 asks to try again.
                if code != 409:
                    raise
                time.sleep(min(0.2 * 2**attempt, 5))
        raise RefusedError("%s: others keep writing it at the same time" % self.uri(key))

    def replace(self, key, body, content_type):
        self._put(key, body, content_type, if_none_match=False)

    def read(self, key):
        return self._get(key).read()

    def size(self, key):
        """In bytes; None if the object is missing."""
        try:
            return self.client.head_object(Bucket=self.bucket, Key=key, **self.owner)["ContentLength"]
        except botocore.exceptions.ClientError as error:
            # S3 says 403 of a missing object to those who may not list the bucket.
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in (403, 404):
                return None
            raise

    def digest(self, key):
        digest, body = hashlib.sha256(), self._get(key)
        for piece in iter(lambda: body.read(1 << 20), b""):
            digest.update(piece)
        return digest.hexdigest()

    def _get(self, key):
        return self.client.get_object(Bucket=self.bucket, Key=key, **self.owner)["Body"]

    def _put(self, key, body, content_type, if_none_match):
        if hasattr(body, "seek"):
            body.seek(0)
        self.if_none_match = if_none_match
        self.transfers.upload(body, self.bucket, key, dict(self.owner, ContentType=content_type)).result()

    def _add_condition(self, request, **_):
        if self.if_none_match:
            request.headers["If-None-Match"] = "*"


def key_of(uri):
    return S3_URI.match(uri).group(2)


def make_client(region):
    # Old botocore does not know these variables.
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    config = botocore.config.Config(retries={"max_attempts": 10}, connect_timeout=20, read_timeout=120)
    session = botocore.session.get_session()
    return session.create_client("s3", region_name=region, endpoint_url=endpoint or None, config=config)


def bucket_region(bucket):
    """The region to sign for: S3 names it in every answer about a bucket, a refusal included.

    Not so where the bucket is in another partition (GovCloud, China): S3 of this one knows neither it nor who asks.
    """
    try:
        response = make_client(os.environ.get("AWS_REGION") or "us-east-1").head_bucket(Bucket=bucket)
    except botocore.exceptions.ClientError as error:
        response = error.response
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return headers.get("x-amz-bucket-region") or os.environ.get("AWS_REGION") or "us-east-1"


if __name__ == "__main__":
    sys.exit(main())
