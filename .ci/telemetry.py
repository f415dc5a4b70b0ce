"""Compares the log and the metrics of the source with the template and the runbook.

    telemetry.py SOURCE TEMPLATE RUNBOOK

- The alarms and the dashboard name only metrics and dimensions that the source writes.
- The dashboard and the runbook name every metric. The runbook names every field of the delivery line.
- A query names known fields only, and its filter picks the delivery line or the metrics line: a delivery leaves one of
  each, and both have `outcome`.
- Every alarm has its chapter in the runbook.
"""

import json
import re
import sys

from samtranslator.yaml_helper import yaml_parse

source, template_path, runbook_path = sys.argv[1:]


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


code, runbook = read(source), read(runbook_path)
resources = yaml_parse(read(template_path))["Resources"]

# The fields and the metrics of the source.
(table,) = re.findall(r"const METRICS: [^=]*= \[(.*?)\];", code, re.S)
metrics = dict(re.findall(r'\("(\w+)", "(\w+)"\)', table))
(namespace,) = re.findall(r'const NAMESPACE: &str = "(\w+)";', code)
(event,) = re.findall(r"log_at!\(\n(.*?)\n        \);", code, re.S)
# tracing-subscriber adds three fields of its own.
fields = {"timestamp", "level", "message", *re.findall(r"^            (\w+)(?: =|,$)", event, re.M)}
dimensions = {tuple(re.findall(r'"(\w+)"', text)) for text in re.findall(r"dimensions: \[&\[(.*?)\]\]", code)}
assert len(metrics) >= 10 and len(fields) >= 20 and dimensions == {("function",), ("function", "outcome")}, \
    f"{source} cannot be read: {metrics} {fields} {dimensions}"


def check(where, name, by):
    """Checks a reference to a metric of the function."""
    assert name in metrics, f"{where}: the function writes no metric {name}"
    assert tuple(by) in dimensions, f"{where}: the function writes no metric by {by}"
    assert name == "Deliveries" or tuple(by) == ("function",), f"{where}: {name} has no {by}"


# The alarms.
alarms = {name: each["Properties"] for name, each in resources.items() if each["Type"] == "AWS::CloudWatch::Alarm"}
for name, alarm in alarms.items():
    named = [alarm] + [each["MetricStat"]["Metric"] for each in alarm.get("Metrics", []) if "MetricStat" in each]
    for metric in named:
        if metric.get("Namespace") == namespace:
            check(name, metric["MetricName"], [each["Name"] for each in metric["Dimensions"]])
    assert alarm["AlarmActions"] == alarm["OKActions"], name

# The dashboard.
(dashboard,) = (each["Properties"] for each in resources.values() if each["Type"] == "AWS::CloudWatch::Dashboard")
body = dashboard["DashboardBody"]["Fn::Sub"]
for reference in re.findall(r"\$\{([^!:}]+)\}", body):
    assert reference.split(".")[0] in resources, f"dashboard: the template has no {reference}"
body = json.loads(re.sub(r"\$\{!([^}]*)\}", r"${\1}", body))
shown, queries = set(), []
for widget in body["widgets"]:
    title, previous = widget["properties"]["title"], []
    assert widget["x"] + widget["width"] <= 24, title
    for metric in widget["properties"].get("metrics", []):
        if "expression" in metric[0] if isinstance(metric[0], dict) else False:
            schema, terms = re.fullmatch(r"SEARCH\('\{([^}]*)\} (.*)', '\w+', \d+\)", metric[0]["expression"]).groups()
            space, *by = schema.split(",")
            (name,) = re.findall(r'MetricName="(\w+)"', terms)
            line = [space, name, *(part for each in by for part in (each, ""))]
        else:
            # "." repeats one part of the line before, and "..." repeats all of it.
            line = [each for each in metric if not isinstance(each, dict)]
            line = previous if line == ["..."] else [old if new == "." else new
                                                     for new, old in zip(line, previous or line, strict=True)]
            previous = line
        if line[0] == namespace:
            check(f"dashboard, {title}", line[1], line[2::2])
            shown.add(line[1])
    if widget["type"] == "log":
        queries.append(widget["properties"]["query"].split(" | ", 1)[1])
assert shown == metrics.keys(), f"not on the dashboard: {metrics.keys() - shown}"


# The runbook.
def anchor(heading):
    """The anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


anchors = {anchor(heading) for heading in re.findall(r"^#+ (.*)$", runbook, re.M)}
for name, alarm in alarms.items():
    description = alarm["AlarmDescription"]
    if isinstance(description, dict):
        description = description["Fn::Sub"]
    found = re.search(r"docs/operations\.md#([\w-]+)$", description.strip())
    assert found and found[1] in anchors, f"{name}: {runbook_path} has no such chapter: {description}"

rows = re.findall(r"^\| `(\w+)` \|", runbook, re.M)
assert set(rows) >= fields | metrics.keys(), f"not in {runbook_path}: {(fields | metrics.keys()) - set(rows)}"
assert len(rows) == len(set(rows)), f"twice in {runbook_path}: {sorted(each for each in rows if rows.count(each) > 1)}"
others = set(rows) - fields - metrics.keys() - {"function", "_aws"}
assert not others, f"{runbook_path} has rows that the function does not write: {others}"

# The names in a query are the function's, CloudWatch's (which begin with @), and those that the query itself makes.
queries += re.findall(r"^```text\n(.*?)^```$", runbook, re.M | re.S)
assert len(queries) > 5, runbook_path
words = set("""fields filter stats sort limit display parse by as and or not in like desc asc bin count count_distinct sum avg
    min max pct ispresent coalesce datefloor strcontains""".split())
for query in queries:
    bare = re.sub(r"/(?:[^/\\\n]|\\.)*/|'[^']*'|\"[^\"]*\"|@\w+|\b\d+\w*\b|#.*", " ", query)
    made = set(re.findall(r"\bas (\w+)", bare))
    names = set(re.findall(r"[A-Za-z_]\w*", bare)) - words - made
    unknown = names - fields - metrics.keys() - {"function"}
    assert not unknown, f"unknown in a query: {unknown}\n{query}"
    assert not (names & metrics.keys() and names & (fields - {"outcome"})), f"a query mixes two kinds of line:\n{query}"
    picked = set(re.findall(r"[A-Za-z_@]\w*", query.split("|")[0])) & (fields - {"outcome"} | metrics.keys() | {"@message"})
    assert picked, f"the filter of a query picks both kinds of line:\n{query}"

print(f"{len(metrics)} metrics, {len(alarms)} alarms, {len(fields)} fields of the line, {len(queries)} queries")
