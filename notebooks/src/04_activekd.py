# %% [markdown]
# # The loop, and what each part of it buys
#
# <!-- badges: Colab and Binder -->
#
# **Question.** ActiveKD has a teacher, a student with two heads, a selector, and perhaps a teacher that learns too.
# Which of these parts brings how much, and how sure can you be after a few runs?
#
# **After this notebook you can**
#
# 1. run the loop live: start, pause, cancel, and continue from disk,
# 2. say what distillation buys, in accuracy and in labels, with an interval over seeds,
# 3. race selectors fairly, and let one of your own run,
# 4. let the teacher learn from the labels too, and check whether the student notices,
# 5. tell the protocols apart, and measure what each difference does.
#
# **You need** the quickstart (`00_quickstart`), and from `02_student` the two heads. No GPU, no network.
#
# **Time and memory**: on 2 quiet CPU cores the cells take 2 to 3 minutes for 42 short runs, 5 s once these are stored,
# and 1.2 GB; the last cell prints yours.

# %%
import numpy as np

import activekd_lab as akd
from activekd_lab import notebooks, stats
from activekd_lab.data.pool import initial_ids
from activekd_lab.plots.balance import class_balance_data
from activekd_lab.rng import generator

notebooks.start()

# %% [markdown]
# ## Settings
#
# Every comparison below repeats its runs with `seeds` seeds. Finished runs are kept in the folder `runs`, so a cell
# that you run again reads them.

# %% tags=["parameters"]
profile: str = "quick"  # smoke | quick | paper; smoke and paper set rounds and the length of training themselves
task: str = "shapes"  # which images, see `activekd-lab tasks`
selector: str = "pcoreset"  # who picks, see `activekd-lab selectors`
rounds: int = 6  # query rounds after the initial labels
seeds: int = 3  # runs of each kind
seed: int = 0  # the first of them

# %%
parameters = notebooks.read_parameters(globals(), also=("seeds",))
config = parameters.config
numbers = range(seed, seed + seeds)
parts = akd.ActiveRun(config).prepared
print(f"profile {parameters.profile}: {task}, {config.rounds} rounds, seeds {list(numbers)}")
print(f"teacher, zero-shot: {parts.teacher_accuracy:.1%} of the test images")

# %% [markdown]
# ## The loop, live
#
# A **round** trains a fresh student on the labels so far and on the teacher, measures it on test images, and lets the
# **selector** choose the next images to label. *Pause* waits for the end of a round, *Cancel* stops within it, and
# since every round is on disk, *Run* goes on where it stood.
#
# **Predict first**: each round buys the same number of labels. Will each bring the same gain?

# %%
live = akd.widgets.LiveRun(config, store="runs", teacher_accuracy=parts.teacher_accuracy)
live

# %% [markdown]
# The next cell presses *Run* for you, if you have not, and waits.

# %%
if live.worker.status == "ready":
    live.worker.run()
live.worker.join()
print(live.takeaway())

# %% [markdown]
# What is measured is the **mix** of two heads: `ce_weight` times the probabilities of the head that learned from
# labels, plus the rest times those of the head that learned from the teacher, whose logits are divided by
# `kd_temperature`.

# %% [markdown]
# ## What distillation buys
#
# The same runs with the teacher on two heads (DHO), with labels and teacher on *one* head, and on labels alone (one
# head, cross-entropy); and to see whether the selector matters for that, twice more with random picks.
#
# **Predict first**: how many points does the teacher bring at the first round, and how many at the last? How much of
# that needs the second head?

# %%
changes = {
    "with teacher": {},
    "one head": {"method": "single_head"},
    "labels only": {"method": "ce"},
    "with teacher, random picks": {"selector": "random"},
    "labels only, random picks": {"selector": "random", "method": "ce"},
}
runs = {name: [akd.run(config.with_(seed=s, **c), store="runs") for s in numbers] for name, c in changes.items()}
akd.plots.learning_curves([result for several in runs.values() for result in several])

