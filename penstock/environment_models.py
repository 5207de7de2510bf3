"""The keys of manifests/environments/<name>.yaml: types, defaults and what each key means."""

from typing import Annotated, Any, Literal

from pydantic import Field

from penstock.app_types import Section, Share

KubernetesName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")]
NOTIFY_VARIABLE = "PENSTOCK_NOTIFY_URLS"  # what the step notify reads


class Auth(Section):
    """Who we are to the backend."""

    kind: Literal["none", "token", "in_cluster", "iap"] = Field(
        default="none",
        description="`token`: a bearer token from `variable` or `file`; `in_cluster`: the service account token "
        "that Kubernetes mounts; `iap`: Google's Identity-Aware Proxy.",
    )
    variable: str = Field(default="", description="Environment variable that holds the token.")
    file: str = Field(default="", description="File that holds the token; read anew at each call.")
    client_id: str = Field(default="", description="OAuth client of the proxy (`iap`).")


class Store(Section):
    """How this machine writes to the pipeline root, where its own credentials do not say."""

    endpoint: str = Field(
        default="", description="URL of an S3-compatible store, as this machine reaches it."
    )
    region: str = Field(default="", description="Region of the store.")
    access_key_variable: str = Field(default="", description="Environment variable with the access key.")
    secret_key_variable: str = Field(default="", description="Environment variable with the secret key.")
    service: str = Field(
        default="",
        description="Kubernetes service of the store, asked for its address where `endpoint` is empty.",
    )
    secret: str = Field(
        default="",
        description="Kubernetes secret with the keys, read (KUBECONFIG) where the variables are not set.",
    )
    secret_access_key: str = Field(default="accesskey", description="The secret's key of the access key.")
    secret_secret_key: str = Field(default="secretkey", description="The secret's key of the secret key.")


class Toleration(Section):
    """A taint of nodes that steps put up with (Kubernetes' Toleration)."""

    key: str = Field(default="", description="The taint's key; empty with `Exists` means every taint.")
    operator: Literal["Exists", "Equal"] = Field(
        default="Equal", description="Whether its value counts (`Equal`) or not (`Exists`)."
    )
    value: str = Field(default="", description="The taint's value.")
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = Field(
        default="", description="The taint's effect; empty means all."
    )


class Secret(Section):
    """A Kubernetes secret that steps get, by name; its values stay in the cluster."""

    name: KubernetesName = Field(description="Its name, in the namespace of the steps.")
    variables: dict[VariableName, str] = Field(
        default={}, description="Environment variable → key of the secret."
    )
    mount: str = Field(default="", description="Folder where the secret's keys appear as files.")
    steps: list[str] = Field(default=[], description="Steps that get it; empty gives it to all.")


class Notifications(Section):
    """Where notify finds the URLs of its channels (apprise), which are secret."""

    variable: VariableName = Field(
        default=NOTIFY_VARIABLE, description="Environment variable, for local runs."
    )
    secret: str = Field(default="", description="Kubernetes secret that holds them, for cluster runs.")
    key: str = Field(default="urls", description="Its key.")


class ServingSecret(Section):
    """A Kubernetes secret that the servers get, by name."""

    name: KubernetesName = Field(description="Its name, in the namespace of the servers.")
    variables: dict[VariableName, str] = Field(description="Environment variable → key of the secret.")


