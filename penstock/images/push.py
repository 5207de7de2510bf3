"""Brings images into a registry, and asks it for their digests."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from penstock.errors import UserError
from penstock.images.engine import Engine
from penstock.images.lock import Lock, LockedImage
from penstock.images.registry import Registry
from penstock.images.targets import Target
from penstock.project import Project

Tell = Callable[[str], None]
ASKED_AT_ONCE = 8


def held_by(prefix: str, targets: Sequence[Target]) -> dict[str, str]:
    """Return the digests of those images that a registry holds under their tags.

    Raises:
        UserError: The registry does not answer, or refuses.
    """
    registry = Registry(prefix)
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        digests = list(pool.map(lambda target: registry.digest(target.name, target.tag), targets))
    return {target.name: digest for target, digest in zip(targets, digests, strict=True) if digest}


def push(
    project: Project, targets: Sequence[Target], engine: Engine, prefix: str, tell: Tell
) -> list[Target]:
    """Push the images that the registry does not hold, and return those that were pushed.

    Raises:
        UserError: The registry does not answer or refuses, or an image is not built.
    """
    held = held_by(prefix, targets)
    for target in targets:
        if target.name in held:
            tell(f"{prefix}/{target.name}:{target.tag} is there")
    missing = [target for target in targets if target.name not in held]
    if not missing:
        return []
    engine.check()
    unbuilt = [target.reference for target in missing if engine.inspect(target.reference) is None]
    if unbuilt:
        raise UserError(f"not built: {', '.join(unbuilt)}: run `penstock images build`")
    for target in missing:  # one after another: the layers of a stack go up once
        name = f"{prefix}/{target.name}:{target.tag}"
        engine.tag(target.reference, name)
        engine.push(name, project.state / "images" / f"push-{target.name}.log")
        tell(f"pushed {name}")
    return missing


def locked(targets: Sequence[Target], prefix: str, sizes: Mapping[str, int]) -> Lock:
    """Return the lock of images; `sizes` are the bytes over the base of those that are known.

    Raises:
        UserError: The registry lacks an image.
    """
    held = held_by(prefix, targets)
    lacking = [f"{target.name}:{target.tag}" for target in targets if target.name not in held]
    if lacking:
        raise UserError(f"{prefix} lacks {', '.join(lacking)}: run `penstock images push`, then lock again")
    return Lock(
        registry=prefix,
        images={
            target.name: LockedImage(
                tag=target.tag,
                digest=held[target.name],
                reference=f"{prefix}/{target.name}@{held[target.name]}",
                bytes=sizes.get(target.name),
            )
            for target in targets
        },
    )
