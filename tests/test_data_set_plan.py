"""Plans of data sets: what is read, what is refused, which items follow."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from warpgrasp.dataset.generations import PlanChangedError, open_generations
from warpgrasp.dataset.items import in_share, work_items
from warpgrasp.dataset.plan import MethodEntry, ObjectEntry, Plan, read_plan
from warpgrasp.dataset.primitives import PRIMITIVE_KINDS, primitive_mesh, write_primitives
from warpgrasp.objects import load_object
from warpgrasp.objects.views import ViewConfig


def small(**changes: object) -> Plan:
    values: dict[str, object] = {
        "objects": (ObjectEntry(primitives=6),),
        "methods": (MethodEntry(name="simulated"),),
        "objects_per_item": 2,
        **changes,
    }
    return Plan(**values)


def test_plan_of_five_lines(tmp_path: Path) -> None:
    write_primitives(tmp_path / "meshes", 3)
    path = tmp_path / "plan.yaml"
    path.write_text(
        'objects: ["meshes/*.obj"]\nhands: [allegro]\ngrasp_types: [power]\ngrasps: 8\nsteps: 60\n'
    )
    plan = read_plan(path, {"steps": 50, "grasps": None})
    assert (plan.grasps, plan.steps, plan.hands) == (8, 50, ("allegro",))
    # Paths of flags are those of the shell, paths of the file lie beside it.
    path.with_name("hand.usda").touch()
    path.write_text("objects: [a.obj]\nhands: [hand.usda, leap]\n")
    assert read_plan(path, {"objects": ["b.obj"]}).objects == (ObjectEntry(path="b.obj"),)
    assert read_plan(path, {"objects": None}).objects == (ObjectEntry(path=str(tmp_path / "a.obj")),)
    assert read_plan(path, {}).hands == (str(tmp_path / "hand.usda"), "leap")
    assert read_plan(path, {"hands": ["hand.usda"]}).hands == ("hand.usda",)
    (generation,) = open_generations(plan, tmp_path / "out", extend=False)
    assert sorted(Path(entry.path).name for entry in generation.objects) == sorted(
        path.name for path in (tmp_path / "meshes").iterdir()
    )


@pytest.mark.parametrize(
    ("more", "candidates"),
    [
        ("", 2),
        ("grasp_types: [precision]", 4),
        ("protocols: [graspqp]", 1),
        ("METHODS\nprotocols: [graspqp]", 3),
    ],
)
def test_candidates_are_chosen_from_where_nothing_is_tested(
    tmp_path: Path, more: str, candidates: int
) -> None:
    path = tmp_path / "plan.yaml"
    own = 'methods: [{name: mine, arguments: ["--candidates", "3"]}]'
    path.write_text("objects: [bottle]\nhands: [allegro]\n" + more.replace("METHODS", own) + "\n")
    (generation,) = open_generations(read_plan(path, {}), tmp_path / "out", extend=False)
    config = generation.cells[0].config(generation.settings, device="cpu")
    assert config.candidate_count == candidates * config.grasp_count


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("objekts: [a.obj]", "no key 'objekts'"),
        ("objects: [{paths: a.obj}]", "no key 'paths'"),
        ("objects: [bottle]\ngrasps: 0", "grasps must be at least 1"),
        ("objects: [bottle]\nmethods: [gradient]", "methods must be of graspqp"),
        ("objects: [bottle]\nkeep: held", "needs a protocol"),
        ("objects: [bottle]\nhands: [allegro, allegro]", "names something twice"),
        ("objects: [{path: a.obj, primitives: 3}]", "a path or a number of primitives"),
        ("objects: [{primitives: -3}]", "objects.primitives must be finite and not negative"),
        ("objects: [{path: a, scales: [0]}]", "objects.scales must be positive and finite"),
        ("objects: [{path: a, scales: []}]", "must name at least one"),
        ("objects: [{primitives: 2, kinds: [cone]}]", "kinds must be of box, cylinder"),
        ("objects: 3", "objects must be a mapping"),
        ("objects: [bottle]\ngrasps: many", r"grasps must be a whole number \(got 'many'\)"),
        ("objects: [bottle]\ngrasps: true", "grasps must be a whole number"),
        ("objects: [bottle]\nseeds: [0, a]", "seeds must be a whole number"),
        ("objects: [bottle]\nseeds: [-1]", "seeds must be finite and not negative"),
        ("objects: [bottle]\nviews: yes", "views must be a mapping"),
        ("objects: [bottle]\nviews: {noise: 1}", "views.noise must be true or false"),
        ("objects: [bottle]\nviews: {cameras: 3}", "an entry of views has no key 'cameras'"),
        ("objects: [bottle]\nengine: bullet", "engine must be one of mujoco"),
        ("objects: [bottle]\nprotocols: [gravity]", "protocols must be one of graspqp"),
        ("objects: [bottle]\nprotocols: [{forces: [1]}]", "must have the key 'name'"),
        ("objects: [bottle]\nname: 2024", "name must be text"),
        ("objects:", "objects must name at least one"),
        ("- a\n- b", "is not a plan"),
        ("objects: [", "cannot be read as a plan"),
    ],
)
def test_refused_plans(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=sentence):
        read_plan(path, {})


def test_refused_combinations(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none of the grasp types tripod"):
        open_generations(small(grasp_types=("tripod",)), tmp_path, extend=False)
    with pytest.raises(ValueError, match="does not exist"):
        open_generations(small(objects=(ObjectEntry(path="nothing.obj"),)), tmp_path, extend=False)
    plan = small(hands=("allegro", "robotiq_2f140"), grasp_types=("power", "precision"))
    (generation,) = open_generations(plan, tmp_path, extend=False)
    assert generation.left_out == ("hand robotiq_2f140 has no precision grasps",)
    assert len(generation.cells) == 3


def test_items_are_the_same_wherever_the_objects_lie(tmp_path: Path) -> None:
    ids = []
    for name in ("one", "two"):
        files = write_primitives(tmp_path / name / "meshes", 5)
        plan = small(objects=tuple(ObjectEntry(path=str(path)) for path in files))
        ids.append(
            [item.id for item in work_items(open_generations(plan, tmp_path / name / "out", extend=False))]
        )
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 3


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64])
def test_shares_are_even_and_mixed(tmp_path: Path, count: int) -> None:
    """Every item in one share, shares of one size up to one, and none with one hand only where hands alternate."""
    plan = small(
        objects=(ObjectEntry(primitives=1),), hands=("allegro", "robotiq_2f140"), seeds=tuple(range(40))
    )
    generations = open_generations(plan, tmp_path, extend=False)
    items = list(work_items(generations))
    shares = [list(in_share(items, number, count)) for number in range(count)]
    assert sorted(item.id for share in shares for item in share) == sorted(item.id for item in items)
    sizes = {len(share) for share in shares}
    assert max(sizes) - min(sizes) <= 1
    alternating = [item for pair in zip(items[:40], items[40:], strict=True) for item in pair]
    for number in range(min(count, 7)):
        hands = {item.cell.hand for item in in_share(alternating, number, count) if item.cell}
        assert count == 64 or hands == {"allegro", "robotiq_2f140"}


def test_items_are_even_and_fit_into_one_file(tmp_path: Path) -> None:
    plan = small(objects=(ObjectEntry(primitives=20),), objects_per_item=16)
    sizes = [len(item.objects) for item in work_items(open_generations(plan, tmp_path / "a", extend=False))]
    assert sizes == [10, 10]
    plan = dataclasses.replace(plan, grasps=10_000, target=20_000, rounds=2)  # 40 MB an object at most
    sizes = [len(item.objects) for item in work_items(open_generations(plan, tmp_path / "b", extend=False))]
    assert sizes == [2, 3, 3, 3, 3, 3, 3]
    views = ViewConfig(count=10, size=1024)  # 90 MB an object at most
    plan = small(objects=(ObjectEntry(primitives=3),), objects_per_item=16, views=views)
    items = work_items(open_generations(plan, tmp_path / "c", extend=False))
    assert [(len(item.objects), item.cell is None) for item in items] == [(3, False), *[(1, True)] * 3]


def test_same_content_is_one_object_and_scales_are_several(tmp_path: Path) -> None:
    (first, _) = write_primitives(tmp_path, 2)
    copy = tmp_path / "copy.obj"
    copy.write_bytes(first.read_bytes())
    entries = (ObjectEntry(path=str(first), scales=(1.0, 0.8)), ObjectEntry(path=str(copy)))
    (generation,) = open_generations(small(objects=entries), tmp_path / "out", extend=False)
    assert [entry.scale for entry in generation.objects] == [1.0, 0.8]
    assert len({entry.split for entry in generation.objects}) == 1


def test_changed_plan_is_refused_and_extend_adds_what_is_new(tmp_path: Path) -> None:
    first = open_generations(small(), tmp_path, extend=False)
    before = {item.id for item in work_items(first)}
    more = small(objects=(ObjectEntry(primitives=11),), seeds=(0, 1))
    with pytest.raises(PlanChangedError, match=r"objects: 5 more and 0 fewer.*--extend"):
        open_generations(more, tmp_path, extend=False)
    both = open_generations(more, tmp_path, extend=True)
    items = list(work_items(both))
    assert before < {item.id for item in items}
    tasks = [(item.cell.id, entry.key) for item in items if item.cell for entry in item.objects]
    assert len(tasks) == len(set(tasks)) == 2 * 11
    splits = {entry.file_hash: entry.split for entry in first[0].objects}
    assert all(entry.split == splits.get(entry.file_hash, entry.split) for entry in both[1].objects)
    # The same extended plan again is a plain resume, also without --extend; so is the first plan.
    assert len(open_generations(more, tmp_path, extend=False)) == 2
    assert len(open_generations(small(), tmp_path, extend=False)) == 2


def test_hand_that_has_changed_is_named(tmp_path: Path) -> None:
    (first,) = open_generations(small(), tmp_path, extend=False)
    path = tmp_path / "plan" / "0000.json"
    path.write_text(
        path.read_text().replace(first.cells[0].hand_hash, "0" * 64).replace(first.cells[0].id, "1" * 16)
    )
    with pytest.raises(PlanChangedError, match="hand allegro has changed since"):
        open_generations(small(), tmp_path, extend=False)


def test_extend_keeps_what_all_rows_share(tmp_path: Path) -> None:
    open_generations(small(), tmp_path, extend=False)
    with pytest.raises(PlanChangedError, match="contact_counts: at most 12 there, 16 now"):
        open_generations(small(contact_counts=(16,)), tmp_path, extend=True)
    with pytest.raises(PlanChangedError, match="split"):
        open_generations(small(test_share=0.5), tmp_path, extend=True)


def test_split_is_stratified(tmp_path: Path) -> None:
    plan = small(objects=(ObjectEntry(primitives=50),), test_share=0.2)
    (generation,) = open_generations(plan, tmp_path, extend=False)
    test = [entry.category for entry in generation.objects if entry.split == "test"]
    assert sorted(test) == sorted(list(PRIMITIVE_KINDS) * 2)
    other = open_generations(dataclasses.replace(plan, split_seed=1), tmp_path / "b", extend=False)[0]
    assert [entry.split for entry in other.objects] != [entry.split for entry in generation.objects]


@pytest.mark.parametrize("kind", PRIMITIVE_KINDS)
def test_primitives_are_solids_that_a_hand_closes_around(kind: str, tmp_path: Path) -> None:
    sizes = set()
    for number, path in enumerate(write_primitives(tmp_path, 6, kinds=(kind,), seed=3)):
        model = load_object(path)
        assert model.watertight
        assert model.volume > 0.0
        assert 0.01 < model.extent.min() < 0.13
        assert model.extent.max() < 0.3
        vertices, _ = primitive_mesh(kind, number, seed=3)
        assert abs(vertices.min(axis=0) + vertices.max(axis=0)).max() < 1e-12
        sizes.add(tuple(model.extent.round(6)))
    assert len(sizes) == 6
