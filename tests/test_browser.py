"""The viewer in a browser: each scenario on the server's page and, where it can be, on an exported file.

Whatever the browser complains of (an error, a violation of the policy) fails the test in which it happens.
"""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import Opened, chromium, served
from demo_store import fill
from pictures import PICTURES, take

from journal import ANY, StateStore, UserMessage
from journal.web.embedding import export_page
from projections import UserMessageAdded
from projections.redaction import Redaction

AXE = Path(__file__).parents[1] / "journal/web/ui/node_modules/axe-core/axe.min.js"
SCREENS = {
    "sessions": "#/",
    "chat": "#/s/flaky-test?seq=5&view=chat",
    "events": "#/s/flaky-test?seq=5&view=events",
    "odd messages": "#/s/odd-messages?seq=3&view=chat",
    **{
        tab: f"#/s/flaky-test?seq=12&tab={tab}"
        for tab in ("state", "diff", "blame", "raw", "seen", "watch", "charts")
    },
    "compare": "#/compare?left=flaky-test@20&right=flaky-test-retry@14",
    "integrity": "#/integrity",
    "integrity of one": "#/s/flaky-test/integrity",
    "search": "#/search?q=port",
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "state"
    with StateStore(folder, durability="os") as store:
        fill(store)
        session = store.fork("lima", new_id="rewound")
        session.set_metadata("seat", {"row": 3})
        session.set_active_seed("seed-1")
        store.save_session(session)
        store.rewind("rewound", 9)
        store.append("rewound", [UserMessageAdded(content="again")], expected_version=ANY)
        store.rewind("rewound", 16)
        state = store.load_session("rewound")
        state.user_messages[0] = UserMessage("edited by hand")
        state.metadata["list"] = [1, {"a": None}]
        store.save_session(state)
        store.erase("rewound", [3], reason="a test")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    pytest.importorskip("playwright.sync_api", reason="needs playwright")
    try:
        with chromium() as browser:
            yield browser
    except LookupError as error:
        pytest.skip(str(error))


@pytest.fixture
def opening(browser: Any) -> Iterator[Any]:
    """Opens an address in a new window, which must not complain."""
    windows: list[Opened] = []

    def opened(address: str, **options: Any) -> Opened:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        windows.append(Opened(context.new_page(), address))
        return windows[-1]

    yield opened
    complaints = [each for window in windows for each in window.complaints]
    for window in windows:
        window.page.context.close()
    assert complaints == []


@pytest.fixture
def server(demo: Path, opening: Any) -> Iterator[Opened]:
    with served(demo) as address:
        yield opening(address)


@pytest.fixture
def exported(demo: Path, tmp_path: Path) -> Any:
    """Exports a session of the demo store; the file's address."""

    def export(session_id: str, redaction: Redaction | None = None) -> str:
        path = tmp_path / f"{session_id}.html"
        with StateStore(demo) as store, path.open("wb") as file:
            export_page(store, session_id, file.write, redaction=redaction)
        return path.as_uri()

    return export


@pytest.fixture(params=["server", "file"])
def debugger(request: pytest.FixtureRequest, demo: Path, opening: Any, exported: Any) -> Iterator[Opened]:
    """The session flaky-test, from the server and from a file."""
    if request.param == "file":
        yield opening(exported("flaky-test"))
        return
    with served(demo) as address:
        yield opening(address)


def seq(page: Any) -> int:
    """The record that is chosen, by the link."""
    found = re.search(r"seq=(\d+)", page.url)
    return int(found[1]) if found else 0


def at(page: Any, number: int) -> None:
    page.wait_for_function("n => location.hash.includes(`seq=${n}`)", arg=number)


# Looking


def test_the_list_has_all_sessions_and_forks_below_their_origins(server: Opened) -> None:
    page = server.go("#/")
    page.get_by_role("link", name="flaky-test-retry").wait_for()
    names = page.locator(".session-row .cell-id a").all_inner_texts()

    assert sorted(names) == ["flaky-test", "flaky-test-retry", "lima", "long-talk", "odd-messages", "rewound"]
    assert names.index("flaky-test-retry") == names.index("flaky-test") + 1
    page.get_by_label("Filter by id or user").fill("grace")
    page.get_by_text("2 of 6 sessions").wait_for()
    page.get_by_label("Filter by id or user").fill("")
    page.get_by_label("User", exact=True).select_option("ada")
    page.get_by_text("3 of 6 sessions").wait_for()


def test_keys_move_and_every_place_is_a_link(debugger: Opened) -> None:
    page = debugger.go("#/s/flaky-test?seq=2")
    page.locator("article[data-seq='2']").wait_for()
    for key, expected in (("j", 3), ("k", 2), ("e", 5), ("]", 19), ("[", 2), ("E", 2), ("Home", 1), ("J", 1)):
        page.keyboard.press(key)
        at(page, expected)
    page.keyboard.press("g")
    page.keyboard.type("9")
    page.keyboard.press("Enter")
    at(page, 9)
    page.get_by_label("Record", exact=True).press("ArrowRight")
    at(page, 10)
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")


def test_the_tabs_say_what_a_record_did(debugger: Opened) -> None:
    page = debugger.go("#/s/flaky-test?seq=8&tab=state")
    panel = page.get_by_role("tabpanel")
    panel.get_by_text("find the cause").first.wait_for()
    page.get_by_role("tab", name="Diff").click()
    panel.get_by_text("metadata.plan.0").first.wait_for()
    page.get_by_role("tab", name="Raw").click()
    panel.get_by_text('"type":"metadata_set"').first.wait_for()
    page.get_by_role("tab", name="Event").click()
    panel.get_by_text("metadata_set").first.wait_for()


def test_a_value_leads_to_the_records_that_made_it(debugger: Opened) -> None:
    page = debugger.go("#/s/flaky-test?seq=20&tab=state")
    panel = page.get_by_role("tabpanel")
    panel.get_by_title("Blame").or_(panel.get_by_role("button", name=re.compile("plan"))).first.click()
    page.wait_for_function("() => location.hash.includes('tab=blame')")
    debugger.go("#/s/flaky-test?seq=20&tab=blame&path=metadata.plan")
    panel.get_by_text("record 18").wait_for()

    assert panel.locator(".blame .linklike").all_inner_texts() == [
        "record 18",
        "record 8",
        "record 3",
    ]
    panel.get_by_role("button", name="record 8").click()
    at(page, 8)


def test_a_watched_value_is_marked_and_walked_through(debugger: Opened) -> None:
    page = debugger.go("#/s/flaky-test?seq=1&tab=watch&watch=metadata.plan")
    page.get_by_text("3 changes").wait_for()
    page.get_by_role("button", name="j/k walk these").click()
    for expected in (3, 8, 18):
        page.keyboard.press("j")
        at(page, expected)


def test_a_watched_value_is_a_column_over_all_records(debugger: Opened) -> None:
    page = debugger.go("#/s/flaky-test?seq=1&view=events&watch=metadata.plan")
    column = page.locator(".event-column")
    page.locator("[data-seq='8'] .event-column").filter(has_text="find the cause").wait_for()

    assert column.count() >= 20
    assert page.locator("[data-seq='2'] .event-column").inner_text() == ""
    assert "reproduce" in page.locator("[data-seq='7'] .event-column").inner_text()


def test_charts_have_tables_behind_them(debugger: Opened) -> None:
    page = debugger.go("#/s/flaky-test?seq=5&tab=charts")
    panel = page.get_by_role("tabpanel")
    panel.locator("canvas").first.wait_for()

    assert panel.locator("canvas").count() >= 3
    panel.locator("summary").first.click()
    panel.get_by_role("table").first.wait_for()


def test_what_was_said_does_nothing_but_stand_there(opening: Any, demo: Path, exported: Any) -> None:
    with served(demo) as address:
        for opened in (opening(address), opening(exported("odd-messages"))):
            page = opened.go("#/s/odd-messages?seq=2&view=chat")
            page.get_by_text("<script>document.title='broken'</script>").first.wait_for()

            assert "broken" not in page.title()
            assert page.locator("main img[src='x'], main script").count() == 0
            assert page.locator("a[href^='javascript']").count() == 0
            assert (
                page.locator("a[href='https://example.com/']").get_attribute("rel") == "noreferrer noopener"
            )
            text = page.locator(".chat").inner_text()
            assert not re.search("[\u202e\u202c\u200b\U000e0041\x1b\x07]", text)


def test_a_picture_is_shown(debugger: Opened) -> None:
    page = debugger.go("#/s/flaky-test?seq=16&view=chat")
    page.wait_for_function("() => document.querySelector('.attachment img')?.naturalWidth === 160")


def test_a_narrow_window_shows_all_of_it(debugger: Opened) -> None:
    debugger.page.set_viewport_size({"width": 380, "height": 760})
    for link in SCREENS.values():
        if debugger.address.startswith("file:") and not link.startswith("#/s/flaky-test"):
            continue
        page = debugger.page
        page.evaluate("link => { location.hash = link }", link)
        page.wait_for_timeout(200)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), link


