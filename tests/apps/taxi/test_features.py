import importlib.util
from pathlib import Path

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

FILE = Path(__file__).parents[3] / "apps/taxi/features.py"
spec = importlib.util.spec_from_file_location("taxi_features", FILE)
taxi = importlib.util.module_from_spec(spec)
spec.loader.exec_module(taxi)

TRIP = {
    "pickup_latitude": 41.8786,  # Willis Tower
    "pickup_longitude": -87.6359,
    "dropoff_latitude": 41.9786,  # O'Hare
    "dropoff_longitude": -87.9048,
    "trip_miles": 18.0,
    "trip_seconds": 2160.0,
    "fare": 45.0,
    "trip_start_hour": 6.0,
    "trip_start_day": 7.0,
}


def features(**changes):
    row = {name: tf.constant([value], tf.float64) for name, value in {**TRIP, **changes}.items()}
    return {name: tensor.numpy()[0] for name, tensor in taxi.features(row).items()}


def test_a_trip_to_the_airport():
    found = features()
    assert found["straight_miles"] == pytest.approx(15.46, abs=0.05)
    assert found["speed_mph"] == pytest.approx(30.0)
    assert found["fare_per_mile"] == pytest.approx(2.5)
    assert (found["hour_sine"], found["hour_cosine"]) == pytest.approx((1.0, 0.0))
    assert found["weekend"]


def test_one_degree_of_latitude_is_69_miles():
    zero = tf.constant([0.0], tf.float64)
    assert taxi.distance_miles(zero, zero, zero + 1.0, zero).numpy()[0] == pytest.approx(69.09, abs=0.01)


def test_the_hours_before_and_after_midnight_are_neighbours():
    sine, cosine = taxi.around_the_clock(tf.constant([23.0, 0.0, 1.0], tf.float64))
    points = np.stack([sine, cosine], axis=1)
    assert np.linalg.norm(points[0] - points[1]) == pytest.approx(np.linalg.norm(points[1] - points[2]))


def test_trip_of_no_time_and_no_distance_has_finite_features():
    found = features(trip_miles=0.0, trip_seconds=0.0, dropoff_latitude=41.8786, dropoff_longitude=-87.6359)
    assert (found["straight_miles"], found["speed_mph"], found["fare_per_mile"]) == (0.0, 0.0, 0.0)


def test_missing_coordinates_give_a_missing_distance():
    assert np.isnan(features(dropoff_latitude=np.nan)["straight_miles"])


def test_broken_meter_is_held_at_the_fastest_speed():
    assert features(trip_seconds=1.0)["speed_mph"] == taxi.FASTEST_MPH
