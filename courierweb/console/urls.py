"""The console's own pages; the admin's follow them under the same prefix."""

from django.urls import path

from courierweb.console import (
    address,
    changes,
    destinations,
    explain,
    filter_trial,
    jobs,
    message,
    queue,
    refusal,
    refusals,
    rules,
    search,
    tls,
)

app_name = "console"
urlpatterns = [
    path("find/", search.search, name="search"),
    path("destinations/", destinations.destinations, name="destinations"),
    path("destinations/apply/", destinations.apply, name="destination_apply"),
    path("queue/", queue.queue, name="queue"),
    path("queue/confirm/", queue.confirm, name="queue_confirm"),
    path("queue/apply/", queue.apply, name="queue_apply"),
    path("messages/<slug:queue_id>/", message.message, name="message"),
    path("messages/<slug:queue_id>/source/", message.source, name="source"),
    path("refusals/", refusals.refusals, name="refusals"),
    path("refusals/<int:refusal_id>/", message.refusal, name="refusal"),
    path("refusals/<int:refusal_id>/accept/", refusal.accept, name="refusal_accept"),
    path("refusals/<int:refusal_id>/source/", refusal.source, name="refusal_source"),
    path("address/", address.address, name="address"),
    path("explain/", explain.explain, name="explain"),
    path("filters/<int:filter_id>/try/", filter_trial.try_it, name="filter_try"),
    path("filters/<int:filter_id>/replay/", filter_trial.replay, name="filter_replay"),
    path("filters/jobs/<slug:job_id>/", filter_trial.replayed, name="filter_replayed"),
    path("rules/", rules.rules, name="rules"),
    path("tls/", tls.tls, name="tls"),
    path("changes/<int:change_id>/", changes.change, name="change"),
    path("domains/<int:domain_id>/check-dns/", jobs.check_dns, name="check_dns"),
    path("jobs/<slug:job_id>/", jobs.job, name="job"),
]
