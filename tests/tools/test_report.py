"""tools/report and tools/runs on the reference results, the server, and the pages in Chromium."""

import csv
import http.client
import io
import json
import re
import shutil
import threading
from pathlib import Path

import pytest

from repro import papers
from repro.tools import report, report_server, runs

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "outputs" / "reference"


@pytest.fixture(scope="module")
def gathered():
    return report.gather(REFERENCE)


@pytest.fixture(scope="module")
def written(gathered, tmp_path_factory):
    """The report of the reference results, as files."""
    folder = tmp_path_factory.mktemp("report")
    for name in report.files():
        (folder / name).write_text(report.contents(name, gathered))
    return folder


# --- files ----------------------------------------------------------------------------------------


def test_every_claim_of_every_paper_is_there_once(gathered, written):
    known = [(paper, id_) for paper in papers.PAPERS for id_ in papers.claims(paper)]
    assert [(c["paper"], c["id"]) for c in gathered.ledger["claims"]] == known
    for paper in papers.PAPERS:
        page = (written / f"{paper}.html").read_text()
        for id_ in papers.claims(paper):
            assert page.count('<article class="entry') == len(papers.claims(paper))
            assert page.count(f' id="{id_}"') == 1


def test_each_paper_has_one_main_claim(gathered):
    for paper in gathered.ledger["papers"]:
        assert paper["main"] in paper["claims"]


def test_what_was_not_run_has_a_command_that_names_it(gathered):
    """The figure of the command lists the claim, so its runs would judge it."""
    for claim in gathered.ledger["claims"]:
        if claim["verdict"] == "not run":
            _, name, _ = claim["next"].split()
            (figure,) = [f for f in report.figures() if f.name == name]
            assert claim["id"] in figure.claims


def test_links_within_the_report_lead_somewhere(written):
    ids = {
        file.name: set(re.findall(r' id="([^"]+)"', file.read_text()))
        for file in written.glob("*.html")
    }
    for file in written.glob("*.html"):
        for link in re.findall(r' href="([^"]+)"', file.read_text()):
            name, _, anchor = link.partition("#")
            name = name or file.name
            assert (written / name).exists(), link
            assert not anchor or anchor in ids[name], f"{file.name}: {link}"


def test_ids_of_a_page_are_unique(written):
    for file in written.glob("*.html"):
        found = re.findall(r' id="([^"]+)"', file.read_text())
        assert len(found) == len(set(found))


def test_pages_are_files_by_themselves(written):
    for file in written.glob("*.html"):
        text = file.read_text()
        assert not re.search(r'(src|href)="(https?:)?//', text)
        assert "<link" not in text and "@import" not in text and "url(" not in text
        assert all(alt for alt in re.findall(r'<img [^>]*alt="([^"]*)"', text))
        assert text.count("<img ") == len(re.findall(r"<img [^>]*alt=", text))


def test_ledger_and_csv_have_every_run(gathered, written):
    directories = {
        (paper, path.parent.name)
        for paper in papers.PAPERS
        for path in (REFERENCE / paper).glob("*/flags.cfg")
    }
    found = json.loads((written / "ledger.json").read_text())
    assert {(run["paper"], run["name"]) for run in found["runs"]} == directories
    lines = list(csv.DictReader(io.StringIO((written / "runs.csv").read_text())))
    assert {(line["paper"], line["name"]) for line in lines} == directories


def test_runs_that_are_needed_are_the_ones_that_were_made(gathered):
    """Starts and modes are named by settings, so each must be among the reference results."""
    known = {(run["paper"], run["name"]) for run in gathered.ledger["runs"]}
    needed = {(run["paper"], name) for run in gathered.ledger["runs"] for name in run["needs"]}
    assert needed and needed <= known


def test_latex_table_of_claims_is_balanced(written):
    text = (written / "claims.tex").read_text()
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == len(papers.PAPERS)
    bare = re.sub(r"\\[{}\\]", "", text)
    assert bare.count("{") == bare.count("}")
    assert not re.search(r"(?<!\\)[%#^~]", text)


def test_runs_as_csv_on_the_command_line(capsys, monkeypatch):
    monkeypatch.setattr(
        "sys.argv", ["runs", "--csv", f"--output_dir={REFERENCE}", "--paper=teacher_student"]
    )
    runs.main()
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {line["paper"] for line in lines} == {"teacher_student"}
    assert all(line["status"] == "complete" and float(line["seconds"]) >= 0 for line in lines)


def test_no_runs_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["runs", f"--output_dir={tmp_path}"])
    with pytest.raises(SystemExit, match="error: there is no run in"):
        runs.main()