# %% [markdown]
# In numbers, seed by seed: the gain at each label count, and its 95% interval (a t-interval over the seeds' own
# differences, so that what all runs of a seed share drops out). An interval around 0 would mean: not shown.

# %%
curves = {name: np.array([[r.accuracy for r in run.records] for run in several]) for name, several in runs.items()}
labels = [r.labels for r in runs["with teacher"][0].records]
for i, count in enumerate(labels):
    gain = stats.mean_interval((curves["with teacher"] - curves["labels only"])[:, i])
    print(f"{count:4d} labels: {gain.mean:+.1%} ({gain.low:+.1%} to {gain.high:+.1%})")
start = curves["with teacher"][:, 0].mean()
cost = stats.label_cost(labels, curves["labels only"].mean(0), start)
print(f"labels only reaches {start:.1%}, where the distilled student starts, after {cost:.0f} labels (inf: never here)")

# %% [markdown]
# One number for a whole curve is the **area** under it, divided by its width: the mean height, so a fraction again. It
# rewards being good early.

# %% [markdown] tags=["exercise-text"]
# ### Exercise 1 — the area under a learning curve
#
# Between two points the curve is a straight line. **Predict first**: two points, 10 labels at 40% and 30 labels at 60%;
# what is the area divided by the width?
#
# <details><summary>Hint</summary>
#
# A piece between two points is as wide as the step in labels and, on average, as high as the mean of its two ends.
# Label counts need not be evenly spaced, so the plain mean of the accuracies is something else.
#
# </details>


# %% tags=["exercise"]
def area(labels, accuracy):
    """Return the mean height of a learning curve from two arrays: (R,) rising label counts, (R,) accuracies, R ≥ 2."""
    ### BEGIN SOLUTION
    total = 0.0
    for i in range(1, len(labels)):
        total += (labels[i] - labels[i - 1]) * (accuracy[i] + accuracy[i - 1]) / 2
    return total / (labels[-1] - labels[0])
    ### END SOLUTION


# %%
akd.checks.check("04.area", area)

# %%
for name, several in curves.items():
    mean, spread = stats.mean_sd([stats.area(labels, curve) for curve in several])
    print(f"{name:28} area {mean:.1%} ± {spread:.1%}")

# %% [markdown]
# Which is larger, the gap between *with teacher* and *labels only*, or the one between selectors? The paper argues that
# distillation is what makes the student's probabilities worth selecting by. Then the gap between the selectors should
# be larger with the teacher than without. Is it here?
#
# ## The selector race
#
# A fair race starts everybody from the same labels and the same student (same seed), with the same budget. **Predict
# first**: who is ahead after the last round? Then press *play*, or move the slider.

# %%
racers = list(dict.fromkeys((config.selector, "random", "entropy", "coreset", "badge")))
race = {name: [akd.run(config.with_(selector=name, seed=s), store="runs") for s in numbers] for name in racers}
akd.widgets.SelectorRace([several[0] for several in race.values()])

# %% [markdown]
# That was one seed. Before we count over all of them: how **evenly** does a selector spread its labels over the
# classes? Take each class's share of the labels; the entropy of these shares, over the most that C classes allow, is
# 1 for the same number each and 0 when one class has them all.

# %% [markdown] tags=["exercise-text"]
# ### Exercise 2 — evenness
#
# Write that number. **Predict first**: 40 labels in two of four classes, 20 each; what is it?
#
# <details><summary>Hint</summary>
#
# Shares are counts over their sum. `torch.special.entr(p)` is −p log p, and 0 where p is 0. The most is log C.
#
# </details>


# %% tags=["exercise"]
import torch


def evenness(counts):
    """Return the entropy of the class shares over log C, a float in [0, 1], from (C,) label counts, C ≥ 2."""
    ### BEGIN SOLUTION
    share = counts / counts.sum()
    return float(torch.special.entr(share).sum() / torch.tensor(float(len(counts))).log())
    ### END SOLUTION


