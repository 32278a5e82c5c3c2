# %% [markdown]
# # The loop, and what each part of it buys
#
# <!-- badges: Colab and Binder -->
#
# One good run convinces nobody at the trust. Mira repeats hers with other seeds, takes the parts away one by one, and
# moves to a harder task: four times as many classes, and a teacher who knows them better than her labels do.
#
# **Question.** ActiveKD has a teacher, a student with two heads, a selector, and perhaps a teacher that learns too.
# Which of these parts brings how much, and how sure can you be after a few runs?
#
# **After this notebook you can**
#
# 1. run the loop live: start, pause, cancel, and continue from disk,
# 2. say what distillation buys, in accuracy and in labels, with an interval over seeds,
# 3. race selectors fairly, and let one of your own run,
# 4. let the teacher learn from the labels too, and check whether the student notices.
#
# **You need** the quickstart (`00_quickstart`), and from `02_student` the two heads. No GPU, no network.
#
# **Time and memory**: on 2 quiet CPU cores the cells take about 4 minutes for 33 short runs and 84 trainings beside them,
# half of it once the runs are stored, and 1.2 GB; the last cell prints yours.

# %% [markdown]
# <!-- diagram: rounds -->

# %%
import warnings

import numpy as np
import pandas as pd

import activekd_lab as akd
from activekd_lab import stats
from activekd_lab.course import notebooks
from activekd_lab.course.experiments import students
from activekd_lab.course.experiments.ceilings import Ceilings, ceilings
from activekd_lab.active.pool import initial_ids
from activekd_lab.plots.balance import class_balance_data
from activekd_lab.rng import generator

notebooks.start("rounds")

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
parts = akd.prepare(config)
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
curve = [record.accuracy for record in akd.run(config, store="runs").records]  # the same run, read from disk
print("points gained, round by round:", ", ".join(f"{gain:+.1f}" for gain in 100 * np.diff(curve)))

# %% [markdown]
# A round may even lose: each one trains a fresh student on other labels, and this is one seed. Means over seeds are smoother.
#
# ## What distillation buys
#
# The same runs with the teacher on two heads (DHO), with labels and teacher on *one* head, and on labels alone (one
# head, cross-entropy); and to see whether the selector matters for that, twice more with random picks.
#
# **Predict first**: how much of the teacher's gain needs the second head? And:

# %%
gained = akd.widgets.Predict(
    "04.gained", "How many points does the teacher bring at the first round?", (-10, 40), within=3
)
gained

# %%
changes = {
    "with teacher": {},
    "one head": {"method": "single_head"},
    "labels only": {"method": "ce"},
    "with teacher, random picks": {"selector": "random"},
    "labels only, random picks": {"selector": "random", "method": "ce"},
}
runs = {name: [akd.run(config.with_(seed=s, **c), store="runs") for s in numbers] for name, c in changes.items()}
akd.plots.learning_curves({name: several for name, several in runs.items() if "random" not in name})

# %% [markdown]
# (The two with random picks are kept for a question further down.) In numbers, seed by seed: the gain at each label count, and its 95% interval (a t-interval over the seeds' own
# differences, so that what all runs of a seed share drops out). An interval around 0 would mean: not shown.

# %%
curves = {name: np.array([[r.accuracy for r in run.records] for run in several]) for name, several in runs.items()}
labels = [r.labels for r in runs["with teacher"][0].records]
for i, count in enumerate(labels):
    gain = stats.mean_interval(100 * (curves["with teacher"] - curves["labels only"])[:, i])
    print(f"{count:4d} labels: {gain.mean:+.1f} points ({gain.low:+.1f} to {gain.high:+.1f})")
start = curves["with teacher"][:, 0].mean()
cost = stats.label_cost(labels, curves["labels only"].mean(0), start)
print(f"labels only reaches {start:.1%}, where the distilled student starts, after {cost:.0f} labels (inf: never here)")
gained.reveal(100 * (start - curves["labels only"][:, 0].mean()))

# %% [markdown]
# ## Why are two heads below the teacher?
#
# On land seen from above (`00_quickstart`) the first labels lifted the student over its teacher. Here the dashed level,
# the teacher itself, stays above the student with two heads. And the question from before is open: how much of the gain
# needs the second head? The heads at the first and at the last round, as means over the seeds:

# %%
print(f"teacher, zero-shot: {parts.teacher_accuracy:.1%}")
for at, name in ((at, name) for at in (0, -1) for name in ("with teacher", "one head", "labels only")):
    ends = [run.records[at] for run in runs[name]]
    answer, ce, kd = (np.mean([getattr(r, k) for r in ends]) for k in ("accuracy", "ce_accuracy", "kd_accuracy"))
    print(f"{labels[at]:4d} labels, {name:13}{answer:.1%}", end=", " if ce != kd else "\n")
    if ce != kd:
        print(f"label head {ce:.1%}, teacher's head {kd:.1%}")
for name in ("with teacher", "one head"):
    gain = stats.mean_interval(100 * (curves[name] - curves["labels only"])[:, -1])
    print(f"{name:13} gains {gain.mean:+.1f} points ({gain.low:+.1f} to {gain.high:+.1f}) on labels only at the end")

# %% [markdown]
# What the second head brings is what *with teacher* gains beyond *one head*. If *one head* is above, the second head costs more
# here than it brings, though the gradients on one head conflict (`02_student`): what holds for gradients need not hold for
# accuracy. Compare the two heads with each other, too: where one is far worse, as a label head with few labels may be, half of
# the answer is the worse half, and the mix can lie below the better head.
#
# That need not be the whole story. The suspects: the **heads**, one or two; the **mix** of the two; the **labels**, too
# few; the **training**, too short; the **backbone**, frozen as ImageNet left it. Each is measured alone, with the labels
# that the two-headed student bought, in training as long as ours and five times as long, as a mean over the same seeds.
# (So *one head* may differ from the mean above, where it bought its own.) `copy` hears the teacher and no label;
# `all_labels` has every label and no teacher. **Predict first**: which suspect is it?

# %%
bought = runs["with teacher"][0].labeled_ids(config.rounds)
steps = config.resolve().training_steps(len(bought))
found = {n: [ceilings(config.with_(steps=n), run.labeled_ids(config.rounds), seed=s)
             for run, s in zip(runs["with teacher"], numbers, strict=True)] for n in (steps, 5 * steps)}  # fmt: skip
short, long = (Ceilings(*np.mean(several, axis=0)) for several in found.values())
print(f"{'steps':14}{steps:13}{5 * steps:15}")
for i, name in enumerate(short._fields):
    print(f"{name:14}", *("{:.1%} ± {:.1%} ".format(*stats.mean_sd([c[i] for c in many])) for many in found.values()))
images = len(parts.task.test)
print(f"level with the teacher: within ± {short.margin(images):.2%} ({images} test images), ", end="")
print(f"best_mix within ± {short.margin(images // 2):.2%} (half of them)")

# %% [markdown]
# `best_mix` was chosen on one half of the test images and measured on the other, as on the surface in `02_student`; if it
# stays below the teacher, no mix is the answer. If `copy` stays below, the student cannot even *imitate* its teacher, and
# neither heads nor labels are to blame. Look at what the longer training changes, and hold each gap against the margin:
# two standard errors of one accuracy. For a difference on the same images that is a cautious yardstick (`01_teacher`).
#
# <details><summary>Answer, for the settings as they came</summary>
#
# The first suspect is the training. With few steps the network does not even copy its teacher, and five times as many
# lift every row. The second is the pair of heads, half and half: below at first, while one head on the same labels is level
# with the teacher already. After the longer training two heads are level, and one head is above by more than the margin.
# More labels would have hidden it: at the short length even `all_labels` is no more than level.
#
# </details>
#
# A **decision rule** for a student below its teacher. It is for a post-mortem, or for a stand-in task: `all_labels` has every
# label. With your own photos you can ask the first two rows only, on held-out labels. "Above" and "below" mean: by more than the
# margin. (The best of three on the same images is partly lucky; `07_compare` shows by how much.) Ask in this order:
#
# | ask | if so | then |
# |---|---|---|
# | is two heads, the best mix or one head above the teacher? | it is overtaken | take that one; the next labels are worth more than the teacher |
# | is one of them within the margin? | they are level | no verdict: more test images, or seeds, would tell |
# | is `all_labels` below the teacher? | the network cannot learn the task | train longer, then the backbone (`freeze_backbone=False`), then a larger one |
# | is `copy` below the teacher? | it cannot imitate its teacher | the same; heads and mix come later |
# | none of these | labels are missing | answer with the teacher for now, and go on buying |
#
# One head or two is chosen as a mix is: on labelled images that train nothing (`validation_labels` buys and counts them).

