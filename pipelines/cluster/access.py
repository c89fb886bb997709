"""Who we are to a Kubeflow Pipelines API server: tokens, cookies, Google's proxy, a kubeconfig.

Secrets come from files and the environment, never from the command line, and are never shown.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from components._shared.errors import InputError

_INVERSE_PROXY = ".googleusercontent.com"
_PROXIED = "/api/v1/namespaces/{namespace}/services/ml-pipeline:http/proxy"


@dataclass(frozen=True)
class Access:
    """What the user has given of it; all of it may be empty.

    Attributes:
        token: A bearer token.
        token_file: A file that holds one; it is read for each request, so that a token that is renewed there counts.
        cookie: The `Cookie` header of a session, such as `authservice_session=…` behind Dex.
        iap_client_id: The OAuth client of Google's Identity-Aware Proxy.
        user: Who we are where nothing checks it: behind a port-forward to a server with many users.
        ca_file: The authority that signed the server's certificate, in PEM.
        kube_context: A context of the kubeconfig: requests go through the Kubernetes API server, as kubectl's do.
    """

    token: str = field(default="", repr=False)
    token_file: Path | None = None
    cookie: str = field(default="", repr=False)
    iap_client_id: str = ""
    user: str = ""
    ca_file: Path | None = None
    kube_context: str = ""

    def __post_init__(self) -> None:
        given = {
            "SAIKI_KFP_TOKEN": self.token,
            "--token-file": self.token_file,
            "SAIKI_KFP_COOKIE": self.cookie,
            "--iap-client-id": self.iap_client_id,
            "--kube-context": self.kube_context,
        }
        ways = [name for name, value in given.items() if value]
        if len(ways) > 1:
            raise InputError(
                f"There are {len(ways)} ways to log in at once", where=" and ".join(ways), fix="give one of them"
            )

    def reached(self, endpoint: str, namespace: str) -> str:
        """The URL that requests go to."""
        if not self.kube_context:
            return endpoint
        return str(self._kubernetes().host).rstrip("/") + _PROXIED.format(namespace=namespace or "kubeflow")

    def tls(self, url: str) -> tuple[str | None, str | None, str | None]:
        """Authority, certificate and key for the connection."""
        if self.ca_file is not None:
            _readable(self.ca_file, "--ca-file")
            return str(self.ca_file), None, None
        if self.kube_context:
            found = self._kubernetes()
            return found.ssl_ca_cert, found.cert_file, found.key_file
        return None, None, None

    def credentials(self, url: str) -> Credentials:
        """What each request carries."""
        if self.cookie:
            return Credentials("Cookie", "", lambda: self.cookie)
        if self.token_file is not None:
            path = self.token_file
            return Credentials("Authorization", "Bearer ", lambda: _readable(path, "--token-file").strip())
        if self.token:
            return Credentials("Authorization", "Bearer ", lambda: self.token)
        if self.iap_client_id:
            return Credentials("Authorization", "Bearer ", self._iap_token, costly=True)
        if self.kube_context:
            found = self._kubernetes()
            return Credentials("Authorization", "", lambda: found.get_api_key_with_prefix("authorization") or "")
        if (urlsplit(url).hostname or "").endswith(_INVERSE_PROXY):
            return Credentials("Authorization", "Bearer ", _google_token, costly=True)
        return Credentials("Authorization", "", lambda: "")

    def _iap_token(self) -> str:
        from kfp.client import auth

        names = ("KF_PIPELINES_APP_OAUTH2_CLIENT_ID", "KF_PIPELINES_APP_OAUTH2_CLIENT_SECRET")
        desktop_id, desktop_secret = (os.environ.get(name) for name in names)
        asks = desktop_id and desktop_secret and not Path(auth.LOCAL_KFP_CREDENTIAL).exists()
        if asks and not sys.stdin.isatty():
            raise InputError(
                "Google's proxy wants a person to log in, and there is none here",
                where="--iap-client-id",
                fix=f"run the command in a terminal once, or unset {names[0]} to use the service account",
            )
        try:
            token, _ = auth.get_auth_token(self.iap_client_id, desktop_id, desktop_secret)
        except Exception as cause:
            raise _no_google(cause, "--iap-client-id") from cause
        if not token:
            raise _no_google("these are credentials of a person, not of a service account", "--iap-client-id")
        return str(token)

    def _kubernetes(self) -> Any:
        import kubernetes

        configuration = kubernetes.client.Configuration()
        try:
            kubernetes.config.load_kube_config(client_configuration=configuration, context=self.kube_context)
        except (kubernetes.config.ConfigException, OSError) as cause:
            raise InputError(
                f"The kubeconfig has no such context: {cause}",
                where=f"--kube-context {self.kube_context}",
                fix="see `kubectl config get-contexts`, and KUBECONFIG",
            ) from cause
        return configuration


class Credentials:
    """A header whose value is a secret.

    Args:
        read: Gives the secret.
        costly: It asks another server; so it is asked once, and again when the secret has expired.
    """

    def __init__(self, header: str, prefix: str, read: Callable[[], str], *, costly: bool = False) -> None:
        self._header, self._prefix, self._read, self._costly = header, prefix, read, costly
        self._kept = ""
        self._shown: set[str] = set()

    def __repr__(self) -> str:
        return f"Credentials({self._header!r}, ***)"

    def headers(self) -> dict[str, str]:
        """To add to a request."""
        secret = self._kept or self._read()
        if self._costly:
            self._kept = secret
        if not secret:
            return {}
        if not secret.isascii() or any(character in secret for character in "\r\n\0"):
            raise InputError("The token is not one line of ASCII text", where=self._header, fix="get it anew")
        self._shown |= {secret, *(part.partition("=")[2] for part in secret.split("; "))} - {""}
        return {self._header: self._prefix + secret}

    def renew(self) -> bool:
        """After the server has refused the secret: whether another one may be had."""
        had, self._kept = self._kept, ""
        return self._costly and bool(had)

    def masked(self, text: str) -> str:
        """A text without the secrets that it may repeat."""
        for secret in sorted(self._shown, key=len, reverse=True):
            if len(secret) >= 4:
                text = text.replace(secret, "***")
        return text


def _google_token() -> str:
    from kfp.client import auth

    token = auth.get_gcp_access_token()
    if not token:
        raise _no_google("there are no application default credentials", "the endpoint is behind Google's proxy")
    return str(token)


def _no_google(cause: object, where: str) -> InputError:
    return InputError(
        f"Google gives no token: {cause}",
        where=where,
        fix="run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
    )


def _readable(path: Path, option: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        reason = cause.strerror if isinstance(cause, OSError) else "not text"
        raise InputError(
            f"The file cannot be read: {reason}", where=f"{option} {path}", fix="correct the path"
        ) from cause
