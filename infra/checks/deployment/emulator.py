"""Starts what a deployment on this machine needs: an emulated AWS and the simulated GitHub.

Both listen on free ports of the loopback, write only to one temporary folder, and end with this program, however it
ends.
"""

import contextlib
import ctypes
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import botocore.config
import botocore.session

REGION = "eu-central-1"

# The emulator takes an access key that is an account's number as that account's root user.
ACCOUNT = "111122223333"
SECRET_KEY = "local-access-key-not-a-secret"

READY_SECONDS = 60

# These signals end this program as Ctrl-C does, with everything that it started.
STOPPING = (signal.SIGTERM, signal.SIGHUP)

# From Linux's <sys/prctl.h>.
PR_SET_CHILD_SUBREAPER = 36


class Broken(Exception):
    """The deployment is wrong; the message says how."""


def claim(holds, otherwise):
    """Ends the check with the message `otherwise` unless `holds`."""
    if not holds:
        raise Broken(otherwise)


def free_socket():
    """A socket that listens already, so that no other program can take its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.set_inheritable(True)
    return listener


def forget_the_callers_aws():
    """Ignores all AWS settings of the caller, in the environment and in files."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull


def adopt_orphans():
    """Makes this program the parent of the processes that its own processes leave behind."""
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise Broken("the system does not make this program the parent of orphaned processes (PR_SET_CHILD_SUBREAPER)")


def children():
    """The child processes of this program."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                # After the name, which can contain anything: state, parent.
                _, parent, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(parent) == os.getpid():
                    yield int(folder.name)


class Surroundings:
    """Running emulator and GitHub; used by `with`."""

    def __init__(self, test_world):
        self.test_world = test_world

    def __enter__(self):
        for stopping in STOPPING:
            signal.signal(stopping, lambda number, _: sys.exit(128 + number))
        adopt_orphans()
        self.folder = Path(tempfile.mkdtemp(prefix="agent-heartbeat-deployment-"))
        try:
            self.start_github()
            self.start_aws()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self, command, **options):
        # A new session: Ctrl-C in a terminal reaches only this program, which then ends the others.
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)

    def start_github(self):
        process = self.start([self.test_world, "github"], stdout=subprocess.PIPE, text=True)
        self.github_url = process.stdout.readline().strip()
        claim(self.github_url, f"{self.test_world} did not start")

    def start_aws(self):
        with free_socket() as listener:
            self.port = listener.getsockname()[1]
            self.url = f"http://127.0.0.1:{self.port}"
            # Without the caller's environment: no proxy, no credentials, no region.
            environment = {
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "TMPDIR": str(self.folder),
                # Roles are assumed and their policies evaluated.
                "AUTH": "true",
                "AWS_ACCESS_KEY_ID": ACCOUNT,
                "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
                "AWS_ENDPOINT_URL": self.url,
                "MINISTACK_REGION": REGION,
                "MINISTACK_ACCOUNT_ID": ACCOUNT,
                "GATEWAY_PORT": str(self.port),
                "S3_DATA_DIR": str(self.folder / "s3"),
                "STATE_DIR": str(self.folder / "state"),
                # Its other servers have fixed ports.
                "IOT_MTLS_ENABLED": "0",
                "SFTP_ENABLED": "0",
                "DOCKER_HOST": f"unix://{self.folder}/no-docker",
                "PYTHONDONTWRITEBYTECODE": "1",
            }
            self.log = self.folder / "ministack.log"
            with self.log.open("wb") as log:
                # Its own program takes only a port number.
                emulator = self.start(
                    [sys.executable, "-m", "hypercorn", "ministack.app:app", "--workers", "0"]
                    + ["--bind", f"fd://{listener.fileno()}", "--keep-alive", "75"],
                    env=environment,
                    cwd=self.folder,
                    pass_fds=[listener.fileno()],
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
        forget_the_callers_aws()
        self.session = botocore.session.Session()
        self.session.set_credentials(ACCOUNT, SECRET_KEY)
        end = time.monotonic() + READY_SECONDS
        while True:
            with contextlib.suppress(OSError):
                if self.request("GET", "/_ministack/health")[0] == 200:
                    return
            claim(emulator.poll() is None, f"ministack ended:\n{self.log.read_text()}")
            claim(time.monotonic() < end, f"ministack is not ready after {READY_SECONDS} s")
            time.sleep(0.1)

    def client(self, service):
        """A client of this service, with all rights."""
        once = botocore.config.Config(retries={"total_max_attempts": 1}, proxies={})
        return self.session.create_client(service, region_name=REGION, endpoint_url=self.url, config=once)

    def request(self, method, path, headers=None, body=None, host=None):
        """One request to the emulator's port: its status, headers and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            named = {"Host": host} if host else {}
            connection.request(method, path, body=body, headers={**(headers or {}), **named})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def stop(self):
        """Ends all started processes and their children, and deletes their files."""
        for stopping in (signal.SIGINT, *STOPPING):
            signal.signal(stopping, signal.SIG_IGN)
        # The emulator does not end its functions. After it has ended they are this program's children.
        while processes := list(children()):
            for process in processes:
                os.kill(process, signal.SIGKILL)
            for process in processes:
                os.waitpid(process, 0)
        shutil.rmtree(self.folder)
