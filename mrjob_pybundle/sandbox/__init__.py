"""The sandbox: Amazon EMR and S3 on one machine. Nothing but the command's ``sandbox`` verb knows of it."""

from mrjob_pybundle.sandbox.errors import SandboxError
from mrjob_pybundle.sandbox.sandbox import BUCKET, ENGINES, SUBMITTER, Sandbox, run

__all__ = ["BUCKET", "ENGINES", "SUBMITTER", "Sandbox", "SandboxError", "run"]
