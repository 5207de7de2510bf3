"""What there is to build: an image per step and per service, each on the image of its stack."""

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from penstock.errors import UserError
from penstock.images.settings import read_images_file
from penstock.nearest import did_you_mean
from penstock.project import Project
from penstock.versions import RECIPE, Images, lock_path, stack_hash

SSH_REMOTE = re.compile(r"(ssh://([^@/]+@)?|[^@/:]+@)(?P<host>[\w.-]+)(:\d+/|:|/)(?P<path>.+)")
HTTPS_REMOTE = re.compile(r"https://([^@/]*@)?(?P<place>.+)")


@dataclass(frozen=True)
class Target:
    """One image: its name, the stack that it stands on, its tag by content."""

    name: str
    stack: str
    stack_tag: str
    tag: str
    command: tuple[str, ...]
    code: str = ""  # the folder under components/ whose code it holds; "" for a server of others
    is_service: bool = False

    @property
    def reference(self) -> str:
        """The local name, as it stands in the IR of a local run."""
        return f"penstock/{self.name}:{self.tag}"

    @property
    def stack_reference(self) -> str:
        """The local name of the image of the stack."""
        return f"penstock/stack-{self.stack}:{self.stack_tag}"


def all_targets(project: Project, images: Images, names: Iterable[str] | None = None) -> list[Target]:
    """Return the images of the named steps and services (default: all), in the order of images.yaml.

    Raises:
        UserError: A name is none of them.
    """
    listed = read_images_file(project)
    known = [*listed.steps, *listed.services]
    wanted = list(dict.fromkeys(names or known))
    for name in wanted:
        if name not in known:
            raise UserError(f"images/images.yaml lists no image {name!r}{did_you_mean(name, known)}")
    targets = []
    for name in wanted:
        if name in listed.services:
            service = listed.services[name]
            stack = stack_hash(project, service.stack)
            targets.append(
                Target(
                    name,
                    service.stack,
                    stack,
                    images.service(service),
                    tuple(service.command),
                    service.code,
                    is_service=True,
                )
            )
        else:
            image = images.image(name)
            targets.append(
                Target(name, image.stack, stack_hash(project, image.stack), image.tag, ("python",), name)
            )
    return targets


def stack_context(project: Project, stack: str) -> dict[str, bytes]:
    """Return the files from which the image of a stack is built."""
    lock = lock_path(project, stack)
    files = {f"lock/{path.name}": path.read_bytes() for path in (lock, lock.with_name("pyproject.toml"))}
    return files | _recipe(project)


def step_context(project: Project, images: Images, target: Target) -> dict[str, bytes]:
    """Return the files from which an image is built on that of its stack: just what its tag is the hash of."""
    if not target.code:
        return _recipe(project)
    folder = "code/penstock"
    code = {f"{folder}/__init__.py": b"", f"{folder}/components/__init__.py": b""}
    code |= {f"{folder}/components/{name}": content for name, content in images.files(target.code).items()}
    return code | _recipe(project)


def stack_arguments(project: Project, stack: str, base: str) -> dict[str, str]:
    """Return the build arguments of the image of a stack."""
    listed = read_images_file(project).stack(stack)
    return {
        "BASE": base,
        "BUILDS_WITH": " ".join(listed.builds_with),
        "WITHOUT": " ".join(listed.without),
        "DROP": " ".join(listed.drop),
    }


def labels(project: Project, target: Target) -> dict[str, str]:
    """Return the OCI labels of an image.

    The revision is the last commit that changed what the image is made of, not the present one: the same
    content has the same label. With changes that no commit holds it is empty.
    """
    listed = read_images_file(project)
    found = {
        "org.opencontainers.image.title": f"penstock/{target.name}",
        "org.opencontainers.image.version": target.tag,
        "org.opencontainers.image.revision": revision(project, target),
        "org.opencontainers.image.source": origin(project),
        "org.opencontainers.image.base.name": listed.base,
        "org.opencontainers.image.licenses": "Apache-2.0",
        "penstock.stack": target.stack,
        "penstock.stack.version": target.stack_tag,
    }
    return {name: value for name, value in found.items() if value}


def revision(project: Project, target: Target) -> str:
    """Return the last commit that touched what an image is made of; "" outside git or with changes."""
    paths = [f"images/{name}" for name in (*RECIPE, "images.yaml")]
    paths.append(f"images/{target.stack}/uv.lock")
    if target.code:
        paths += [f"components/{module}" for module in sorted(Images(project).needed(target.code))]
    changed = _git(project, "status", "--porcelain", "--", *paths)
    if changed is None or changed:
        return ""
    return _git(project, "log", "-1", "--format=%H", "--", *paths) or ""


def origin(project: Project) -> str:
    """Return where the code is at home: `source` of images.yaml, else git's remote `origin`; "" without either.

    The same for each clone: an address of ssh becomes that of the web, nobody's credentials stay in it.
    """
    if source := read_images_file(project).source:
        return source
    remote = _git(project, "remote", "get-url", "origin") or ""
    if found := SSH_REMOTE.fullmatch(remote):
        return f"https://{found['host']}/{found['path'].removesuffix('.git')}"
    if found := HTTPS_REMOTE.fullmatch(remote):
        return f"https://{found['place'].removesuffix('.git')}"
    return ""


def _git(project: Project, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(project.root), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _recipe(project: Project) -> dict[str, bytes]:
    files = {name: project.images / name for name in RECIPE}
    for path in files.values():
        if not path.is_file():
            raise UserError(f"{path} is missing: images are built by it")
    return {name: path.read_bytes() for name, path in files.items()}