# --- the server -----------------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path):
    """A server of a folder with one figure's runs, none of them complete yet."""
    (figure,) = [f for f in report.figures() if f.name == "randomization/redraw"]
    for name in figure.runs["cpu"]:
        source, target = REFERENCE / "randomization" / name, tmp_path / "randomization" / name
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("result.json"))
    server = report_server.Server(tmp_path, 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def complete():
        for name in figure.runs["cpu"]:
            file = Path("randomization") / name / "result.json"
            shutil.copy(REFERENCE / file, tmp_path / file)

    yield server.server_port, complete
    server.shutdown()
    server.server_close()
    thread.join()


def ask(port, path="/", host=None, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.putrequest(method, path, skip_host=True)
    if host != "":
        connection.putheader("Host", host or f"127.0.0.1:{port}")
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def verdict(port, id_):
    claims = json.loads(ask(port, "/ledger.json")[1])["claims"]
    return next(c["verdict"] for c in claims if (c["paper"], c["id"]) == ("randomization", id_))


def test_verdicts_come_with_the_runs(served):
    port, complete = served
    status, page = ask(port)
    assert status == 200 and "Runs that are not complete" in page
    assert verdict(port, "R8") == "not run"
    complete()
    assert verdict(port, "R8") == "inconclusive"  # cut short, but judged
    assert "Runs that are not complete" not in ask(port, "/index.html")[1]
    assert "<polyline" in ask(port, "/randomization.html")[1]


def test_the_served_report_of_complete_figures_is_the_written_one(gathered):
    """Whatever the times of files are, which no clone keeps; figures drawn in part may gain."""
    found = list(gathered.found.values())
    records = report.judged_now(gathered.drawn, found, REFERENCE / "figures")
    by_name = {(record["name"], record["scale"]): record for _, record in records}
    drawn = {(record["name"], record["scale"]): record for _, record in gathered.drawn}
    assert drawn.items() <= by_name.items()
    quickstart = {scale for name, scale in by_name if name == "randomization/quickstart"}
    assert quickstart == {"smoke"}  # whose runs are the same at every scale


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "", "localhost:1"]
)
def test_other_hosts_are_refused(served, host):
    port, _ = served
    status, body = ask(port, host=host.format(port=port))
    assert status == 403 and "claim" not in body


def test_only_the_reports_files_are_served(served):
    port, _ = served
    assert ask(port, host=f"localhost:{port}", method="HEAD") == (200, "")
    for path in ("/flags.cfg", "/../flags.cfg", "/%2e%2e/flags.cfg", "//etc/passwd", "/figures/"):
        assert ask(port, path)[0] == 404
    assert ask(port, method="POST")[0] == 501


# --- in Chromium ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("no Chromium is installed")
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def open_page(browser):
    """Open a page: (url or file, **options of the context) -> page, whose `said` has all errors."""
    contexts = []

    def open_(target, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(target.as_uri() if isinstance(target, Path) else target)
        return page

    yield open_
    for context in contexts:
        context.close()


def shown(page):
    return page.locator("[data-filter]:visible").count()


def test_no_request_leaves_and_nothing_is_refused(written, open_page):
    for file in sorted(written.glob("*.html")):
        page = open_page(file, viewport={"width": 1200, "height": 900})
        assert {url for url in page.asked if not url.startswith("data:")} == {file.as_uri()}
        assert not page.said  # nor does the page's own policy refuse what it needs
        loaded = "images => images.every(image => image.complete && image.naturalWidth > 0)"
        assert page.eval_on_selector_all("img", loaded)


def test_filters(written, gathered, open_page):
    claims = gathered.ledger["claims"]
    page = open_page(written / "index.html")
    assert shown(page) == len(claims)
    contradicted = [c for c in claims if c["verdict"] == "contradicted"]
    for verdict in ("inconclusive", "reproduced", "not run"):
        page.locator(f"input[value='{verdict}']").uncheck(force=True)
    assert shown(page) == len(contradicted)
    assert page.locator("#count").inner_text() == f"{len(contradicted)} of {len(claims)} claims"
    assert page.locator(".cell:not(.dim)").count() == len(contradicted)
    page.select_option("[name=paper]", "stability")
    assert shown(page) == len([c for c in contradicted if c["paper"] == "stability"])
    page.fill("[name=text]", "no such words")
    assert shown(page) == 0
    page.click("#reset")
    assert shown(page) == len(claims)
    page.select_option("[name=scale]", "cpu")
    judged = [c for c in claims if c["verdict"] != "not run"]
    assert shown(page) == len([c for c in judged if c["scale"] == "cpu"])
    page.press("[name=text]", "Escape")
    page.fill("[name=text]", "whitened DEVIATION")
    assert page.locator("[data-filter]:visible").get_attribute("data-claim") == "randomization/R2"


def test_keys(written, open_page):
    page = open_page(written / "index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "text"
    page.keyboard.type("batch/norm")  # a slash is a letter there
    assert page.input_value("[name=text]") == "batch/norm"
    page.keyboard.press("Escape")
    assert page.input_value("[name=text]") == ""

    focused = "document.activeElement.dataset.claim"
    first = page.locator(".cell").first
    first.focus()
    start = page.evaluate(focused)
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focused) == page.locator(".cell").nth(1).get_attribute("data-claim")
    place = "(({left, top}) => [left, top])(document.activeElement.getBoundingClientRect())"
    rows = [page.evaluate(place)]
    while page.evaluate(focused).split("/")[0] == start.split("/")[0]:  # to the next paper's matrix
        page.keyboard.press("ArrowDown")
        rows.append(page.evaluate(place))
        assert rows[-1][0] == pytest.approx(rows[0][0], abs=1) and rows[-1][1] > rows[-2][1]
    for _ in rows[1:]:
        page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(focused) == start
    page.keyboard.press("Enter")
    page.wait_for_url("**/randomization.html#*")
    entry = page.locator(f"#{start.split('/')[1]}")
    assert entry.is_visible() and entry.bounding_box()["y"] < 400


def test_a_link_to_a_filtered_claim_shows_it(written, open_page):
    page = open_page(written / "randomization.html")
    page.fill("[name=text]", "no such words")
    assert shown(page) == 0
    page.locator(".cell").first.click()
    assert page.locator(page.evaluate("location.hash")).is_visible()


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 390])
def test_phones_need_no_scrolling_to_the_side(written, open_page, width):
    for file in sorted(written.glob("*.html")):
        page = open_page(file, viewport={"width": width, "height": 780}, device_scale_factor=2)
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, file.name


