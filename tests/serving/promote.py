"""Makes a version of `taxi` the champion: python promote.py REGISTRY_URI NUMBER, in the control stack."""

import sys

from penstock.components.model_registry.opening import open_store
from penstock.components.model_registry.promotion import promote

promote(open_store(sys.argv[1]), "taxi", int(sys.argv[2]))
