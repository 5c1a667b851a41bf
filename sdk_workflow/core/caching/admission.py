"""Lets calls and replies into the caches, or says which rule speaks against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
        refusal = self._rules.refusal(call, "lru")
        if refusal is not None:
            return None, refusal
        try:
            return self._keys.key_of(call), None
        except UsageError as error:
            return None, error.code

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
