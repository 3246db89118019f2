# SPDX-License-Identifier: BSD-2-Clause
"""Runs in turns: what disturbs the machine for a while disturbs all alike."""
import statistics
import time

PAUSE = 0.01  # threads that spin after a run have gone to sleep
LEAST_ROUNDS, MOST_ROUNDS = 5, 100
HOPELESS = 6  # times as slow as the fastest: not worth more rounds


RUN_SECONDS, MOST_CALLS = 0.02, 10


def calls_for(seconds):
    """Calls in a run, where a run may be several."""
    return max(1, min(MOST_CALLS, int(RUN_SECONDS / seconds)))


class WallClock:
    """Seconds that the caller waits."""

    calls = 1

    def time(self, call):
        start = time.perf_counter()
        call()
        return time.perf_counter() - start


class Times:
    """Seconds of a runner's timed runs, as who called it waits; of clattn also as the device saw them."""

    def __init__(self):
        self.wall, self.device = [], []

    def add(self, runner, seconds):
        self.wall.append(seconds)
        self.device.append(getattr(runner, "device_seconds", seconds))

    @property
    def median(self):
        return statistics.median(self.wall)

    @property
    def device_median(self):
        return statistics.median(self.device)


def take_turn(runner, times):
    """A run that warms caches and wakes threads, and then the one that counts."""
    time.sleep(PAUSE)
    runner.run()
    times.add(runner, runner.run())


def measure(runners, seconds, most_rounds=MOST_ROUNDS):
    """{name: Times}. The first round counts only for what is not worth another."""
    first = {runner.name: Times() for runner in runners}
    for runner in runners:
        runner.run()
        take_turn(runner, first[runner.name])
    limit = HOPELESS * min(times.median for times in first.values())
    going = [runner for runner in runners if runner.name == "clattn" or first[runner.name].median <= limit]
    calls = lambda runner: getattr(runner, "clock", WallClock).calls
    of_a_round = sum(2 * calls(runner) * first[runner.name].median + PAUSE for runner in going)
    rounds = max(LEAST_ROUNDS, min(most_rounds, int(seconds / of_a_round)))
    found = {**first, **{runner.name: Times() for runner in going}}
    for number in range(rounds):
        start = number % len(going)  # nobody always follows the same one
        for runner in going[start:] + going[:start]:
            take_turn(runner, found[runner.name])
    return found