# %%
print(f"{steps} steps: {short.advice(images)}")
print(f"{5 * steps} steps: {long.advice(images)}")

# %% [markdown]
# ### One head against two, on every task
#
# In `00_quickstart` one head was a disaster, in `02_student` two heads won, and here one head does. Side by side, with the two
# controls of `02_student`: two students trained apart, and dho's label head alone. **Predict first**: which of these orders are
# the same in every row?

# %%
settings, length = {"tiles": (1,), "digits": (1, 4), "shapes": (1, 8)}, {"steps": config.steps, "epochs": config.epochs}
if parameters.profile == "smoke":
    settings, length["task_options"] = {config.task: (1,)}, config.task_options
length = {name: value for name, value in length.items() if value}
shots = [s for name, counts in settings.items() for s in students.measure(name, shots=counts, seeds=seeds, **length)]
print(students.lineup(shots).text())
orders = [("single_head", "ce"), ("kd", "ce"), ("single_head", "kd"), (students.LABEL_HEAD, "ce"),
          ("dho", students.APART), ("dho", "single_head")]  # fmt: skip
print("\n".join(students.tally(shots, *pair) for pair in orders))

# %% [markdown]
# What the table lets you say, with the counts above (points in the order of the rows):
#
# 1. *One head* goes where its teacher goes: compare the signs of the first two lines. It ends near the teacher-only student `kd`,
#    for the teacher speaks about every image, and the labels about few.
# 2. The *label head* of dho against `ce`: same labels, same head. What it leads by came through the shared layer.
# 3. *dho* against two students *apart*: what sharing adds to averaging.
# 4. So where dho is below one head, as on `shapes`, it is not for want of sharing. At one label a class, half of its answer is a
#    far weaker label head. At eight the heads are nearly alike, and above no mix closed the gap: what one head gains there by
#    hearing both sources is the open problem of `02_student`.
#
# *In short.* One head is as good as its teacher lets it be. Two heads share what they learn, and keep a bad teacher from
# spoiling the labels.

# %% [markdown]
# One number for a whole curve is the **area** under it, divided by its width: the mean height, so a fraction again. It
# rewards being good early.

# %% [markdown] tags=["exercise-text"]
# ### Exercise 1 — the area under a learning curve
#
# *About 10 minutes, easy.*
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
#
# <details><summary>Answer to the prediction</summary>
#
# 50%: the mean of both ends, however far apart they are.
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
akd.course.check("04.area", area)

# %%
measure = area if akd.course.solved("04.area") else stats.area  # your function, from here to the end
high = {name: np.array([measure(labels, curve) for curve in several]) for name, several in curves.items()}
for name, several in high.items():
    print("{:28} area {:.1%} ± {:.1%}".format(name, *stats.mean_sd(several)))

# %% [markdown]
# The paper argues that distillation is what makes the student's probabilities worth selecting by. Then the selector's lead
# over random picks should be larger with the teacher than without.

# %%
lead = akd.widgets.Predict("04.lead", "Is it larger here?", ["yes", "no", "these seeds cannot tell"])
lead

# %%
led = {name: high[name] - high[f"{name}, random picks"] for name in ("with teacher", "labels only")}
asked = {
    "the teacher's gain": high["with teacher"] - high["labels only"],
    f"lead of {config.selector}, with teacher": led["with teacher"],
    f"lead of {config.selector}, labels only": led["labels only"],
    "the first lead less the second": led["with teacher"] - led["labels only"],
}
for name, several in asked.items():
    print("{:32} {:+.1f} points ({:+.1f} to {:+.1f})".format(name, *stats.mean_interval(100 * several)[:3]))
