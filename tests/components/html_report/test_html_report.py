import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from penstock.components.html_report import charts
from penstock.components.html_report.numbers import duration, number, share, tick_label, ticks
from penstock.components.html_report.page import Column, Html, Page, badge

CHARTS = {
    "line": lambda: charts.line([charts.Series("a", [0, 1], [1, 2])], "x", "y", "T"),
    "histogram": lambda: charts.histogram([0, 1, 2], [3, 4], "T", "x", compare=[1, 2]),
    "bars": lambda: charts.bars(["<a>", "b"], [1, 2], "T"),
    "intervals": lambda: charts.intervals([charts.Interval("a", 0.5, 0.4, 0.6, 10)], "T", "x"),
    "heatmap": lambda: charts.heatmap(["a", "b"], ["a", "b"], [[1, 2], [3, 4]], "T", "x", "y"),
    "spark_bars": lambda: charts.spark_bars([1, 2, 3], "T"),
    "empty line": lambda: charts.line([], "x", "y", "T"),
    "constant": lambda: charts.line([charts.Series("a", [1], [5])], "x", "y", "T"),
    "undefined interval": lambda: charts.intervals([charts.Interval("a", None, None, None, 1)], "T", "x"),
    "zero bars": lambda: charts.bars(["a"], [0], "T"),
}


class Tags(HTMLParser):
    """Fails on a tag that is closed before it is opened, and counts what stays open."""

    void = {"meta", "link", "br", "img", "hr", "input"}

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs): ...

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def full_page() -> str:
    page = Page("Title & more", subtitle="12 rows")
    page.verdict("block", "the <reason>")
    page.facts({"Rows": 12})
    page.table([Column("Feature"), Column("Rows", numeric=True)], [["<fare>", 12], [badge("pass"), 0.5]], "C")
    for chart in CHARTS.values():
        page.figure(chart())
    with page.details("more"):
        page.text("inside")
    return page.render()


def test_page_is_well_formed_and_escaped():
    text = full_page()
    tags = Tags()
    tags.feed(text)

    assert tags.open == []
    assert "the &lt;reason&gt;" in text
    assert "&lt;fare&gt;" in text
    assert "<title>Title &amp; more</title>" in text


def test_page_fetches_nothing():
    assert not re.search(r"https?://|<script|<link|@import|url\(", full_page())


def test_page_reads_well_aloud():
    text = full_page()

    assert '<html lang="en">' in text
    assert '<th scope="row">&lt;fare&gt;</th>' in text
    assert text.count('role="img"') == len(CHARTS) == text.count('aria-label="T')


def test_verdict_is_told_by_word_and_symbol():
    assert '<span class="symbol" aria-hidden="true">✕</span>' in full_page()
    assert "<strong>Blocked</strong>" in full_page()


def test_verdict_takes_a_word_of_the_callers():
    page = Page("T")
    page.verdict("block", "it is slower", "Roll <back>")

    assert "<strong>Roll &lt;back&gt;</strong> it is slower" in page.render()


@pytest.mark.parametrize("name", CHARTS)
def test_chart_is_valid_svg_within_its_box(name):
    root = ElementTree.fromstring(CHARTS[name]())
    _, _, width, height = map(float, root.attrib["viewBox"].split())

    for mark in root.iter():
        for key, limit in (("x", width), ("cx", width), ("y", height), ("cy", height)):
            assert -1 <= float(mark.attrib.get(key, 0)) <= limit + 1
    assert "nan" not in CHARTS[name]()


def test_markup_is_taken_as_it_is_only_when_marked():
    page = Page("T")
    page.text(Html("<em>yes</em>"))
    page.text("<em>no</em>")

    assert "<p><em>yes</em></p><p>&lt;em&gt;no&lt;/em&gt;</p>" in page.render()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234567, "1,234,567"),
        (0.12345, "0.1235"),
        (3.0, "3"),
        (None, "–"),
        (float("nan"), "–"),
        (1e-9, "1.000e-09"),
    ],
)
def test_number(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "50.0 %"), (0.00001, "< 0.1 %"), (0.99999, "> 99.9 %"), (1, "100.0 %"), (0, "0.0 %"), (None, "–")],
)
def test_share(value, text):
    assert share(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.44, "0.4 s"), (59.9, "1 min 0 s"), (3725, "1 h 2 min")])
def test_duration(value, text):
    assert duration(value) == text


def test_ticks_are_round_and_cover_the_range():
    assert ticks(0.13, 0.87) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert ticks(5, 5)[0] < 5 < ticks(5, 5)[-1]
    assert tick_label(0.5) == "0.5"
