"""Renders the lab's templates: a missing value is an error, XML is escaped."""

from __future__ import annotations

import jinja2


def render(name: str, /, **values: object) -> str:
    """The text of the template `name` in builder/lab/templates with these values."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("builder.lab"),
        undefined=jinja2.StrictUndefined,
        autoescape=jinja2.select_autoescape(enabled_extensions=("xml.j2",), default=False),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name).render(**values)
