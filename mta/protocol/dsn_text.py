"""What a delivery report says to people: all wording of `mta.protocol.dsn` in one place."""

SUBJECT_FAILED = "Your message could not be delivered"
SUBJECT_DELAYED = "Your message is delayed"
SUBJECT_SUCCESS = "Your message was delivered"
SUBJECT_DOUBLE_BOUNCE = "A message without a return address could not be delivered"

FROM_NAME = "Mail Delivery System"

GREETING = "This is the mail server {hostname}, with news about a message that you sent."
GREETING_DOUBLE_BOUNCE = (
    "This is the mail server {hostname}. The message below could not be delivered. It has no "
    "return address, as delivery reports have none, so its sender cannot be told; you get this "
    "copy as the postmaster."
)

ABOUT_SUBJECT = "Subject: {subject}"
ABOUT_ARRIVAL = "Arrived: {arrival}"
ABOUT_QUEUE_ID = "Queue id: {queue_id}"

INTRODUCTIONS = {
    "delivered": "The message was delivered to:",
    "relayed": (
        "The message was passed on to a mail server that gives no reports of this kind. If "
        "something goes wrong there, that server will write to you. It was passed on for:"
    ),
    "expanded": (
        "The message was passed on to the members of a list or a group. You will get no "
        "reports about the single members. It was passed on for:"
    ),
    "failed": (
        "The message could not be delivered to the recipients below, and will not be tried "
        "again. They have not received it."
    ),
    "delayed": (
        "The message has not reached the recipients below yet. You need not do anything, and "
        "please do not send it again: the server keeps trying, and will write to you if it has "
        "to give up."
    ),
}

ANSWER = "{remote} answered:"
ANSWER_TO_COMMAND = "{remote} answered to {command}:"
GIVING_UP_AT = "It will be tried until {until}."

ATTACHED_MESSAGE = "The message itself is attached."
ATTACHED_HEADER = "The header of the message is attached."
HELP = "If you need help, please write to {postmaster} and quote the queue id."

# What a sender can do, by subject and detail of the status; the exact code wins over its subject.
ADVICE = {
    "1": "Please look for a typing error in the address.",
    "1.1": "There is no such mailbox. Please look for a typing error in the address.",
    "1.2": "There is no such domain. Please look for a typing error after the @.",
    "1.10": "This domain receives no mail. Please ask the recipient for another address.",
    "2.1": "The mailbox is switched off. Please reach the recipient in another way.",
    "2.2": "The mailbox is full. The recipient has to make room first.",
    "3.4": "The message is too big. Please send less, or share large files in another way.",
    "4.1": "The recipient's mail server could not be reached.",
    "4.4": "The recipient's domain names no mail server that can be used.",
    "4.6": "The message went round in circles between mail servers.",
    "4.7": "It could not be delivered in all the time that was allowed for it.",
    "6.7": "The recipient's mail server does not take addresses with international letters.",
    "7": "The recipient's side has refused it by its rules.",
}


def advice(status: str) -> str:
    """A sentence on what the status means for the sender, "" when there is nothing to say."""
    _, _, detail = status.partition(".")
    return ADVICE.get(detail) or ADVICE.get(detail.partition(".")[0], "")
