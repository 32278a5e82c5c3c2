# %% [markdown]
# # Repeat a result, then a whole table
#
# <!-- badges: Colab and Binder -->
#
# A colleague in the next valley wants what Mira has, on his own photos. She must tell him exactly what she ran, so that
# he gets the same numbers on hers; and he wants to vary it, many times, without watching over it.
#
# **Question.** A paper prints one number for a method, a data set and a teacher. What does it take to get that number
# again, and to know that it is the same experiment?
#
# **After this notebook you can**
#
# 1. describe an experiment completely by a handful of parameters, and run it,
# 2. say what the teacher modes are: zero-shot, refit on the labels, none,
# 3. find out what a stored run was made with, and get it back without running it again,
# 4. turn one run into a grid of runs, and say what it will cost before it starts,
# 5. name the published protocols, say where paper and released code part, and measure whether that matters.
#
# **You need** notebook `00_quickstart`. The bundled tasks need no GPU and no download; the papers' data sets and real
# CLIP models are the same notebook with other parameters.
#
# **Time and memory**: on 2 quiet CPU cores the cells take about a minute and a half the first time, and 10 s when the runs
# are stored; at most 1.2 GB. The last cell prints yours.

# %% [markdown]
# <!-- diagram: disk -->

# %%
import time
from pathlib import Path

import numpy as np
import pandas as pd

import activekd_lab as akd
from activekd_lab import stats
from activekd_lab.active.protocols import PROTOCOLS
from activekd_lab.config import TIMINGS
from activekd_lab.course import notebooks
from activekd_lab.studies import grid
from activekd_lab.studies.protocol_table import protocol_table

notebooks.start("disk")

# %% [markdown]
# ## One experiment, completely described
#
# Everything that decides the result stands in the next cell. `papermill -p name value` replaces a value, and a whole
# table of a paper is this notebook executed many times with other values.

# %% tags=["parameters"]
profile: str = "quick"  # smoke | quick | paper; smoke and paper set rounds and the length of training themselves
task: str = "shapes"  # which images, see `activekd-lab tasks`
task_options: dict = {}  # the task's own options, such as {"root": "data"}
teacher: str = "bundled"  # "bundled", "RN50/openai" or another open_clip model
teacher_mode: str = "zero-shot"  # zero-shot | clap, tip, tip-f, linear-probe (refit on the labels) | none
backbone: str = "efficientnet_lite0"  # the student's network
method: str = "dho"  # dho (two heads) | single_head | kd; teacher_mode none trains one head on labels only
selector: str = "pcoreset"  # who picks, see `activekd-lab selectors`
initial_per_class: int = 1  # labelled images a class to start from (shots)
rounds: int = 5  # query rounds after the initial labels
budget: int = 0  # labels bought in a round; 0 means the number of classes
protocol: str = "corrected"  # corrected | paper | released, or a published experiment: it sets what is not given
seed: int = 0  # derives every random step
options: dict = {}  # any other setting of RunConfig, such as {"pretrained": True}
store: str = "runs"  # folder of run folders; a run that is there already is read, not repeated

# %%
parameters = notebooks.read_parameters(globals(), also=grid.NO_SETTINGS, translate=grid.run_settings)
config = parameters.config.resolve()
print(f"profile {parameters.profile}: {config.run_name}")
alone = set(parameters.given) <= {"profile"} and parameters.profile != "paper" and protocol in TIMINGS

# %% [markdown]
# (A sweep executes this notebook once for each of its jobs, and a job is one run. So where papermill sets more than the
# profile, or a published experiment is asked for, `alone` is False, and the comparisons further down are left out.)
#
# The last word of that name is a **hash**: ten characters computed from every setting that can change the result (not
# the device, nor what is kept on disk). Two runs with the same hash were *asked for* the same experiment. Whether the same
# code ran it, the hash does not know; that stands in the provenance further down. The folder of the run bears this name.

# %%
print("as it is:    ", config.hash)
print("another seed:", config.with_(seed=config.seed + 1).resolve().hash)
print("the same:    ", config.with_(seed=config.seed).resolve().hash)

