"""The Messages API as a pure machine: requests in, answers out, no I/O.

It knows no sockets, no event loop and no wall time: skins carry the bytes, a clock tells the time.
"""

from __future__ import annotations

import contextlib
import random
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.ids import new_id
from sdk_workflow.simulator.batch_endpoints import BatchEndpoints
from sdk_workflow.simulator.batches import BATCH_SECONDS, BatchStore
from sdk_workflow.simulator.betas import check_betas
from sdk_workflow.simulator.engine_response import EngineResponse, answered, headers_of
from sdk_workflow.simulator.errors import ApiError, invalid_request, not_found
from sdk_workflow.simulator.file_endpoints import FileEndpoints
from sdk_workflow.simulator.files import FileStore
from sdk_workflow.simulator.http_request import HttpRequest, credential_of
from sdk_workflow.simulator.messages import Caller, MessageService
from sdk_workflow.simulator.model_list import list_models, model_info_by_name
from sdk_workflow.simulator.routes import find_route
from sdk_workflow.simulator.tokens import PseudoTokenizer
from sdk_workflow.simulator.validation import LATEST_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.protocols import Clock, TokenCounter
    from sdk_workflow.simulator.batches import BatchItem
    from sdk_workflow.simulator.brain import Brain
    from sdk_workflow.simulator.generation import Generation
    from sdk_workflow.simulator.prompt_cache import PromptCache
    from sdk_workflow.simulator.threads import ThreadStore

__all__ = ["Engine", "EngineResponse"]

