"""An engine under conditions: rate limits, faults, timing, a script, and a journal of it all.

Both skins talk to it. It performs no I/O: it yields the steps that a skin carries out.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from sdk_workflow.simulator.admission import Gate
from sdk_workflow.simulator.batch_watch import BatchWatch
from sdk_workflow.simulator.delivery import (
    early_steps,
    plain_steps,
    stream_steps,
    unwatched_steps,
)
from sdk_workflow.simulator.engine import Engine, EngineResponse
from sdk_workflow.simulator.errors import ApiError
from sdk_workflow.simulator.fault_spec import parse_faults
from sdk_workflow.simulator.faults import MESSAGES_PATH
from sdk_workflow.simulator.http_request import credential_of, read_object, split_target
from sdk_workflow.simulator.limits import Limiter
from sdk_workflow.simulator.physics import regrouped
from sdk_workflow.simulator.progress import Progress, Request, cache_facts, journal_facts
from sdk_workflow.simulator.script_endings import with_ending
from sdk_workflow.simulator.script_file import parse_script
from sdk_workflow.simulator.steps import Answer, Head, Reset, Stall, Wait
from sdk_workflow.simulator.tariff import Tariff
from sdk_workflow.types import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.protocols import Clock
    from sdk_workflow.simulator.faults import Fault, FaultPlan
    from sdk_workflow.simulator.journal import Journal
    from sdk_workflow.simulator.limits import Limits
    from sdk_workflow.simulator.physics import Physics, Tempo
    from sdk_workflow.simulator.script import ScriptedReplies
    from sdk_workflow.simulator.steps import Steps
    from sdk_workflow.types import Money

__all__ = ["Simulation"]

COUNT_PATH = "/v1/messages/count_tokens"


class Simulation:
    """An engine with everything around it that makes a service.

    What is left out costs nothing: without any of the options, the engine's answer is the first and
    only step.

    Args:
        engine: What answers.
        clock: The engine's clock; limits and the journal read it too.
        catalog: Classes and prices of the models; None loads the built-in ones.
        limits: Rate limits; none by default.
        faults: What goes wrong; nothing by default.
        physics: How long answers take; nothing takes time by default.
        journal: Where requests are recorded; nowhere by default.
        script: The engine's brain, where it is scripted: replies that did not arrive are given back.

    Example:
        >>> from sdk_workflow._internal.clock import VirtualClock
        >>> simulation = Simulation.build(clock=VirtualClock(), faults="529@0", script=["Hello!"])
        >>> hello = {"role": "user", "content": "Hello"}
        >>> params = {"model": "claude-haiku-5-5", "max_tokens": 50, "messages": [hello]}
        >>> [next(simulation.create(params)).status for _ in range(2)]
        [529, 200]
    """

    def __init__(
        self,
        engine: Engine,
        *,
        clock: Clock,
        catalog: ModelCatalog | None = None,
        limits: Limits | None = None,
        faults: FaultPlan | None = None,
        physics: Physics | None = None,
        journal: Journal | None = None,
        script: ScriptedReplies | None = None,
    ) -> None:
        if catalog is None:
            from sdk_workflow.config.models import default_catalog

            catalog = default_catalog()
        self.engine = engine
        self.clock = clock
        self.journal = journal
        self.faults = faults
        self.script = script
        self.seed = 0  # decides on chance in faults that are set later
        self.physics = physics
        self.gate = None if limits is None else Gate(Limiter(limits), engine, clock)
        self.tariff = Tariff(catalog, clock)
        self._lock = threading.Lock()
        self._count = 0
        if self._is_watching:
            limiter = None if self.gate is None else self.gate.limiter
            watch = BatchWatch(clock, self.tariff, journal=journal, limiter=limiter, script=script)
            engine.watch_item = watch.answer

    @classmethod
    def build(
        cls,
        *,
        clock: Clock | None = None,
        seed: int = 0,
        catalog: ModelCatalog | None = None,
        script: Any = None,
        faults: Any = None,
        limits: Any = None,
        physics: Physics | None = None,
        lenient: bool = False,
    ) -> Simulation:
        """Return a simulation with an engine and a journal of its own.

        Args:
            clock: Where time comes from; the machine's clock by default.
            seed: Varies wording, ids and whatever chance decides.
            catalog: The models that exist; None loads the built-in ones.
            script: A `ScriptedReplies`, or what `parse_script` takes; the simulator's rules answer by
                default.
            faults: A `FaultPlan`, or what `parse_faults` takes.
            limits: A `Limits`, or what its `parse` takes.
            physics: How long answers take.
            lenient: Whether beta features that the engine does not know are tolerated.

        Raises:
            UsageError: A script, a fault or a limit is malformed.
        """
        from sdk_workflow._internal.clock import SystemClock
        from sdk_workflow.simulator.brain import RuleBrain
        from sdk_workflow.simulator.journal import Journal
        from sdk_workflow.simulator.limits import Limits

        clock = SystemClock() if clock is None else clock
        classes = None if catalog is None else catalog.tiers()
        spec = {"unmatched": "rules"} if script is None else script
        script = parse_script(spec, fallback=RuleBrain(seed))
        simulation = cls(
            Engine(clock=clock, seed=seed, catalog=catalog, brain=script, lenient=lenient),
            clock=clock,
            catalog=catalog,
            limits=None if limits is None else Limits.parse(limits, classes=classes),
            faults=None if faults is None else parse_faults(faults, seed=seed),
            physics=physics,
            journal=Journal(),
            script=script,
        )
        simulation.seed = seed
        return simulation

    def create(
        self, params: Mapping[str, Any], *, is_streamed: bool = False, key: str = ""
    ) -> Steps:
        """Yield the steps of the answer to a request, given as its decoded body.

        Close the iterator when the client leaves; that ends the request.

        Args:
            params: The parameters of the Messages API.
            is_streamed: Whether the answer is a stream.
            key: Who asks, for the rate limits.
        """

        def ask() -> EngineResponse:
            return self._engine_create(params, is_streamed=is_streamed)

        return self._answer(
            Request(path=MESSAGES_PATH, ask=ask, params=params, key=key, is_streamed=is_streamed)
        )

    def count_tokens(self, params: Mapping[str, Any], *, key: str = "") -> Steps:
        """Yield the steps of the answer to a question for the size of a prompt."""

        def ask() -> EngineResponse:
            try:
                body = {"input_tokens": self.engine.count_tokens(params)}
            except ApiError as error:
                return self.engine.refuse(error, error.request_id)
            return EngineResponse(status=200, headers={}, body=body)

        return self._answer(Request(path=COUNT_PATH, ask=ask, params=params, key=key))

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Steps:
        """Yield the steps of the answer to an HTTP request.

        Args:
            method: Such as `"POST"`.
            target: Path and query, as on the request line.
            headers: Names in lower case.
            body: The undecoded body.
        """

        def ask() -> EngineResponse:
            return self.engine.handle(method, target, headers, body, is_deferred=True)

        path = split_target(target)[0]
        path = path.removesuffix("/") or path
        params = read_object(body) if self._is_watching and method == "POST" else None
        return self._answer(
            Request(
                method=method,
                path=path,
                ask=ask,
                params=params,
                key=credential_of(headers),
                is_streamed=params is not None and params.get("stream") is True,
            )
        )

    def reset(self) -> None:
        """Start over, as if it were new.

        The journal, the prompt cache, threads, files and batches are empty, the buckets full; faults
        and script start from their beginning. The clock goes on, and conditions stay as they are.
        """
        with self._lock:
            self._count = 0
            self.engine.reset()
            if self.journal is not None:
                self.journal.clear()
            if self.gate is not None:
                self.gate.limiter.reset()
            if self.faults is not None:
                self.faults.reset()
            if self.script is not None:
                self.script.rewind()

    @property
    def _is_watching(self) -> bool:
        parts = (self.journal, self.gate, self.faults, self.physics, self.script)
        return any(part is not None for part in parts)

    def _engine_create(self, params: Mapping[str, Any], *, is_streamed: bool) -> EngineResponse:
        try:
            generation = self.engine.create(params)
        except ApiError as error:
            return self.engine.refuse(error, error.request_id)
        return EngineResponse(
            status=200,
            headers={"request-id": generation.request_id},
            body={} if is_streamed else generation.preview(),
            events=generation.events() if is_streamed else None,
            generation=generation,
        )

    def _answer(self, request: Request) -> Steps:
        if self._is_watching:
            return self._watched(request)
        return unwatched_steps(request.ask())

    def _watched(self, request: Request) -> Steps:
        progress = self._open(request)
        try:
            for step in self._steps(progress):
                progress.note(step, self.clock.monotonic())
                if progress.response is not None and isinstance(step, (Answer, Head)):
                    progress.response.begin()
                yield step
            progress.has_ended = True
        finally:
            self._close(progress)

    def _open(self, request: Request) -> Progress:
        with self._lock:
            index, self._count = self._count, self._count + 1
            started = self.clock.monotonic()
            fault = self._fault(request, started)
        entry = None
        if self.journal is not None:
            kind = None if fault is None else fault.kind
            facts = journal_facts(request)
            entry = self.journal.open(time=self.clock.now(), fault=kind, **facts)
        return Progress(request=request, index=index, started=started, entry=entry, fault=fault)

    def _fault(self, request: Request, now: float) -> Fault | None:
        is_misplaced = request.path == MESSAGES_PATH and request.method != "POST"
        if self.faults is None or is_misplaced:
            return None
        return self.faults.pick(request.path, now=now)

    def _steps(self, progress: Progress) -> Steps:
        fault, request = progress.fault, progress.request
        if fault is not None and _refuses(fault, request):
            refusal = self.engine.refuse(fault.error(), headers=fault.headers)
            yield Answer(refusal.status, refusal.headers, refusal.body)
            return
        for early in early_steps(fault):
            yield early
            if isinstance(early, (Stall, Reset)):
                return
        response = self._ask(progress)
        answer = Answer(response.status, response.headers, response.body)
        if response.status >= 400:  # noqa: PLR2004 - HTTP classes
            yield answer
        elif response.events is None:
            yield from self._plain(progress, answer)
        else:
            yield from self._stream(progress, response, response.events)

    def _plain(self, progress: Progress, answer: Answer) -> Steps:
        tempo = self._tempo(progress)
        if tempo is not None:
            yield Wait(tempo.whole_seconds(progress.usage["output_tokens"]))
        yield from plain_steps(answer, progress.fault)

    def _stream(
        self, progress: Progress, response: EngineResponse, events: Iterator[dict[str, Any]]
    ) -> Steps:
        tempo = self._tempo(progress)
        if tempo is not None:
            yield Wait(tempo.first_token_seconds)
        if self.physics is not None and self.physics.delta_characters is not None:
            events = regrouped(events, self.physics.delta_characters)
        yield Head(response.status, response.headers)
        yield from stream_steps(events, progress.fault, tempo)

    def _ask(self, progress: Progress) -> EngineResponse:
        """Let the engine answer, unless a limit is reached."""
        request = progress.request
        with self._lock:
            if self.script is not None:
                self.script.last_taken = None
            response = request.ask()
            progress.take(response)
            if request.path != MESSAGES_PATH:
                return response
            if self.script is not None and self.script.last_taken is not None:
                progress.taken = self.script.last_taken
                response = with_ending(response, progress.taken.reply)
            if self.gate is None or request.model is None:
                return response
            model_class, _ = self.tariff.class_of(request.model)
            return self.gate.admit(progress, response, model_class)

    def _tempo(self, progress: Progress) -> Tempo | None:
        if self.physics is None or progress.request.path != MESSAGES_PATH:
            return None
        model_class, token_factor = self.tariff.class_of(progress.request.model)
        return self.physics.tempo(
            model_class,
            Usage.from_api(progress.usage),
            request_index=progress.index,
            token_factor=token_factor,
        )

    def _close(self, progress: Progress) -> None:
        now = self.clock.monotonic()
        cost = self._cost(progress)
        with self._lock:
            progress.close(now)
            if progress.entry is not None and progress.has_begun:
                progress.entry.usage = Usage.from_api(progress.usage)
                progress.entry.cost = cost
                progress.entry.cache = cache_facts(progress.record)
            if self.gate is not None and progress.ticket is not None:
                output_tokens = progress.usage["output_tokens"] if progress.has_begun else 0
                usd = 0.0 if cost is None else cost.usd
                self.gate.limiter.settle(
                    progress.ticket, output_tokens=output_tokens, cost_usd=usd, now=now
                )
            if self.script is not None and progress.taken and not progress.has_arrived:
                self.script.give_back(progress.taken)

    def _cost(self, progress: Progress) -> Money | None:
        model = progress.request.model
        if model is None or not progress.has_begun:
            return None
        return self.tariff.cost(model, progress.usage)


def _refuses(fault: Fault, request: Request) -> bool:
    """Return whether a fault is an error answer: a plain request has no stream to break off."""
    return fault.answers_itself or (fault.kind == "error_event" and not request.is_streamed)