# %% [markdown] tags=["exercise-text"]
# ### Exercise 1 — a name for an experiment
#
# *About 10 minutes, easy.*
#
# Write such a name yourself: the first eight hexadecimal digits of the SHA-256 of the settings, written as JSON.
# **Predict first**: the same settings in another order, are they the same text?
#
# <details><summary>Hint</summary>
#
# `json.dumps(settings, sort_keys=True)` gives the text, `hashlib.sha256(text.encode()).hexdigest()` the digits.
#
# </details>
#
# <details><summary>Answer to the prediction</summary>
#
# No: JSON keeps the order of a dictionary, so the text and every digit of its hash would differ. Sort first.
#
# </details>


# %% tags=["exercise"]
import hashlib
import json


def experiment_name(settings):
    """Return 8 characters that depend on the settings, a dictionary of JSON types, and on nothing else."""
    ### BEGIN SOLUTION
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
    ### END SOLUTION


# %%
akd.course.check("06.name", experiment_name)

# %%
if akd.course.solved("06.name"):  # your function, on the settings above
    settings = config.identity()
    print("as it is:       ", experiment_name(settings))
    print("turned round:   ", experiment_name(dict(reversed(settings.items()))))
    print("another seed:   ", experiment_name(settings | {"seed": config.seed + 1}))

# %% [markdown]
# **In short.** A hash is a short name for a list of settings: change one of them, and the name changes. It says nothing about
# the program that runs them.
#
# ## The teacher's mode
#
# A teacher takes part in three ways.
#
# - `zero-shot`: it never sees a label. Its probabilities stay the same in every round.
# - a **few-shot** teacher, refit in every round on the labels bought so far, before the student is trained: `clap` and `tip`
#   (Tip-Adapter) of `04_activekd`; `linear-probe` is CLAP without the hold on its sentences, and `tip-f` also trains the
#   labelled images' vectors that Tip-Adapter looks up.
# - `none`: no distillation. The student learns from labels alone, which is the control for everything else.

# %%
result = akd.run(config, store=store)
if result.teacher_accuracy is not None:  # labels alone need no teacher
    print(f"teacher, zero-shot: {result.teacher_accuracy:.1%}")
for record in result.records:
    print(f"round {record.round}: {record.labels:4d} labels, accuracy {record.accuracy:.1%}")

# %% [markdown]
# ## What a stored run knows
#
# The folder of a run holds its settings and the **provenance** (versions, device and the commit of the code) in
# `config.json`, every round in `rounds.jsonl`, every label with the round that bought it in `labels.csv`, what the student
# said of the pool in `predictions/`, and how long all of it took.

# %%
print(*sorted(path.name for path in result.folder.iterdir()), sep=", ")
result.provenance

# %% [markdown]
# Reading it back gives the same records, to the last digit. Running the same settings into the same store reads what is
# there. On another machine the *settings* are the same, not the last digits: other hardware and other versions add numbers in
# another order. Here you see the same machine only.

# %%
again = akd.load_run(result.folder)
print("same rounds:", again.records == result.records, " same labels:", again.labels == result.labels)

# %% [markdown]
# Now let the power fail: the same run in another folder, left in the middle, and begun again.

# %%
cut = config.rounds // 2
answers = ["all of them", "none", f"those after round {cut}"]
fate = akd.widgets.Predict(
    "06.fate", f"It stops after round {cut}. Which rounds are trained when it begins again?", answers
)
fate

# %%
for record in akd.iterate(config, store="power-failure") if alone else ():
    if record.round == cut:
        break
if alone:
    stored = akd.load_run(Path("power-failure") / config.run_name).records
    begun_again = akd.active.start(config, store="power-failure")
    begun = time.perf_counter()
    for record in begun_again:
        print(f"round {record.round}: {record.accuracy:.1%}, there after {time.perf_counter() - begun:5.2f} s")
    one, other = ([(r.accuracy, r.picks) for r in run.records] for run in (begun_again.result(), result))
    print("rounds on disk before:", len(stored), " the same run in the end:", one == other)

