"""The list of rules, what is changed on it with one button, and the editor of one rule."""

from dataclasses import replace

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from courierweb.portal import cautions, forwards, hits, mail_files, rules, scripts, sentences
from courierweb.portal.draft import Draft, keep_draft
from courierweb.portal.frame import render_page
from courierweb.portal.rule import Action, Condition, Do, Field, How, Opaque, Rule, Vacation
from courierweb.portal.rule_form import ACTIONS, RuleForm, choice_groups
from courierweb.portal.rules import Script
from courierweb.portal.scripts import Loaded
from courierweb.portal.session import page
from mta import runtime
from mta.filters.sieve.syntax import SieveError
from mta.mailbox_scripts import CannotSave

RECENT = 200


@page
@require_safe
def rule_list(request: HttpRequest) -> HttpResponse:
    loaded = scripts.load(request.mailbox)
    contents = [each.content for each in loaded.script.items]
    told = cautions.of_rules(contents, request.mailbox.address)
    counts = hits.of_thirty_days(request.mailbox)
    rows = []
    for place, content in enumerate(contents):
        row = {"place": place, "last": place == len(contents) - 1, "cautions": told[place]}
        if isinstance(content, Rule):
            row["hits"] = counts.get(content.name)
            row["unconfirmed"] = forwards.unconfirmed(request.mailbox, content)
        rows.append(row | _shown(content))
    return render_page(request, "rules.html", "Rules", area="rules", loaded=loaded, rows=rows)


def _shown(content: object) -> dict[str, object]:
    match content:
        case Rule():
            return {
                "kind": "rule",
                "rule": content,
                "condition": sentences.condition(content),
                "consequence": sentences.consequence(content),
                "deletes": any(each.do is Do.DISCARD for each in content.actions),
            }
        case Vacation():
            return {"kind": "vacation", "rule": content, "sentence": sentences.of_vacation(content)}
        case Opaque():
            return {"kind": "block", "text": content.text.strip()}
    return {}


@page
@require_POST
def change(request: HttpRequest) -> HttpResponse:
    """One button of the list: up, down, on, off, delete."""
    loaded = scripts.load(request.mailbox)
    place = _place(request.POST.get("place", ""), loaded)
    verb = request.POST.get("verb", "")
    changed, done = _changed(loaded.script, place, verb)
    _save(request, rules.write_script(changed), request.POST.get("base", ""), done)
    return HttpResponseRedirect(reverse("portal:rules"))


def _changed(script: Script, place: int, verb: str) -> tuple[Script, str]:
    content = script.items[place].content
    name = getattr(content, "name", "") or "the block"
    match verb, content:
        case "up", _:
            return script.moved(place, max(place - 1, 0)), f"“{name}” stands higher now."
        case "down", _:
            return script.moved(place, place + 1), f"“{name}” stands lower now."
        case "delete", _:
            return script.without(place), f"“{name}” is deleted. The history has it still."
        case "on" | "off", Rule() | Vacation():
            switched = replace(content, enabled=verb == "on")
            name = "The vacation" if isinstance(content, Vacation) else f"“{name}”"
            return script.with_item(place, switched), f"{name} is switched {verb}."
    raise Http404("there is no such button")


@page
@require_http_methods(["GET", "HEAD", "POST"])
def editor(request: HttpRequest, place: int | None = None) -> HttpResponse:
    """One rule: GET shows it, POST changes rows, tries it, previews it or saves it."""
    loaded = scripts.load(request.mailbox)
    if loaded.error:
        return HttpResponseRedirect(reverse("portal:text"))
    old = None
    if place is not None:
        old = loaded.script.items[_place(str(place), loaded)].content
        if not isinstance(old, Rule):
            raise Http404("this is no rule")
    if request.method != "POST":
        form = RuleForm.of(old) if old else _prefilled(request)
        return _editor_page(request, form, loaded, place)
    form = RuleForm.posted(request.POST, old.note if old else "")
    if form.change_rows(request.POST):
        return _editor_page(request, form, loaded, place)
    rule = form.rule()
    if rule is None:
        return _editor_page(request, form, loaded, place, status=400)
    at = len(loaded.script.items) if place is None else place
    text = rules.write_script(loaded.script.with_item(at, rule))
    base = request.POST.get("base", "")
    if "save" in request.POST:
        if _save(request, text, base, f"“{rule.name}” is saved and in force."):
            return HttpResponseRedirect(reverse("portal:rules"))
        return _editor_page(request, form, loaded, place, status=409)
    keep_draft(request, Draft(text, base, f"Rule “{rule.name}”"))
    where = "try" if "try" in request.POST else "preview"
    return HttpResponseRedirect(f"{reverse(f'portal:{where}')}?draft=1")


def _editor_page(
    request: HttpRequest, form: RuleForm, loaded: Loaded, place: int | None, status: int = 200
) -> HttpResponse:
    return render_page(
        request,
        "rule.html",
        "New rule" if place is None else f"Rule “{form.name}”",
        area="rules",
        status=status,
        form=form,
        base=request.POST.get("base", loaded.base),
        choices=choice_groups(),
        actions=[(do.value, words) for do, words in ACTIONS],
        folders=mail_files.folders(runtime.mail_root(), request.mailbox),
    )


def _prefilled(request: HttpRequest) -> RuleForm:
    """A new rule; with `?message=` one for mail like that message."""
    token = request.GET.get("message", "")
    root = runtime.mail_root()
    stored = token and mail_files.find(root, request.mailbox, token, RECENT)
    if not stored:
        return RuleForm()
    list_id = stored.heading("list-id")
    if list_id:
        key = list_id.rpartition("<")[2].rstrip("> ")
        test = Condition(Field.LIST, How.CONTAINS, (key,))
        return RuleForm.of(Rule(f"List {key}", (test,), (Action(Do.FILE), Action(Do.STOP))))
    sender = stored.address("from")
    test = Condition(Field.FROM, How.IS, (sender,))
    return RuleForm.of(Rule(f"From {sender}", (test,), (Action(Do.FILE), Action(Do.STOP))))


def _save(request: HttpRequest, text: str, base: str, done: str) -> bool:
    try:
        scripts.save(request.mailbox, text, base, done)
    except (SieveError, CannotSave) as error:
        messages.error(request, f"Nothing is saved: {error}.")
        return False
    messages.success(request, done)
    return True


def _place(text: str, loaded: Loaded) -> int:
    if not text.isdecimal() or len(text) > 5 or int(text) >= len(loaded.script.items):
        raise Http404("there is no such rule")
    return int(text)