class Serving(Section):
    """Where models are served: the endpoints that rollouts deploy to. A key of another kind than `kind` is an error."""

    kind: Literal["", "local", "kubernetes", "kserve", "vertex"] = Field(
        default="",
        description="`local`: processes of this machine (`penstock serve`), the default of the backend local; "
        "`kubernetes`: pods behind a Gateway; `kserve`: InferenceServices; `vertex`: endpoints of Vertex AI; "
        "empty: nothing is served.",
    )
    replicas: int = Field(default=1, ge=1, le=1000, description="Servers of each version, at least.")
    logs: str = Field(
        default="",
        description="URI under which the servers write their request logs, a folder for each model, and rollouts read "
        "them. Local: the endpoint's own folder.",
    )
    outcomes: str = Field(
        default="",
        description="URI under which the outcomes of requests are, a folder for each model. Local: `outcomes/` in the "
        "endpoint's own folder.",
    )
    image: str = Field(
        default="",
        description="The serving image by digest (all kinds but local); empty takes that of images.lock.json.",
    )
    namespace: str = Field(
        default="", description="Of the servers (kubernetes, kserve); empty takes that of the steps."
    )
    service_account: str = Field(
        default="",
        description="Of the servers (all kinds but local); empty: penstock-serving (kubernetes), the default one.",
    )
    deployer: str = Field(
        default="",
        description="Service account of the runs that deploy (kubernetes, kserve); empty takes that of all runs.",
    )
    trial: Literal["pod", "process"] = Field(
        default="pod",
        description="How the step validate_serving of a training run tries a model (kubernetes, kserve; backend kfp): "
        "`pod`: in a pod with the target's image, limits, variables and secrets, in the namespace of the steps; "
        "`process`: inside the step, which needs no right to make pods.",
    )
    secrets: list[ServingSecret] = Field(
        default=[], description="Kubernetes secrets that the servers get (kubernetes): see `serving.secrets`."
    )
    variables: dict[VariableName, str] = Field(
        default={}, description="Environment variables of the servers (all kinds but local); nothing secret."
    )
    sources: dict[str, str] = Field(
        default={},
        description="How URIs of the registry begin → what the servers read instead (all kinds but local): "
        "`{mlflow-artifacts:/: s3://bucket/mlflow/}`.",
    )
    most_replicas: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Servers of a version under load, at most (all kinds but local); none: 4 on kubernetes, elsewhere "
        "no autoscaling.",
    )
    start_limit_s: int | None = Field(
        default=None,
        ge=1,
        description="Seconds until a server must be ready (kubernetes, vertex); none: 300 on kubernetes, 600 on vertex.",
    )
    options: list[str] = Field(
        default=[], description="More arguments of the prediction service (kubernetes, kserve)."
    )
    cpu: str = Field(default="500m", description="What a server asks of a node (kubernetes, kserve).")
    memory: str = Field(default="1Gi", description="What a server asks of a node (kubernetes, kserve).")
    memory_limit: str = Field(default="2Gi", description="What ends a server (kubernetes, kserve).")
    request_timeout_s: int = Field(
        default=60, ge=1, description="Seconds until a request is given up (kubernetes, kserve)."
    )
    gateway: str = Field(default="gateway", description="Name of the Gateway (kubernetes).")
    gateway_namespace: str = Field(default="", description="Its namespace (kubernetes); empty: the servers'.")
    hostname: str = Field(
        default="", description="Host of the requests (kubernetes); empty: <endpoint>.<namespace>.internal."
    )
    session_cookie: str = Field(
        default="",
        description="Cookie that keeps a client at one version, where the gateway can (kubernetes).",
    )
    scratch: str = Field(default="4Gi", description="Disk of a server, for the model and logs (kubernetes).")
    cpu_target_percent: int = Field(
        default=70,
        ge=1,
        le=100,
        description="Of the CPU asked for, above which servers are added (kubernetes).",
    )
    drain_s: int = Field(
        default=10,
        ge=0,
        description="Seconds until no gateway sends a stopping server requests (kubernetes).",
    )
    mode: str = Field(default="", description="Standard or Knative (kserve); empty: Standard.")
    log_url: str = Field(
        default="",
        description="Receiver of the CloudEvents of KServe's payload logger (kserve); empty: none.",
    )
    log_mode: str = Field(default="", description="all, request or response (kserve); empty: all.")
    service_port: int = Field(
        default=80,
        ge=1,
        le=65535,
        description="Of the Services that KServe makes, for a shadow (kserve); 8080 where they are headless.",
    )
    project: str = Field(
        default="", description="Google Cloud project (vertex); empty takes that of the top."
    )
    region: str = Field(default="", description="Its region (vertex); empty takes that of the top.")
    machine_type: str = Field(default="n1-standard-2", description="Of the servers (vertex).")
    accelerator_type: str = Field(default="", description="Of the servers (vertex).")
    accelerator_count: int = Field(default=0, ge=0, le=16, description="Accelerators of a server (vertex).")
    log_table: str = Field(
        default="", description="BigQuery table of Vertex's own request log: project.dataset.table (vertex)."
    )
    log_sample: Share = Field(default=1.0, description="Share of the requests that go there (vertex).")
    dedicated: bool = Field(default=True, description="An address of its own for the endpoint (vertex).")
    api_endpoint: str = Field(
        default="", description="Another address of the API, for private access (vertex)."
    )