# %%
akd.checks.check("04.evenness", evenness)

# %% [markdown]
# Now all seeds, with the number of those in which a selector came first, and the evenness of its labels at the end.
# **Predict first**: who spreads them most evenly?

# %%
areas = {name: [stats.area(labels, [r.accuracy for r in run.records]) for run in race[name]] for name in racers}
won = np.argmax(list(areas.values()), axis=0)
for k, name in enumerate(racers):
    mean, spread = stats.mean_sd(areas[name])
    even = np.mean([class_balance_data(run).evenness[-1] for run in race[name]])
    firsts = f"first in {int((won == k).sum())} of {seeds} seeds"
    print(f"{name:14} area {mean:.1%} ± {spread:.1%}, {firsts}, evenness {even:.2f}")

# %% [markdown]
# If spreads overlap, the order may be luck; `07_compare` tests it. Where a pool is long-tailed, as that of `shapes` is,
# random picks are as uneven as the pool. Which classes got the labels of this selector, round by round? **Predict
# first**: which classes get the most, the common or the rare ones?

# %%
akd.plots.class_balance(race[config.selector][0])

# %% [markdown]
# A selector is a function of what the student says about the pool: it gets a **view** and a budget, and returns ids.

# %% [markdown] tags=["exercise-text"]
# ### Exercise 3 — a selector of your own
#
# Pick the images on which student and teacher disagree most: the largest sum over classes of |student − teacher|. When
# the check is happy, let it run: `akd.run(config, selector=disagreement).final_accuracy`, in a new cell. **Predict
# first**: will it beat random picks?
#
# <details><summary>Hint</summary>
#
# `view.probabilities` and `view.teacher_probabilities` are (N, C), a row for each unlabelled image. `topk` gives
# *positions* among those rows; `view.ids[positions]` are the ids.
#
# </details>


# %% tags=["exercise"]
def disagreement(view, budget, *, generator):
    """Return the (budget,) ids with the largest absolute difference between student and teacher, largest first."""
    ### BEGIN SOLUTION
    gaps = (view.probabilities - view.teacher_probabilities).abs().sum(1)
    positions = gaps.topk(budget).indices
    return view.ids[positions]
    ### END SOLUTION


# %%
akd.checks.check("04.disagreement", disagreement)

# %% [markdown]
# ## A teacher that learns from the labels
#
# So far the teacher was **zero-shot**: it knew class names only. A **few-shot** teacher uses the labels as well:
#
# - **CLAP** moves each class's text vector towards its labelled images, and holds it back where the zero-shot teacher
#   was right already,
# - **Tip-Adapter** keeps the labelled images, and lets those that look like the new one vote.
#
# How good is each on test images, with the labels that the selector bought up to the last round? And, as a control,
# with about as many labels drawn at random, the same number for each class? **Predict first**: does it matter which
# labels?

