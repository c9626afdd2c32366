"""What metrics tell about the policy in force, and about the components."""

import io
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tokens import ISSUER, clerk
from wicketgate.adapters.admin import State
from wicketgate.adapters.telemetry import Instruments, Telemetry, make_log
from wicketgate.app.components import watch_components
from wicketgate.app.in_force import PolicyInForce
from wicketgate.app.rulebook import LoadedRules, load_rules, rules_of_tokens
from wicketgate.core.policy.rule import Rule
from wicketgate.core.reason import Reason
from wicketgate.core.token import TokenVerifier
from wicketgate.core.verdict import Deny
from wicketgate.settings import AuthzSettings

POLICY = "version: 1\nrules:\n  - {name: mine, match: {paths: /mine}, allow: user}\n"


def loaded(policy: Path | None) -> LoadedRules:
    environ = {"CLERK_JWT_KEY": clerk().public_pem, "CLERK_ISSUER": ISSUER}
    if policy is not None:
        environ["WICKETGATE_POLICY_FILE"] = str(policy)
    settings = AuthzSettings.from_environ(environ)
    return load_rules(environ, TokenVerifier(rules_of_tokens(settings)))


def telling() -> Telemetry:
    stream = io.StringIO()
    return Telemetry(make_log(stream, level="error"), decisions=stream)


def found(instruments: Instruments, prefix: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Return the samples of metrics whose name has the prefix, by what comes after it."""
    families = text_string_to_metric_families(instruments.exposition().decode())
    return {
        family.name.removeprefix(prefix): [
            (sample.labels, sample.value) for sample in family.samples
        ]
        for family in families
        if family.name.startswith(prefix) and family.samples
    }


def test_a_policy_of_routes_has_no_digest_and_no_number() -> None:
    telemetry = telling()

    PolicyInForce(telemetry, loaded(None), clock=lambda: 5.0)

    assert found(telemetry, "wicketgate_policy_") == {
        "info": [({"digest": "", "source": "routes"}, 1.0)],
        "loaded_timestamp_seconds": [({}, 5.0)],
    }


def test_a_policy_file_is_told_by_its_digest_until_another_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    telemetry, times = telling(), iter([5.0, 6.0])
    policy = PolicyInForce(telemetry, loaded(path), clock=times.__next__)
    before = found(telemetry, "wicketgate_policy_")

    path.write_text(POLICY + "  - {name: yours, match: {paths: /yours}, allow: user}\n")
    policy.put(loaded(path))

    after = found(telemetry, "wicketgate_policy_")
    # printf of both texts, and sha256sum | cut -c1-12.
    assert before == {
        "info": [({"digest": "4c0076e89888", "source": "file"}, 1.0)],
        "rules": [({}, 1.0)],
        "loaded_timestamp_seconds": [({}, 5.0)],
    }
    assert after == {
        "info": [({"digest": "f2afab65dc26", "source": "file"}, 1.0)],
        "rules": [({}, 2.0)],
        "loaded_timestamp_seconds": [({}, 6.0)],
    }


def test_rules_are_counted_under_the_names_of_the_policy_in_force(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    telemetry = telling()
    policy = PolicyInForce(telemetry, loaded(path), clock=lambda: 5.0)

    for name in ("mine", "default", "public:user"):
        telemetry.count(Deny(Reason.NO_CREDENTIAL, Rule(name=name)), 0.1)
    before = found(telemetry, "wicketgate_rule_checks")
    policy.put(loaded(None))
    after = found(telemetry, "wicketgate_rule_checks")

    names = [[labels["rule"] for labels, value in each[""] if value] for each in (before, after)]
    assert names == [["mine", "default", "_other"], ["_other"]]


def test_a_component_is_in_one_of_its_states() -> None:
    instruments = Instruments(make_log(io.StringIO(), level="error"))
    states = {"keys": State.READY, "first sight": State.NOT_READY}
    watch_components(
        instruments, {"keys": lambda: states["keys"], "first sight": lambda: states["first sight"]}
    )

    taken = []
    for state in (State.READY, State.DEGRADED):
        states["keys"] = state
        (samples,) = found(instruments, "wicketgate_component_state").values()
        assert len(samples) == 2 * len(State)
        taken.append(
            {(each["component"], each["state"]): value for each, value in samples if value}
        )

    assert taken == [
        {("keys", "ready"): 1.0, ("first_sight", "not_ready"): 1.0},
        {("keys", "degraded"): 1.0, ("first_sight", "not_ready"): 1.0},
    ]
