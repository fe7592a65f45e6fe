"""Answers the questions of policy: one blocking function for each subject, run in a thread."""

from collections.abc import Mapping

from mta.ingress.inquiry import Answerer
from mta.policy.question import Subject

ANSWERERS: Mapping[Subject, Answerer] = {}
