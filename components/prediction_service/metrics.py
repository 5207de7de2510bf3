"""What /metrics tells beside KServe's own histograms (Prometheus)."""

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384)

REQUESTS = Counter(
    "penstock_requests",
    "Prediction requests, by answer",
    ["model_name", "model_version", "protocol", "status"],
)
SECONDS_OF_REQUESTS = Histogram(
    "penstock_request_seconds", "Time of a prediction request", ["model_name", "protocol"], buckets=SECONDS
)
ROWS_PREDICTED = Counter("penstock_rows", "Rows predicted", ["model_name", "model_version"])
BATCH_ROWS = Histogram("penstock_batch_rows", "Rows that were predicted together", buckets=ROWS)
MODEL = Gauge("penstock_model_info", "1 for the version that is served", ["model_name", "model_version"])
SERVER = Gauge("penstock_server_info", "1, with the version of what computes the answers", ["tensorflow"])
LOG_DROPPED = Counter("penstock_log_records_dropped", "Request-log records that were lost", ["reason"])
LOG_WRITTEN = Counter("penstock_log_records_written", "Request-log records that were written")
