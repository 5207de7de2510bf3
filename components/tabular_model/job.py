"""What is to be trained, read from the inputs that train_model and tune_model share."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from penstock.components.step_io.errors import StepError
from penstock.components.tabular_model.app_code import AppModule
from penstock.components.tabular_model.checkpoints import training_key
from penstock.components.tabular_model.columns import RawInput, read_inputs
from penstock.components.tabular_model.examples import Examples, read_examples
from penstock.components.tabular_model.label import Label
from penstock.components.tabular_model.network import load_own_model
from penstock.components.tabular_model.settings import resolve


@dataclass(frozen=True)
class Job:
    """A training: its data, its inputs and label, its hyperparameters."""

    train_folder: Path
    validation_folder: Path
    schema_folder: Path
    code: Path
    inputs: list[RawInput]
    label: Label
    excluded: list[str]
    weight: str
    seed: int
    settings: dict[str, Any]
    own: AppModule | None

    @classmethod
    def read(
        cls,
        train_folder: Path,
        validation_folder: Path,
        schema_folder: Path,
        code: Path,
        label_spec: Mapping[str, Any],
        features: Mapping[str, Any],
        weight: str,
        seed: int,
        settings: Mapping[str, Mapping[str, Any]],
    ) -> "Job":
        """Read label, schema and the app's model.py, and fill in the hyperparameters.

        Args:
            train_folder: Prepared training rows.
            validation_folder: Prepared validation rows.
            schema_folder: Folder with schema.pbtxt.
            code: Folder with the app's Python files, if it has any.
            label_spec: From prepare_data.
            features: The section `features` of app.yaml.
            weight: Column with the weight of each row, or empty.
            seed: Seed of everything random.
            settings: model_settings and best_parameters.

        Raises:
            StepError: One of them is wrong.
        """
        label = Label.from_spec(label_spec)
        excluded = features.get("exclude") or []
        if not isinstance(excluded, list) or not all(isinstance(name, str) for name in excluded):
            raise StepError(f"features.exclude is {excluded!r}, expected a list of columns")
        resolved = resolve(settings["model_settings"], settings.get("best_parameters"))
        inputs = read_inputs(schema_folder, {*excluded, label.name, weight}, resolved["kinds"])
        own = load_own_model(code)
        return cls(
            train_folder,
            validation_folder,
            schema_folder,
            code,
            inputs,
            label,
            excluded,
            weight,
            seed,
            resolved,
            own,
        )

    def with_parameters(self, parameters: Mapping[str, Any]) -> "Job":
        """Return the job with other hyperparameters."""
        return replace(self, settings=resolve(self.settings, parameters))

    def examples(self) -> Examples:
        """Read and encode the rows."""
        return read_examples(
            self.train_folder,
            self.validation_folder,
            self.code,
            self.inputs,
            self.label,
            self.weight,
            self.settings,
            self.seed,
        )

    def key(self, purpose: str, more: Mapping[str, Any] = {}) -> str:
        """Return the hash of all that determines the result."""
        folders = {
            "train": self.train_folder,
            "validation": self.validation_folder,
            "schema": self.schema_folder,
        }
        plain = {
            "purpose": purpose,
            "label": [self.label.name, self.label.task, list(self.label.classes), self.label.positive],
            "excluded": sorted(self.excluded),
            "weight": self.weight,
            "seed": self.seed,
            "settings": self.settings,
            **more,
        }
        return training_key(folders, self.code, plain)
