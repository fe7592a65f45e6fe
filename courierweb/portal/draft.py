"""A script that is tried and previewed before it is saved; it lives in the owner's session."""

from dataclasses import asdict, dataclass

from django.http import HttpRequest


@dataclass(frozen=True, slots=True)
class Draft:
    """`base` is the digest of the text it began with, `note` what was changed."""

    text: str
    base: str
    note: str


def keep_draft(request: HttpRequest, draft: Draft) -> None:
    request.portal["draft"] = asdict(draft)
    request.portal.save()


def find_draft(request: HttpRequest) -> Draft | None:
    kept = request.portal.get("draft")
    return Draft(**kept) if kept else None


def drop_draft(request: HttpRequest) -> None:
    request.portal.pop("draft", None)
    request.portal.save()