# %%
pool, test, C = parts.task.train, parts.task.test, parts.task.num_classes
bought = runs["with teacher"][0].labeled_ids(config.rounds)
each = min(len(bought) // C, int(pool.labels.bincount(minlength=C).min()))
drawn = initial_ids(pool, C, each, generator(seed, "even")).tolist()
print(f"{len(bought)} labels bought; {len(drawn)} drawn, {each} for each class")

# %%
seen = parts.teacher.encode(test)
teachers = {"zero-shot": parts.teacher_accuracy}
for method in (akd.CLAP, akd.TipAdapter):
    for name, ids in (("bought", bought), ("drawn", drawn)):
        draws = generator(seed, "teacher", name)
        head = method(parts.zero_shot).fit(parts.embeddings[ids], pool.labels[ids], generator=draws)
        right = head.logits(seen).argmax(1) == test.labels
        teachers[f"{method.__name__}, labels {name}"] = float(right.float().mean())
print("\n".join(f"{name:25} {accuracy:.1%}" for name, accuracy in teachers.items()))

# %% [markdown]
# A selector asks for unusual images, so what it buys is no fair sample of what the test holds. A method that lets every
# label vote, as Tip-Adapter does, feels this more than one that is held back.
#
# In the loop, the teacher is refit in each round, before the student is trained. **Predict first**: which student is
# best, and does the order of the teachers repeat itself?

# %%
taught = {"zero-shot": runs["with teacher"]}
for name in ("clap", "tip_adapter"):
    taught[name] = [akd.run(config.with_(few_shot=name, seed=s), store="runs") for s in numbers]
for name, several in taught.items():
    mean, spread = stats.mean_sd([stats.area(labels, [r.accuracy for r in run.records]) for run in several])
    last, around = stats.mean_sd([run.final_accuracy for run in several])
    print(f"{name:12} student: area {mean:.1%} ± {spread:.1%}, last round {last:.1%} ± {around:.1%}")

# %%
akd.plots.learning_curves([run for several in taught.values() for run in several])

# %% [markdown]
# Read it beside the teachers' table: what labels do for a teacher, and what such a teacher does for its student, are
# two questions. On labelled images it repeats what the label head hears anyway; elsewhere its *whole* probability
# vector counts, not only the answer on top.
#
# ## Protocols
#
# The paper and the code that its authors released do not agree everywhere:
#
# | | paper, and `corrected` (the default) | `released` |
# |---|---|---|
# | a few-shot teacher is refit | before the student | after it, so it lags one round |
# | BADGE | draws far gradients at random, the longest first | gradients of length 1, the farthest one each time |
# | α of the mix (ten data sets) | weight of the label head | weight of the teacher's head |
#
# Each row is a setting of its own: `protocol` moves the first, `selector_options={"protocol": "released"}` the
# second; the third is which head you give `ce_weight` to. BADGE itself draws images with a chance that grows with the
# distance of their gradient to those already picked, starting with the longest.
#
# **Predict first**: which of the three changes the result most?

# %%
pairs = {
    "few-shot teacher a round late": ({"few_shot": "clap"}, {"few_shot": "clap", "protocol": "released"}),
    "BADGE as released": ({"selector": "badge"}, {"selector": "badge", "selector_options": {"protocol": "released"}}),
    "α = 0.3 for the other head": ({"ce_weight": 0.3}, {"ce_weight": 0.7}),
}
effects = {}
for name, (before, after) in pairs.items():
    both = [[akd.run(config.with_(seed=s, **c), store="runs") for s in numbers] for c in (before, after)]
    area_of = [[stats.area(labels, [r.accuracy for r in run.records]) for run in several] for several in both]
    effects[name] = stats.mean_interval(np.subtract(area_of[1], area_of[0]))
    found = effects[name]
    print(f"{name:30} changes the area by {found.mean:+.1%} ({found.low:+.1%} to {found.high:+.1%})")

# %% [markdown]
# ActiveKD sets α to ½, where both readings are the same, so the last line only matters to those who tune it. An
# interval that holds 0 says: with these seeds, no effect can be told from luck. It does not say that there is none.
#
# ## What we learned
#
# 1. A round trains, measures and selects; what is on disk survives a pause, a cancel and a crash.
# 2. Distillation gains most where labels are few; a gain is a number with an interval, in accuracy or in labels.
# 3. A fair race shares start, student and budget; a selector is one function, and its lead is a matter for seeds.
# 4. Labels that a selector bought are no fair sample, so a few-shot teacher may gain or lose by them; measure both, it
#    and its student.
# 5. Papers and their code differ in details; name the protocol, and measure what each detail does.
#
# **Next.** Set `task = "digits"`, where the teacher is better and the classes are few: which of these findings stay?
# Then take it to your own images in `05_your_images`.

# %%
findings = {
    "areas": {name: stats.mean_sd(several) for name, several in areas.items()},
    "curves": {name: several.mean(0).tolist() for name, several in curves.items()},
    "labels": labels,
    "teachers": teachers,
    "protocols": {name: found._asdict() for name, found in effects.items()},
}
notebooks.finish(parameters, findings)
