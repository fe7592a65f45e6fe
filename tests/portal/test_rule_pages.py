"""Rules at the portal: made, changed, tried, gone back to."""

import re

import pytest

from mta.models import ScriptVersion

pytestmark = pytest.mark.django_db

SCRIPT = """require ["fileinto"];
# rule:[First]
if header :contains "subject" "sale" {
    fileinto "Ads";
    stop;
}
# mine
if size :over 1M { keep; } else { keep; }
# rule:[Second]
if header :contains "subject" "sale" {
    discard;
}
"""


def base(page):
    return re.search(r'name="base" value="(\w+)"', page.text)[1]


def new_rule(owner, button="save", **fields):
    form = {
        "base": base(owner.get("/mail/rules/new/")),
        "name": "Lists",
        "enabled": "on",
        "stop": "on",
        "every": "all",
        "test-0-choice": "subject.contains",
        "test-0-values": "sale\r\noffer",
        "action-0-do": "file",
        "action-0-value": "Lists/Ads",
    }
    return owner.post("/mail/rules/new/", form | fields | {button: "1"})


def press(owner, verb, place):
    page = owner.get("/mail/rules/")
    return owner.post(
        "/mail/rules/change/", {"verb": verb, "place": place, "base": base(page)}, follow=True
    )


def test_a_rule_is_made(owner, text_now):
    assert new_rule(owner)["Location"] == "/mail/rules/"
    assert text_now() == (
        'require ["fileinto", "mailbox"];\n# rule:[Lists]\n'
        'if header :contains "subject" ["sale", "offer"] {\n'
        '    fileinto :create "Lists/Ads";\n    stop;\n}\n'
    )
    page = owner.get("/mail/rules/").text
    assert "If the subject contains “sale” or “offer”" in page
    assert "move it to Lists/Ads, stop here" in page


def test_what_a_mail_program_has_written_is_a_list_too(owner, script):
    script(SCRIPT, name="from elsewhere")
    page = owner.get("/mail/rules/").text
    assert page.index("First") < page.index("if size :over 1M") < page.index("Second")
    assert "from elsewhere" in page
    assert "Never reached: “First”" in page.replace("&quot;", '"')
    assert "Throws mail away for good" in page


def test_switching_one_rule_off_leaves_the_others_to_the_octet(owner, script, text_now):
    script(SCRIPT)
    press(owner, "off", 0)
    assert text_now().endswith(SCRIPT[SCRIPT.index("# mine") :])
    assert "if false {" in text_now()
    press(owner, "on", 0)
    assert "if false" not in text_now()


def test_rules_are_moved_and_deleted(owner, script, text_now):
    script(SCRIPT)
    press(owner, "down", 0)
    assert text_now().index("# mine") < text_now().index("First") < text_now().index("Second")
    press(owner, "up", 1)
    assert text_now() == SCRIPT
    press(owner, "delete", 2)
    assert "Second" not in text_now()


@pytest.mark.parametrize("place", ["9", "-1", "x", "", "99999999999"])
def test_there_is_no_such_rule(owner, script, text_now, place):
    script(SCRIPT)
    assert press(owner, "delete", place).status_code == 404
    assert text_now() == SCRIPT


def test_a_change_from_elsewhere_is_not_overwritten(owner, script, text_now):
    script(SCRIPT)
    page = owner.get("/mail/rules/")
    script("keep;\n")
    form = {"verb": "delete", "place": "0", "base": base(page)}
    assert "changed elsewhere" in owner.post("/mail/rules/change/", form, follow=True).text
    assert text_now() == "keep;\n"


def test_rows_come_and_go_without_javascript(owner):
    page = new_rule(owner, "add-test").text
    assert 'name="test-1-choice"' in page
    assert "sale\noffer" in page
    page = new_rule(owner, "add-action").text
    assert 'name="action-1-do"' in page
    form = {"test-1-choice": "from.is", "test-1-values": "x@y.example", "remove-test": "0"}
    page = new_rule(owner, "ignored", **form).text
    assert 'name="test-1-choice"' not in page
    assert "x@y.example" in page


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"test-0-values": " "}, "Say which messages"),
        ({"action-0-value": "", "stop": ""}, "Say what is to be done"),
        ({"test-0-choice": "size.over"}, "A size is written like"),
        ({"test-0-choice": "date.since"}, "A day is written like"),
        ({"test-0-choice": "weekday.is"}, "A weekday is written like"),
        ({"test-0-choice": "header.contains"}, "Give the header"),
        ({"test-0-choice": "header.nonsense"}, "Choose what is compared"),
        ({"test-0-values": "a\x01b"}, "control character"),
        ({"action-0-value": "../../etc"}, "A folder is a name"),
        ({"action-0-do": "forward", "action-0-value": "nobody"}, "valid email"),
        ({"action-0-do": "label", "action-0-value": "two words"}, "one word"),
        (
            {"action-1-do": "refuse", "action-1-value": "no"},
            "refused cannot be kept",
        ),
    ],
)
def test_what_cannot_be_meant_is_told_and_nothing_is_saved(owner, text_now, fields, sentence):
    page = new_rule(owner, **fields)
    assert page.status_code == 400
    assert sentence in page.text
    assert text_now() is None


