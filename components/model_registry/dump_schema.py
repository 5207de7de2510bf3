"""Writes mlflow_schema.py: the tables that the installed MLflow creates in a new SQLite database.

python -m penstock.components.model_registry.dump_schema
"""

import logging
import sqlite3
import tempfile
from pathlib import Path

TARGET = Path(__file__).with_name("mlflow_schema.py")


def schema_of_installed_mlflow() -> str:
    """Return the text of mlflow_schema.py for the MLflow that is installed."""
    logging.disable(logging.WARNING)  # alembic tells each of some eighty migrations
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine_with_retry
    from mlflow.version import VERSION

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "new.db"
        _initialize_tables(create_sqlalchemy_engine_with_retry(f"sqlite:///{path}"))
        connection = sqlite3.connect(path)
        revision = connection.execute("select version_num from alembic_version").fetchone()[0]
        statements = [line for line in connection.iterdump() if line not in ("BEGIN TRANSACTION;", "COMMIT;")]
        connection.close()
    logging.disable(logging.NOTSET)
    # Batch migrations make the indexes of a table again in no fixed order; they stand at the end, sorted.
    statements.sort(key=lambda statement: statement if " INDEX " in statement.partition(" ON ")[0] else "")
    body = "\n\n".join(statement.replace("\\", "\\\\") for statement in statements)
    body = "\n".join(line.rstrip() for line in body.splitlines())
    return (
        '"""The tables of a new MLflow database, as MLflow\'s own migrations leave them. Generated: do not edit.\n\n'
        'python -m penstock.components.model_registry.dump_schema\n"""\n\n'
        f'MLFLOW = "{VERSION}"\nREVISION = "{revision}"\n\nSCHEMA = """\\\n{body}\n"""\n'
    )


if __name__ == "__main__":
    TARGET.write_text(schema_of_installed_mlflow(), encoding="utf-8")