more = stats.mean_interval(100 * several)
if more.low <= 0 <= more.high:
    print(f"what the teacher adds to the lead, if anything: less than {max(-more.low, more.high):.1f} points")
lead.reveal("yes" if more.low > 0 else "no" if more.high < 0 else "these seeds cannot tell")

# %% [markdown]
# Each lead alone is known badly and their difference well: both share their seeds, and what a seed does to one it does to the
# other. Compare the first row with the second, too: which is worth more here, a teacher or a good selector?
#
# *In short.* The teacher is worth more than the selector here. That the selector needs the teacher is not seen on this task.
#
# ## The selector race
#
# A fair race starts everybody from the same labels and the same student (same seed), with the same budget. Lock your
# bet, then press *play*, or move the slider.

# %%
racers = list(dict.fromkeys((config.selector, "random", "entropy", "coreset", "badge")))
ahead = akd.widgets.Predict("04.ahead", "Who is ahead, in the mean over all seeds and rounds?", racers)
ahead

# %%
race = {name: [akd.run(config.with_(selector=name, seed=s), store="runs") for s in numbers] for name in racers}
akd.widgets.SelectorRace([several[0] for several in race.values()])

# %% [markdown]
# That was one seed. Before we count over all of them: how **evenly** does a selector spread its labels over the
# classes? Take each class's share of the labels; the entropy of these shares, over the most that C classes allow, is
# 1 for the same number each and 0 when one class has them all.

# %% [markdown] tags=["exercise-text"]
# ### Exercise 2 — evenness
#
# *About 10 minutes, medium.*
#
# Write that number. **Predict first**: 40 labels in two of four classes, 20 each; what is it?
#
# <details><summary>Hint</summary>
#
# Shares are counts over their sum. `torch.special.entr(p)` is −p log p, and 0 where p is 0. The most is log C.
#
# </details>
#
# <details><summary>Answer to the prediction</summary>
#
# One half: log 2 over log 4.
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
akd.course.check("04.evenness", evenness)

# %% [markdown]
# Now all seeds, with the number of those in which a selector came first, and the evenness of its labels at the end, by your
# function where it passed.

# %%
evenly = akd.widgets.Predict("04.evenly", "Who spreads the labels most evenly over the classes?", racers)
evenly

# %%
areas = {name: [measure(labels, [r.accuracy for r in run.records]) for run in race[name]] for name in racers}
won = np.argmax(list(areas.values()), axis=0)
balance = {name: [class_balance_data(run) for run in race[name]] for name in racers}
even = {name: np.mean([b.evenness[-1] for b in several]) for name, several in balance.items()}
if akd.course.solved("04.evenness"):  # your function
    even = {n: np.mean([evenness(torch.as_tensor(b.counts[-1])) for b in several]) for n, several in balance.items()}
for k, name in enumerate(racers):
    mean, spread = stats.mean_sd(areas[name])
    firsts = f"first in {int((won == k).sum())} of {seeds} seeds"
    print(f"{name:14} area {mean:.1%} ± {spread:.1%}, {firsts}, evenness {even[name]:.2f}")

# %%
print(ahead.reveal(racers[int(np.mean(list(areas.values()), axis=1).argmax())]))
evenly.reveal(max(even, key=even.get))

# %% [markdown]
# If spreads overlap, the order may be luck; `07_compare` tests it. The pool is long-tailed, and random picks are as uneven
# as the pool. A selector below them buys *less* evenly than chance: hold `coreset` against `random`. To spread over
# features is not to spread over classes; the last cell of this section says which class it bought most.
# Which classes got the labels of this selector, round by round? **Predict first**: the common or the rare ones?

# %%
in_pool = parts.task.train.labels.bincount(minlength=parts.task.num_classes).tolist()
akd.plots.class_balance(race[config.selector][0], in_pool)

# %% [markdown]
# Common classes stand at the top, with the number of their images in the pool. As one number for each selector: the
# correlation of labels and images by rank: 1, the common classes get most; 0, no relation; −1, the rare ones. Above 0 the
# answer is: the common ones, if less so than by chance where it is below that of `random`.

