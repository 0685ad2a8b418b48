"""Pretraining of r3d_mini: examples without emotions, a short run that learns, weights that load again."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from sklearn.metrics import r2_score

from mmsa_lib.backbones import R3D_MINI_WEIGHTS, build_r3d_mini
from mmsa_lib.errors import DataError
from mmsa_lib.mini import pretrain, random_faces
from mmsa_lib.mini.action_units import ACTION_UNITS
from mmsa_lib.mini.canvas import seeded
from mmsa_lib.mini.inflate import flat_twin, inflate
from mmsa_lib.mini.pretrain import ActionUnitRegressor, Recipe, Stage
from mmsa_lib.mini.world import SEED, cast

SHORT = Recipe(Stage(40, 8, 0, 3e-3, (0.36,)), Stage(12, 4, 0, 2e-3, (0.18, 0.27, 0.11)), held_out=6)


def regressor() -> ActionUnitRegressor:
    return ActionUnitRegressor(build_r3d_mini(), Recipe.clips.scale)


@pytest.fixture(scope="module")
def few():
    """Four clips, drawn once."""
    return [random_faces.draw_clip(index) for index in range(4)]


def test_example_has_the_networks_size_and_repeats_itself(few):
    frames, targets = few[0]
    assert frames.shape == (8, 64, 64, 3) and frames.dtype == np.uint8
    assert targets.shape == (3, len(ACTION_UNITS)) and targets.dtype == np.float32
    again = random_faces.draw_clip(0)
    assert (again[0] == frames).all() and (again[1] == targets).all()
    assert (few[1][0] != frames).any()


def test_targets_are_mean_apex_and_change():
    tracks = np.zeros((8, 2))
    tracks[4:, 0] = 0.8
    np.testing.assert_allclose(random_faces.targets_of(tracks), [[0.4, 0], [0.8, 0], [0.8, 0]], atol=1e-6)


def test_units_are_random_sets_not_prototypes():
    drawn = np.stack([random_faces.random_units(seeded(k)) for k in range(2000)])
    assert drawn.min() >= 0 and drawn.max() <= 1
    together = np.corrcoef((drawn > 0).T) - np.eye(len(ACTION_UNITS))
    usual = together[np.triu_indices(len(ACTION_UNITS), 1)].mean()
    assert np.abs(together - usual * (1 - np.eye(len(ACTION_UNITS)))).max() < 0.12  # no pair stands out


def test_characters_of_the_set_are_never_drawn():
    seeds = {person.seed for split in ("train", "dev", "test") for person in cast(split, SEED)}
    assert max(seeds) < random_faces.FIRST_SEED


def test_babble_is_a_mouth_track():
    times = np.linspace(0, 3, 40)
    tracks = [random_faces.babble(3.0, times, seeded(k)) for k in range(20)]
    assert all(track.shape == (40,) and track.min() >= 0 and track.max() <= 1 for track in tracks)
    assert np.mean(tracks) > 0.05


def test_frames_show_plain_units():
    frame, units = random_faces.draw_frame(3)
    assert frame.shape == (1, 64, 64, 3) and units.shape == (1, len(ACTION_UNITS))
    drawn = np.stack([random_faces.plain_units(seeded(k)) for k in range(300)])
    assert drawn[drawn > 0].min() >= 0.4 and 0.3 < (drawn > 0).mean() < 0.4


def test_reservoir_gives_the_newest_and_some_older_clips(few):
    reservoir = pretrain.Reservoir(iter(few), 4)
    reservoir.take(2)
    reservoir.take(2)
    frames, targets = reservoir.batch(5, 2, torch.Generator().manual_seed(1))
    assert targets.shape == (5, 3, len(ACTION_UNITS))
    torch.testing.assert_close(targets[:2], torch.from_numpy(np.stack([few[2][1], few[3][1]])))
    original = torch.from_numpy(few[2][0])
    assert torch.equal(frames[0], original) or torch.equal(frames[0], original.flip(2))


def test_flat_twin_and_inflated_network_agree_on_a_still_video():
    torch.manual_seed(0)
    network = build_r3d_mini()
    twin = flat_twin(network)
    inflate(twin, network)
    twin.eval(), network.eval()
    picture = torch.rand(2, 3, 64, 64)
    still = picture[:, :, None].expand(-1, -1, 9, -1, -1)
    flat = twin.stem(picture)
    grown = network.stem(still)
    torch.testing.assert_close(grown[:, :, 4], flat, atol=1e-5, rtol=1e-4)  # away from the padded ends
    assert twin.layer4(twin.layer3(twin.layer2(twin.layer1(flat)))).shape == (2, 128, 4, 4)
    assert all(not isinstance(module, torch.nn.Conv3d) for module in twin.modules())
    assert isinstance(network.stem[0], torch.nn.Conv3d)  # the original keeps its shape


@pytest.mark.end_to_end
def test_short_pretraining_learns_more_than_the_mean():
    model, losses = pretrain.train(SHORT, jobs=0, progress=False)
    assert not model.training and [len(values) for values in losses.values()] == [40, 12]
    units = np.stack([random_faces.draw_frame(index)[1] for index in range(SHORT.frames.batch)])
    constant = np.square((units - units.mean(0)) / SHORT.frames.scale).mean()  # the best without looking
    assert np.mean(losses["frames"][-5:]) < 0.5 * constant
    assert np.mean(losses["clips"][-3:]) < 0.8 * np.mean(losses["clips"][:3])


def test_score_names_every_unit():
    torch.manual_seed(0)
    table = pretrain.score(regressor().eval(), Recipe(held_out=4), jobs=0)
    assert set(table) == {"mean", "apex", "change"}
    assert set(table["mean"]) == {f"AU{unit}" for unit in ACTION_UNITS}


def test_agreement_is_r2_and_pearson():
    truth = np.random.default_rng(0).normal(size=(50, 3))
    guess = 0.5 * truth + np.random.default_rng(1).normal(size=(50, 3))
    truth[:, 2] = 1.0
    r2, r = pretrain.agreement(guess, truth)
    np.testing.assert_allclose(r[0], np.corrcoef(guess[:, 0], truth[:, 0])[0, 1])
    np.testing.assert_allclose(r2[0], r2_score(truth[:, 0], guess[:, 0]))
    assert r2[2] == r[2] == 0


def test_examples_come_in_order_from_other_processes_too():
    wanted = [random_faces.draw_clip(index)[1] for index in (3, 4)]
    drawn = [targets for _, targets in random_faces.examples(random_faces.draw_clip, range(3, 5), 0, jobs=1)]
    np.testing.assert_array_equal(drawn, wanted)


def test_saved_weights_load_into_the_backbone(tmp_path):
    model = regressor()
    report = pretrain.make_report(SHORT, {"frames": [1.0, 0.5]}, {"mean": {"AU1": {"r2": 0.5, "r": 0.7}}})
    out = tmp_path / "new" / "r3d.safetensors"
    pretrain.save(model, report, out)
    assert out.stat().st_size < 5e6
    state = {name: tensor.float() for name, tensor in load_file(out).items()}
    backbone = build_r3d_mini()
    backbone.load_state_dict(state)
    torch.testing.assert_close(backbone.stem[0].weight, model.backbone.stem[0].weight, atol=1e-3, rtol=1e-3)
    assert json.loads(out.with_suffix(".json").read_text()) == json.loads(json.dumps(report))
    with safe_open(out, "pt") as file:
        assert json.loads(file.metadata()["recipe"])["clips"]["steps"] == SHORT.clips.steps
    assert sorted(path.name for path in out.parent.iterdir()) == ["r3d.json", "r3d.safetensors"]


def test_weights_need_their_suffix(tmp_path):
    with pytest.raises(DataError, match=r"r3d\.bin"):
        pretrain.save(regressor(), {}, tmp_path / "r3d.bin")


def test_weights_in_the_repository_are_the_ones_reported():
    report = json.loads(R3D_MINI_WEIGHTS.with_suffix(".json").read_text())
    assert R3D_MINI_WEIGHTS.stat().st_size < 5e6
    with safe_open(R3D_MINI_WEIGHTS, "pt") as file:
        assert json.loads(file.metadata()["held_out_average"]) == report["held_out_average"]
    assert report["held_out_average"]["apex"]["r"] > 0.6