# %%
if alone:
    left = f"those after round {stored[-1].round}" if len(stored) <= config.rounds else "none"
    print(fate.reveal(left, "Each round starts from a fresh student and a seed of its own."))

# %% [markdown]
# ## From one run to a table
#
# The student starts with a few labels a class, and each round adds more. Does the teacher's help grow or shrink as labels
# come in? One run cannot say. It takes the same run with `teacher_mode="none"` beside it, and several seeds of both. A
# **grid** names some values for some parameters; every combination is a **job**, one run.

# %% [markdown] tags=["exercise-text"]
# ### Exercise 2 — the points of a grid
#
# *About 10 minutes, easy.*
#
# Turn a grid into its jobs: from `{"selector": ["random", "pcoreset"], "seed": [0, 1, 2]}` make a list of
# dictionaries, one for every combination, each with one value of every parameter. **Predict first**: how many are they?
#
# <details><summary>Hint</summary>
#
# `itertools.product(*grid.values())` yields the combinations; `dict(zip(names, values))` puts the names back.
#
# </details>
#
# <details><summary>Answer to the prediction</summary>
#
# 2 · 3 = 6, the product of the axes' lengths.
#
# </details>


# %% tags=["exercise"]
import itertools


def grid_points(axes):
    """Return a list of dictionaries, one for each combination of the values that `axes` lists under each name."""
    ### BEGIN SOLUTION
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    ### END SOLUTION


# %%
akd.course.check("06.points", grid_points)

# %% [markdown]
# Now the smallest grid that can answer: two teacher modes, three seeds. If your function passed, its points are used.

# %%
grows = akd.widgets.Predict(
    "06.grows",
    "From the first round to the last, what the teacher adds …",
    ["grows", "shrinks", "does neither for sure"],
)
grows

# %%
axes = {"teacher_mode": ["zero-shot", "none"], "seed": [seed, seed + 1, seed + 2]}
points = [{"teacher_mode": mode, "seed": s} for mode in axes["teacher_mode"] for s in axes["seed"]]
if akd.course.solved("06.points"):
    points = grid_points(axes)
base = parameters.config.with_(method=method, few_shot="none")
plan = [base.with_(**grid.run_settings(point)) for point in points] if alone else []
runs = [akd.run(job, store=store) for job in plan]
print(f"{len(runs)} runs, {sum(run.folder == result.folder for run in runs)} of them stored before")

# %%
if alone:
    labels = [record.labels for record in result.records]
    by_mode = {mode: [run for run, point in zip(runs, points, strict=True) if point["teacher_mode"] == mode]
               for mode in axes["teacher_mode"]}  # fmt: skip
    taught, untaught = ([[r.accuracy for r in run.records] for run in several] for several in by_mode.values())
    gains = 100 * np.subtract(taught, untaught)  # (seeds, rounds)
    for count, several in zip(labels, gains.T, strict=True):
        gain = stats.mean_interval(several)
        print(f"{count:4d} labels: the teacher adds {gain.mean:+.1f} points ({gain.low:+.1f} to {gain.high:+.1f})")

# %%
if alone:
    change = stats.mean_interval(gains[:, -1] - gains[:, 0])
    truth = "grows" if change.low > 0 else "shrinks" if change.high < 0 else "does neither for sure"
    why = f"Last round less first: {change.mean:+.1f} points ({change.low:+.1f} to {change.high:+.1f})."
    print(grows.reveal(truth, why))

# %%
akd.plots.learning_curves(by_mode if alone else result)

# %% [markdown]
# And the number of the paper? Here is the one that it prints for this very question, beside ours:

# %%
from activekd_lab.compare import reference

printed = next(figure for figure in reference.published() if figure.quantity == "activekd_gain")
print(f"published: +{printed.value} {printed.unit} on {printed.dataset}, {printed.setting} ({printed.source})")
if alone:
    mean = stats.mean_interval(gains.mean(1))
    print(
        f"here: {mean.mean:+.1f} points ({mean.low:+.1f} to {mean.high:+.1f}) on {config.task}, {config.selector}, ",
        end="",
    )
    print(f"mean over {len(labels)} rounds")

