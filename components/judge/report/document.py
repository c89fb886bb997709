"""One self-contained HTML document: style sheet and plots inside it, nothing loaded, one small script."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from components.judge.report.wording import capital, count, moment, number, shorten

_TEMPLATES = Path(__file__).parent / "templates"

JUMP = (
    'if(location.protocol==="about:")addEventListener("click",e=>{const a=e.target.closest("a[href^=\'#\']"),'
    "t=a&&document.getElementById(a.hash.slice(1));if(t){e.preventDefault();t.scrollIntoView()}})"
)
"""The only script on the page. Kubeflow shows it as a frame's `srcdoc`, where a link to `#gates` would load Kubeflow's
own page into the frame, since links there are relative to the page around."""


def document(template: str, /, **values: Any) -> str:
    """A page made of a template.

    Args:
        template: File name; it extends `document.html.jinja`.
        **values: What the template names.
    """
    return (
        _environment()
        .get_template(template)
        .render(
            jump=markupsafe.Markup(JUMP),
            jump_hash=base64.b64encode(hashlib.sha256(JUMP.encode()).digest()).decode(),
            **values,
        )
    )


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "capital": capital,
        "count": count,
        "moment": moment,
        "number": number,
        "shorten": shorten,
    }
    return environment
