"""What README promises exists, and what exists is in README."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.requests.pair import PairParameters
from core.settings import Settings

ROOT = Path(__file__).parents[2]
VARIABLES = {name.upper(): field for name, field in Settings.model_fields.items()}


def readme():
    return (ROOT / "README.md").read_text()


def table_rows(heading):
    section = readme().split(f"## {heading}\n")[1].split("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| `")]


def test_every_setting_is_in_the_configuration_table_with_its_default():
    documented = {}
    for row in table_rows("Configuration"):
        _, names, defaults, *_ = row.split("|")
        names = re.findall(r"`([A-Z0-9_]+)`", names)
        each = defaults.split(",") if len(names) > 1 else [defaults]
        defaults = [d.strip().strip("`") for d in each]
        documented |= dict(zip(names, defaults * len(names) if len(defaults) == 1 else defaults,
                               strict=True))  # fmt: skip
    assert set(documented) == set(VARIABLES)
    for name, default in documented.items():
        actual = VARIABLES[name].default
        if isinstance(actual, SecretStr):
            actual = actual.get_secret_value()
        if name == "SYMBOLS":
            assert default == f"{len(actual.split(','))} liquid USDT pairs"
        else:
            assert default == ("none" if actual is None else f"{actual:g}"
                               if isinstance(actual, float) else str(actual)), name  # fmt: skip


def test_example_environment_names_every_setting_and_nothing_else():
    text = (ROOT / ".env.example").read_text()
    assert set(re.findall(r"^#?([A-Z0-9_]+)=", text, re.MULTILINE)) == set(VARIABLES)


def test_what_is_imported_is_pinned_and_what_is_pinned_is_imported():
    """One that only comes along with another one may be gone with its next version."""
    files = [*(path for room in ("app", "core", "ingest") for path in (ROOT / room).rglob("*.py")),
             ROOT / "wsgi.py", ROOT / "gunicorn.conf.py"]  # fmt: skip
    named = {
        name.partition(".")[0]
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    packages = packages_distributions()
    imported = {
        packages[name][0].lower().replace("_", "-")
        for name in named - sys.stdlib_module_names - {"app", "core", "ingest", "distributed"}
    }
    pinned = re.findall(r"^([\w.-]+)(?:\[\w+\])?==", (ROOT / "requirements.txt").read_text(), re.M)
    by_name = {"psycopg", "python-socks", "plotly"}  # by SQLAlchemy, websockets and dash
    assert imported == set(pinned) - by_name


def test_every_route_of_the_api_is_in_readme(client):
    paths = set(client.get("/openapi.json").get_json()["paths"])
    documented = {
        path.partition("?")[0]
        for row in table_rows("API")
        for path in re.findall(r"`(?:GET|POST|PATCH|DELETE) ([^`]+)`", row)
    }
    assert paths <= documented
    rules = client.application.url_map.iter_rules()
    assert documented <= {re.sub(r"<(?:int:)?(\w+)>", r"{\1}", rule.rule) for rule in rules}


@pytest.mark.parametrize("document", [*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md"])
def test_links_between_documents_lead_somewhere(document):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize("path", ["core", "ingest", "app"])
def test_modules_named_in_the_documents_exist(path):
    for document in [*ROOT.glob("docs/*.md"), ROOT / "README.md"]:
        for name in re.findall(rf"`({path}/[a-z_/]+\.py)`", document.read_text()):
            assert (ROOT / name).is_file(), f"{document.name}: {name}"


def architecture():
    return (ROOT / "docs/architecture.md").read_text()


def test_rooms_and_modules_that_the_architecture_names_exist():
    folders = [path.name for path in (ROOT / "ingest").iterdir() if path.is_dir()]
    rooms = "|".join(["core", "ingest", "app", *folders])
    named = set(re.findall(rf"`((?:{rooms})/[a-z_/]+)(?:`|\.[A-Z])", architecture()))
    assert len(named) > 20
    places = {name: (ROOT / name, ROOT / "ingest" / name) for name in named}
    assert not [
        name
        for name, paths in places.items()
        if not any(path.is_dir() or path.with_suffix(".py").is_file() for path in paths)
    ]


def test_every_task_that_runs_again_and_again_is_in_the_architecture():
    listed = re.findall(r"^\| ([^|]+) \| [\d.]+ s \|", architecture(), re.MULTILINE)
    scheduled = {
        name
        for path in (ROOT / "ingest").rglob("*.py")
        for name in re.findall(r'every\(\s*scheduler,\s*"([^"]+)"', path.read_text())
    }
    assert len(scheduled) > 15
    assert not [name for name in scheduled if not any(row.startswith(name) for row in listed)]


def method(heading):
    return (ROOT / "docs/method.md").read_text().split(f"## {heading}\n")[1].split("\n## ")[0]


def test_method_gives_the_default_of_every_parameter_of_a_pair():
    fields = PairParameters().fields
    documented = {}
    for row in method("Defaults").splitlines()[2:]:
        _, names, default, *_ = row.split("|")
        documented |= dict.fromkeys((name.strip() for name in names.split(",")), default)
    assert set(documented) == set(fields) - {"symbol_a", "symbol_b"}
    for name, default in documented.items():
        expected = fields[name].load_default
        if isinstance(expected, int | float):
            assert f"{expected:g}" in default.replace(",", ""), name
        elif expected is not None:
            assert expected in default, name


def test_every_reference_of_the_method_is_cited_and_every_one_cited_is_listed():
    text = (ROOT / "docs/method.md").read_text()
    body, listed = text.split("## References\n")
    for name in re.findall(r"([A-Z][a-z]+), (?:[A-Z][a-z]+, )*\*", listed):
        assert name in body, name
    for name in ("Chan", "Pearson", "Sharpe", "Sortino", "Young", "Gatev", "Vidyamurthy", "West"):
        assert name in listed, name
