"""The stream of events that every side gets, and the exact answers to what is asked about it."""

from collections import Counter

import numpy

GOAL = "purchase"
# In the order of how often they happen: the nth as often as 1 / n.
NAMES = ["view", "search", "details", "add to cart", "log in", GOAL, "review", "wish", "share", "compare", "coupon", "return"]
USERS = 200_000
SEED = 42


def write(path, events):
    """Every user comes once, at any time; all else is Zipf, so that a few do most. An event's time is its place."""
    random = numpy.random.default_rng(SEED)
    users = min(USERS, events)
    user = numpy.concatenate([numpy.arange(users), zipf(random, users, events - users)])
    random.shuffle(user)
    with open(path, "wb") as file:
        zipf(random, len(NAMES), events).astype("<u4").tofile(file)
        user.astype("<u4").tofile(file)


def zipf(random, kinds, size):
    reached = numpy.cumsum(1 / numpy.arange(1, kinds + 1))
    return numpy.searchsorted(reached, random.random(size) * reached[-1])


def read(path):
    """The events' names and the ids of their users, as two lists."""
    name, user = numpy.fromfile(path, dtype="<u4").reshape(2, -1)
    ids = [f"user-{number}" for number in range(user.max() + 1)]
    return [NAMES[number] for number in name], [ids[number] for number in user]


def answer(path):
    """Unique users per event; and how many users had done which events before the goal."""
    done = {}
    unique, combinations = Counter(), Counter()
    for name, user in zip(*read(path)):
        before = done.get(user, frozenset())
        if name in before:
            continue
        unique[name] += 1
        if name == GOAL:
            combinations[before] += 1
        done[user] = before | {name}
    return unique, combinations