# %%
pooled = pd.Series(in_pool)
for name in racers:
    b = balance[name][0]
    top, rank = b.counts[-1].argmax(), pd.Series(b.counts[-1]).corr(pooled, method="spearman")
    print(f"{name:14} rank correlation with the pool {rank:+.2f}; most often: {b.class_names[top]}, "
          f"{b.counts[-1][top]} labels of {in_pool[top]} images")  # fmt: skip

# %% [markdown]
# A selector is a function of what the student says about the pool: it gets a **view** and a budget, and returns ids.

# %% [markdown] tags=["exercise-text"]
# ### Exercise 3 — a selector of your own
#
# *About 15 minutes, medium.*
#
# Pick the images on which student and teacher disagree most: the largest sum over classes of |student − teacher|. When
# the check is happy, the cell after it lets it run. **Predict first**: will it beat random picks?
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
akd.course.check("04.disagreement", disagreement)

# %%
if akd.course.solved("04.disagreement"):  # your selector, over all seeds
    own = [akd.run(config.with_(seed=s), selector=disagreement) for s in numbers]
    areas["yours"] = [measure(labels, [r.accuracy for r in run.records]) for run in own]
    ahead_by = stats.mean_interval(100 * np.subtract(areas["yours"], areas["random"]))
    print("yours: area {:.1%} ± {:.1%}".format(*stats.mean_sd(areas["yours"])), end=", ")
    print("ahead of random by {:+.1f} points ({:+.1f} to {:+.1f})".format(*ahead_by[:3]))

# %% [markdown]
# ## A teacher that learns from the labels
#
# So far the teacher was **zero-shot**: it knew class names only. A **few-shot** teacher uses the labels as well:
#
# - **CLAP** moves each class's text vector towards its labelled images, and holds it back where the zero-shot teacher
#   was right already,
# - **Tip-Adapter** keeps the labelled images, and lets those that look like the new one vote.
#
# How good is each on test images, with the labels that the selector bought up to the last round? Two controls have about as
# many labels: drawn at *random* from the pool, as long-tailed as it is, and *even*, drawn at random with the same number for
# each class.

# %%
helps = akd.widgets.Predict(
    "04.helps", "Do the bought labels make either teacher better?", ["yes", "no", "not told from luck"]
)
helps

