# %% [markdown]
# # Better, or lucky?
#
# <!-- badges: Colab and Binder -->
#
# **Question.** One selector ends two points above another. How do you find out whether it is better, or had a lucky
# seed?
#
# **After this notebook you can**
#
# 1. turn a learning curve into one number, an area or a label cost, and say what it hides,
# 2. compare selectors on equal seeds, and choose a test that can answer with the seeds you have,
# 3. correct for asking several questions at once,
# 4. read mean ranks and a critical difference, and print a table with its provenance.
#
# **You need** the quickstart (`00_quickstart`), and what a mean and a standard deviation are. No GPU, no network.
#
# **Time and memory**: on 2 quiet CPU cores the cells take 30 s and 0.9 GB. The last cell prints yours.
# Runs are kept in the folder `compare-runs`, so that a second time takes 10 s.

# %%
from pathlib import Path

import numpy as np
from IPython.display import Markdown

import activekd_lab as akd
from activekd_lab import comparison, notebooks, stats, tables
from activekd_lab.results import find_runs, load_run
from activekd_lab.parallel import run_all

notebooks.start()

# %% [markdown]
# ## Settings
#
# Give `store` a folder of your own runs, from `activekd-lab run` or a sweep, and they are compared instead.

# %% tags=["parameters"]
profile: str = "quick"  # smoke | quick | paper; smoke and paper set rounds and the length of training themselves
store: str = ""  # folder that holds runs at any depth; empty makes a few small ones
tasks: list = ["digits"]  # data sets of the small runs
selectors: list = ["random", "entropy", "coreset", "pcoreset"]  # who competes in them
rounds: int = 4  # query rounds after the initial labels
seeds: int = 5  # runs of each selector
seed: int = 0  # the first of the seeds

# %%
parameters = notebooks.read_parameters(globals(), also=("store", "tasks", "selectors", "seeds"))
used = range(seed, seed + (2 if parameters.profile == "smoke" else seeds))
places = [(task, s, k) for task in tasks for s in selectors for k in used]
configs = [parameters.config.with_(task=task, selector=s, seed=k) for task, s, k in places]
print(f"profile {parameters.profile}: {store or f'{len(configs)} small runs'}")

# %% [markdown]
# ## The runs
#
# Every selector runs with the same seeds. A **seed** decides which images are labelled at the start, how the student's
# weights begin, and in which order images come. So runs of equal seed start alike, whoever selects.

# %%
if store:
    results = [load_run(folder) for folder in find_runs([Path(store)])]
else:
    results = run_all(configs, "compare-runs", say=print).results
results = [run for run in results if comparison.finished(run)]
first = results[0].config["task"]
akd.plots.learning_curves([run for run in results if run.config["task"] == first])

# %% [markdown]
# ## One number for a curve
#
# Two numbers are common. The **area** under the learning curve, divided by its width, is the curve's mean height: it
# rewards learning early. The **final** accuracy only looks at the last label count. Both are taken over label counts
# that *all* runs reached, and labels spent on validation count like any other.

# %%
area = comparison.scores(results, "area")
final = comparison.scores(results, "final")
print(area.ranges)
area.frame.head(4).round(3)

# %% [markdown]
# **Predict first**: does the order of the selectors depend on which of the two you take?

# %%
by_area, by_final = (s.frame.groupby("variant")["score"].mean().sort_values(ascending=False) for s in (area, final))
print("by area: ", ", ".join(f"{name} {value:.1%}" for name, value in by_area.items()))
print("by final:", ", ".join(f"{name} {value:.1%}" for name, value in by_final.items()))

# %% [markdown] tags=["exercise-text"]
# ### Exercise 1 — label cost
#
# A third number speaks in money: how many labels until the student is good enough? Between two rounds, take the
# straight line. **Predict first**: a curve has 40% at 10 labels and 60% at 20. At which count does it reach 50%? And
# what should the answer be for 70%?
#
# <details><summary>Hint</summary>
#
# Find the first round at or above the target. If it is round 0, its label count is the answer. Otherwise go back one
# round, and interpolate between the two. `math.inf` says never.
#
# </details>


# %% tags=["exercise"]
import math


def label_cost(labels, accuracy, target):
    """Return the number of labels at which `accuracy`, a list beside `labels`, first reaches `target`."""
    ### BEGIN SOLUTION
    for i, value in enumerate(accuracy):
        if value >= target:
            if i == 0:
                return labels[0]
            share = (target - accuracy[i - 1]) / (value - accuracy[i - 1])
            return labels[i - 1] + share * (labels[i] - labels[i - 1])
    return math.inf
    ### END SOLUTION


# %%
akd.checks.check("07.label_cost", label_cost)

# %% [markdown]
# Here is what every selector needs for the accuracy that the best one ends with, less three points. A selector with a
# seed that never gets there has no mean cost: to leave that seed out would flatter it.

# %%
target = float(final.frame.groupby(["dataset", "variant"])["score"].mean().max()) - 0.03
print(f"labels to reach {target:.1%}")
comparison.label_costs(results, target).round(1)

# %% [markdown]
# ## A mean and its interval
#
# Five seeds give a mean, and the mean has an error of its own. Student's **95% interval** says how large: of a hundred
# such intervals, about 95 hold the mean that infinitely many seeds would give.

# %%
table, *_ = tables.compare(results, "area")
Markdown(tables.markdown([table]))

