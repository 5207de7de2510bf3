"""Builds what is not there yet: first the stacks, beside each other, then the images on them."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from penstock.images.archive import tar
from penstock.images.engine import Engine
from penstock.images.settings import read_images_file
from penstock.images.targets import (
    Target,
    labels,
    stack_arguments,
    stack_context,
    step_context,
)
from penstock.project import Project
from penstock.versions import Images

Tell = Callable[[str], None]


def build(
    project: Project,
    targets: Sequence[Target],
    engine: Engine,
    tell: Tell,
    jobs: int | None = None,
    base: str | None = None,
    again: bool = False,
) -> list[Target]:
    """Build the images whose tag the engine does not hold, and return those that were built.

    Args:
        project: Where the recipe, the locks and the code are.
        targets: The images that are wanted.
        engine: Builds them.
        tell: Called with a line for each image.
        jobs: Builds beside each other; None: one for each core.
        base: Another name of the base image, as on a mirror.
        again: Build also what is there, and from nothing: the result is the same.

    Raises:
        UserError: A build failed. Those that were running end first, no more begin.
    """
    engine.check()
    missing = [target for target in targets if again or engine.inspect(target.reference) is None]
    for target in targets:
        if target not in missing:
            tell(f"{target.reference} is there")
    if not missing:
        return []
    base = base or read_images_file(project).base
    over = engine.need_base(base)
    images = Images(project)
    with ThreadPoolExecutor(jobs or os.cpu_count() or 1, thread_name_prefix="build") as pool:
        try:
            stacks: dict[str, Future[None]] = {}
            for target in missing:
                if target.stack_reference not in stacks:
                    stacks[target.stack_reference] = pool.submit(
                        _build_stack, project, target, engine, tell, base, over, again
                    )
            # Stacks are ahead of all images in the pool's queue: an image never waits for one behind it.
            built = [
                pool.submit(
                    _build_image,
                    project,
                    images,
                    target,
                    engine,
                    tell,
                    over,
                    stacks[target.stack_reference],
                    again,
                )
                for target in missing
            ]
            for future in [*stacks.values(), *built]:
                future.result()
        except BaseException:
            engine.stop()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return missing


def _build_stack(
    project: Project, target: Target, engine: Engine, tell: Tell, base: str, over: int, again: bool
) -> None:
    reference = target.stack_reference
    if not again and engine.inspect(reference) is not None:
        return
    began = time.monotonic()
    tell(f"building the stack {target.stack} (once for each lock)")
    context = tar(stack_context(project, target.stack))
    arguments = stack_arguments(project, target.stack, base)
    log = project.state / "images" / f"stack-{target.stack}.log"
    engine.build(context, "stack", reference, arguments, log, again)
    engine.fix_configuration(reference, {"penstock.stack": target.stack}, ["python"])
    tell(_account(engine, reference, began, over))


def _build_image(
    project: Project,
    images: Images,
    target: Target,
    engine: Engine,
    tell: Tell,
    over: int,
    stack: Future[None],
    again: bool,
) -> None:
    stack.result()
    began = time.monotonic()
    context = tar(step_context(project, images, target))
    arguments = {"STACK": target.stack_reference, "IMAGE": target.reference}
    log = project.state / "images" / f"{target.name}.log"
    kind = "step" if target.code else "service"
    engine.build(context, kind, target.reference, arguments, log, again)
    engine.fix_configuration(target.reference, labels(project, target), target.command)
    tell(_account(engine, target.reference, began, over))


def _account(engine: Engine, reference: str, began: float, over: int) -> str:
    size = ((engine.size(reference) or over) - over) / 1e6
    return f"built {reference} in {time.monotonic() - began:.0f} s, {size:.0f} MB over the base"
