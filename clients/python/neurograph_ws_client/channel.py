"""The channels of the hub by name. A server may know more of them."""


class Channel:
    METRICS = "metrics"
    SIGNALS = "signals"
    ACTIONS = "actions"
    LOGS = "logs"
    STATUS = "status"
    CONNECTIONS = "connections"
