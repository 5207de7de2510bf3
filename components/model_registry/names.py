"""Every name that Penstock writes into MLflow: aliases, tags, experiments, artifact folders."""

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous"

# Tags of model versions and of runs.
KEY = "penstock.key"  # what the version is made of: equal keys are the same model
RUN_ID = "penstock.run_id"  # of the pipeline run
PIPELINE = "penstock.pipeline"
APP = "penstock.app"
MODEL = "penstock.model"
APP_VERSION = "penstock.app_version"
CODE_VERSION = "penstock.code_version"
FINGERPRINT = "penstock.fingerprint"  # of the data at the source
DATA_FINGERPRINT = "penstock.data_fingerprint"  # of the data that were read
STATISTICS_URI = "penstock.statistics_uri"
METRICS = "penstock.metrics"  # JSON: the metrics on the version's own test split
PROMOTED_AT = "penstock.promoted_at"  # the version is, or was, the champion
UNTIL = "penstock.until"
WATERMARK = "penstock.watermark"
KIND = "penstock.kind"  # "run": stands for a whole pipeline run, its steps are nested in it
STATE = "penstock.state"
STEP = "penstock.step"
TASK = "penstock.task"
TRAINED = "penstock.trained"  # "true": the run's data passed their gate and a model was trained on them
PARENT = "mlflow.parentRunId"

# Folders under a run's artifacts.
ARTIFACTS = "mlflow-artifacts"
MODEL_FOLDER = "model"


def experiment_name(model: str) -> str:
    """Return the MLflow experiment that holds the runs of a registered model."""
    return f"penstock/{model}"
