"""Drawn faces: curves, action units, and that a face shows its own cue and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from mmsa_lib.labels import EMOTIONS
from mmsa_lib.mini import face
from mmsa_lib.mini.action_units import ACTION_UNITS, AU_INDEX, PROTOTYPES, expression, timeline
from mmsa_lib.mini.canvas import Canvas, ellipse_points, mix, seeded, smooth, taper
from mmsa_lib.mini.characters import draw_character
from mmsa_lib.mini.look import GARMENTS, Head, Pose, look_of
from mmsa_lib.mini.motion import head_and_eyes
from mmsa_lib.mini.plan import BEARDS, FACE_SHAPES, HAIR_STYLES, Cue, UtterancePlan
from mmsa_lib.mini.scene import make_scene

NEUTRAL = Cue("neutral", 0.0, 0, "absent")
PERSON = replace(draw_character("Ada", 11, "female", "adult"), hair_style="bun", glasses=False, face_shape="oval")


def plan_of(video: Cue, seed: int = 5, **changes) -> UtterancePlan:
    plan = UtterancePlan("train", 0, 0, PERSON, "Hello.", "joy", "positive", video, NEUTRAL, NEUTRAL, seed)
    return replace(plan, **changes)


def drawn(units: dict, **options) -> np.ndarray:
    scene = make_scene(PERSON, (1, 2))
    scene = replace(scene, centre=(56.0, 54.0), scale=27.0)
    return face.draw_face(PERSON, units, scene=scene, **options).astype(int)


def changed_rows(first: np.ndarray, second: np.ndarray) -> tuple[int, int]:
    rows = np.flatnonzero(np.abs(first - second).max((1, 2)) > 25)
    return int(rows[0]), int(rows[-1])


# ------------------------------------------------------------------------------------------ canvas


def test_smooth_passes_through_its_control_points():
    points = np.array([(0.0, 0.0), (3.0, 1.0), (4.0, 5.0), (9.0, 2.0)])
    curve = smooth(points, steps=5)
    assert len(curve) == 16
    np.testing.assert_allclose(curve[::5], points, atol=1e-12)
    np.testing.assert_allclose(smooth(points, closed=True, steps=5)[::5], points, atol=1e-12)


def test_smooth_of_a_straight_line_stays_on_it():
    curve = smooth([(0.0, 0.0), (1.0, 2.0), (2.0, 4.0), (3.0, 6.0)])
    np.testing.assert_allclose(curve[:, 1], 2 * curve[:, 0], atol=1e-12)


def test_taper_of_coinciding_points_and_no_width_is_finite():
    assert np.isfinite(taper(np.zeros((4, 2)), (1.0, 2.0))).all()
    line = np.array([(0.0, 0.0), (1.0, 0.0), (2.0, 0.0)])
    np.testing.assert_allclose(taper(line, (0.0, 0.0)), np.concatenate([line, line[::-1]]))
    np.testing.assert_allclose(np.ptp(taper(line, (2.0, 2.0))[:, 1]), 2.0)


def test_fill_is_antialiased_and_has_the_right_area():
    canvas = Canvas(40)
    canvas.ellipse((20, 20), (10.3, 7.1), (255, 255, 255))
    picture = canvas.finish()[..., 0] / 255
    assert picture.sum() == pytest.approx(np.pi * 10.3 * 7.1, rel=0.03)
    assert ((picture > 0.05) & (picture < 0.95)).sum() > 20


def test_blend_mixes_by_alpha_and_leaves_the_rest():
    canvas = Canvas(4, supersample=1)
    canvas.image[:] = 100
    alpha = np.zeros((4, 4), np.uint8)
    alpha[1, 1], alpha[2, 2] = 255, 128
    canvas.blend(alpha, (200, 0, 100))
    assert canvas.image[1, 1].tolist() == [200, 0, 100]
    assert np.abs(canvas.image[2, 2].astype(int) - [150, 50, 100]).max() <= 1
    assert canvas.image[0, 0].tolist() == [100, 100, 100]
    canvas.blend(np.zeros((4, 4), np.uint8), (0, 0, 0))  # nothing to paint
    assert canvas.image[1, 1].tolist() == [200, 0, 100]


def test_clipped_paint_stays_inside_the_outline():
    canvas = Canvas(20, supersample=1)
    square = np.array([(5, 5), (10, 5), (10, 10), (5, 10)], dtype=float)
    canvas.clipped(square, lambda c: c.ellipse((10, 10), (30, 30), (9, 9, 9)))
    assert canvas.image[7, 7, 0] == 9
    assert canvas.image[3, 3, 0] == 0 and canvas.image[13, 13, 0] == 0
    canvas.clipped(square - 100, lambda c: c.ellipse((0, 0), (5, 5), (1, 1, 1)))  # off the picture


def test_mix_and_turned_ellipse():
    assert mix((0, 0, 0), (100, 200, 50), 0.5) == (50, 100, 25)
    tall = ellipse_points((0, 0), (4, 1), np.pi / 2)
    np.testing.assert_allclose(np.ptp(tall, axis=0), (2, 8), atol=1e-9)


def test_head_without_a_turn_only_scales():
    head = Head(Pose(), (50.0, 40.0), 10.0, 1.0)
    np.testing.assert_allclose(head.at([(1.0, -2.0)], 0.3), [(60.0, 20.0)])
    turned = Head(Pose(yaw=0.3), (50.0, 40.0), 10.0, 1.0)
    assert turned.at([(0.0, 0.0)])[0, 0] > 51  # the nose's side goes to the right


# ------------------------------------------------------------------------------------ action units


def test_each_unit_moves_its_own_part_of_the_face():
    still = drawn({})
    for unit in (1, 2, 4):
        assert changed_rows(still, drawn({unit: 1.0}))[1] < 60, f"AU{unit} should stay above the eyes"
    for unit in (12, 15, 17, 20, 23, 25, 26):
        assert changed_rows(still, drawn({unit: 1.0}))[0] > 55, f"AU{unit} should stay below the eyes"
    for unit in ACTION_UNITS:
        assert np.abs(drawn({unit: 1.0}) - still).max() > 40, f"AU{unit} shows nothing"


def test_units_show_in_proportion():
    still = drawn({})
    for unit in (4, 12, 5):
        sizes = [np.abs(drawn({unit: a}) - still).sum() for a in (0.2, 0.5, 1.0)]
        assert 0 < sizes[0] < sizes[1] < sizes[2]


def test_mouth_and_blink_are_visible():
    still = drawn({})
    assert changed_rows(still, drawn({}, mouth_open=1.0))[0] > 65
    low, high = changed_rows(still, drawn({}, blink=1.0))
    assert low > 40 and high < 62


def test_array_and_mapping_give_the_same_face():
    units = np.linspace(0, 1, len(ACTION_UNITS))
    assert (drawn(units) == drawn(dict(zip(ACTION_UNITS, units.tolist(), strict=True)))).all()


def test_neutral_shows_little_and_strength_shows_more():
    size = {
        s: np.mean([expression(Cue("anger", s, -1, "clear"), seeded(s_, 0)).sum() for s_ in range(200)])
        for s in (0.0, 0.35, 0.8)
    }
    assert size[0.0] < 0.5 < size[0.35] < size[0.8]
    assert max(expression(NEUTRAL, seeded(k)).max() for k in range(200)) <= 0.25


def test_strong_expressions_are_nearest_to_their_own_prototype():
    ideal = np.zeros((len(EMOTIONS), len(ACTION_UNITS)))
    for row, emotion in zip(ideal, EMOTIONS, strict=True):
        for unit, (amplitude, odds) in PROTOTYPES[emotion].items():
            row[AU_INDEX[unit]] = 0.8 * amplitude * odds
    hits = [
        np.square(ideal - expression(Cue(e, 0.8, 1, "clear"), seeded(k, i))).sum(1).argmin() == i
        for i, e in enumerate(EMOTIONS)
        for k in range(40)
    ]
    assert np.mean(hits) > 0.85


def test_surprise_has_two_faces():
    def mean(valence):
        return np.mean([expression(Cue("surprise", 1.0, valence, "clear"), seeded(k)) for k in range(100)], axis=0)

    assert mean(1)[AU_INDEX[12]] > mean(-1)[AU_INDEX[12]] + 0.2
    assert mean(-1)[AU_INDEX[4]] > mean(1)[AU_INDEX[4]] + 0.1


def test_timeline_rises_to_the_apex_and_stays_in_range():
    times = np.arange(40) / 12.5
    for k in range(20):
        tracks = timeline(np.full(len(ACTION_UNITS), 0.9), times, seeded(k))
        assert tracks.shape == (40, len(ACTION_UNITS))
        assert tracks.min() >= 0 and tracks.max() <= 1
        assert np.median(tracks.max(0)) > 0.7
    assert timeline(np.zeros(3), times, seeded(0)).max() == 0
    assert timeline(np.ones(3), times[:1], seeded(0)).shape == (1, 3)


# ------------------------------------------------------------------------------------------- clips


def test_clip_has_the_promised_shape_and_repeats_itself():
    plan = plan_of(Cue("joy", 0.8, 1, "clear"))
    frames, fps = face.draw(plan, 0.8, np.full(80, 0.3), 100.0)
    assert frames.shape == (10, 112, 112, 3) and frames.dtype == np.uint8 and fps >= 12
    assert (frames == face.draw(plan, 0.8, np.full(80, 0.3), 100.0)[0]).all()
    assert (frames != face.draw(replace(plan, seed=6), 0.8, np.full(80, 0.3), 100.0)[0]).any()


def test_clip_shows_the_video_cue_and_nothing_else():
    plan = plan_of(Cue("joy", 0.8, 1, "clear"))
    other = Cue("anger", 1.0, -1, "clear")
    disguised = replace(
        plan, emotion="anger", sentiment="negative", audio=other, text_cue=other, text="No!", split="test"
    )
    first, second = (face.draw(p, 0.3, np.zeros(30), 100.0)[0] for p in (plan, disguised))
    assert (first == second).all()
    assert (first != face.draw(replace(plan, video=other), 0.3, np.zeros(30), 100.0)[0]).any()


@pytest.mark.parametrize("duration", [0.0, 0.01])
def test_shortest_clip_has_one_frame(duration):
    assert face.draw(plan_of(NEUTRAL), duration, np.zeros(0), 100.0)[0].shape == (1, 112, 112, 3)


def test_lips_follow_the_sound():
    envelope = np.zeros(200)
    envelope[100:150] = 1.0
    times = (np.arange(25) + 0.5) / face.FPS
    track = face._mouth_track(envelope, 100.0, times)
    np.testing.assert_allclose(track[times < 0.95], 0)
    np.testing.assert_allclose(track[(times > 1.05) & (times < 1.45)], 1)
    assert face._mouth_track(envelope, 100.0, np.array([99.0]))[0] == 0


def test_light_and_colour_do_not_give_the_emotion_away():
    means = {}
    for emotion in EMOTIONS:
        units = {unit: amplitude for unit, (amplitude, _) in PROTOTYPES[emotion].items()}
        means[emotion] = drawn(units).mean((0, 1))
    spread = np.ptp(list(means.values()), axis=0)
    assert spread.max() < 2.5, spread  # of 255 levels; scenes differ by about 20


def test_head_and_eyes_are_smooth_and_bounded():
    times = np.arange(50) / 12.5
    motion = head_and_eyes(NEUTRAL, times, np.zeros(50), seeded(3))
    assert len(motion.poses) == 50 and motion.gaze.shape == (50, 2)
    assert np.abs(motion.gaze).max() <= 1 and motion.blink.min() >= 0 and motion.blink.max() <= 1
    yaw = np.array([pose.yaw for pose in motion.poses])
    assert np.abs(np.diff(yaw)).max() < 0.08 and np.abs(yaw).max() < 0.7
    assert len(head_and_eyes(NEUTRAL, times[:1], np.zeros(1), seeded(0)).poses) == 1


@pytest.mark.parametrize("k", range(8))
def test_every_style_can_be_drawn_in_any_pose(k):
    person = replace(
        draw_character("Eve", 100 + k),
        hair_style=HAIR_STYLES[k],
        face_shape=FACE_SHAPES[k % len(FACE_SHAPES)],
        beard=BEARDS[k % len(BEARDS)],
        glasses=k % 2 == 0,
        background=k,
    )
    pose = Pose(yaw=(-1) ** k * 0.4, pitch=0.2, roll=-0.2, x=0.2, y=-0.2)
    frame = face.draw_face(person, np.ones(len(ACTION_UNITS)), mouth_open=1, pose=pose, size=64)
    assert frame.shape == (64, 64, 3) and frame.std() > 15


def test_characters_differ_but_keep_their_look():
    looks = [look_of(draw_character("X", k)) for k in range(30)]
    assert {look.garment for look in looks} == set(GARMENTS)
    assert look_of(PERSON) == look_of(PERSON)
