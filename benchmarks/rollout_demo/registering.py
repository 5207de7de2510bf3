"""Registers a model folder as a new version, or prints where a version's folder is. Needs the control stack.

python -m benchmarks.rollout_demo.registering REGISTRY_URI MODEL FOLDER DESCRIPTION
"""

import sys

from penstock.components.model_registry.names import experiment_name
from penstock.components.model_registry.opening import open_store


def register(registry_uri: str, model: str, folder: str, description: str) -> int:
    """Return the number of the new version."""
    store = open_store(registry_uri)
    run = store.start_run(experiment_name(model), "demo", 0, {})
    return store.create_version(model, folder, run.id, description, {"penstock.demo": description}).number


if __name__ == "__main__":
    print(register(*sys.argv[1:5]))
