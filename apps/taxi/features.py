"""Row-level features of a taxi trip: TensorFlow ops on the raw columns, exported inside the model."""

import math

import tensorflow as tf

EARTH_RADIUS_MILES = 3958.8
FASTEST_MPH = 90.0  # speeds above are errors of the meter


def features(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Return what the raw columns do not say by themselves.

    Each input has the shape (n,): float64 (NaN is missing) or string ("" is missing).
    """
    straight = distance_miles(
        inputs["pickup_latitude"],
        inputs["pickup_longitude"],
        inputs["dropoff_latitude"],
        inputs["dropoff_longitude"],
    )
    miles, hours = inputs["trip_miles"], inputs["trip_seconds"] / 3600.0
    sine, cosine = around_the_clock(inputs["trip_start_hour"])
    return {
        "straight_miles": straight,
        "speed_mph": tf.minimum(tf.math.divide_no_nan(miles, hours), FASTEST_MPH),
        "fare_per_mile": tf.math.divide_no_nan(inputs["fare"], miles),
        "hour_sine": sine,
        "hour_cosine": cosine,
        "weekend": tf.equal(inputs["trip_start_day"], 1.0) | tf.equal(inputs["trip_start_day"], 7.0),
    }


def distance_miles(lat1: tf.Tensor, lon1: tf.Tensor, lat2: tf.Tensor, lon2: tf.Tensor) -> tf.Tensor:
    """Return the great-circle distance of two points given in degrees (haversine formula)."""
    degree = math.pi / 180.0
    across = tf.sin((lat2 - lat1) * degree / 2) ** 2
    along = tf.cos(lat1 * degree) * tf.cos(lat2 * degree) * tf.sin((lon2 - lon1) * degree / 2) ** 2
    return 2 * EARTH_RADIUS_MILES * tf.asin(tf.sqrt(tf.clip_by_value(across + along, 0.0, 1.0)))


def around_the_clock(hour: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the hour as a point on a circle, so that 23 and 0 are neighbours."""
    angle = hour * (2 * math.pi / 24)
    return tf.sin(angle), tf.cos(angle)
