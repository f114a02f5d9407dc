"""Between dialects, where an upstream lacks the client's: requests one way, answers the other, over chat as the hub.

All pure: JSON in, JSON out. What cannot be carried is refused, naming the field, or dropped where
``docs/translation.md`` says so.
"""
