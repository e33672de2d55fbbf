"""Earlier incidents of the same component: the newest few, with what ended them, found by an index."""

from dataclasses import replace

from sqlalchemy import event
from tests.support.incidents import Router, alert

from tillwatch.model.incident import TimelineEntry
from tillwatch.store import incidents, similar


def outage(router: Router, system: str, *, lasting: float = 60) -> int:
    """One outage from its first alert to its end; returns the incident."""
    one = alert("InterfaceDown", router.clock.now(), severity="critical", system=system, summary="refused", cause="tcp")
    router.fire(one)
    with router.database.read() as connection:
        number = incidents.latest(connection, limit=1)[0].id
    router.clock.advance(lasting)
    router.fire(replace(one, ends_at=router.clock.now()))
    router.clock.advance(600)
    router.desk.tick(router.clock.now())
    return number


def test_the_newest_outages_of_the_same_component_are_listed_with_what_ended_them(router: Router) -> None:
    numbers = [outage(router, "erp", lasting=60 + step) for step in range(7)]
    by_hand = TimelineEntry(at=router.clock.now(), kind="resolved", actor="ann", data={"reason": "plugged in again"})
    router.database.write(lambda connection: incidents.append(connection, [(numbers[6], by_hand)]))
    outage(router, "wms")
    now = outage(router, "erp", lasting=5)
    with router.database.read() as connection:
        found = similar.of(connection, incidents.get(connection, now))
        shown = similar.document(found)
        older = similar.of(connection, incidents.get(connection, numbers[0]))
    assert [one.incident.id for one in found] == numbers[:1:-1]
    assert [one.reason for one in found] == ["plugged in again", "", "", "", ""]
    assert [one["seconds"] for one in shown] == [66.0, 65.0, 64.0, 63.0, 62.0]
    assert older == [], "what came later is not what happened before"


def test_the_question_is_answered_from_an_index(router: Router) -> None:
    now = outage(router, "erp")
    asked: list[str] = []
    with router.database.read() as connection:
        event.listen(connection.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
        similar.of(connection, incidents.get(connection, now))
        statement = next(one for one in asked if "opened_at <=" in one)
        if router.database.dialect == "sqlite":
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", ("x", "x", "x", 1, 5, 0)).all()
            assert "ix_incidents_component" in str(plan)