# %%
pool, test, C = parts.task.train, parts.task.test, parts.task.num_classes
each = min(len(bought) // C, int(pool.labels.bincount(minlength=C).min()))
at_random = torch.randperm(len(pool), generator=generator(seed, "random"))[: len(bought)].tolist()
even_ids = initial_ids(pool, C, each, generator(seed, "even")).tolist()
sets = {"bought": bought, "at random": at_random, "even": even_ids}
for name, ids in sets.items():
    print(f"{name:9} {len(ids)} labels, {C - len(pool.labels[ids].unique())} of {C} classes without any")

# %% [markdown]
# A class without a label stays at its sentence in CLAP, which warns of it; we have just counted them.

# %%
warnings.filterwarnings("ignore", "[0-9]+ of [0-9]+ classes have no label")
seen = parts.teacher.encode(test)
teachers, verdicts = {"zero-shot": parts.teacher_accuracy}, {}
for method in (akd.teachers.CLAP, akd.teachers.TipAdapter):
    for name, ids in sets.items():
        draws = generator(seed, "teacher", name)
        head = method(parts.zero_shot).fit(parts.embeddings[ids], pool.labels[ids], generator=draws)
        verdicts[f"{method.__name__}, labels {name}"] = (head.logits(seen).argmax(1) == test.labels).double()
teachers |= {name: float(right.mean()) for name, right in verdicts.items()}
print("\n".join(f"{name:28} {accuracy:.1%}" for name, accuracy in teachers.items()))

# %%
margin = short.margin(images)
best = max(accuracy for name, accuracy in teachers.items() if name.endswith("bought"))
gap = best - parts.teacher_accuracy
told = "not told from luck" if abs(gap) <= margin else "yes" if gap > 0 else "no"
helps.reveal(told, f"{images} test images leave ± {margin:.1%} open.")

# %% [markdown]
# Hold each number against the zero-shot teacher and the margin: where no set lifts a teacher beyond it, labels brought it
# nothing. Then compare the sets. *Bought* and *at random* differ in nothing but who chose, *even* in how labels lie over the
# classes. Every label votes in Tip-Adapter, so a class with many labels outvotes the others, and a long tail at random hurts
# it most; the selector's labels are more even than the pool (see above), and so do it less harm. CLAP is held near the
# sentences, and feels less of both.
#
# In the loop, the teacher is refit in each round, before the student is trained. **Predict first**: which student is best, and is
# a worse teacher's student worse, too?

# %%
taught = {"zero-shot": runs["with teacher"]}
for name in ("clap", "tip_adapter"):
    taught[name] = [akd.run(config.with_(few_shot=name, seed=s), store="runs") for s in numbers]
for name, several in taught.items():
    mean, spread = stats.mean_sd([measure(labels, [r.accuracy for r in run.records]) for run in several])
    last, around = stats.mean_sd([run.final_accuracy for run in several])
    print(f"{name:12} student: area {mean:.1%} ± {spread:.1%}, last round {last:.1%} ± {around:.1%}")
zero = (parts.zero_shot.logits(seen).argmax(1) == test.labels).double()
for name, of in {"clap": "CLAP, labels bought", "tip_adapter": "TipAdapter, labels bought"}.items():
    pairs_of = zip(taught[name], taught["zero-shot"], strict=True)
    ends = [100 * (a.final_accuracy - b.final_accuracy) for a, b in pairs_of]
    apart = 100 * (verdicts[of] - zero)  # on the same images: -100, 0 or 100 each
    print(f"{name:11} teacher less zero-shot, over the test images        {students.interval_text(apart)}")
    print(f"{name:11} its student less zero-shot's, last round, over seeds  {students.interval_text(ends)}")

# %%
akd.plots.learning_curves(taught)

# %% [markdown]
# What labels do for a teacher, and what such a teacher does for its student, are two questions. On labelled images it repeats what the label head hears anyway; elsewhere its *whole* probability
# vector counts, not only the answer on top.

# %% [markdown]
# ## Paper, code, and here
#
# | | published (paper, abstract or repository) | the released code does | here |
# |---|---|---|---|
# | few-shot teacher | CLAP, refit on the labels | ten data sets: *after* each student, so it lags; ImageNet: before | before it; `06_reproduce` measures both |
# | seeds |  | 1 runs; 2 to 5 are listed, but commented out | `seeds`, and an interval |
# | PCoreSet first | in 64 of 73 settings (abstract) |  | counted above, over seeds of one task |
#
# **Open problem.** A selector's own labels are a biased sample, and a few-shot teacher learns from them. Can their
# bias be corrected without knowing the pool's labels?
#
# **Read on.** [ActiveKD](https://arxiv.org/abs/2506.00910); [CLAP](https://arxiv.org/abs/2312.12730);
# [Tip-Adapter](https://arxiv.org/abs/2111.03930). Words, symbols and all figures: [GLOSSARY](GLOSSARY.md).

# %% [markdown]
# ## What we learned
#
# 1. A round trains, measures and selects; what is on disk survives a pause, a cancel and a crash.
# 2. Distillation gains most where labels are few; a gain is a number with an interval, in accuracy or in labels. A student
#    may stay below its teacher for want of labels, training or features; measure each before you blame the heads.
# 3. A fair race shares start, student and budget; a selector is one function, and its lead is a matter for seeds.
# 4. What labels do to a few-shot teacher depends on how they lie over the classes, and it may lose by them; what it then does
#    for its student is another question. Measure both.
#
# **Next.** Set `task = "digits"`, where the teacher is better and the classes are few: which of these findings stay?
# Then Mira opens the folder of her photos: `05_your_images`.

# %%
findings = {
    "areas": {name: stats.mean_sd(several) for name, several in areas.items()},
    "curves": {name: several.mean(0).tolist() for name, several in curves.items()},
    "labels": labels,
    "teachers": teachers,
    "ceilings": {"short": short._asdict(), "long": long._asdict()},
}
notebooks.finish(parameters, findings)
