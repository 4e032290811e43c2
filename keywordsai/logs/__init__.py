"""What a log is, and the API over it."""

from keywordsai.logs.answers import Log, LogPage
from keywordsai.logs.api import LogAPI, create_log_client
from keywordsai.logs.schema import LogParams

__all__ = ["Log", "LogAPI", "LogPage", "LogParams", "create_log_client"]