class Schedule(Section):
    """A recurring run."""

    name: Name = Field(description="Its name: letters, digits, hyphens and underscores.")
    pipeline: str = Field(default="training", description="Name of a file in `pipelines/`.")
    app: str = Field(description="A folder in `apps/`.")
    cron: str = Field(
        description="Five fields: minute, hour, day of month, month, day of week. Where both days are restricted, "
        "either fires."
    )
    time_zone: str = Field(default="UTC", description="Of the cron line: IANA name, such as America/Chicago.")
    catch_up: bool = Field(
        default=False,
        description="Make up for all firings that were missed; otherwise for the last one only (KFP).",
    )
    max_concurrency: int = Field(
        default=1, ge=1, le=10, description="Runs of it at once; a firing beyond waits."
    )
    start: str = Field(
        default="",
        description="No firing before this time (ISO 8601, in `time_zone` where it has no offset).",
    )
    end: str = Field(default="", description="No firing after this time (as `start`).")
    parameters: dict[str, Any] = Field(default={}, description="As with `--set`.")
    window: str = Field(
        default="",
        description="ISO 8601 duration, such as P365D: each run reads what happened this long before its schedule "
        "time (`since` and `until`).",
    )
    enabled: bool = Field(default=True, description="`false` keeps it and lets nothing fire.")


class Environment(Section):
    """An environment."""

    name: Name = Field(description="The file's name.")
    description: str = Field(default="", description="For people.")
    backend: Literal["local", "kfp", "vertex"] = Field(
        description="`local`: this machine; `kfp`: Kubeflow Pipelines; `vertex`: Vertex AI Pipelines."
    )
    host: str = Field(default="", description="URL of the KFP API.")
    namespace: KubernetesName = Field(
        default="kubeflow", description="Kubernetes namespace in which the steps run."
    )
    project: str = Field(default="", description="Google Cloud project (Vertex).")
    region: str = Field(default="", description="Google Cloud region (Vertex).")
    pipeline_root: str = Field(
        default="", description="Folder for artifacts and published apps: minio://, s3://, gs:// or a path."
    )
    images: str = Field(default="", description="Registry and prefix of the steps' images.")
    registry_uri: str = Field(default="", description="MLflow tracking and registry URI, as steps reach it.")
    service_account: str = Field(default="", description="Service account of the steps' pods.")
    platform: str = Field(
        default="",
        description="Kubernetes manifests that runs need (`penstock platform apply`), a path in the project.",
    )
    tls_ca: str = Field(default="", description="File with the certificate authority of `host`.")
    auth: Auth = Auth()
    store: Store = Store()
    labels: dict[str, str] = Field(default={}, description="Labels of the steps' pods.")
    node_selector: dict[str, str] = Field(default={}, description="Labels of nodes that steps may run on.")
    tolerations: list[Toleration] = []
    secrets: list[Secret] = []
    variables: dict[VariableName, str] = Field(
        default={}, description="Environment variables of every step; nothing secret."
    )
    notifications: Notifications = Notifications()
    serving: Serving = Serving()
    parameters: dict[str, Any] = Field(default={}, description="Defaults of pipeline parameters.")
    cron_time_zone: str = Field(
        default="UTC",
        description="Zone in which KFP's schedule controller reads cron lines: its CRON_SCHEDULE_TIMEZONE, else that "
        "of its machine. Lines of other zones are rewritten for it, or refused.",
    )
    schedules: list[Schedule] = []
