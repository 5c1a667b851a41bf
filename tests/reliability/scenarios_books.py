"""What is done to the ledger and to the catalogue on a disk that fails; see `scenarios`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sdk_workflow.exceptions import StorageError
from sdk_workflow.managers.cost_manager import CostManager
from sdk_workflow.types import Call, Usage
from tests.reliability.scenarios import DAY, SESSION, START, Scenario, saved

if TYPE_CHECKING:
    from tests.reliability.scenarios import World

__all__ = ["BOOK_SCENARIOS"]

LIMIT = 10**12

# --- the ledger --------------------------------------------------------------------------------


def look_at_ledger(world: World) -> Any:
    """Return how both scopes stand; "damaged" where the ledger says that it is."""
    try:
        world.ledger.verify()
        found = [world.ledger.standing(scope, now=START) for scope in ("run", "costs")]
    except StorageError as error:
        if error.code != "ledger_corrupt":
            raise
        return "damaged"
    return [[standing.spent, standing.held] for standing in found]


def reserve(world: World, *, hold: str, amount: int) -> None:
    """Hold an amount for an hour."""
    standing = world.ledger.reserve(
        "run", hold, amount, limit=LIMIT, expires_at=START + 3600.0, now=START
    )
    assert standing.is_done, "there was room"


def settle(world: World, *, hold: str, cost: int) -> None:
    """Replace a hold by its cost."""
    world.ledger.settle("run", hold, cost, now=START)


def forfeit(world: World, *, hold: str) -> None:
    """Count a hold in full."""
    world.ledger.forfeit("run", hold, now=START)


def _costs(world: World) -> CostManager:
    return CostManager(
        hard_limit_usd=1.0, ledger=world.ledger, scope="costs", clock=world.clock, hold_seconds=1e6
    )


def book_cost(world: World) -> None:
    """Enter what was spent without a hold."""
    _costs(world).calculate_cost(Usage(input_tokens=1000, output_tokens=100), "sonnet")


def hold_call(world: World) -> None:
    """Hold the most that a call can cost."""
    message = {"role": "user", "content": "Hello"}
    _costs(world).reserve(Call(model="sonnet", max_tokens=1000, messages=(message,)))


def _spent(world: World) -> None:
    reserve(world, hold="a", amount=700)
    settle(world, hold="a", cost=300)
    reserve(world, hold="b", amount=500)


# --- the catalogue -----------------------------------------------------------------------------


def look_at_catalogue(world: World) -> Any:
    """Return all that is known of all sessions, by every way to ask for it."""
    sessions = world.sessions
    sessions.verify_catalog()
    found = sessions.search_sessions({"sort": "started", "limit": 100})
    for info in found:
        assert sessions.get_session(info.session_id) == info, "record and catalogue differ"
        sessions.load_persisted_session(info.session_id)
    tides = [info.session_id for info in sessions.search_sessions({"text": "tides"})]
    urgent = [info.session_id for info in sessions.search_sessions({"tags": ["urgent"]})]
    return {"all": [_plain(info.to_json()) for info in found], "tides": tides, "urgent": urgent}


def _plain(info: dict[str, Any]) -> dict[str, Any]:
    # Where the record is lost or behind, the file's own time tells when it was put away.
    return {**info, "archived_at": info["archived_at"] is not None}


def begin(world: World) -> None:
    """Begin a session."""
    world.at(100.0)
    world.sessions.start_session("When tides come", session_id="tides", tags=["urgent"])


def tag(world: World) -> None:
    """Tag a session that has a session file."""
    world.at(200.0)
    world.sessions.tag_session(SESSION, ["urgent"])


def end(world: World) -> None:
    """End the session."""
    world.at(300.0)
    world.sessions.end_session("tides")


def persist(world: World) -> None:
    """Note how far the session's file goes."""
    world.at(400.0)
    world.sessions.persist_session(SESSION)


def put_away(world: World) -> None:
    """Put the session with a file away."""
    world.at(500.0)
    world.sessions.archive_session(SESSION)


def bring_back(world: World) -> None:
    """Bring it back."""
    world.at(600.0)
    world.sessions.unarchive_session(SESSION)


def delete_old(world: World) -> None:
    """Delete all that is not in use."""
    world.at(40 * DAY)
    if not world.sessions.cleanup_sessions(30):  # so that it stays is told
        raise StorageError("The session was left alone.", code="skipped")


def _two_sessions(world: World) -> None:
    saved(1, 2)(world)
    world.checkpoints.close()
    world.sessions.start_session("About the moon", session_id="moon")
    world.sessions.persist_session(SESSION)


def _old_session(world: World) -> None:
    _two_sessions(world)
    world.sessions.end_session(SESSION)


def _damaged_catalogue(world: World) -> None:
    _two_sessions(world)
    world.sessions.close()
    path = world.home / "catalog.sqlite"
    data = bytearray(path.read_bytes())
    data[-8192:] = bytes(8192)
    path.write_bytes(data)


def find_all(world: World) -> None:
    """Look for sessions, which makes a damaged catalogue anew."""
    assert len(world.sessions.search_sessions()) == 2, "both sessions are found"


BOOK_SCENARIOS = (
    Scenario(
        name="ledger-first",
        steps=(partial(reserve, hold="a", amount=700),),
        look=look_at_ledger,
    ),
    Scenario(
        name="ledger",
        prepare=_spent,
        steps=(
            partial(reserve, hold="c", amount=900),
            partial(settle, hold="c", cost=100),
            partial(forfeit, hold="b"),
            book_cost,
            hold_call,
        ),
        look=look_at_ledger,
    ),
    Scenario(name="catalogue-first", steps=(begin,), look=look_at_catalogue),
    Scenario(
        name="catalogue",
        prepare=_two_sessions,
        steps=(begin, tag, end, persist),
        look=look_at_catalogue,
    ),
    Scenario(
        name="catalogue-archive",
        prepare=_two_sessions,
        steps=(put_away, bring_back),
        look=look_at_catalogue,
    ),
    Scenario(
        name="catalogue-delete", prepare=_old_session, steps=(delete_old,), look=look_at_catalogue
    ),
    Scenario(
        name="catalogue-rebuild",
        prepare=_damaged_catalogue,
        steps=(find_all,),
        look=look_at_catalogue,
    ),
)