@pytest.mark.parametrize(("scheme", "rules"), [("light", "all"), ("dark", "color-contrast")])
def test_nothing_keeps_anybody_out(demo: Path, opening: Any, scheme: str, rules: str) -> None:
    """No screen has what axe-core calls serious. In the dark only the colours are others."""
    options = {"resultTypes": ["violations"]} | ({} if rules == "all" else {"runOnly": [rules]})
    if not AXE.exists():
        pytest.skip("no axe-core: run `npm ci` in journal/web/ui")
    with served(demo) as address:
        opened = opening(address, color_scheme=scheme, bypass_csp=True)
        page = opened.go("#/")
        page.evaluate(AXE.read_text())
        for name, link in SCREENS.items():
            page.evaluate("link => { location.hash = link }", link)
            page.wait_for_timeout(300)
            found = page.evaluate("options => axe.run(document, options)", options)
            grave = [
                (each["id"], each["nodes"][0]["html"][:200], each["nodes"][0].get("failureSummary", "")[:200])
                for each in found["violations"]
                if each["impact"] in ("serious", "critical")
            ]
            assert grave == [], name


def test_a_file_folds_its_events_as_the_server_does(demo: Path, opening: Any, exported: Any) -> None:
    """The page has a fold of its own: every state, difference and row is the one that the store gives."""
    session_id = "rewound"
    with served(demo) as address:
        windows = [opening(address), opening(exported(session_id))]
        with StateStore(demo) as store:
            last = len(list(store.records(session_id)))
        # A new page each time: one that is open shows what it had until the next is there.
        for version, tab in itertools.product(range(1, last + 1, 3), ("state", "diff")):
            link = f"#/s/{session_id}?seq={version}&tab={tab}&view=events"
            served_says, file_says = (said_at(opened.go(link), version) for opened in windows)
            assert served_says == file_says, (tab, version)


