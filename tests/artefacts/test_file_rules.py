"""The rules of further outputs: kept as JSON, and the same decisions in the graph as in numpy."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf

from kerascnn.artefacts import file_rules, further_graph, further_proof, trust_page
from kerascnn.artefacts.file_rules import FileRules, SetFacts, UnknownFacts
from kerascnn.scoring.prediction_sets import SetRule
from kerascnn.statistics import conformal

N, CLASSES = 400, 7
RNG = np.random.default_rng(0)
LOGITS = (RNG.normal(size=(N, CLASSES)) * 3).astype("float32")
PROBABILITIES = tf.nn.softmax(LOGITS).numpy()
EIGHT_BITS = (np.round(PROBABILITIES * 256) / 256).astype("float32")  # full of ties
ABOUT = {"from": "val", "n": N, "exact": False, "why": "approximate: val chose the checkpoint"}


def rule(score: str, by_class: bool, coverage: float = 0.8) -> SetRule:
    labels = RNG.integers(0, CLASSES, N)
    if score == "labels":
        return SetRule(score, coverage, conformal.label_threshold(PROBABILITIES, RNG.random((N, CLASSES)) < 0.3, 0.2))
    scores = conformal.SCORES[score](PROBABILITIES)
    own = tuple(conformal.by_class(scores, labels, coverage)) if by_class else None
    return SetRule(score, coverage, conformal.threshold(conformal.of_truth(scores, labels), coverage), own)


def rules(score: str, by_class: bool = False, temperature: float = 1.0) -> FileRules:
    return FileRules(SetFacts(rule(score, by_class), ABOUT), UnknownFacts(2.5, temperature, {"share": 0.95}))


@pytest.mark.parametrize("by_class", [False, True])
@pytest.mark.parametrize("score", ["lac", "aps", "raps", "labels"])
def test_the_graph_decides_as_the_rule(score: str, by_class: bool) -> None:
    one = rules(score, by_class)
    for probabilities in (PROBABILITIES, EIGHT_BITS):
        found = further_graph.computed(one, tf.constant(probabilities), tf.constant(LOGITS))
        expected, got = one.in_set(probabilities), found["in_set"].numpy()
        decided = one.apart(probabilities) > (1e-5 if score in ("aps", "raps") else 0)
        assert decided.mean() > 0.9
        assert (got == expected)[decided].all()
        assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(found["known_score"], LOGITS.max(axis=1))
    np.testing.assert_array_equal(found["known"], LOGITS.max(axis=1) >= np.float32(2.5))


@pytest.mark.parametrize("score", ["lac", "aps"])
def test_too_few_images_for_a_threshold_give_every_class(score: str) -> None:
    one = FileRules(SetFacts(SetRule(score, 0.9, math.inf), ABOUT))
    assert FileRules.read(json.loads(json.dumps(one.kept(), allow_nan=False))) == one
    assert further_graph.computed(one, tf.constant(PROBABILITIES), None)["in_set"].numpy().all()


def test_the_image_of_the_threshold_is_in_its_set() -> None:
    for value in PROBABILITIES[:, 0]:
        assert value >= file_rules.lowest(SetRule("lac", 0.9, 1 - float(value)))


def test_a_temperature_is_taken_out_of_the_score() -> None:
    hot = further_graph.computed(rules("lac", temperature=2.0), tf.constant(PROBABILITIES), tf.constant(LOGITS / 2))
    np.testing.assert_allclose(hot["known_score"], LOGITS.max(axis=1), rtol=1e-6)


@pytest.mark.parametrize("score", ["lac", "aps", "labels"])
def test_rules_are_kept_as_json(score: str) -> None:
    one = rules(score, by_class=True, temperature=1.5)
    assert FileRules.read(json.loads(json.dumps(one.kept(), allow_nan=False))) == one
    assert one.outputs == ("in_set", "known", "known_score")
    assert FileRules.read({}).outputs == ()


def test_the_threshold_of_known_images_accepts_its_share() -> None:
    known, foreign = LOGITS.max(axis=1), np.full(30, -9.0)
    entry = file_rules.in_files(known, known, foreign, 0.9, None)
    assert 0.9 <= entry["accepted"]["value"] < 0.91
    assert entry["rejected"]["value"] == 1
    assert file_rules.in_files(known[:5], known, foreign, 0.9, None) is None, "5 images give no threshold for 90 %"


def proved(exact: bool = True, **values: np.ndarray) -> bool:
    one = rules("lac")
    further = {
        name: tensor.numpy()
        for name, tensor in further_graph.computed(one, tf.constant(PROBABILITIES), tf.constant(LOGITS)).items()
    }
    expected = further_proof.RunAnswers(one, PROBABILITIES, LOGITS.max(axis=1))
    found, passed = further_proof.rows(one, PROBABILITIES, further | values, expected, exact=exact)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return passed


def test_the_proof_sees_a_wrong_output() -> None:
    sets, known, score = PROBABILITIES >= 0, LOGITS.max(axis=1) >= 0, LOGITS.max(axis=1)
    assert proved()
    for exact in (True, False):
        assert not proved(exact=exact, in_set=sets)
        assert not proved(exact=exact, known=~known)
    assert not proved(known_score=score + 0.01)
    assert not proved(known_score=np.where(score > 3, np.nan, score))
    with pytest.raises(RuntimeError, match=r"expected the further outputs .* got"):
        further_proof.rows(rules("lac"), PROBABILITIES, {"in_set": sets}, None, exact=True)


def test_pages_say_coverage_interval_and_n() -> None:
    share = {"value": 0.91, "low": 0.9, "high": 0.92, "n": 1000}
    sets = {**rules("lac").kept()["sets"], "measured": {"coverage": share, "size": {"value": 1.25}}}
    own = {**sets, "own": True, "n": 77}
    proof = {"in_set": {"n": 256, "same": 1.0, "otherwise": 0}}
    made = [
        {"artefact": name, "file": name, "passed": True, "trust": {"sets": one}, "further": proof}
        for name, one in (("onnx", sets), ("litert int8", own))
    ]
    (page,) = trust_page.section({"trust": {"sets": sets}}, made)
    assert "| onnx | 400 images of val | 91.00% [90.00%, 92.00%] of test images covered (n = 1,000), 1.25" in page
    assert "| litert int8 | 77 images of val, its own answers |" in page
    card = "\n".join(trust_page.card({"trust": {"sets": sets}}, made))
    assert "80% asked (lac), threshold from 400 images of val" in card
    assert "litert int8 has thresholds from its own answers" in card
    assert trust_page.section({}, []) == trust_page.card({}, []) == []