def test_without_script_everything_is_there(written, gathered, open_page):
    page = open_page(written / "index.html", java_script_enabled=False)
    assert shown(page) == len(gathered.ledger["claims"])
    assert not page.locator("#filters").is_visible()


# Every element with text of its own: its contrast to what it stands on (WCAG 2.1), and the least.
CONTRAST = """() => {
  const parse = (c) => c.match(/[\\d.]+/g).map(Number);
  const linear = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const poor = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !e.checkVisibility() || e.closest("script, title")) continue;
    const style = getComputedStyle(e);
    let under = e;
    while (under && (parse(getComputedStyle(under).backgroundColor)[3] ?? 1) === 0)
      under = under.parentElement;
    const ground = parse(getComputedStyle(under ?? document.body).backgroundColor);
    const ink = parse(e.closest("svg") ? style.fill : style.color);
    const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5))
      poor.push(`${e.className} ${ratio.toFixed(2)} ${e.textContent.slice(0, 40)}`);
  }
  return poor;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_as_wcag_aa_asks(written, open_page, scheme):
    for name in ("index.html", "bad_minima.html"):
        page = open_page(written / name, color_scheme=scheme)
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
        assert page.evaluate(CONTRAST) == []


def test_print_lays_runs_open_and_leaves_filters_out(written, open_page):
    page = open_page(written / "randomization.html", color_scheme="dark")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert not page.locator("#filters").is_visible()
    assert page.locator("details.exhibit:not([open])").count() == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_strange_text_in_settings_is_shown_as_text(tmp_path, open_page):
    """A run whose folder of data, a text that anyone may choose, is a script."""
    strange = "<img src=x onerror=alert(1)>"
    source = next((REFERENCE / "randomization").glob("*/flags.cfg")).parent
    target = tmp_path / "randomization" / "a<b>&'c"
    shutil.copytree(source, target)
    flags = (source / "flags.cfg").read_text()
    flags = re.sub(r"--train_split=.*", f"--train_split={strange}", flags)
    (target / "flags.cfg").write_text(flags)
    gathered = report.gather(tmp_path, judge=True)
    file = tmp_path / "randomization.html"
    file.write_text(report.contents("randomization.html", gathered))
    page = open_page(file)
    page.on("dialog", lambda dialog: pytest.fail("a script ran"))
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert page.locator(".settings b", has_text=strange).is_visible()
    assert page.locator("summary", has_text="a<b>&'c").is_visible()
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.slow
def test_a_served_page_renews_itself_and_keeps_what_is_open(served, open_page):
    port, complete = served
    page = open_page(f"http://127.0.0.1:{port}/randomization.html")
    cell = page.locator(".cell[data-claim='randomization/R8']")
    assert "not-run" in cell.get_attribute("class")
    page.fill("[name=text]", "afresh")
    run = page.locator("details.run").first
    run.locator("summary").click()
    complete()
    page.wait_for_selector(".cell.inconclusive[data-claim='randomization/R8']", timeout=60_000)
    assert page.input_value("[name=text]") == "afresh"
    assert run.get_attribute("open") is not None
    assert page.locator("article#R3").is_hidden() and page.locator("article#R8").is_visible()
    assert not page.said
    assert all(url.startswith((f"http://127.0.0.1:{port}/", "data:")) for url in page.asked)