# %% [markdown]
# ## The same seeds: pairs
#
# Intervals that overlap do not mean that nothing differs. A seed with lucky initial labels lifts *every* selector, so
# part of the scatter is shared. Subtract within each seed, and that part is gone. **Predict first**: which scatters
# less over seeds, the scores of the last selector, or their differences from `random`?

# %%
wide = area.frame[area.frame.dataset == area.frame.dataset[0]].pivot(index="seed", columns="variant", values="score")
base = wide.columns[0] if "random" not in wide else "random"
for name in wide.columns.drop(base):
    gap = wide[name] - wide[base]
    print(
        f"{name:12} sd of its scores {100 * wide[name].std():.2f}, of its gaps to {base} {100 * gap.std():.2f} points"
    )

# %% [markdown]
# Now a test. The **paired t test** asks whether the mean difference could be chance, if differences are roughly normal.
# **Wilcoxon's test** asks the same of the ranks of the differences, and assumes less. It pays for that: with five
# pairs there are only 2⁵ patterns of signs, and the smallest p value it can ever give is 2/32.

# %%
for pairs in (3, 5, 6, 10, 20):
    print(f"{pairs:3} pairs: Wilcoxon's p is at least {2.0 ** (1 - pairs):.2g}")

# %% [markdown]
# So choose the test *before* you look, by what it can answer. We decide by the t test and print Wilcoxon's beside it.
# The bootstrap interval of the difference assumes no shape either; below five pairs it would be too narrow, so there
# is none.

# %%
chosen = {"selector": base} if base in set(area.frame.selector) else {"selector": area.frame.selector[0]}
compared = comparison.differences(area, chosen)
Markdown(tables.markdown([tables.difference_table(area, chosen)]))

# %% [markdown]
# ## Many questions
#
# Three selectors against `random` are three questions. If nothing differs at all, each is answered "yes" wrongly in 5%
# of all studies. **Predict first**: in which share of such studies is *at least one* of the three answers wrong? The
# cell makes 500 studies of five seeds in which four selectors are exactly alike.

# %%
made_up = np.random.default_rng(seed).normal(0.5, 0.01, (500, 4, 5))  # studies, selectors, seeds
p_values = np.array([[stats.paired(other, study[0]).p_t for other in study[1:]] for study in made_up])
any_wrong = (p_values < 0.05).any(axis=1).mean()
corrected = np.array([stats.holm(row) for row in p_values])
any_wrong_holm = (corrected < 0.05).any(axis=1).mean()
print(f"at least one wrong yes: {any_wrong:.1%} of the studies, {any_wrong_holm:.1%} after Holm's correction")

# %% [markdown] tags=["exercise-text"]
# ### Exercise 2 — Holm's correction
#
# Sort the m p values. Multiply the smallest by m, the next by m − 1, … the last by 1. A corrected value may not be
# smaller than the one before it, nor larger than 1. Give them back in the order in which they came. **Predict
# first**: what become of 0.04, 0.01 and 0.03?
#
# <details><summary>Hint</summary>
#
# `np.argsort` gives the order, `np.maximum.accumulate` keeps a row from falling.
#
# </details>


# %% tags=["exercise"]
import numpy as np


def holm(p_values):
    """Return Holm's corrected p values of a list, in its order."""
    ### BEGIN SOLUTION
    p = np.asarray(p_values)
    order = np.argsort(p)
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(raised, 1)
    return corrected
    ### END SOLUTION


# %%
akd.checks.check("07.holm", holm)

# %% [markdown]
# ## Ranks
#
# Papers often say "first in 64 of 73 settings". A win by a hair counts there as much as a large one, and so does a win
# by luck. **Mean ranks** do a little better: in every block of data set and seed the best selector gets 1, the next 2.
# Two selectors whose mean ranks lie within the **critical difference** are not told apart; a bar joins them.
# **Predict first**: how many bars will there be?

# %%
akd.plots.critical_difference(results)

# %%
won = comparison.wins(area)
print("\n".join(f"{name} is first in {k} of {n} data sets, by mean area" for name, k, n in won.itertuples(index=False)))

# %% [markdown]
# The blocks here are seeds of a few data sets. They say what holds on *these* data sets. For a claim about data sets
# in general, the data sets are what you need many of.
#
# ## A table to print
#
# A table without its settings cannot be repeated. `activekd-lab compare compare-runs --format latex` writes the tables
# above with published figures beside ours, where there are any, and ends with how the runs were made. Its start:

# %%
print(tables.latex([table])[:700])

# %% [markdown]
# ## What we learned
#
# 1. Area, final accuracy and label cost each make one number of a curve, and they need not agree on an order.
# 2. Equal seeds make pairs, and with five pairs Wilcoxon's test cannot reach 5%.
# 3. Each further question adds a chance of a wrong yes; Holm's correction takes it back.
# 4. Ranks ignore how large a win is, and seeds are no data sets.
#
# **Next.** Add `"shapes"` to `tasks` and run again (it takes some minutes). Pairs of both data sets are pooled: which
# differences are shown now that were not before, and is the answer still about the same question?

# %%
gaps = compared[["variant", "pairs", "difference", "p_holm"]].to_dict("records")
notebooks.finish(parameters, {"differences": gaps, "any_wrong": [float(any_wrong), float(any_wrong_holm)]})
