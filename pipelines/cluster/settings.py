"""What the command line must know of a cluster: read from the ConfigMap that the cluster is given too.

`manifests/overlays/<name>/settings.yaml` is that ConfigMap, plain YAML. `compile`, `upload`, `submit`, `schedule` and
`rollback` take its path as `--cluster`, or from SAIKI_CLUSTER.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from components._shared.contract import Contract, load_yaml, yaml_problem
from components._shared.errors import InputError


class ClusterSettings(Contract):
    """Where things are on a cluster. No secret stands here: credentials come with a service account or a Secret.

    Attributes:
        namespace: Where the pipelines run; it is the ConfigMap's own.
        endpoint: URL of the KFP API server, as it is reached from here.
        ui: URL of the Kubeflow Pipelines page that links lead to; empty: the endpoint.
        data_root, registry, pipeline_root: `gs://…` or `s3://…`.
        images: Image registry and folder that the images were pushed to, before `/saiki-light:…`.
        service_account: Of the steps' pods; empty: KFP's default.
        s3_endpoint, s3_region: For stores other than AWS; empty: AWS's own rules.
        storage_secret: Secret with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; empty: workload identity.
        cron_timezone: The one that KFP's scheduler counts in: CRON_SCHEDULE_TIMEZONE of ml-pipeline-scheduledworkflow.
    """

    namespace: str = "kubeflow"
    endpoint: str = ""
    ui: str = ""
    data_root: str = ""
    registry: str = ""
    pipeline_root: str = ""
    images: str = ""
    service_account: str = ""
    s3_endpoint: str = ""
    s3_region: str = ""
    storage_secret: str = Field(default="", pattern=r"^$|^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
    cron_timezone: str = "UTC"


_PLACEHOLDER = re.compile(r"\b(PROJECT|BUCKET)\b")


def settings_of_a_cluster(path: Path | None) -> ClusterSettings:
    """The settings of a cluster that is about to be reached; no path: all are empty.

    Raises:
        InputError: They cannot be read, or still hold the words that stand for a project or a bucket.
    """
    settings = read_cluster_settings(path) if path else ClusterSettings()
    for name, value in settings:
        if found := _PLACEHOLDER.search(value):
            raise InputError(
                f"'{name}' still says {found[0]}: {value}",
                where=str(path),
                fix=f"put your own name in place of {found[0]} (docs/cluster.md)",
            )
    return settings


def read_cluster_settings(path: Path) -> ClusterSettings:
    """Reads the ConfigMap.

    Raises:
        InputError: It cannot be read, is no ConfigMap, or has a field that nobody knows.
    """
    try:
        found = load_yaml(path.read_bytes())
    except OSError as cause:
        raise InputError(
            f"The cluster's settings cannot be read: {cause.strerror}",
            where=str(path),
            fix="give the path of a settings.yaml, such as manifests/overlays/kind/settings.yaml, as --cluster",
        ) from cause
    except yaml.YAMLError as cause:
        raise InputError(
            f"This is not readable YAML: {yaml_problem(cause)}", where=str(path), fix="correct it there"
        ) from cause
    if not isinstance(found, dict) or found.get("kind") != "ConfigMap":
        raise InputError("This is not a ConfigMap", where=str(path), fix="see manifests/overlays/kind/settings.yaml")
    data: dict[str, Any] = dict(found.get("data") or {})
    namespace = (found.get("metadata") or {}).get("namespace")
    return ClusterSettings.from_value(data | ({"namespace": namespace} if namespace else {}), where=str(path))