# %% [markdown]
# Both ask the same question, and neither confirms the other: images, teacher, student, selectors, labels and rounds differ.
# (The abstract writes "+29.07%"; we take it for points.) To get *that* number again takes that experiment, and a description of
# all of it. `activekd-lab compare` sets published figures beside runs of the same data set only.
#
# **In short.** One run is one number. A question needs several runs that differ in one thing, with the same seeds on both sides.

# %% [markdown]
# That is 2 × 3 jobs. A study of every selector, two tasks, three seeds, and three teacher modes (zero-shot, CLAP, none):

# %%
count = akd.widgets.Predict("06.count", "How many jobs is that?", (0, 500), within=10)
count

# %%
study = grid.load_study("bundled-all", profile="quick")
for axis, values in study.axes.items():
    print(f"{axis:18} {len(values):2d}  {', '.join(str(value) for value in values)}")
print(f"{len(study.jobs)} jobs, the first is {study.jobs[0].name}")
count.reveal(len(study.jobs))

# %% [markdown]
# `activekd-lab reproduce bundled-all --profile quick --out study --dry-run` says what that costs on your machine:
# steps, images, hours from a short measured pass, disk, and what data or weights are missing, with commands.
# Without `--dry-run` it runs them, two at a time, unless something is missing. Stop it as you like: a job is done when
# there is a `result.json` in its folder `study/jobs/NAME` (that of a notebook; a run's own folder, as above, has none), and the
# same command does the rest. Your own grid is a file of five lines for
# `activekd-lab sweep`. The studies that come with the package:

# %%
for name, title in grid.list_studies().items():
    print(f"{name:24} {title}")

# %% [markdown]
# ## Protocols: what a paper does not say
#
# Each study of the papers names a **protocol**: a published experiment as data, which sets everything that the authors'
# released code fixes. These are known; the script in brackets is the authors':

# %%
for name, published in PROTOCOLS.items():
    print(f"{name:22} {published.about}")

# %% [markdown]
# `protocol = "activekd-10"` in the parameters is enough; what is set beside it is listed in the run's provenance as an
# override. Here is what each setting is, and the value that the experiment gives it; where there are several, the paper has
# runs of each. Mark those that you would *not* keep on a laptop without downloads: our default changes some of them.

# %%
table = protocol_table()
table = table[(table[["activekd-10", "our default"]] != "–").any(axis=1)]  # without what neither of the two sets
published = table["activekd-10"].str.split(r"[,;] ")
differ = table[[own not in said for own, said in zip(table["our default"], published, strict=True)]]
pd.set_option("display.max_colwidth", None)
table[["what it is", "activekd-10"]]

# %%
changed = akd.widgets.Predict(
    "06.changed", f"Of these {len(table)} settings, how many does our default change?", (0, len(table)), within=3
)
changed

# %%
print(changed.reveal(len(differ)))
print(f"(the run above: rounds {config.rounds}, steps {config.steps}, epochs {config.epochs})".replace("None", "–"))
differ[["activekd-10", "our default", "why"]]

# %% [markdown]
# Most of them buy time or spare a download: a frozen network on cached features, fewer rounds, a number of steps that does
# not grow with the labels.
#
# Paper and released code do not agree everywhere, either. With `protocol` left at `corrected` we follow the paper. (BADGE, in
# the second row, picks by the gradient that an image would cause in the last layer: it draws with a chance that grows with the
# distance to the gradients already picked.)
#
# | | paper, and `corrected` (the default) | `released` |
# |---|---|---|
# | a few-shot teacher is refit | before the student | after it, so it lags one round |
# | BADGE | draws far gradients at random, the longest first | gradients of length 1, the farthest one each time |
# | α of the mix (ten data sets) | weight of the label head | weight of the teacher's head |
#
# Each row is a setting of its own: `protocol` moves the first, `selector_options={"protocol": "released"}` the second;
# the third is which head you give `ce_weight` to. If your colleague took the code and you took the paper, would you notice?
# Each row, over three seeds; the **area** is the mean height of the learning curve:

