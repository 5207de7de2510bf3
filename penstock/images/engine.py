"""The Docker engine, through its command `docker`: what images need of it, and its errors in one sentence."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tarfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penstock.errors import UserError
from penstock.images.archive import configuration_only, with_configuration
from penstock.images.engine_faults import why_not_built, why_not_pushed, without_preamble

CREATED = "1980-01-01T00:00:00Z"  # of all images: a time would change the digest, not the content
GRACE_S = 1.0  # between asking to end and ending
PATIENCE_S = 15.0  # for the first answer: an engine that is there answers in well under a second


class Engine:
    """A Docker engine with BuildKit: the one that DOCKER_HOST or Docker's context names."""

    def __init__(self) -> None:
        found = shutil.which("docker")
        if found is None:
            raise UserError(
                "the command docker is not on PATH: install Docker, or run where images are built"
            )
        self.docker = found
        self._alive: set[subprocess.Popen[bytes]] = set()
        self._stopped = threading.Event()
        self._loads_configuration_alone = True  # until it refuses to once

    def check(self) -> None:
        """Ask the engine for its version.

        Raises:
            UserError: It does not answer.
        """
        where = os.environ.get("DOCKER_HOST", "its default socket")
        try:
            done = self._call("version", "--format", "{{.Server.Version}}", patience_s=PATIENCE_S)
            reason = _last_line(done.stderr) if done.returncode != 0 else ""
        except subprocess.TimeoutExpired:
            reason = f"it said nothing for {PATIENCE_S:.0f} s"
        if reason:
            raise UserError(
                f"the Docker engine at {where} does not answer ({reason}): start it, or set DOCKER_HOST"
            )

    def inspect(self, reference: str) -> dict[str, Any] | None:
        """Return what the engine knows of an image, None when it has none of that name."""
        done = self._call("image", "inspect", reference)
        if done.returncode == 0:
            found: dict[str, Any] = json.loads(done.stdout)[0]
            return found
        if b"no such image" in done.stderr.lower():
            return None
        raise UserError(f"docker image inspect {reference}: {_last_line(done.stderr)}")

    def size(self, reference: str) -> int | None:
        """Return the bytes of an image's layers, uncompressed; None when the engine has none of that name.

        From its history: what `inspect` tells is compressed, where the images are in containerd's store.
        """
        if self.inspect(reference) is None:
            return None
        done = self._call("history", "--human=false", "--format", "{{.Size}}", reference)
        if done.returncode != 0:
            raise UserError(f"docker history {reference}: {_last_line(done.stderr)}")
        return sum(map(int, done.stdout.split()))

    def need_base(self, base: str) -> int:
        """Return the size of the base image in bytes, after pulling it where it is not there.

        Raises:
            UserError: It cannot be pulled.
        """
        size = self.size(base)
        if size is None:
            done = self._call("pull", "--quiet", base)
            if done.returncode != 0:
                raise UserError(
                    f"the base image {base} cannot be pulled ({_last_line(done.stderr)}): name one that can be "
                    "in images/images.yaml, or with --base the same one on a mirror"
                )
            size = self.size(base)
        assert size is not None
        return size

    def build(
        self,
        context: bytes,
        target: str,
        reference: str,
        arguments: Mapping[str, str],
        log: Path,
        again: bool = False,
    ) -> None:
        """Build one target of the recipe.

        Args:
            context: A tar file.
            target: stack, step or service.
            reference: The name of the result.
            arguments: The recipe's build arguments.
            log: Where the engine's account goes.
            again: Take nothing from the engine's cache of layers.

        Raises:
            UserError: The build failed; with the reason that its log gives.
        """
        command = ["build", "--progress", "plain", "--target", target, "--tag", reference]
        for name, value in arguments.items():
            command += ["--build-arg", f"{name}={value}"]
        if again:
            command.append("--no-cache")
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            exit_code = self._stream([*command, "-"], context, output)
        if exit_code != 0:
            raise UserError(why_not_built(reference, log))

    def fix_configuration(self, reference: str, labels: Mapping[str, str], command: Sequence[str]) -> str:
        """Give an image the configuration that its content determines, and return its id.

        The engine writes the time of the build into an image, so that the same layers would have another
        digest each time. Docker's own image store loads a configuration alone for layers that it already has;
        containerd's (the default from Docker 29 on) wants the layers with it: they go out and in again.

        Raises:
            UserError: The engine refuses both.
        """
        built = self.inspect(reference)
        assert built is not None
        given = built["Config"]
        configuration = {
            "architecture": built["Architecture"],
            "os": built["Os"],
            "created": CREATED,
            "config": {
                "Env": given["Env"],
                "User": given["User"],
                "WorkingDir": given.get("WorkingDir") or "/",
                "Cmd": list(command),
                "Labels": dict(sorted(labels.items())),
            },
            "rootfs": {"type": "layers", "diff_ids": built["RootFS"]["Layers"]},
            "history": [{"created": CREATED, "created_by": reference} for _ in built["RootFS"]["Layers"]],
        }
        content = json.dumps(configuration, sort_keys=True, separators=(",", ":")).encode()
        self._load(reference, content, len(built["RootFS"]["Layers"]))
        loaded = self.inspect(reference)
        assert loaded is not None
        if loaded["Id"] != built["Id"]:
            left = self.inspect(built["Id"])
            if left and not left["RepoTags"]:  # nothing names it any more
                self._call("image", "rm", built["Id"])
        return str(loaded["Id"])

    def _load(self, reference: str, configuration: bytes, n_layers: int) -> None:
        if self._loads_configuration_alone:
            archive = configuration_only(configuration, reference, n_layers)
            if self._call("load", "--quiet", given=archive).returncode == 0:
                return
            self._loads_configuration_alone = False
        self._load_with_layers(reference, configuration)

    def _load_with_layers(self, reference: str, configuration: bytes) -> None:
        """Pass `docker save` on to `docker load`, with the configuration exchanged on the way."""
        with (
            subprocess.Popen(
                [self.docker, "save", reference], stdout=subprocess.PIPE, stderr=subprocess.PIPE
            ) as save,
            subprocess.Popen(
                [self.docker, "load", "--quiet"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            ) as load,
        ):
            assert save.stdout is not None
            assert load.stdin is not None
            self._alive |= {save, load}
            fault = ""
            try:
                with_configuration(save.stdout, load.stdin, configuration, reference)
                while save.stdout.read(2**20):
                    pass  # what fills the archive's last block
                load.stdin.close()
            except (tarfile.TarError, OSError, ValueError, KeyError) as error:
                fault = str(error) or type(error).__name__
                load.kill()  # half an archive is no image
            finally:
                save.stdout.close()
                with contextlib.suppress(BrokenPipeError):
                    load.stdin.close()
                said = [process.stderr.read() for process in (load, save) if process.stderr]
                failed = [process.wait() != 0 for process in (save, load)]
                self._alive -= {save, load}
        if fault or any(failed):
            words = next((_last_line(text) for text in said if text.strip()), fault)
            raise UserError(f"docker save and load of {reference} failed: {words}")

    def tag(self, reference: str, name: str) -> None:
        """Give an image one more name."""
        done = self._call("tag", reference, name)
        if done.returncode != 0:
            raise UserError(f"docker tag {reference} {name}: {_last_line(done.stderr)}")

    def push(self, reference: str, log: Path) -> None:
        """Push an image to the registry that its name begins with.

        Raises:
            UserError: The registry refuses it.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            exit_code = self._stream(["push", reference], b"", output)
        if exit_code != 0:
            raise UserError(why_not_pushed(reference, log))

    def output(self, reference: str, command: Sequence[str]) -> bytes:
        """Return what a command prints in a container of an image, without network."""
        done = self._call("run", "--rm", "--network", "none", "--read-only", reference, *command)
        if done.returncode != 0:
            raise UserError(f"{reference} could not be read: {_last_line(done.stderr)}")
        return done.stdout

    def stop(self) -> None:
        """End all builds and pushes that are running.

        `docker build` of version 20.10 does not end by a signal while its context came over stdin: it is killed,
        and the engine gives up what nobody waits for.
        """
        self._stopped.set()
        self._signal_all(signal.SIGTERM)
        later = threading.Timer(GRACE_S, self._signal_all, [signal.SIGKILL])
        later.daemon = True
        later.start()

    def _signal_all(self, number: int) -> None:
        for process in list(self._alive):
            process.send_signal(number)

    def _call(
        self, *arguments: str, given: bytes = b"", patience_s: float | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [self.docker, *arguments], input=given, capture_output=True, check=False, timeout=patience_s
        )

    def _stream(self, arguments: list[str], given: bytes, output: Any) -> int:
        """Run a long command with its output in a file; it ends with `stop`."""
        if self._stopped.is_set():
            raise KeyboardInterrupt
        process = subprocess.Popen(
            [self.docker, *arguments],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "DOCKER_BUILDKIT": "1"},
        )
        self._alive.add(process)
        try:
            with contextlib.suppress(BrokenPipeError):
                process.communicate(given)
            return process.wait()
        finally:
            self._alive.discard(process)


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return without_preamble(lines[-1]) if lines else "it said nothing"
