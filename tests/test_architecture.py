"""The rules of the house that a machine can check: who imports whom, how large things get, what is promised."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import msgspec
import pytest
from importlinter.cli import lint_imports

from xdetr_data import errors, manifest, record, schema
from xdetr_data.record import GroundedImage, ImageRef, Phrase, Provenance, Query, Region, Rejected
from xdetr_data.shards.writer import ShardStats
from xdetr_data.storage import FileEntry

ROOT = Path(__file__).parents[1]
ROOMS = ("xdetr_data", "xdetr_model", "pipelines")
SOURCES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
MAX_MODULE_LINES, MAX_FUNCTION_LINES = 450, 70

# Not on a bare GPU node under torchrun: imported inside the commands that need it.
NOT_ON_EVERY_NODE = (
    *("ray", "spacy", "fiftyone", "typer", "rich", "ijson", "yaml", "pydantic", "jsonschema", "pandas"),
    *("matplotlib", "hotcoco", "pycocotools", "timm"),
)
NEEDS_SPACY = ("xdetr_data.stages.noun_phrases",)


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_by(modules: list[str], *, watched: tuple[str, ...]) -> set[str]:
    """Which of the watched packages importing these modules in a fresh process imports, too."""
    script = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        f"print(*[name for name in {watched!r} if name in sys.modules])\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return set(ended.stdout.split())


def test_the_import_contracts_hold(capsys: pytest.CaptureFixture[str]) -> None:
    code = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert code == 0, capsys.readouterr().out


# An import that breaks each contract: (importer, imported).
BREACHES = {
    "the composer is on top; data and model do not know each other": ("xdetr_model.photos", "xdetr_data.boxes"),
    "xdetr_data runs without a model, a cluster, a terminal or a database": ("xdetr_data.boxes", "torch"),
    "xdetr_model runs on a bare GPU node": ("xdetr_model.train.step", "pyarrow"),
    "stages do not import stages": ("xdetr_data.stages.merge_boxes", "xdetr_data.stages.merge_regions"),
    "the engine imports no source and no recipe": ("pipelines.engine.scan", "xdetr_data.sources.mdetr"),
    "recipes do not import each other": ("pipelines.recipes.captions", "pipelines.recipes.mixed_star"),
    "the rooms of pipelines do not go round in circles": ("pipelines.engine.outcome", "pipelines.recipes.captions"),
    "neither rooms nor modules of xdetr_data go round in circles": ("xdetr_data.manifest", "xdetr_data.shards.index"),
    "the rooms of xdetr_model stand on one another in one direction": (
        "xdetr_model.losses.gather",
        "xdetr_model.train",
    ),
    "neither rooms nor modules of xdetr_model go round in circles": (
        *("xdetr_model.network.precision", "xdetr_model.network.model"),
    ),
}


def test_every_import_contract_fails_where_it_is_broken(tmp_path: Path) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert {contract["name"] for contract in contracts} == set(BREACHES)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    for importer, imported in BREACHES.values():
        file = tmp_path / f"{importer.replace('.', '/')}.py"
        file.write_text(f"{file.read_text()}\nimport {imported}\n")
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))",
        ],
        **{"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(tmp_path)}},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    told = " ".join(ended.stdout.split())
    assert [name for name in BREACHES if f"{name} BROKEN" not in told] == []


@pytest.fixture
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*ROOMS, cache_dir=None)


def circle(graph: grimp.ImportGraph) -> list[str]:
    """Modules that import one another, in order, the first one again at the end; imports inside functions count."""
    imports = {
        module: graph.find_modules_directly_imported_by(module) - {module}  # itself: to be run as a program
        for module in graph.modules
    }
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_one_another_in_a_circle(graph: grimp.ImportGraph) -> None:
    assert circle(graph) == []


def test_a_circle_of_modules_is_found_wherever_it_is_closed(graph: grimp.ImportGraph) -> None:
    graph.add_import(importer="xdetr_model.network.model", imported="xdetr_model.checkpoints.directory")
    found = circle(graph)
    assert found[0] == found[-1]
    assert set(found) == {"xdetr_model.network.model", "xdetr_model.checkpoints.directory"}


def test_importing_xdetr_data_imports_no_model_no_cluster_and_no_terminal() -> None:
    modules = [
        name
        for path in SOURCES
        if (name := name_of(path)).startswith("xdetr_data") and not name.startswith(NEEDS_SPACY)
    ]
    assert len(modules) > 30
    found = imported_by(modules, watched=("torch", "transformers", *NOT_ON_EVERY_NODE))
    assert found <= {"ijson", "yaml", "pandas", "jsonschema", "matplotlib"}


def test_a_shard_is_read_with_what_every_node_has() -> None:
    modules = ["xdetr_data.shards.reader", "xdetr_data.schema", "xdetr_data.manifest", "xdetr_data.photos.photo"]
    assert imported_by(modules, watched=NOT_ON_EVERY_NODE) == set()


def test_importing_xdetr_model_itself_is_cheap() -> None:
    assert imported_by(["xdetr_model"], watched=("torch", "transformers", *NOT_ON_EVERY_NODE)) == set()


def test_the_command_line_starts_without_the_libraries_that_its_commands_need() -> None:
    heavy = ("torch", "transformers", "ray", "spacy", "fiftyone", "pyarrow", "pandas", "matplotlib", "webdataset")
    assert imported_by(["pipelines.cli"], watched=heavy) == set()


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_module_can_be_read_in_one_sitting(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= MAX_MODULE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            body = [one for one in node.body if not isinstance(one, ast.Import | ast.ImportFrom)]
            is_command = path.parent.name == "commands"  # a flag and its help are a line each
            assert is_command or length <= MAX_FUNCTION_LINES, f"{node.name} has {length} lines"
            assert body


def lines_of(folder: str) -> dict[str, int]:
    return {path.name: path.read_text().count("\n") for path in (ROOT / folder).glob("*.py")}


def test_a_new_dataset_stays_cheap_and_the_top_of_a_package_stays_short() -> None:
    assert sum(lines_of("pipelines/engine").values()) <= 1100
    assert {name: lines for name, lines in lines_of("pipelines/recipes").items() if lines > 250} == {}
    assert {name: lines for name, lines in lines_of("xdetr_data/sources").items() if lines > 200} == {}
    assert max(len(lines_of("xdetr_data")), len(lines_of("xdetr_model"))) <= 14


def test_most_modules_and_functions_are_small() -> None:
    modules, functions = [], []
    for path in SOURCES:
        text = path.read_text()
        modules.append(text.count("\n"))
        functions += [
            (node.end_lineno or 0) - node.lineno + 1
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
    assert sorted(modules)[len(modules) // 2] <= 175
    assert sorted(functions)[len(functions) * 9 // 10] <= 40


# --- promises to others: a change here is a change for whoever reads the datasets -------------------------------------

FIELDS = {
    GroundedImage: ("key", "image", "regions", "queries"),
    ImageRef: ("file_name", "source", "size_hw", "sha256"),
    Region: ("box_xyxy", "is_crowd", "provenance", "mask"),
    Query: ("text", "group", "is_exhaustive", "phrases"),
    Phrase: ("spans", "regions", "score", "provenance"),
    Provenance: ("source", "annotation_id", "detail"),
    Rejected: ("key", "unit", "stage", "reason", "detail", "input_ref"),
    FileEntry: ("name", "bytes", "sha256"),
    ShardStats: (
        *("shard", "rows", "files", "accounting", "config_hash"),
        *("seconds", "photos_per_second", "waiting_share", "padding_share", "machine", "groups"),
    ),
    manifest.InputEntry: ("role", "path", "bytes", "sha256", "dataset", "homepage", "licence"),
    manifest.ExclusionEntry: ("path", "format", "ids", "hits", "looked_for"),
    manifest.ShardEntry: ("shard", "rows", "files", "groups"),
    manifest.Manifest: (
        *("schema", "recipe", "tool_version", "prefix", "split", "seed", "config", "config_hash", "inputs"),
        *("exclusions", "accounting", "rows", "shards", "rejects", "trail_prefix", "trail", "machines", "warnings"),
        *("layers", "manifest_version"),
    ),
}


@pytest.mark.parametrize("kind", FIELDS, ids=lambda kind: kind.__name__)
def test_a_record_has_the_fields_that_were_promised_and_cannot_be_changed(kind: type[msgspec.Struct]) -> None:
    assert kind.__struct_fields__ == FIELDS[kind]
    assert kind.__struct_config__.frozen
    with pytest.raises(TypeError, match="positional"):
        kind("by position")


def test_the_schema_has_a_version_of_its_own() -> None:
    assert schema.SCHEMA_VERSION == 1
    assert [field.name for field in schema.SAMPLE_ARROW_SCHEMA] == ["schema", "key", "image", "regions", "queries"]
    assert schema.REJECTED_ARROW_SCHEMA.names == list(FIELDS[Rejected])


def test_every_error_for_users_is_of_one_family() -> None:
    kinds = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert kinds == {"XdetrDataError", "InputError", "ConfigError", "OutputError", "RecordError"}
    assert all(issubclass(getattr(errors, name), errors.XdetrDataError) for name in kinds)
    assert issubclass(errors.XdetrDataError, ValueError)


PUBLIC = {
    record: {"KEY", "GroundedImage", "ImageRef", "Phrase", "Provenance", "Query", "Region", "Rejected"},
    schema: {
        *(
            "SAMPLE_ARROW_SCHEMA",
            "MASKLESS_ARROW_SCHEMA",
            "rows_of",
            "REJECTED_ARROW_SCHEMA",
            "AMBIGUOUS_CUT_ARROW_SCHEMA",
            "SCHEMA_VERSION",
            "to_json",
            "from_json",
            "to_row",
        ),
        *("KEY", "ImageJson", "SampleJson", "to_arrow", "from_arrow", "rejects_to_arrow", "sample_json_schema"),
    },
    manifest: {
        *("MANIFEST", "MANIFEST_VERSION", "ExclusionEntry", "InputEntry", "Manifest", "ShardEntry"),
        *("read_manifest", "write_manifest", "tool_version"),
    },
}


@pytest.mark.parametrize("module", PUBLIC, ids=lambda module: module.__name__)
def test_a_module_that_others_build_on_exports_what_was_promised(module: object) -> None:
    own = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and (name.isupper() or getattr(value, "__module__", None) == module.__name__)  # type: ignore[attr-defined]
    }
    assert own == PUBLIC[module]  # type: ignore[index]