if TYPE_CHECKING:
    WatchItem = Callable[[BatchItem, str, Callable[[], Generation]], Mapping[str, Any]]

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Engine:
    """Answers as the Messages API would, the same way for the same seed and clock.

    Args:
        clock: Says which models have been retired, and makes ids differ from run to run.
        seed: Varies wording and ids.
        catalog: The models that exist; None loads the built-in ones.
        brain: What decides on answers; None takes the rules of `RuleBrain`.
        token_counter: Counts prompts; None takes `PseudoTokenizer`, which always counts answers.
        lenient: Tolerates unknown beta features and unknown top-level parameters, parameters of a
            beta feature without its header, and thinking blocks that were not made here.
        batch_seconds: How long a message batch is processed.

    Example:
        >>> from sdk_workflow._internal.clock import VirtualClock
        >>> engine = Engine(clock=VirtualClock())
        >>> hello = {"role": "user", "content": "Hello"}
        >>> params = {"model": "claude-haiku-5-5", "max_tokens": 50, "messages": [hello]}
        >>> message = engine.create(params).message()
        >>> message["usage"]["input_tokens"] == engine.count_tokens(params)
        True
    """

    def __init__(
        self,
        *,
        clock: Clock,
        seed: int = 0,
        catalog: ModelCatalog | None = None,
        brain: Brain | None = None,
        token_counter: TokenCounter | None = None,
        lenient: bool = False,
        batch_seconds: float = BATCH_SECONDS,
    ) -> None:
        if catalog is None:
            from sdk_workflow.config.models import default_catalog

            catalog = default_catalog()
        if brain is None:
            # Loaded here, since a scripted engine does without: 12 ms of its import.
            from sdk_workflow.simulator.brain import RuleBrain

            brain = RuleBrain(seed)
        self.watch_item: WatchItem | None = None
        self._clock = clock
        self._seed = seed
        self._catalog = catalog
        self._brain = brain
        self._token_counter = token_counter
        self._is_lenient = lenient
        self._batch_seconds = batch_seconds
        self.reset()

    def reset(self) -> None:
        """Forget everything: prompt cache, threads, files, batches, and which ids were given.

        What an answer under way would still write is lost with what was forgotten.
        """
        # With the time, ids stay distinct when a later process takes a conversation up again.
        source = f"{self._seed}/{self._clock.now()!r}"
        self._ids = random.Random(source)  # noqa: S311 # nosec B311 # has to be repeatable
        self.files = FileStore(self._ids)
        self._file_endpoints = FileEndpoints(self.files, is_lenient=self._is_lenient)
        store = BatchStore(self._ids, seconds=self._batch_seconds)
        self._batch_endpoints = BatchEndpoints(store, self._answer_item)
        self._service = MessageService(
            clock=self._clock,
            catalog=self._catalog,
            brain=self._brain,
            tokenizer=PseudoTokenizer(self._catalog),
            ids=self._ids,
            files=self.files,
            token_counter=self._token_counter,
            is_lenient=self._is_lenient,
        )

    @property
    def prompt_cache(self) -> PromptCache:
        """The prompt cache of all models and workspaces."""
        return self._service.cache

    @property
    def threads(self) -> ThreadStore:
        """The conversations that are held for message threads."""
        return self._service.threads

    def create(
        self,
        params: Mapping[str, Any],
        *,
        version: str = LATEST_VERSION,
        request_id: str | None = None,
        betas: frozenset[str] = frozenset(),
        workspace: str = "default",
    ) -> Generation:
        """Answer a request of `POST /v1/messages`, given as its decoded body.

        Args:
            params: The parameters of the Messages API.
            version: The `anthropic-version` that the request names.
            request_id: The id of the request; None makes one.
            betas: The beta features that the request names.
            workspace: Whose prompt cache, threads and files these are.

        Raises:
            ApiError: The request is refused; the error holds the id of the request.
        """
        return self._created(params, self._caller(version, request_id, betas, workspace))

    def count_tokens(
        self,
        params: Mapping[str, Any],
        *,
        version: str = LATEST_VERSION,
        betas: frozenset[str] = frozenset(),
        workspace: str = "default",
    ) -> int:
        """Return the size of a prompt, given as the parameters of either endpoint.

        Raises:
            ApiError: The request is refused.
        """
        caller = self._caller(version, None, betas, workspace)
        try:
            self._check_betas(betas)
            with _bounded_depth():
                return self._service.count(params, caller, is_count="max_tokens" not in params)
        except ApiError as error:
            error.request_id = caller.request_id
            raise

    def handle(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        is_deferred: bool = False,
    ) -> EngineResponse:
        """Answer one HTTP request; every refusal becomes the API's JSON error.

        Args:
            method: Such as `"POST"`.
            path: With the query, as on the request line.
            headers: Names in lower case.
            body: The undecoded body.
            is_deferred: Whether a plain message counts as given only once `begin` is called on the
                response; a streamed one always begins with its first event.
        """
        request = HttpRequest(
            id=new_id("req", self._ids), method=method, target=path, headers=headers, body=body
        )
        try:
            with _bounded_depth():
                response = self._routed(request)
        except ApiError as error:
            return self.refuse(error, request.id)
        if response.events is None and not is_deferred:
            response.begin()
        return response

    def refuse(
        self,
        error: ApiError,
        request_id: str | None = None,
        *,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> EngineResponse:
        """Return an error as an answer, under an id of its own where none is given."""
        request_id = request_id or new_id("req", self._ids)
        return EngineResponse(
            status=error.status,
            headers={**headers_of(request_id), **headers},
            body=error.envelope(request_id),
        )

    def _routed(self, request: HttpRequest) -> EngineResponse:
        route = find_route(request.method, request.path)
        if route is None:
            raise not_found("Not found")
        if route.operation != "hello":
            request.check()
            self._check_betas(request.betas)
        return _ANSWERS[route.operation](self, request, route.name)

    def _check_betas(self, betas: frozenset[str]) -> None:
        if not self._is_lenient:
            check_betas(betas)

    def _created(self, params: Mapping[str, Any], caller: Caller) -> Generation:
        try:
            self._check_betas(caller.betas)
            with _bounded_depth():
                return self._service.create(params, caller)
        except ApiError as error:
            error.request_id = caller.request_id
            raise

    def _caller(
        self, version: str, request_id: str | None, betas: frozenset[str], workspace: str
    ) -> Caller:
        return Caller(
            request_id=request_id or new_id("req", self._ids),
            version=version,
            betas=betas,
            workspace=workspace,
        )

    def _caller_of(self, request: HttpRequest, *, is_item: bool = False) -> Caller:
        caller = self._caller(request.version, request.id, request.betas, request.workspace)
        if not is_item:
            return caller
        return replace(caller, request_id=new_id("req", self._ids), is_batch=True)

    def _create_message(self, request: HttpRequest, _name: str) -> EngineResponse:
        params = request.params
        generation = self._created(params, self._caller_of(request))
        if params.get("stream"):
            return EngineResponse(
                status=200,
                headers=headers_of(request.id, "text/event-stream; charset=utf-8"),
                events=generation.events(),
                generation=generation,
            )
        return EngineResponse(
            status=200,
            headers=headers_of(request.id),
            body=generation.preview(),
            generation=generation,
        )

    def _count_tokens(self, request: HttpRequest, _name: str) -> EngineResponse:
        tokens = self._service.count(request.params, self._caller_of(request))
        return answered(request, {"input_tokens": tokens})

    def _list_models(self, request: HttpRequest, _name: str) -> EngineResponse:
        today = self._service.today()
        return answered(request, list_models(self._service.catalog, request.query, today=today))

    def _get_model(self, request: HttpRequest, name: str) -> EngineResponse:
        today = self._service.today()
        return answered(request, model_info_by_name(name, self._service.catalog, today=today))

    def _create_batch(self, request: HttpRequest, _name: str) -> EngineResponse:
        return answered(request, self._batch_endpoints.create(request, self._clock.now()))

    def _batch(self, request: HttpRequest, name: str) -> EngineResponse:
        return answered(request, self._batch_endpoints.shown(request, name, self._clock.now()))

    def _list_batches(self, request: HttpRequest, _name: str) -> EngineResponse:
        return answered(request, self._batch_endpoints.page(request, self._clock.now()))

    def _batch_results(self, request: HttpRequest, name: str) -> EngineResponse:
        lines = self._batch_endpoints.results(request, name, self._clock.now())
        return answered(request, lines, "application/x-jsonl")

    def _answer_item(self, item: BatchItem, request: HttpRequest) -> Mapping[str, Any]:
        caller = self._caller_of(request, is_item=True)

        def ask() -> Generation:
            return self._created(item.params, caller)

        if self.watch_item is None:
            return ask().message()
        return self.watch_item(item, credential_of(request.headers), ask)

    def _upload_file(self, request: HttpRequest, _name: str) -> EngineResponse:
        return answered(request, self._file_endpoints.upload(request, self._clock.now()))

    def _list_files(self, request: HttpRequest, _name: str) -> EngineResponse:
        return answered(request, self._file_endpoints.page(request, self._clock.now()))

    def _get_file(self, request: HttpRequest, name: str) -> EngineResponse:
        return answered(request, self._file_endpoints.metadata(request, name, self._clock.now()))

    def _delete_file(self, request: HttpRequest, name: str) -> EngineResponse:
        return answered(request, self._file_endpoints.delete(request, name, self._clock.now()))

    def _file_content(self, request: HttpRequest, name: str) -> EngineResponse:
        file = self._file_endpoints.content(request, name, self._clock.now())
        return answered(request, file.data, file.mime_type)

    def _hello(self, request: HttpRequest, _name: str) -> EngineResponse:
        return answered(request, {"message": "hello"})


_ANSWERS: dict[str, Callable[[Engine, HttpRequest, str], EngineResponse]] = {
    "create_message": Engine._create_message,  # noqa: SLF001 - its own dispatch table
    "count_tokens": Engine._count_tokens,  # noqa: SLF001
    "list_models": Engine._list_models,  # noqa: SLF001
    "get_model": Engine._get_model,  # noqa: SLF001
    "create_batch": Engine._create_batch,  # noqa: SLF001
    "list_batches": Engine._list_batches,  # noqa: SLF001
    "get_batch": Engine._batch,  # noqa: SLF001
    "delete_batch": Engine._batch,  # noqa: SLF001
    "cancel_batch": Engine._batch,  # noqa: SLF001
    "batch_results": Engine._batch_results,  # noqa: SLF001
    "upload_file": Engine._upload_file,  # noqa: SLF001
    "list_files": Engine._list_files,  # noqa: SLF001
    "get_file": Engine._get_file,  # noqa: SLF001
    "delete_file": Engine._delete_file,  # noqa: SLF001
    "file_content": Engine._file_content,  # noqa: SLF001
    "hello": Engine._hello,  # noqa: SLF001
}


@contextlib.contextmanager
def _bounded_depth() -> Iterator[None]:
    """Refuse a value that is nested more deeply than the interpreter can follow."""
    try:
        yield
    except RecursionError as error:
        raise invalid_request("body: the value is nested too deeply") from error