def said_at(page: Any, version: int) -> tuple[str, str]:
    """What the panel and the row say of a record."""
    row = page.locator(f"[data-seq='{version}']")
    row.locator(".event-title").filter(has_text=re.compile(".")).wait_for()
    panel = page.locator(".panel").locator(".json, .change, .empty:has-text('changed nothing')")
    panel.first.wait_for()
    return "\n".join(sorted(panel.all_inner_texts())), row.inner_text()


# Forks, proofs, words


def test_a_fork_stands_beside_its_origin(server: Opened) -> None:
    page = server.go("#/compare?left=flaky-test@20&right=flaky-test-retry@14")
    page.get_by_text("From where they parted").wait_for()
    page.get_by_text("Wait for the port in the fixture").first.wait_for()
    before = page.url
    page.get_by_label("Left").and_(page.get_by_role("slider")).or_(page.get_by_role("slider")).first.press(
        "ArrowLeft"
    )
    page.wait_for_function("before => location.href !== before", arg=before)


def test_a_whole_session_is_said_to_be_whole(debugger: Opened) -> None:
    page = debugger.go("#/s/flaky-test/integrity")
    page.get_by_text("All 22 records fit").wait_for()
    page.get_by_text(re.compile(r"[\w-]{43}")).first.wait_for()  # the head, to be compared elsewhere


def test_an_altered_file_says_so(demo: Path, exported: Any, opening: Any) -> None:
    import base64
    import gzip

    path = Path(exported("lima").removeprefix("file://"))
    text = path.read_text()
    found = re.search(r'id="chunk-0">([^<]+)<', text)
    assert found is not None
    forged = gzip.decompress(base64.b64decode(found[1])).replace(b"Window seat", b"Middle seat")
    path.write_text(text.replace(found[1], base64.b64encode(gzip.compress(forged)).decode()))
    page = opening(path.as_uri()).go("#/s/lima/integrity")

    page.get_by_text("Something is wrong. Records 1 to 6 can still be trusted").wait_for()
    page.locator(".findings").get_by_text(re.compile("record 7", re.IGNORECASE)).first.wait_for()


def test_words_are_found_and_lead_to_their_record(server: Opened) -> None:
    page = server.go("#/search?q=twice")
    page.locator("main a mark, main mark").first.wait_for()
    page.locator("main").get_by_role("link").first.click()
    page.wait_for_function("() => location.hash.includes('seq=')")