def test_a_rule_is_changed_in_its_place(owner, script, text_now):
    script(SCRIPT)
    page = owner.get("/mail/rules/0/")
    assert 'value="First"' in page.text
    form = {
        "base": base(page),
        "name": "Spring ] “sale”",
        "enabled": "on",
        "always": "always",
        "action-0-do": "flag",
        "save": "1",
    }
    assert owner.post("/mail/rules/0/", form).status_code == 302
    assert "# rule:[Spring ] “sale”]\nif true {\n    addflag" in text_now()
    assert text_now().endswith(SCRIPT[SCRIPT.index("# mine") :])


def test_a_block_has_no_form(owner, script):
    script(SCRIPT)
    assert owner.get("/mail/rules/1/").status_code == 404


def test_text_with_an_error_shows_the_place(owner, text_now):
    now = base(owner.get("/mail/rules/text/"))
    page = owner.post("/mail/rules/text/", {"text": "keep;\r\nkep;", "base": now, "save": "1"})
    assert page.status_code == 400
    assert "Line 2, column 1" in page.text
    assert "kep;" in page.text
    assert text_now() is None


def test_text_is_saved_and_shows_in_the_list(owner, text_now):
    now = base(owner.get("/mail/rules/text/"))
    text = SCRIPT.replace("\n", "\r\n")
    owner.post("/mail/rules/text/", {"text": text, "base": now, "save": "1"})
    assert text_now() == SCRIPT
    assert "First" in owner.get("/mail/rules/").text


def test_markup_in_a_script_is_only_text(owner, script):
    script('# rule:[<script>x</script>]\nif header :is "subject" "<b>" { keep; }\n')
    page = owner.get("/mail/rules/").text
    assert "<script>x" not in page
    assert "&lt;b&gt;" in page


def test_a_version_is_gone_back_to(owner, script, text_now):
    script(SCRIPT)
    press(owner, "delete", 0)
    oldest = ScriptVersion.objects.earliest("id")
    assert owner.get("/mail/rules/history/").text.count("/mail/rules/history/") >= 3
    page = owner.get(f"/mail/rules/history/{oldest.pk}/")
    assert "comes: " in page.text
    owner.post(f"/mail/rules/history/{oldest.pk}/", {"base": base(page)})
    assert text_now() == SCRIPT


def test_the_versions_of_others_are_not_there(owner, bob, script):
    script(SCRIPT)
    version = ScriptVersion.objects.get()
    version.script.mailbox = type(bob).objects.create(domain=bob.domain, local_part="eve")
    version.script.save()
    assert owner.get(f"/mail/rules/history/{version.pk}/").status_code == 404


def test_vacation_stands_first_and_keeps_the_rules(owner, script, text_now):
    script(SCRIPT)
    form = {
        "base": base(owner.get("/mail/vacation/")),
        "enabled": "on",
        "since": "2026-07-01",
        "until": "2026-07-14",
        "text": 'I am "away".\r\nBob',
        "days": "7",
        "addresses": "bob@other.example",
    }
    assert owner.post("/mail/vacation/", form).status_code == 302
    assert text_now().index("vacation :days 7") < text_now().index("# rule:[First]")
    assert text_now().endswith(SCRIPT[SCRIPT.index("# rule:[First]") :])
    page = owner.get("/mail/vacation/").text
    assert "I am &quot;away&quot;.\nBob" in page
    assert 'value="2026-07-01"' in page
    form |= {"base": base(owner.get("/mail/vacation/")), "until": "2026-06-01"}
    assert "comes before" in owner.post("/mail/vacation/", form).text


def test_a_script_that_is_broken_can_be_mended(owner, bob, script, text_now):
    script("keep;\n")
    bob.scripts.update(text='if header "x" {')
    assert "cannot be read" in owner.get("/mail/").text
    assert "Mend it" in owner.get("/mail/rules/").text
    assert "Mend it" in owner.get("/mail/vacation/").text
    assert owner.get("/mail/rules/new/")["Location"] == "/mail/rules/text/"
    assert "Line 1" in owner.get("/mail/rules/text/").text


@pytest.mark.parametrize("button", ["try", "preview"])
def test_a_draft_is_not_saved(owner, text_now, button):
    page = new_rule(owner, button)
    assert page["Location"] == f"/mail/rules/{button}/?draft=1"
    assert text_now() is None
