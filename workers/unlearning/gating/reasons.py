"""Why a candidate does not pass, in sentences that stand on the run and are read by people."""

from collections.abc import Mapping

from models.documents import Closeness, Rule
from workers.unlearning.cohorts import Cohort
from workers.unlearning.gating.pooling import Pooled
from workers.unlearning.probing.observation import Observed
from workers.unlearning.probing.probe import Probe
from workers.unlearning.probing.standing import Standing
from workers.unlearning.verification import most_left

# Of more cohorts than that the others are counted.
MOST_NAMES = 10


def shortfall(cohort: Cohort, standing: Standing, probe: Probe) -> str:
    """Why a cohort that could be judged is not forgotten."""
    if standing.rule is Rule.CHANCE:
        assert standing.recognised is not None
        return (
            f"{cohort.title}: nothing or next to nothing of it stays, and "
            f"{100 * standing.recognised.value:.1f} % of {standing.recognised.count} "
            f"{standing.recognised_on} samples of it are still recognised; at most "
            f"{100 * most_left(probe.num_classes, standing.recognised.count):.1f} % may be."
        )
    if standing.rule is Rule.EXPECTED:
        assert standing.recognised is not None
        assert standing.expected is not None
        more = "more" if standing.closeness is Closeness.FAMILIAR else "fewer"
        which = "forgotten samples"
        if standing.recognised_on == "unseen":
            which = "unseen samples like the forgotten ones"
        return (
            f"{cohort.title}: {100 * standing.recognised.value:.1f} % of "
            f"{standing.recognised.count} {which} are recognised, {more} than by a network that "
            f"was never taught them; about {100 * standing.expected:.1f} % are expected of one."
        )
    return _alone(cohort, standing, standing.closeness, probe)


def apart(standings: Mapping[Cohort, Standing], probe: Probe) -> list[str]:
    """Of which cohorts the attack tells the samples from unseen ones although they are a loss."""
    return [
        _alone(cohort, standing, standing.apart, probe)
        for cohort, standing in standings.items()
        if standing.apart is not None
    ]


def together(pooled: Pooled | None) -> list[str]:
    """Why cohorts of which none shows anything alone are not forgotten; nothing if they are."""
    if pooled is None or pooled.standing.accepted:
        return []
    names = sorted((cohort.name for cohort in pooled.cohorts), key=lambda name: (len(name), name))
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    them = (
        f"{len(names)} cohorts that show nothing one by one ({', '.join(names[:MOST_NAMES])}{more})"
    )
    if pooled.standing.attack is None:
        return [f"{them}: there is nothing left to compare their forgotten samples with."]
    looks = _looks(pooled.standing, pooled.standing.closeness, "of their labels")
    return [f"{them}: all their forgotten samples together look {looks}"]


def _alone(cohort: Cohort, standing: Standing, side: Closeness, probe: Probe) -> str:
    like = "of their kind" if cohort in probe.kinds else "of their labels"
    return f"{cohort.title}: the forgotten samples look {_looks(standing, side, like)}"


def _looks(standing: Standing, side: Closeness, like: str) -> str:
    if standing.by_gap:
        return _recognised(standing, side, like)
    assert standing.attack is not None
    area = standing.attack.area
    looks = "more familiar" if side is Closeness.FAMILIAR else "stranger"
    return (
        f"{looks} than unseen ones {like}; the loss-based attack has an area of {area.value:.3f} "
        f"({area.low:.3f} to {area.high:.3f}) on {area.count} of them, and 0.5 would be no "
        "difference."
    )


def _recognised(standing: Standing, side: Closeness, like: str) -> str:
    assert standing.gap is not None
    assert standing.accuracy is not None
    how, more = ("more familiar", "more") if side is Closeness.FAMILIAR else ("stranger", "fewer")
    gap = standing.gap
    return (
        f"{how} than unseen ones {like}; {100 * standing.accuracy.value:.1f} % of them are "
        f"recognised, {100 * abs(gap.gap):.1f} points {more} than of those, which would be chance "
        f"in {100 * gap.chance:.2g} % of cases."
    )


def undecided(cohort: Cohort, standing: Standing, *, min_probe: int) -> str:
    """Why a cohort could not be judged."""
    if standing.rule is not Rule.LIKE_UNSEEN:
        count, what = standing.recognised.count if standing.recognised else 0, "looked at"
    elif standing.attack and standing.attack.unseen >= min_probe:
        return (
            f"{cohort.title}: {standing.attack.unmatched} of its forgotten samples, which is most "
            "of them, are of labels without unseen samples to compare them with."
        )
    else:
        count, what = standing.attack.unseen if standing.attack else 0, "to compare with"
    return (
        f"{cohort.title}: there are {count} samples {what}, and the policy wants at least "
        f"{min_probe} to decide by."
    )


def unmeasured(probe: Probe, candidate: Observed, *, min_probe: int) -> list[str]:
    """Why it cannot be told what a candidate costs, if it cannot."""
    counts = {
        "The retained probe": len(candidate.at(probe.retained)),
        "The holdout of labels that are still retained": len(probe.undamaged(candidate)),
    }
    return [
        f"{what} has {count} samples to look at; the policy wants at least {min_probe} to tell the "
        "damage by."
        for what, count in counts.items()
        if count < min_probe
    ]