def test_a_redacted_file_says_what_it_hides(demo: Path, opening: Any, tmp_path: Path) -> None:
    folder, path = tmp_path / "secret", tmp_path / "secret.html"
    with StateStore(folder) as store:
        session = store.get_or_create_session("ann", "s")
        session.add_user_message("mail me: ann@example.com, key sk-proj-abcdefghijklmnopqrstuvwx")
        store.save_session(session)
        with path.open("wb") as file:
            done = export_page(store, "s", file.write, redaction=Redaction())
    page = opening(path.as_uri()).go("#/s/s?seq=2")
    page.get_by_text("[redacted:email]").first.wait_for()

    assert done.hidden["email"] >= 1
    assert "ann@example.com" not in path.read_text()
    assert "abcdefghijklmnopqrstuvwx" not in path.read_text()
    page.get_by_text(re.compile(r"hidden behind marks are .*email")).wait_for()


# Live


def test_what_is_saved_comes_and_scrolling_away_pauses(demo: Path, opening: Any, tmp_path: Path) -> None:
    with StateStore(tmp_path / "live") as store:
        session = store.get_or_create_session("ann", "s")
        for number in range(60):
            session.add_user_message(f"message {number}")
        store.save_session(session)
        with served(tmp_path / "live") as address:
            page = opening(address).go("#/s/s")
            page.get_by_text("message 59").first.wait_for()
            store.append("s", [UserMessageAdded(content="the newest")], expected_version=ANY)
            page.get_by_text("the newest").first.wait_for(timeout=2000)
            page.locator(".chat").evaluate("list => list.scrollTo(0, 0)")
            page.get_by_text("message 0").first.wait_for()
            store.append("s", [UserMessageAdded(content="even newer")], expected_version=ANY)
            page.get_by_role("button", name="1 new").click()
            page.get_by_text("even newer").first.wait_for()
            store.erase("s", [61], reason="a mistake")
            page.get_by_role("region", name="Notices").get_by_text(re.compile("erased")).wait_for()
            page.locator("article[data-seq='64']:not(.is-waiting)").wait_for()  # which tells of the erasure
            page.wait_for_timeout(300)  # what is asked for after that has come, too
            store.delete_session("s", why="over")
            page.get_by_role("region", name="Notices").get_by_text(re.compile("deleted")).first.wait_for()


def test_it_writes_only_where_it_may_and_asks_first(demo: Path, opening: Any, tmp_path: Path) -> None:
    with StateStore(tmp_path / "own") as store:
        session = store.get_or_create_session("ann", "s")
        session.add_user_message("one")
        session.add_user_message("two, which was a mistake")
        store.save_session(session)
    with served(tmp_path / "own", "--allow-write") as address:
        page = opening(address).go("#/s/s?seq=2")
        page.get_by_role("button", name="Fork").click()
        page.get_by_label("Name of the fork").fill("t")
        page.get_by_role("button", name="Make the fork").click()
        page.wait_for_function("() => location.hash.includes('/s/t')")
        page = opening_again(page, "#/s/s?seq=3")
        page.get_by_role("button", name="Erase").click()
        page.get_by_label("Reason, which stays in the journal").fill("it was a mistake")
        page.get_by_role("button", name="Show what would go").click()
        page.get_by_text("This would go").wait_for()
        page.get_by_role("button", name="Erase for good").click()
        page.get_by_role("dialog").wait_for(state="detached")
    with StateStore(tmp_path / "own") as store:
        assert len(store.load_session("t").user_messages) == 1
        assert store.load_session("s").user_messages[1].content == ""


def opening_again(page: Any, link: str) -> Any:
    """Another deep link in the same window."""
    base = page.url.partition("#")[0]
    page.goto("about:blank")
    page.goto(base + link)
    page.wait_for_selector("main")
    return page


def test_the_docs_have_a_picture_of_each_screen(tmp_path: Path, browser: Any) -> None:
    """Those that `tools/pictures.py` takes, which still can."""
    page = (PICTURES.parent / "how-to/view.md").read_text()
    taken = take(tmp_path, browser)

    assert {path.name for path in taken} == {path.name for path in PICTURES.glob("*.png")}
    for path in taken:
        assert f"images/{path.name}" in page
        assert path.stat().st_size > 20_000  # more than an empty page
