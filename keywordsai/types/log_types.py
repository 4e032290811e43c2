"""The names that version 1 of this SDK had for what is now in `keywordsai.logs`."""

from keywordsai.logs.answers import Log as KeywordsAIFullLogParams
from keywordsai.logs.answers import LogPage as LogList
from keywordsai.logs.schema import LogParams as KeywordsAILogParams

__all__ = ["KeywordsAIFullLogParams", "KeywordsAILogParams", "LogList"]
