"""What a packaging job makes: a zip that runs one model on a device, and the Greengrass recipe that installs it.

The zip holds the model, those of our own sources that `device.py` imports, and the names of the libraries they need.
Equal models give equal bytes.
"""

from __future__ import annotations

import ast
import io
import json
import zipfile
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from relook.detection.package import ModelPackage

_ROOT = Path(__file__).parents[2]
_RUNNER = "relook.lookout.device"
_LIBRARIES = ("numpy", "onnxruntime", "pillow")
_OLDEST_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the first that the format knows; the same files make the same bytes


def component_zip(package: ModelPackage, project: str, version: str) -> bytes:
    """The zip.

    Args:
        project, version: what the device answers to, whatever the package was called where it was trained.
    """
    named = replace(package, manifest=replace(package.manifest, project=project, version=version))
    files = {f"model/{name}": data for name, data in named.files().items()}
    for path in _sources(_RUNNER):
        files[path.relative_to(_ROOT).as_posix()] = path.read_bytes()
    files["requirements.txt"] = "".join(f"{name}=={metadata.version(name)}\n" for name in _LIBRARIES).encode()
    files["README.txt"] = _README.format(project=project, version=version).encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _OLDEST_ZIP_TIME)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def recipe(*, name: str, version: str, description: str, architecture: str, zip_uri: str) -> bytes:
    """The recipe, JSON.

    Args:
        architecture: as Greengrass calls it: amd64 or aarch64.
        zip_uri: where the zip lies; Greengrass unpacks it into a folder of its name.
    """
    unpacked = "{artifacts:decompressedPath}/" + zip_uri.rsplit("/", 1)[-1].removesuffix(".zip")
    python = "{work:path}/venv/bin/python"
    install = [
        """python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Relook needs Python 3.11 or later")'""",
        'python3 -m venv "{work:path}/venv"',
        f'"{python}" -m pip install -r "{unpacked}/requirements.txt"',
    ]
    serve = f'"{python}" -m {_RUNNER} --model model --host {{configuration:/Host}} --port {{configuration:/Port}}'
    document: dict[str, Any] = {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": name,
        "ComponentVersion": version,
        "ComponentDescription": description,
        "ComponentPublisher": "Relook",
        "ComponentConfiguration": {"DefaultConfiguration": {"Host": "127.0.0.1", "Port": 8080}},
        "Manifests": [
            {
                "Platform": {"os": "linux", "architecture": architecture},
                "Lifecycle": {
                    "install": {"Script": " && ".join(install), "Timeout": 900},
                    "run": {"Script": f'cd "{unpacked}" && exec {serve}'},
                },
                "Artifacts": [{"URI": zip_uri, "Unarchive": "ZIP"}],
            }
        ],
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def _sources(module: str) -> list[Path]:
    """The files of a module of ours and of those it imports in turn.

    Imports inside functions and under TYPE_CHECKING do not count: they are how a module stays free of what it needs
    in other places only.
    """
    sources: set[Path] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if path is None or path in sources:
            continue
        sources.add(path)
        waiting.append(name.rpartition(".")[0])
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return sorted(sources)


def _file(module: str) -> Path | None:
    """None for what is no module of ours."""
    if module.partition(".")[0] != "relook":
        return None
    path = _ROOT.joinpath(*module.split("."))
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((each for each in candidates if each.is_file()), None)


_README = """\
Model {version} of project {project}, to run on a device without AWS. Python 3.11 or later on Linux:

    python3 -m venv venv
    venv/bin/pip install -r requirements.txt
    venv/bin/python -m relook.lookout.device --model model --host 127.0.0.1 --port 8080

It answers as Amazon Lookout for Vision did: DetectAnomalies and DescribeModel, over plain HTTP, unsigned.

    curl --data-binary @part.jpg -H 'Content-Type: image/jpeg' \\
        http://127.0.0.1:8080/2020-11-20/projects/{project}/models/{version}/detect

Nothing is checked about who asks; --host 0.0.0.0 lets every machine that reaches this one ask.
The model runs on the CPU. Images up to 8 MB are taken, where the service's own front door takes 6 MB.

With AWS IoT Greengrass, the recipe that lies beside this zip installs and runs all this. Its devices must be allowed to
read the zip (s3:GetObject):

    aws greengrassv2 create-component-version --inline-recipe fileb://<name>.recipe.json
"""
