"""The addresses of the portal, under /mail/."""

from django.urls import path

from courierweb.portal import (
    forwards,
    hits,
    home,
    password_page,
    preview_page,
    rule_pages,
    senders_page,
    sent_page,
    sign_in,
    text_page,
    try_page,
    vacation_page,
)

app_name = "portal"
urlpatterns = [
    path("", home.home, name="home"),
    path("sign-in/", sign_in.sign_in, name="sign_in"),
    path("sign-out/", sign_in.sign_out, name="sign_out"),
    path("rules/", rule_pages.rule_list, name="rules"),
    path("rules/change/", rule_pages.change, name="change"),
    path("rules/new/", rule_pages.editor, name="new_rule"),
    path("rules/<int:place>/", rule_pages.editor, name="rule"),
    path("rules/hits/", hits.hits, name="hits"),
    path("rules/ask/", forwards.ask, name="ask"),
    path("confirm/<str:token>", forwards.confirm, name="confirm"),
    path("rules/text/", text_page.text, name="text"),
    path("rules/history/", text_page.history, name="history"),
    path("rules/history/<int:version_id>/", text_page.version, name="version"),
    path("rules/try/", try_page.try_it, name="try"),
    path("rules/preview/", preview_page.start, name="preview"),
    path("rules/preview/save/", preview_page.save, name="preview_save"),
    path("rules/preview/<slug:job_id>/", preview_page.job, name="preview_job"),
    path("vacation/", vacation_page.vacation, name="vacation"),
    path("senders/", senders_page.senders, name="senders"),
    path("senders/<int:listing_id>/remove/", senders_page.remove, name="sender_remove"),
    path("sent/", sent_page.sent, name="sent"),
    path("sent/<slug:queue_id>/cancel/", sent_page.cancel, name="cancel"),
    path("password/", password_page.password, name="password"),
]
