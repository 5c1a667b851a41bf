"""Lets calls and replies into the caches, or says which rule speaks against it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sdk_workflow.core.caching.eligibility import why_not_stored
from sdk_workflow.core.caching.lookup import OFF
from sdk_workflow.core.caching.request_key import RequestKeys
from sdk_workflow.core.caching.requests import is_other_model
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from typing import Literal

    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.core.caching.eligibility import Eligibility
    from sdk_workflow.core.caching.request_key import RequestKey
    from sdk_workflow.types import Call, Reply

__all__ = ["Admission"]


class Admission:
    """The rules and the keys of one tenant and one backend.

    Args:
        rules: Which calls may be answered from a cache.
        secret: What keys are made with.
        namespace: Who answers beside the backend.
        backend: Whose replies are kept.
        catalog: Knows two names of one model.

    Example:
        >>> from sdk_workflow.core.caching.eligibility import EligibilityRules
        >>> from sdk_workflow.types import Call
        >>> admission = Admission(EligibilityRules(), secret=b"sixteen or more.")
        >>> call = Call(model="m", messages=({"role": "user", "content": "Hi"},))
        >>> key, _ = admission.admit(call)
        >>> key.text
        'Hi'
    """

    def __init__(
        self,
        rules: Eligibility,
        *,
        secret: bytes,
        namespace: str = "",
        backend: Literal["api", "simulator"] = "api",
        catalog: ModelCatalog | None = None,
    ) -> None:
        self._rules = rules
        self._namespace = f"{backend} {namespace}"
        self.backend: Literal["api", "simulator"] = backend
        self._catalog = catalog
        self.use_secret(secret)

    def use_secret(self, secret: bytes) -> None:
        """Make keys with another secret from now on: nothing stored before is found again."""
        self._keys = RequestKeys(secret, self._namespace)

    def admit(self, call: Call) -> tuple[RequestKey | None, str | None]:
        """Return the key of a call, or the rule that keeps it out of every tier."""
        if not _is_well_formed(call):
            return None, "malformed"  # the API says better what is wrong with it
        refusal = self._rules.refusal(call, "lru")
        if refusal is not None:
            return None, refusal
        try:
            return self._keys.key_of(self._resolved(call)), None
        except UsageError as error:
            return None, error.code

    def _resolved(self, call: Call) -> Call:
        """Return the call under its model's own id: an alias may stand for another one tomorrow."""
        known = None if self._catalog is None else self._catalog.get(call.model)
        if known is None or known.id == call.model:
            return call
        return dataclasses.replace(call, model=known.id)

    def semantic_refusal(self, call: Call, key: RequestKey | None, *, is_off: bool) -> str | None:
        """Return the rule that keeps a call with a key out of the semantic tier."""
        if is_off:
            return OFF
        if key is None or key.text is None:
            return "no_text"
        return self._rules.refusal(call, "semantic")

    def ttl_seconds(self, call: Call, default: float) -> float:
        """Return how long a reply to the call is kept."""
        ttl = self._rules.ttl_seconds(call)
        return default if ttl is None else ttl

    def why_not_kept(self, call: Call, reply: Reply, ttl_seconds: float) -> str | None:
        """Return the rule that keeps a reply out of every tier; None where it may be kept."""
        reason = why_not_stored(reply)
        if reason is not None:
            return reason
        if reply.served_by != self.backend:
            return "other_backend"
        if is_other_model(call.model, reply.model, self._catalog):
            return "other_model"
        return None if ttl_seconds > 0 else "volatile"


def _is_well_formed(call: Call) -> bool:
    """Tell whether the rules and the keys can read a call; callers may hand over anything."""
    is_model: bool = isinstance(call.model, str)
    return is_model and bool(call.messages) and all(map(_is_message, call.messages))


def _is_message(message: Any) -> bool:
    if not isinstance(message, Mapping) or "role" not in message:
        return False
    content = message.get("content")
    if isinstance(content, str):
        return True
    return isinstance(content, (list, tuple)) and all(isinstance(b, Mapping) for b in content)