# %%
counts = ["none", "one", "two", "three"]
told = akd.widgets.Predict("06.told", "For how many of the three does the interval leave 0 out?", counts)
told

# %%
rows = {
    "few-shot teacher a round late": ({"few_shot": "clap"}, {"few_shot": "clap", "protocol": "released"}),
    "BADGE as released": ({"selector": "badge"}, {"selector": "badge", "selector_options": {"protocol": "released"}}),
    "α = 0.3 for the other head": ({"ce_weight": 0.3}, {"ce_weight": 0.7}),
}
effects = {}
for name, pair in rows.items() if alone else ():
    both = [[akd.run(base.with_(seed=s, **c), store=store) for s in axes["seed"]] for c in pair]
    areas = [[stats.area(labels, [r.accuracy for r in run.records]) for run in several] for several in both]
    effects[name] = stats.mean_interval(100 * np.subtract(areas[1], areas[0]))
    print("{:30} changes the area by {:+.1f} points ({:+.1f} to {:+.1f})".format(name, *effects[name][:3]))

# %%
if alone:
    beyond = [name for name, found in effects.items() if found.low > 0 or found.high < 0]
    print(told.reveal(counts[len(beyond)], f"Told from luck: {', '.join(beyond) or 'nothing'}."))
    for name, found in effects.items():
        largest = max(abs(found.low), abs(found.high))
        verdict = (
            "the area is another one"
            if name in beyond
            else f"no effect shown; if any, {largest:.1f} points at most (95%)"
        )
        print(f"{name}: {verdict}")

# %% [markdown]
# "No effect shown" does not say that there is none. On its ten data sets ActiveKD sets α to ½, where both readings are the
# same, so the last row matters only to those who choose another value. To them it can matter more than the selector: hold it
# against PCoreSet's lead over random picks in `04_activekd`. A letter that means two things is cheap to write and dear to have.
#
# **In short.** A protocol is the list of everything that a paper's program fixes. Where paper and program differ, say which one
# you follow, and measure whether it matters.

# %% [markdown]
# ## Paper, code, and here
#
# | | published (paper, abstract or repository) | the released code does | here |
# |---|---|---|---|
# | training of a round |  | 200 · ⌈L/64⌉ steps of 64 + 64, AdamW 1e-3, 10% warm-up, linear decay | the profile `paper`; `quick` is shorter |
# | first labels |  | drawn by Python's `random` | by our generator: other images |
# | ImageNet script |  | commented out: 7 queries of 1,000; the active lines are a debug run of 1 epoch and 2 rounds | a study by name |
# | few-shot teacher | CLAP, refit on the labels | ten data sets: *after* each student, so it lags; ImageNet: before | by `protocol` |
#
# **Open problem.** A hash says that two *settings* are equal. What is the smallest set of facts that makes two
# *results* equal on other hardware?
#
# **Read on.** [ActiveKD](https://arxiv.org/abs/2506.00910), [DHO](https://arxiv.org/abs/2505.07675): their
# repositories are named in the papers. Words, symbols and all figures: [GLOSSARY](GLOSSARY.md).

# %% [markdown]
# ## What we learned
#
# 1. Task, teacher, student, selector, shots, rounds and seed describe an experiment; the hash names it.
# 2. The teacher stays as it is, is refit on the labels, or is left out; the last one is the control.
# 3. A run folder holds settings, rounds, labels and provenance, and the same settings read it instead of repeating it.
# 4. A grid multiplies: count its jobs, and ask for the cost before starting it.
# 5. A protocol is a published experiment as data. Papers and their code differ in details; name the protocol, and measure
#    what each detail does.
#
# **Next.** Run this notebook again with `task = "digits"`: does the teacher's help still shrink, and does the misread letter
# still cost as much? Then go on to `07_compare`, which asks whether a difference between runs is more than luck.

# %%
notebooks.finish(parameters, result)
